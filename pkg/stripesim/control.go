package stripesim

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"time"
)

// controlRoutes are the simulator's own, for tests, demonstrations and the console. They are not authenticated: serve them
// on loopback, or inside a closed network.
func (s *Simulator) controlRoutes() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /_sim/healthz", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	mux.HandleFunc("GET /_sim/ledger", s.getLedger)
	mux.HandleFunc("GET /_sim/requests", func(w http.ResponseWriter, r *http.Request) {
		reply(w, http.StatusOK, map[string]any{"data": s.Requests(r.URL.Query().Get("key"))})
	})
	mux.HandleFunc("GET /_sim/clock", s.getClock)
	mux.HandleFunc("POST /_sim/clock", s.postClock)
	mux.HandleFunc("GET /_sim/latency", s.getLatency)
	mux.HandleFunc("POST /_sim/latency", s.postLatency)
	mux.HandleFunc("GET /_sim/faults", s.getFaults)
	mux.HandleFunc("POST /_sim/faults", s.postFaults)
	mux.HandleFunc("DELETE /_sim/faults", s.simple("clear faults", s.ClearFaults))
	mux.HandleFunc("GET /_sim/plan", s.getPlan)
	mux.HandleFunc("POST /_sim/plan", s.postPlan)
	mux.HandleFunc("DELETE /_sim/plan", s.deletePlan)
	mux.HandleFunc("GET /_sim/switches", s.getSwitches)
	mux.HandleFunc("POST /_sim/switches", s.postSwitches)
	mux.HandleFunc("GET /_sim/keys", s.getKeys)
	mux.HandleFunc("GET /_sim/active", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusOK, map[string]int{"active": s.Active()})
	})
	mux.HandleFunc("GET /_sim/held", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusOK, map[string]int{"held": s.Held()})
	})
	mux.HandleFunc("POST /_sim/release", s.simple("release", s.Release))
	mux.HandleFunc("POST /_sim/reset", s.simple("reset", s.Reset))
	mux.HandleFunc("POST /_sim/accounts", s.postAccounts)
	mux.HandleFunc("POST /_sim/accounts/{id}/revoke", s.onAccount("revoke account", s.Revoke))
	mux.HandleFunc("POST /_sim/accounts/{id}/restore", s.onAccount("restore account", s.Restore))
	mux.HandleFunc("POST /_sim/tokens/revoke", s.postRevokeToken)
	mux.HandleFunc("POST /_sim/fixtures", s.postFixtures)
	mux.HandleFunc("POST /_sim/external", s.postExternal)
	mux.HandleFunc("POST /_sim/clear", s.postClear)
	return mux
}

// maxControlBody has room for the fixtures of a large test.
const maxControlBody = 64 << 20

// reply answers with JSON without spaces, so that scripts can search it.
func reply(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(render(value), '\n'))
}

func replyError(w http.ResponseWriter, err error) {
	reply(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
}

// take decodes the body strictly; on failure it has answered.
func take(w http.ResponseWriter, r *http.Request, into any) bool {
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxControlBody))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(into)
	if err == nil {
		if _, trailing := decoder.Token(); !errors.Is(trailing, io.EOF) {
			err = errors.New("more than one JSON value")
		}
	}
	if err != nil {
		replyError(w, fmt.Errorf("read the body: %w", err))
		return false
	}
	return true
}

func (s *Simulator) simple(what string, do func()) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		do()
		s.logControl(r.Context(), what)
		reply(w, http.StatusOK, map[string]bool{"ok": true})
	}
}

func (s *Simulator) onAccount(what string, do func(string)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		do(r.PathValue("id"))
		s.logControl(r.Context(), what, slog.String("account", r.PathValue("id")))
		reply(w, http.StatusOK, map[string]bool{"ok": true})
	}
}

// getLedger filters by key, account and op; after=N leaves out the effects up to number N.
func (s *Simulator) getLedger(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	after := 0
	if text := query.Get("after"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			replyError(w, errors.New("after must be the number of an effect"))
			return
		}
		after = n
	}
	all := s.Ledger()
	found := []Effect{}
	for _, e := range all[min(after, len(all)):] {
		if (!query.Has("key") || e.IdempotencyKey == query.Get("key")) && (!query.Has("account") || e.Account == query.Get("account")) &&
			(!query.Has("op") || e.Op == query.Get("op")) {
			found = append(found, e)
		}
	}
	reply(w, http.StatusOK, map[string]any{"data": found})
}

