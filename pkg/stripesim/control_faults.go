package stripesim

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"
)

// faultEntry is a [Fault] as the control route takes it.
type faultEntry struct {
	Kind      FaultKind `json:"kind"`
	Op        string    `json:"op,omitempty"`
	Key       string    `json:"key,omitempty"`
	Account   string    `json:"account,omitempty"`
	Nth       int       `json:"nth,omitempty"`
	Times     int       `json:"times,omitempty"`
	Rate      float64   `json:"rate,omitempty"`
	Status    int       `json:"status,omitempty"`
	Code      string    `json:"code,omitempty"`
	Delay     duration  `json:"delay,omitempty"`
	Hold      bool      `json:"hold,omitempty"`
	Stored    bool      `json:"stored,omitempty"`
	FirstByte bool      `json:"first_byte,omitempty"`
	Struck    int       `json:"struck,omitempty"` // shown, not taken
}

func (e faultEntry) fault() Fault {
	return Fault{
		Kind: e.Kind, Op: e.Op, Key: e.Key, Account: e.Account, Nth: e.Nth, Times: e.Times, Rate: e.Rate, Status: e.Status,
		Code: e.Code, Delay: time.Duration(e.Delay), Hold: e.Hold, Stored: e.Stored, FirstByte: e.FirstByte,
	}
}

func entryOf(f *scripted) faultEntry {
	return faultEntry{
		Kind: f.Kind, Op: f.Op, Key: f.Key, Account: f.Account, Nth: f.Nth, Times: f.Times, Rate: f.Rate, Status: f.Status,
		Code: f.Code, Delay: duration(f.Delay), Hold: f.Hold, Stored: f.Stored, FirstByte: f.FirstByte, Struck: f.struck,
	}
}

// getFaults lists the faults that can still strike.
func (s *Simulator) getFaults(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	entries := []faultEntry{}
	for _, f := range s.faults {
		entries = append(entries, entryOf(f))
	}
	s.mu.Unlock()
	reply(w, http.StatusOK, map[string]any{"data": entries})
}

func (s *Simulator) postFaults(w http.ResponseWriter, r *http.Request) {
	var sent struct {
		Faults []faultEntry `json:"faults"`
	}
	if !take(w, r, &sent) {
		return
	}
	if len(sent.Faults) == 0 {
		replyError(w, errors.New(`at least one fault, as {"faults":[{"kind":"drop_after"}]}`))
		return
	}
	faults := make([]Fault, 0, len(sent.Faults))
	for _, one := range sent.Faults {
		faults = append(faults, one.fault())
	}
	if err := s.Script(faults...); err != nil {
		replyError(w, err)
		return
	}
	s.logControl(r.Context(), "script faults", slog.Int("faults", len(faults)))
	s.getFaults(w, r)
}

// External does an operation as somebody else would: the merchant in the Dashboard, or another program. Its effect has no key
// in the ledger; its events name a request and a key that are nobody's. params is a form, as a=b&c[d]=e. The error is Stripe's
// message where the operation is refused.
func (s *Simulator) External(account string, livemode bool, op, id, params string) error {
	e, ok := s.byOp[op]
	if !ok || e.run == nil || !accountID(account) {
		return fmt.Errorf("external %q in account %q: no such operation or account", op, account)
	}
	pairs, err := parsePairs(params)
	if err != nil {
		return fmt.Errorf("external %s: %w", op, err)
	}
	parsed, err := buildForm(pairs)
	if err != nil {
		return fmt.Errorf("external %s: %w", op, err)
	}
	if refused := e.validate(parsed); refused != nil {
		return fmt.Errorf("external %s: %s", op, refused.details.Message)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if refused := s.act(tenant{account, livemode}, op, id, parsed); refused != nil {
		return fmt.Errorf("external %s: %s", op, refused.details.Message)
	}
	return nil
}
