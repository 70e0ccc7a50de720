package stripesim

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"
)

// Switches are the parts of [Config] that can change while the simulator runs, with what they are at work: nothing stands
// for a default here.
type Switches struct {
	Seed      uint64        // of what is drawn for events and keys; setting another one also starts jitter and [Fault.Rate] anew
	KeyTTL    time.Duration // as in Config, as are the others; more than 0
	PruneLate time.Duration
	RateLimit int
	LimitFor  string
	LockWait  time.Duration // 0: not at all

	EventLag        time.Duration
	EventDrops      float64
	EventDuplicates float64
	EventDisorder   float64
	SearchLag       time.Duration

	StoreLockTimeouts bool
	StoreInvalid      bool
	MismatchFirst     bool
	KeysPerAuthMode   bool
	BareFromSchedule  bool
	BareDeleteEvents  bool
	NoKeepAlive       bool
}

var errSwitch = errors.New("not a setting")

// switches are what a simulator starts with. The seed is chosen by New where there is none.
func (c Config) switches() Switches {
	c = c.withDefaults()
	return Switches{
		Seed: c.Seed, KeyTTL: c.KeyTTL, PruneLate: c.PruneLate, RateLimit: c.RateLimit, LimitFor: c.LimitFor,
		LockWait: max(c.LockWait, 0),
		EventLag: c.EventLag, EventDrops: c.EventDrops, EventDuplicates: c.EventDuplicates, EventDisorder: c.EventDisorder,
		SearchLag: c.SearchLag, StoreLockTimeouts: c.StoreLockTimeouts, StoreInvalid: c.StoreInvalid,
		MismatchFirst: c.MismatchFirst, KeysPerAuthMode: c.KeysPerAuthMode, BareFromSchedule: c.BareFromSchedule,
		BareDeleteEvents: c.BareDeleteEvents, NoKeepAlive: c.NoKeepAlive,
	}
}

// Check finds settings that make no sense: negative durations, rates outside of 0 to 1. New does not.
func (c Config) Check() error {
	if c.Latency.Fixed < 0 || c.Latency.Jitter < 0 {
		return fmt.Errorf("a negative latency: %w", errSwitch)
	}
	return c.switches().check()
}

func (s Switches) check() error {
	if s.KeyTTL <= 0 {
		return fmt.Errorf("keys that live for %v: %w", s.KeyTTL, errSwitch)
	}
	for name, d := range map[string]time.Duration{
		"prune_late": s.PruneLate, "lock_wait": s.LockWait, "event_lag": s.EventLag, "search_lag": s.SearchLag,
	} {
		if d < 0 {
			return fmt.Errorf("%s of %v: %w", name, d, errSwitch)
		}
	}
	if s.RateLimit < 0 {
		return fmt.Errorf("rate_limit of %d: %w", s.RateLimit, errSwitch)
	}
	if s.LimitFor != "" && !accountID(s.LimitFor) {
		return fmt.Errorf("rate_limit_for %q, which is no account: %w", s.LimitFor, errSwitch)
	}
	for name, rate := range map[string]float64{
		"event_drops": s.EventDrops, "event_duplicates": s.EventDuplicates, "event_disorder": s.EventDisorder,
	} {
		if !(rate >= 0 && rate <= 1) { // which NaN is not either
			return fmt.Errorf("%s at a rate of %v, which is not within 0 and 1: %w", name, rate, errSwitch)
		}
	}
	return nil
}

// Switches tells how the switches stand.
func (s *Simulator) Switches() Switches {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.switches
}

// Switch changes what change changes, all at once; what makes no sense changes nothing. change must not call the simulator.
// A reset undoes it.
func (s *Simulator) Switch(change func(*Switches)) error {
	return s.trySwitch(func(next *Switches) error {
		change(next)
		return nil
	})
}

func (s *Simulator) trySwitch(change func(*Switches) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := s.switches
	if err := change(&next); err != nil {
		return err
	}
	if err := next.check(); err != nil {
		return fmt.Errorf("switch: %w", err)
	}
	if next.Seed != s.switches.Seed {
		s.random = rand.New(rand.NewPCG(next.Seed, 0)) //nolint:gosec // faults are to be repeatable, not secret
	}
	s.switches = next
	return nil
}

