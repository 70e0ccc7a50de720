package stripesim

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// schema is what an operation takes: the type of each parameter by its name.
type schema map[string]byte

// parseSchema reads the notation of [schemas].
func parseSchema(text string) schema {
	parsed := make(schema)
	for field := range strings.FieldsSeq(text) {
		name, kind, _ := strings.Cut(field, ":")
		parsed[name] = kind[0]
	}
	return parsed
}

// required names what must be sent, beyond the parameters' types.
func required(op string) []string {
	switch op {
	case "subscription.create":
		return []string{"customer", "items"}
	case "payment_method.attach", "invoice_item.create":
		return []string{"customer"}
	case "price.create":
		return []string{"currency"}
	case "payment_method.create":
		return []string{"type"}
	case "payment_intent.create", "payout.create":
		return []string{"amount", "currency"}
	case "credit_note.create":
		return []string{"invoice"}
	case "transfer.create":
		return []string{"currency", "destination"}
	}
	return nil
}

// choices are the words that a parameter may be, where the simulator acts upon it.
func choices(name string) []string {
	switch name {
	case "collection_method":
		return []string{"charge_automatically", "send_invoice"}
	case "capture_method":
		return []string{"automatic", "automatic_async", "manual"}
	case "payment_behavior":
		return []string{"allow_incomplete", "default_incomplete", "error_if_incomplete", "pending_if_incomplete"}
	case "proration_behavior":
		return []string{"always_invoice", "create_prorations", "none"}
	case "pending_invoice_items_behavior":
		return []string{"exclude", "include", "include_and_require"}
	case "end_behavior":
		return []string{"cancel", "none", "release", "renew"}
	case "tax_exempt":
		return []string{"", "exempt", "none", "reverse"}
	case "cancellation_reason":
		return []string{"abandoned", "duplicate", "fraudulent", "requested_by_customer"}
	}
	return nil
}

// validate checks the parameters as Stripe does before it looks at the key. What it refuses is not remembered.
func (e *endpoint) validate(params *form) *refusal {
	for _, name := range params.keys {
		node := params.kids[name]
		kind, known := e.schema[name]
		if !known {
			return invalid("parameter_unknown", name, "Received unknown parameter: %s", name)
		}
		if refused := checkType(name, kind, node); refused != nil {
			return refused
		}
		if allowed := choices(name); allowed != nil && node.leaf && !slices.Contains(allowed, node.text) {
			return invalid("", name, "Invalid %s: must be one of %s", name, strings.Join(allowed, ", "))
		}
	}
	for _, name := range e.required {
		if node := params.get(name); node == nil || node.leaf && node.text == "" {
			return invalid("parameter_missing", name, "Missing required param: %s.", name)
		}
	}
	return e.validateValues(params)
}

func checkType(name string, kind byte, node *form) *refusal {
	if kind == 'o' {
		if node.leaf && node.text != "" && name != "created" {
			return invalid("", name, "Invalid %s: expected an object or a list", name)
		}
		return nil
	}
	text := node.value()
	switch {
	case !node.leaf:
		return invalid("", name, "Invalid string: an object was given for %s", name)
	case text == "" && kind != 'i' && kind != 'b':
		return nil
	case kind == 'i':
		if _, err := strconv.ParseInt(text, 10, 64); err != nil && text != "" {
			return invalid("parameter_invalid_integer", name, "Invalid integer: %s", text)
		}
	case kind == 'f':
		if _, err := strconv.ParseFloat(text, 64); err != nil {
			return invalid("", name, "Invalid decimal: %s", text)
		}
	case kind == 'b':
		if text != "true" && text != "false" {
			return invalid("", name, "Invalid boolean: %s", text)
		}
	case kind == 't':
		if _, err := strconv.ParseInt(text, 10, 64); err != nil && text != "now" && text != "unchanged" {
			return invalid("parameter_invalid_integer", name, "Invalid timestamp: %s", text)
		}
	}
	return nil
}

const (
	maxMetadata      = 50
	maxMetadataName  = 40
	maxMetadataValue = 500
)

func (e *endpoint) validateValues(params *form) *refusal {
	if amount, ok := params.get("amount").number(); ok && e.method == http.MethodPost && e.op != "invoice_item.create" && amount < 1 {
		return invalid("parameter_invalid_integer", "amount", "This value must be greater than or equal to 1.")
	}
	if f := params.get("currency"); f != nil && e.method == http.MethodPost {
		if !currencyCode(f.value()) {
			return invalid("", "currency", "Invalid currency: %s", f.value())
		}
		f.text = strings.ToLower(f.text) // as it is kept and shown
	}
	metadata := params.get("metadata")
	if metadata == nil {
		return oneOf(e.op, params)
	}
	if len(metadata.keys) > maxMetadata {
		return invalid("", "metadata", "You can have up to %d metadata keys.", maxMetadata)
	}
	for name, value := range metadata.kids {
		switch {
		case !value.leaf:
			return invalid("", "metadata["+name+"]", "Invalid string: metadata is not nested")
		case len(name) > maxMetadataName:
			return invalid("", "metadata", "Metadata keys can have up to %d characters.", maxMetadataName)
		case len(value.text) > maxMetadataValue:
			return invalid("", "metadata["+name+"]", "Metadata values can have up to %d characters.", maxMetadataValue)
		}
	}
	return oneOf(e.op, params)
}

// oneOf checks what is required of several parameters together.
func oneOf(op string, params *form) *refusal {
	switch op {
	case "refund.create":
		if !params.has("charge") && !params.has("payment_intent") {
			return invalid("parameter_missing", "", "One of the following params should be provided for this request: payment_intent or charge.")
		}
	case "invoice.create":
		if !params.has("customer") && !params.has("subscription") && !params.has("from_invoice") {
			return invalid("parameter_missing", "customer", "You must pass either a customer or a subscription.")
		}
	case "subscription_schedule.create":
		if !params.has("customer") && !params.has("from_subscription") {
			return invalid("parameter_missing", "customer", "Missing required param: customer.")
		}
	}
	return nil
}

// currencyCode accepts three letters, in lower case as the API shows them or in upper case.
func currencyCode(text string) bool {
	if len(text) != 3 {
		return false
	}
	for _, c := range strings.ToLower(text) {
		if c < 'a' || c > 'z' {
			return false
		}
	}
	return true
}

func accountID(text string) bool {
	return strings.HasPrefix(text, "acct_") && len(text) > len("acct_")
}
