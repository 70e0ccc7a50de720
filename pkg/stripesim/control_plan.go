package stripesim

import (
	"log/slog"
	"net/http"
	"time"
)

// planEntry is a [Plan] as the control routes take and show it.
type planEntry struct {
	Seed      uint64                `json:"seed"`
	Rates     map[FaultKind]float64 `json:"rates"`
	Delay     duration              `json:"delay"`
	EventsLag duration              `json:"events_lag"`
}

// planShown is a [PlanReport] as the control routes show it.
type planShown struct {
	Plan     *planEntry        `json:"plan"`
	Requests int               `json:"requests"`
	Struck   map[FaultKind]int `json:"struck"`
}

func (r PlanReport) show() planShown {
	shown := planShown{Requests: r.Requests, Struck: r.Struck}
	if shown.Struck == nil {
		shown.Struck = make(map[FaultKind]int)
	}
	if p := r.Plan; p != nil {
		shown.Plan = &planEntry{Seed: p.Seed, Rates: p.Rates, Delay: duration(p.Delay), EventsLag: duration(p.EventsLag)}
	}
	return shown
}

func (s *Simulator) getPlan(w http.ResponseWriter, _ *http.Request) {
	reply(w, http.StatusOK, s.Planned().show())
}

func (s *Simulator) postPlan(w http.ResponseWriter, r *http.Request) {
	var sent planEntry
	if !take(w, r, &sent) {
		return
	}
	err := s.Plan(Plan{Seed: sent.Seed, Rates: sent.Rates, Delay: time.Duration(sent.Delay), EventsLag: time.Duration(sent.EventsLag)})
	if err != nil {
		replyError(w, err)
		return
	}
	s.logControl(r.Context(), "plan faults", slog.Uint64("seed", sent.Seed), slog.Int("kinds", len(sent.Rates)))
	s.getPlan(w, r)
}

// deletePlan ends the plan and shows what had become of it.
func (s *Simulator) deletePlan(w http.ResponseWriter, r *http.Request) {
	report := s.endPlan()
	s.logControl(r.Context(), "end the plan", slog.Int("requests", report.Requests))
	reply(w, http.StatusOK, report.show())
}
