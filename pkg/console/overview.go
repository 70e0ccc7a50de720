package console

import (
	"net/http"

	"billonce/pkg/billing"
	"billonce/pkg/client"
)

type overviewView struct {
	client.Overview
	Verdict   verdict
	Chart     chart
	Encrypted bool // the visitor may see which keys seal
	Merchants bool // and merchants
}

// total is the sum of counts; stopped says that it may be more.
func total(counts []client.StatusCount) (sum int, stopped bool) {
	for _, one := range counts {
		sum, stopped = sum+one.Count, stopped || one.Capped
	}
	return sum, stopped
}

// home shows whether money moves, or the first page that the key allows.
func (c *Console) home(v *visit) error {
	if !v.may(billing.ScopeTasksRead) {
		if items := nav(v); len(items) > 0 {
			redirect(v, items[0].Path)
			return nil
		}
		return &fault{
			status: http.StatusForbidden, title: "Your key does not allow this",
			text: "It can read neither tasks nor merchants, so there is nothing to show.",
		}
	}
	v.section = "overview"
	found, err := c.api.GetOverview(v.ctx)
	if err != nil {
		return err
	}
	if !v.seesAll() {
		found.Workers, found.Encryption = nil, nil
	}
	c.showLive(v, http.StatusOK, "overview", "Overview", overviewView{
		Overview: found, Verdict: verdictOf(found), Chart: chartOf(found.Outcomes), Encrypted: v.may(billing.ScopeAdmin) && v.seesAll(),
		Merchants: v.may(billing.ScopeMerchantsRead),
	}, true)
	return nil
}
