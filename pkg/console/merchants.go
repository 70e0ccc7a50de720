package console

import (
	"net/http"
	"net/url"
	"strings"

	"billonce/pkg/billing"
	"billonce/pkg/client"
)

type merchantsView struct {
	Account       string                 // only the merchant with this account
	Status        billing.MerchantStatus // only those in it
	Statuses      []billing.MerchantStatus
	Page          client.MerchantPage
	Older, Newest string
	Troubles      []string
}

// listMerchants shows merchants, the newest first. Of their tokens it is known whether there are any.
func (c *Console) listMerchants(v *visit) error {
	v.section = "merchants"
	query := v.r.URL.Query()
	view := merchantsView{
		Account: strings.TrimSpace(query.Get("stripe_connect_id")), Status: billing.MerchantStatus(query.Get("status")), Statuses: billing.MerchantStatuses(),
	}
	wanted := client.ListMerchantsQuery{Limit: rowsPerPage, Cursor: query.Get("cursor"), StripeConnectID: view.Account, Status: view.Status}
	page, err := c.api.ListMerchants(v.ctx, wanted)
	status, troubles, err := inPlace(err)
	if err != nil {
		return err
	}
	view.Page, view.Troubles = page, troubles
	view.Older, view.Newest = pagesOf("/merchants", url.Values{"stripe_connect_id": {view.Account}, "status": {string(view.Status)}}, wanted.Cursor, page.NextCursor)
	c.show(v, status, "merchants", "Merchants", view)
	return nil
}

// pagesOf are the addresses of the next page of a list and, when this is not it, of the first.
func pagesOf(path string, query url.Values, cursor string, next *string) (older, newest string) {
	for name, values := range query {
		if len(values) == 1 && values[0] == "" {
			query.Del(name)
		}
	}
	if cursor != "" {
		newest = address(path, query)
	}
	if next != nil {
		query.Set("cursor", *next)
		older = address(path, query)
	}
	return older, newest
}

type merchantView struct {
	Merchant client.Merchant
	Account  account
	Tabs     []tab
	Actions  []pair
	Audit    []client.AuditEntry
	SeesLog  bool
}

// showMerchant shows one merchant, and how its tasks stand.
func (c *Console) showMerchant(v *visit) error {
	v.section = "merchants"
	id := v.r.PathValue("id")
	merchant, err := c.api.GetMerchant(v.ctx, id)
	if err != nil {
		return err
	}
	view := merchantView{
		Merchant: merchant, Account: account{merchant.StripeConnectID, merchant.Livemode}, SeesLog: v.may(billing.ScopeAdmin) && v.seesAll(),
	}
	var calls []func() error
	if v.may(billing.ScopeTasksRead) {
		calls = append(calls, func() error {
			found, err := c.countTasks(v, url.Values{"merchant_id": {merchant.ID}})
			view.Tabs = tabsOf(filter{MerchantID: merchant.ID}, found)
			return err
		})
	}
	if view.SeesLog {
		calls = append(calls, func() (err error) { view.Audit, err = c.changesOf(v, merchant.ID); return err })
	}
	if err := together(calls...); err != nil {
		return err
	}
	for _, one := range actions() {
		if one.object == "merchant" && v.may(one.scopes...) && one.refusal(subject{merchant: merchant}) == "" {
			view.Actions = append(view.Actions, pair{one.name, "/merchants/" + url.PathEscape(merchant.ID) + "/" + one.verb})
		}
	}
	c.show(v, http.StatusOK, "merchant", merchant.Name, view)
	return nil
}
