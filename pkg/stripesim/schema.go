package stripesim

// schemas names the parameters that each operation takes, with their types, as stripe-go v76 knows them (a test compares):
// s text, i integer, f decimal number, b boolean, o object or list, t a time or a word such as "now".
func schemas() map[string]string {
	return map[string]string{
		"customer.create":               customerParams,
		"customer.update":               customerParams,
		"price.create":                  priceParams,
		"payment_method.create":         paymentMethodParams,
		"payment_method.attach":         "customer:s expand:o",
		"subscription.create":           subscriptionParams,
		"subscription.update":           subscriptionParams,
		"subscription.cancel":           "cancellation_details:o expand:o invoice_now:b prorate:b",
		"subscription.resume":           "billing_cycle_anchor:s expand:o proration_behavior:s proration_date:i",
		"invoice.create":                invoiceParams,
		"invoice.update":                invoiceParams,
		"invoice.finalize":              "auto_advance:b expand:o",
		"invoice.pay":                   "expand:o forgive:b mandate:s off_session:b paid_out_of_band:b payment_method:s source:s",
		"invoice.void":                  "expand:o",
		"invoice.send":                  "expand:o",
		"invoice.mark_uncollectible":    "expand:o",
		"invoice_item.create":           invoiceItemParams,
		"payment_intent.create":         paymentIntentParams,
		"payment_intent.confirm":        paymentIntentConfirmParams,
		"payment_intent.capture":        paymentIntentCaptureParams,
		"payment_intent.cancel":         "cancellation_reason:s expand:o",
		"charge.capture":                chargeCaptureParams,
		"refund.create":                 refundParams,
		"credit_note.create":            creditNoteParams,
		"subscription_schedule.create":  subscriptionScheduleParams,
		"subscription_schedule.update":  subscriptionScheduleParams,
		"subscription_schedule.cancel":  "expand:o invoice_now:b prorate:b",
		"subscription_schedule.release": "expand:o preserve_cancel_date:b",
		"transfer.create":               transferParams,
		"payout.create":                 payoutParams,
	}
}

const (
	customerParams = "address:o balance:i cash_balance:o coupon:s default_source:s description:s email:s expand:o " +
		"invoice_prefix:s invoice_settings:o metadata:o name:s next_invoice_sequence:i payment_method:s phone:s " +
		"preferred_locales:o promotion_code:s shipping:o source:s tax:o tax_exempt:s tax_id_data:o test_clock:s " +
		"validate:b"
	priceParams = "active:b billing_scheme:s currency:s currency_options:o custom_unit_amount:o expand:o lookup_key:s " +
		"metadata:o nickname:s product:s product_data:o recurring:o tax_behavior:s tiers:o tiers_mode:s " +
		"transfer_lookup_key:b transform_quantity:o unit_amount:i unit_amount_decimal:f"
	paymentMethodParams = "acss_debit:o affirm:o afterpay_clearpay:o alipay:o au_becs_debit:o bacs_debit:o bancontact:o " +
		"billing_details:o blik:o boleto:o card:o cashapp:o customer:s customer_balance:o eps:o expand:o fpx:o " +
		"giropay:o grabpay:o ideal:o interac_present:o klarna:o konbini:o link:o metadata:o mobilepay:o oxxo:o " +
		"p24:o payment_method:s paynow:o paypal:o pix:o promptpay:o radar_options:o revolut_pay:o sepa_debit:o " +
		"sofort:o swish:o type:s us_bank_account:o wechat_pay:o zip:o"
	subscriptionParams = "add_invoice_items:o application_fee_percent:f automatic_tax:o backdate_start_date:i " +
		"billing_cycle_anchor:t billing_cycle_anchor_config:o billing_thresholds:o cancel_at:i " +
		"cancel_at_period_end:b cancellation_details:o collection_method:s coupon:s currency:s customer:s " +
		"days_until_due:i default_payment_method:s default_source:s default_tax_rates:o description:s discounts:o " +
		"expand:o invoice_settings:o items:o metadata:o off_session:b on_behalf_of:s pause_collection:o " +
		"payment_behavior:s payment_settings:o pending_invoice_item_interval:o promotion_code:s " +
		"proration_behavior:s proration_date:i transfer_data:o trial_end:t trial_from_plan:b trial_period_days:i " +
		"trial_settings:o"
	invoiceParams = "account_tax_ids:o application_fee_amount:i auto_advance:b automatic_tax:o collection_method:s currency:s " +
		"custom_fields:o customer:s days_until_due:i default_payment_method:s default_source:s " +
		"default_tax_rates:o description:s discounts:o due_date:i effective_at:i expand:o footer:s from_invoice:o " +
		"issuer:o metadata:o number:s on_behalf_of:s payment_settings:o pending_invoice_items_behavior:s " +
		"rendering:o rendering_options:o shipping_cost:o shipping_details:o statement_descriptor:s subscription:s " +
		"transfer_data:o"
	invoiceItemParams = "amount:i currency:s customer:s description:s discountable:b discounts:o expand:o invoice:s metadata:o " +
		"period:o price:s price_data:o quantity:i subscription:s tax_behavior:s tax_code:s tax_rates:o " +
		"unit_amount:i unit_amount_decimal:f"
	paymentIntentParams = "amount:i application_fee_amount:i automatic_payment_methods:o capture_method:s client_secret:s confirm:b " +
		"confirmation_method:s confirmation_token:s currency:s customer:s description:s " +
		"error_on_requires_action:b expand:o mandate:s mandate_data:o metadata:o off_session:b on_behalf_of:s " +
		"payment_method:s payment_method_configuration:s payment_method_data:o payment_method_options:o " +
		"payment_method_types:o radar_options:o receipt_email:s return_url:s setup_future_usage:s shipping:o " +
		"statement_descriptor:s statement_descriptor_suffix:s transfer_data:o transfer_group:s use_stripe_sdk:b"
	paymentIntentConfirmParams = "capture_method:s confirmation_token:s error_on_requires_action:b expand:o mandate:s mandate_data:o " +
		"off_session:b payment_method:s payment_method_data:o payment_method_options:o radar_options:o " +
		"receipt_email:s return_url:s setup_future_usage:s shipping:o use_stripe_sdk:b"
	paymentIntentCaptureParams = "amount_to_capture:i application_fee_amount:i expand:o final_capture:b metadata:o statement_descriptor:s " +
		"statement_descriptor_suffix:s transfer_data:o"
	chargeCaptureParams = "amount:i application_fee:i application_fee_amount:i exchange_rate:f expand:o receipt_email:s " +
		"statement_descriptor:s statement_descriptor_suffix:s transfer_data:o transfer_group:s"
	refundParams = "amount:i charge:s currency:s customer:s expand:o instructions_email:s metadata:o origin:s " +
		"payment_intent:s reason:s refund_application_fee:b reverse_transfer:b"
	creditNoteParams = "amount:i credit_amount:i effective_at:i expand:o invoice:s lines:o memo:s metadata:o " +
		"out_of_band_amount:i reason:s refund:s refund_amount:i shipping_cost:o"
	subscriptionScheduleParams = "customer:s default_settings:o end_behavior:s expand:o from_subscription:s metadata:o phases:o " +
		"proration_behavior:s start_date:t"
	transferParams = "amount:i currency:s description:s destination:s expand:o metadata:o source_transaction:s source_type:s " +
		"transfer_group:s"
	payoutParams = "amount:i currency:s description:s destination:s expand:o metadata:o method:s source_type:s " +
		"statement_descriptor:s"
)