// switchesEntry is [Switches] as the control routes take and show them.
type switchesEntry struct {
	Seed      uint64   `json:"seed"`
	KeyTTL    duration `json:"key_ttl"`
	PruneLate duration `json:"prune_late"`
	RateLimit int      `json:"rate_limit"`
	LimitFor  string   `json:"rate_limit_for"`
	LockWait  duration `json:"lock_wait"`

	EventLag        duration `json:"event_lag"`
	EventDrops      float64  `json:"event_drops"`
	EventDuplicates float64  `json:"event_duplicates"`
	EventDisorder   float64  `json:"event_disorder"`
	SearchLag       duration `json:"search_lag"`

	StoreLockTimeouts bool `json:"store_lock_timeouts"`
	StoreInvalid      bool `json:"store_invalid"`
	MismatchFirst     bool `json:"mismatch_first"`
	KeysPerAuthMode   bool `json:"keys_per_auth_mode"`
	BareFromSchedule  bool `json:"bare_from_schedule"`
	BareDeleteEvents  bool `json:"bare_delete_events"`
	NoKeepAlive       bool `json:"no_keep_alive"`
}

func (s Switches) show() switchesEntry {
	return switchesEntry{
		s.Seed, duration(s.KeyTTL), duration(s.PruneLate), s.RateLimit, s.LimitFor, duration(s.LockWait),
		duration(s.EventLag), s.EventDrops, s.EventDuplicates, s.EventDisorder, duration(s.SearchLag),
		s.StoreLockTimeouts, s.StoreInvalid, s.MismatchFirst, s.KeysPerAuthMode, s.BareFromSchedule, s.BareDeleteEvents, s.NoKeepAlive,
	}
}

func (e switchesEntry) switches() Switches {
	return Switches{
		e.Seed, time.Duration(e.KeyTTL), time.Duration(e.PruneLate), e.RateLimit, e.LimitFor, time.Duration(e.LockWait),
		time.Duration(e.EventLag), e.EventDrops, e.EventDuplicates, e.EventDisorder, time.Duration(e.SearchLag),
		e.StoreLockTimeouts, e.StoreInvalid, e.MismatchFirst, e.KeysPerAuthMode, e.BareFromSchedule, e.BareDeleteEvents, e.NoKeepAlive,
	}
}

func (s *Simulator) getSwitches(w http.ResponseWriter, _ *http.Request) {
	reply(w, http.StatusOK, s.Switches().show())
}

// postSwitches changes those that the body names.
func (s *Simulator) postSwitches(w http.ResponseWriter, r *http.Request) {
	var sent json.RawMessage
	if !take(w, r, &sent) {
		return
	}
	err := s.trySwitch(func(next *Switches) error {
		entry := next.show()
		decoder := json.NewDecoder(bytes.NewReader(sent))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&entry); err != nil {
			return fmt.Errorf("read the body: %w", err)
		}
		*next = entry.switches()
		return nil
	})
	if err != nil {
		replyError(w, err)
		return
	}
	s.logControl(r.Context(), "switch", slog.String("switches", string(sent)))
	s.getSwitches(w, r)
}

// lateness is how much longer than [Switches.KeyTTL] the key is remembered. The caller holds s.mu.
func (s *Simulator) lateness(key string) time.Duration {
	if s.switches.PruneLate == 0 {
		return 0
	}
	return time.Duration(chance(s.switches.Seed, "prune", key).Float64() * float64(s.switches.PruneLate))
}

// fateOf draws what becomes of the nth event of the call: how many copies of it are listed, and how many places too early.
func (c *call) fateOf(kind string, nth int) (copies, places int) {
	sw := c.sim.switches
	if sw.EventDrops == 0 && sw.EventDuplicates == 0 && sw.EventDisorder == 0 {
		return 1, 0
	}
	origin := "key " + c.key
	if c.key == "" {
		origin = "object " + c.op + " " + c.id
	}
	draw := chance(sw.Seed, "event", origin, kind, strconv.Itoa(nth))
	drops, repeats, strays := draw.Float64(), draw.Float64(), draw.Float64()
	if drops < sw.EventDrops {
		c.sim.keys.dropped(c.key, kind)
		return 0, 0
	}
	copies = 1
	if repeats < sw.EventDuplicates {
		copies = 2
	}
	const farthest = 5
	if strays < sw.EventDisorder {
		places = 1 + draw.IntN(farthest)
	}
	return copies, places
}
