package stripesim

import (
	"context"
	crand "crypto/rand"
	"encoding/binary"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Simulator is a Stripe in memory. All of its methods may be called at any time from any goroutine.
type Simulator struct {
	cfg    Config
	routes map[string]*endpoint
	byOp   map[string]*endpoint
	start  Switches // after New and after a reset
	stages map[FaultKind]stage
	mux    *http.ServeMux

	mu        sync.Mutex // guards everything below
	random    *rand.Rand
	run       string // part of every id, so that a restarted simulator does not repeat them
	minted    uint64
	offset    time.Duration
	accounts  map[tenant]*account
	tokens    map[string]tenant
	revoked   map[string]bool // accounts that have disconnected the platform
	expired   map[string]bool // tokens
	slots     map[slotID]*slot
	slotOrder []slotID // oldest first
	locks     map[lockID]chan struct{}
	latencies map[string]Latency // by operation; "": all others
	faults    []*scripted
	plan      *plan // nil: none
	switches  Switches
	keys      seenKeys
	active    int // requests that have not come to their end
	effects   []Effect
	requests  []*Request
	received  int64
	holding   int
	epoch     int // counts resets
	second    int64
	served    map[tenant]int // calls in that second
	release   chan struct{}  // closed to let held calls go on

	closed  bool
	closing chan struct{}
	late    sync.WaitGroup // executions that do not depend on their client
}

// New makes a simulator. Close it to have its late commits done with.
func New(cfg Config) *Simulator {
	cfg = cfg.withDefaults()
	s := &Simulator{cfg: cfg, routes: endpoints(), byOp: make(map[string]*endpoint), stages: stages(), closing: make(chan struct{})}
	for _, e := range s.routes {
		s.byOp[e.op] = e
	}
	seed := cfg.Seed
	var chance [8]byte
	if _, err := crand.Read(chance[:]); err == nil && seed == 0 {
		seed = binary.LittleEndian.Uint64(chance[:])
	}
	s.start = cfg.switches()
	s.start.Seed = seed
	s.random = rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // faults are to be repeatable, not secret
	s.run = strconv.FormatUint(s.random.Uint64(), 36)
	s.mux = s.controlRoutes()
	s.clear()
	return s
}

// clear forgets everything but the configuration. The caller holds s.mu, or is alone.
func (s *Simulator) clear() {
	if s.release != nil {
		close(s.release)
	}
	s.release = make(chan struct{})
	s.offset = 0
	s.switches = s.start
	s.epoch++
	s.served = make(map[tenant]int)
	s.accounts, s.tokens = make(map[tenant]*account), make(map[string]tenant)
	s.revoked, s.expired = make(map[string]bool), make(map[string]bool)
	s.slots, s.slotOrder = make(map[slotID]*slot), nil
	s.latencies = map[string]Latency{"": s.cfg.Latency}
	s.faults, s.effects, s.requests, s.received = nil, nil, nil, 0
	s.plan, s.keys = nil, seenKeys{}
	s.locks = make(map[lockID]chan struct{})
}

// Reset forgets all objects, keys, effects, requests, faults, the plan, tokens, switches and clock changes, as if newly made. Calls that are
// stalled or wait for a lock end without an answer and without an effect.
func (s *Simulator) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clear()
}

// Close lets stalled calls commit at once and waits for them. Afterwards the handler still answers, without latency.
func (s *Simulator) Close() {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		close(s.closing)
	}
	s.mu.Unlock()
	s.late.Wait()
}

// Advance moves the simulator's clock forward: keys expire, lagging events appear. It bills nothing.
func (s *Simulator) Advance(by time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.offset += by
}

// Now is the time by the simulator's clock.
func (s *Simulator) Now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now()
}

func (s *Simulator) now() time.Time { return s.cfg.Now().Add(s.offset) }

// SetLatency sets how long calls of one operation take; op "" is for all operations without a latency of their own.
func (s *Simulator) SetLatency(op string, latency Latency) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.latencies[op] = latency
}

// Held is the number of calls that a [Stall] with Hold keeps from going on.
func (s *Simulator) Held() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.holding
}

// Active is the number of requests to the API that have not come to their end: executing, stalled, waiting for a lock or
// being answered, also those whose client has left. While it is 0 and nobody sends, nothing can take effect any more.
func (s *Simulator) Active() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.active
}

// Release lets all held calls go on.
func (s *Simulator) Release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.release)
	s.release = make(chan struct{})
}

// newID makes an identifier in Stripe's form. The caller holds s.mu.
func (s *Simulator) newID(prefix string) string {
	s.minted++
	number := strconv.FormatUint(s.minted, 36)
	const width = 8
	pad := strings.Repeat("0", max(0, width-len(number)))
	return prefix + "_" + s.run + pad + number
}

// Handler serves Stripe's API under /v1/ and the controls under /_sim/.
func (s *Simulator) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/_sim/") {
			s.mux.ServeHTTP(w, r)
			return
		}
		s.serve(w, r)
	})
}

// logControl tells of what was done to the simulator itself.
func (s *Simulator) logControl(ctx context.Context, what string, attrs ...slog.Attr) {
	s.cfg.Log.LogAttrs(ctx, slog.LevelInfo, "control", append([]slog.Attr{slog.String("action", what)}, attrs...)...)
}