func (s *Simulator) getClock(w http.ResponseWriter, _ *http.Request) {
	reply(w, http.StatusOK, map[string]time.Time{"now": s.Now().UTC()})
}

func (s *Simulator) postClock(w http.ResponseWriter, r *http.Request) {
	var sent struct {
		Advance duration `json:"advance"`
	}
	if !take(w, r, &sent) {
		return
	}
	if sent.Advance < 0 {
		replyError(w, errors.New("the clock does not go back"))
		return
	}
	s.Advance(time.Duration(sent.Advance))
	s.logControl(r.Context(), "advance the clock", slog.Duration("by", time.Duration(sent.Advance)))
	s.getClock(w, r)
}

// duration is written as Go writes durations: "2s".
type duration time.Duration

func (d duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

func (d *duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	*d = duration(parsed)
	return err
}

type latencyEntry struct {
	Op     string   `json:"op"`
	Fixed  duration `json:"fixed"`
	Jitter duration `json:"jitter"`
}

func (s *Simulator) getLatency(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	entries := []latencyEntry{}
	for op, one := range s.latencies {
		entries = append(entries, latencyEntry{op, duration(one.Fixed), duration(one.Jitter)})
	}
	s.mu.Unlock()
	reply(w, http.StatusOK, map[string]any{"data": entries})
}

func (s *Simulator) postLatency(w http.ResponseWriter, r *http.Request) {
	var sent latencyEntry
	if !take(w, r, &sent) {
		return
	}
	if sent.Fixed < 0 || sent.Jitter < 0 || sent.Op != "" && s.byOp[sent.Op] == nil {
		replyError(w, errors.New("an operation that is known, and durations of zero or more"))
		return
	}
	s.SetLatency(sent.Op, Latency{time.Duration(sent.Fixed), time.Duration(sent.Jitter)})
	s.logControl(r.Context(), "set latency", slog.String("op", sent.Op), slog.Duration("fixed", time.Duration(sent.Fixed)))
	s.getLatency(w, r)
}

func (s *Simulator) postAccounts(w http.ResponseWriter, r *http.Request) {
	var sent struct {
		Token    string `json:"token"`
		Account  string `json:"account"`
		Livemode bool   `json:"livemode"`
	}
	if !take(w, r, &sent) {
		return
	}
	if sent.Token == "" || !accountID(sent.Account) {
		replyError(w, errors.New("a token, and an account acct_…"))
		return
	}
	s.Register(sent.Token, sent.Account, sent.Livemode)
	s.logControl(r.Context(), "register a token", slog.String("account", sent.Account), slog.Bool("livemode", sent.Livemode))
	reply(w, http.StatusOK, map[string]any{"account": sent.Account, "livemode": sent.Livemode})
}

func (s *Simulator) postRevokeToken(w http.ResponseWriter, r *http.Request) {
	var sent struct {
		Token string `json:"token"`
	}
	if !take(w, r, &sent) {
		return
	}
	s.RevokeToken(sent.Token)
	s.logControl(r.Context(), "revoke a token")
	reply(w, http.StatusOK, map[string]bool{"ok": true})
}

func (s *Simulator) postFixtures(w http.ResponseWriter, r *http.Request) {
	var sent struct {
		Account  string   `json:"account"`
		Livemode bool     `json:"livemode"`
		Objects  []Object `json:"objects"`
	}
	if !take(w, r, &sent) {
		return
	}
	if err := s.Seed(sent.Account, sent.Livemode, sent.Objects...); err != nil {
		replyError(w, err)
		return
	}
	s.logControl(r.Context(), "seed", slog.String("account", sent.Account), slog.Int("objects", len(sent.Objects)))
	reply(w, http.StatusOK, map[string]int{"seeded": len(sent.Objects)})
}

func (s *Simulator) postExternal(w http.ResponseWriter, r *http.Request) {
	var sent struct {
		Account  string `json:"account"`
		Livemode bool   `json:"livemode"`
		Op       string `json:"op"`
		ID       string `json:"id"`
		Params   string `json:"params"` // as a form
	}
	if !take(w, r, &sent) {
		return
	}
	if err := s.External(sent.Account, sent.Livemode, sent.Op, sent.ID, sent.Params); err != nil {
		replyError(w, err)
		return
	}
	s.logControl(r.Context(), "external", slog.String("account", sent.Account), slog.String("op", sent.Op))
	reply(w, http.StatusOK, map[string]bool{"ok": true})
}
