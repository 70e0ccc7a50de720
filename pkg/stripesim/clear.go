package stripesim

import (
	"fmt"
	"log/slog"
	"net/http"
)

// Clear ends a payment that is under way, as a bank does days after a debit was asked for: id names the payment intent or its
// invoice. With a decline code the debit fails. Nobody asked for what follows: its events name neither a request nor a key, and
// the ledger, which had the effect when the payment was begun, gets none.
func (s *Simulator) Clear(account string, livemode bool, id, decline string) error {
	if !accountID(account) {
		return fmt.Errorf("clear %s in account %q: %w", id, account, errNotUnderWay)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.newCall(tenant{account, livemode}, "clear", id, &form{})
	made, ofInvoice := c.acct.invoices.get(id)
	if ofInvoice {
		id = made.PaymentIntent
	}
	intent, ok := c.acct.intents.get(id)
	if !ok || intent.Status != "processing" {
		return fmt.Errorf("clear %s: %w", c.id, errNotUnderWay)
	}
	method := c.methodNamed(intent.PaymentMethod) // what is under way has one
	if !ofInvoice {
		made, ofInvoice = c.acct.invoices.get(intent.Invoice)
	}
	if decline == "" {
		c.approve(intent, method)
	} else {
		failing := *method
		failing.script.decline = decline
		c.decline(intent, &failing)
	}
	if ofInvoice {
		made.Charge = intent.LatestCharge
		if decline == "" {
			c.paid(made)
		} else {
			c.emit("invoice.payment_failed", made)
		}
	}
	c.publish(nil, nil, 0)
	return nil
}

func (s *Simulator) postClear(w http.ResponseWriter, r *http.Request) {
	var sent struct {
		Account  string `json:"account"`
		Livemode bool   `json:"livemode"`
		ID       string `json:"id"`
		Decline  string `json:"decline"`
	}
	if !take(w, r, &sent) {
		return
	}
	if err := s.Clear(sent.Account, sent.Livemode, sent.ID, sent.Decline); err != nil {
		replyError(w, err)
		return
	}
	s.logControl(r.Context(), "clear a payment", slog.String("account", sent.Account), slog.String("id", sent.ID))
	reply(w, http.StatusOK, map[string]bool{"ok": true})
}
