package stripesim

import (
	"crypto/sha256"
	"net/http"
	"slices"
	"strings"
	"time"
)

const maxKey = 255

// slotID is the scope of a key: one account, one mode.
type slotID struct {
	tenant
	auth string // only with [Config.KeysPerAuthMode]
	key  string
}

// slot is what the simulator remembers of a key: the request that came first, and its answer once there is one.
type slot struct {
	print     [32]byte
	taken     time.Time
	late      time.Duration // how much longer than the rest it is remembered
	requestID string
	done      bool
	status    int
	body      []byte
}

// fingerprintOf is equal for two requests with the same path and the same parameters, in whatever order of names.
func fingerprintOf(r *http.Request, pairs []pair) [32]byte {
	sorted := slices.Clone(pairs)
	slices.SortStableFunc(sorted, func(a, b pair) int { return strings.Compare(a.name, b.name) })
	text := []byte(r.Method + " " + r.URL.EscapedPath())
	for _, p := range sorted {
		text = append(text, 0)
		text = append(text, p.name...)
		text = append(text, 1)
		text = append(text, p.value...)
	}
	return sha256.Sum256(text)
}

// checkKey refuses keys that Stripe does not accept. Only POST has keys.
func checkKey(r *http.Request) *refusal {
	sent, present := r.Header["Idempotency-Key"]
	if r.Method != http.MethodPost || !present {
		return nil
	}
	key := strings.TrimSpace(sent[0])
	switch {
	case len(sent) > 1:
		return invalid("", "", "More than one Idempotency-Key was sent.")
	case key == "":
		return invalid("", "", "The Idempotency-Key header is blank. Leave it out, or send a key of up to %d characters.", maxKey)
	case len(key) > maxKey:
		return invalid("", "", "Idempotency keys can have up to %d characters.", maxKey)
	}
	return nil
}

// takeKey takes the slot of the request's key. If it was taken before, what there is to answer is returned instead. The
// caller holds s.mu.
func (s *Simulator) takeKey(x *exchange) *answer {
	if x.key == "" || x.route.method != http.MethodPost {
		return nil
	}
	s.forgetKeys()
	id := slotID{tenant: x.who.tenant, key: x.key}
	if s.switches.KeysPerAuthMode {
		id.auth = x.who.mode
	}
	found, ok := s.slots[id]
	if !ok || found.done && s.stale(found) {
		x.slot = &slot{print: x.print, taken: s.now(), late: s.lateness(x.key), requestID: x.requestID}
		x.slotID = id
		s.slots[id] = x.slot
		s.slotOrder = append(s.slotOrder, id)
		return nil
	}
	same := found.print == x.print
	switch {
	case !found.done && (same || !s.switches.MismatchFirst):
		r := invalid("idempotency_key_in_use", "", "There is currently another in-progress request using this Idempotent Key (that "+
			"probably means you submitted twice, and the other request is still going through): %s. Please try again later.", x.key)
		r.status = http.StatusConflict
		return r.answer(x.requestID)
	case !same:
		r := invalid("", "", "Keys for idempotent requests can only be used with the same parameters they were first used with. "+
			"Try using a key other than '%s' if you meant to execute a different request.", x.key)
		r.details.Type = idempotencyError
		return r.answer(x.requestID)
	}
	return &answer{status: found.status, body: found.body, original: found.requestID, replayed: true, settled: true}
}

// forgetKeys drops the oldest slots, up to the first that is not to be forgotten yet. Those still running stay.
func (s *Simulator) forgetKeys() {
	n := 0
	for _, id := range s.slotOrder {
		one, ok := s.slots[id]
		if ok && !(one.done && s.stale(one)) {
			break
		}
		if ok {
			delete(s.slots, id)
		}
		n++
	}
	s.slotOrder = s.slotOrder[n:]
}

func (s *Simulator) stale(one *slot) bool {
	return !one.taken.After(s.now().Add(-s.switches.KeyTTL - one.late))
}

// keep stores the answer under the request's key.
func (x *exchange) keep(a *answer) {
	if x.slot == nil {
		return
	}
	x.slot.done, x.slot.status, x.slot.body = true, a.status, a.body
	x.sim.keys.stored(x.key, a.status)
	a.original = x.slot.requestID
}

// freeKey gives the key back, as if the request had not come. The caller holds s.mu.
func (s *Simulator) freeKey(x *exchange) {
	if x.slot != nil && s.slots[x.slotID] == x.slot {
		delete(s.slots, x.slotID)
	}
}
