package stripesim

import (
	"log/slog"
	"net/http"
	"time"
)

// lockID names an object that one call at a time may change.
type lockID struct {
	tenant
	object string
}

// stall is how long a call takes between its key and its effect.
type stall struct {
	delay time.Duration
	hold  bool
}

// perform takes the key, executes and commits. It returns nil if the client has left meanwhile, though what it began is
// done all the same, or if the simulator was reset.
func (x *exchange) perform() *answer {
	s := x.sim
	s.mu.Lock()
	if prior := s.takeKey(x); prior != nil {
		s.mu.Unlock()
		return prior
	}
	if x.invalid != nil {
		defer s.mu.Unlock()
		a := x.invalid.answer(x.requestID)
		a.settled = true
		x.keep(a)
		return a
	}
	wait := s.stallFor(x)
	if busy := s.busy(x); wait == (stall{}) && busy == nil || s.closed {
		defer s.mu.Unlock()
		return s.execute(x)
	}
	done, epoch := make(chan *answer, 1), s.epoch
	x.parts++
	s.late.Go(func() { done <- s.executeLate(x, wait, epoch) })
	s.mu.Unlock()
	select {
	case a := <-done:
		return a
	case <-x.r.Context().Done():
		return nil
	}
}

// stallFor adds up latency and stalls. The caller holds s.mu.
func (s *Simulator) stallFor(x *exchange) stall {
	latency, ok := s.latencies[x.route.op]
	if !ok {
		latency = s.latencies[""]
	}
	wait := stall{delay: latency.Fixed}
	if latency.Jitter > 0 {
		wait.delay += time.Duration(s.random.Int64N(int64(latency.Jitter)))
	}
	if f := s.strike(whileBusy, x); f != nil {
		wait.delay += f.Delay
		wait.hold = f.Hold
	}
	return wait
}

// busy is closed when the call that has the object's lock is done; nil: nobody has it. The caller holds s.mu.
func (s *Simulator) busy(x *exchange) chan struct{} {
	if x.route.object == "" {
		return nil
	}
	return s.locks[x.lock()]
}

func (x *exchange) lock() lockID {
	return lockID{x.who.tenant, x.route.object + "/" + x.id}
}

// executeLate is an execution that takes its time. It belongs to the simulator, not to the client that asked for it.
func (s *Simulator) executeLate(x *exchange, wait stall, epoch int) *answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.partDone(x)
	if !s.lockObject(x) {
		return s.lockTimeout(x, s.switches.StoreLockTimeouts)
	}
	defer s.unlockObject(x)
	s.waitUnlocked(wait)
	if s.epoch != epoch {
		return nil
	}
	a := s.execute(x)
	if x.r.Context().Err() != nil {
		s.cfg.Log.LogAttrs(x.r.Context(), slog.LevelInfo, "committed after the client had left", slog.String("op", x.route.op),
			slog.String("request_id", x.requestID), slog.String("idempotency_key", x.key))
	}
	return a
}

// lockObject takes the lock of the object in the path, and waits for it as long as [Switches.LockWait]. s.mu is held on
// entry and on return, not between.
func (s *Simulator) lockObject(x *exchange) bool {
	if x.route.object == "" {
		return true
	}
	if s.switches.LockWait > 0 {
		patience := time.NewTimer(s.switches.LockWait)
		defer patience.Stop()
		for busy := s.busy(x); busy != nil; busy = s.busy(x) {
			s.mu.Unlock()
			expired := false
			select {
			case <-busy:
			case <-patience.C:
				expired = true
			}
			s.mu.Lock()
			if expired {
				break
			}
		}
	}
	if s.busy(x) != nil {
		return false
	}
	s.locks[x.lock()] = make(chan struct{})
	return true
}

func (s *Simulator) unlockObject(x *exchange) {
	if busy := s.busy(x); busy != nil {
		close(busy)
		delete(s.locks, x.lock())
	}
}

// waitUnlocked lets the stall pass with s.mu free.
func (s *Simulator) waitUnlocked(wait stall) {
	released := s.release
	if wait.hold {
		s.holding++
	}
	s.mu.Unlock()
	timer := time.NewTimer(wait.delay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.closing:
	}
	if wait.hold {
		select {
		case <-released:
		case <-s.closing:
		}
	}
	s.mu.Lock()
	if wait.hold {
		s.holding--
	}
}

func (s *Simulator) lockTimeout(x *exchange, stored bool) *answer {
	r := invalid("lock_timeout", "", "This object cannot be accessed right now because another API request or Stripe process is "+
		"currently accessing it. If you see this error intermittently, retry the request.")
	r.status = http.StatusTooManyRequests
	a := r.answer(x.requestID)
	if stored {
		x.keep(a)
		return a
	}
	s.freeKey(x)
	a.retry = "true"
	return a
}

// execute runs the operation and commits what it did: objects, effect, events and the answer under the key, all while s.mu
// is held by the caller.
func (s *Simulator) execute(x *exchange) *answer {
	c := s.newCall(x.who.tenant, x.route.op, x.id, x.params)
	c.requestID = x.requestID
	c.key, c.unkeyed = x.key, x.route.method == http.MethodDelete
	f := s.strike(executing, x)
	if f != nil {
		if a := s.insteadOf(f, x, c); a != nil {
			return a
		}
	}
	if x.route.read != nil {
		return s.readOnly(c, x)
	}
	a := s.commit(c, x, f)
	a.settled = true
	x.keep(a)
	return a
}

func (s *Simulator) newCall(who tenant, op, id string, params *form) *call {
	return &call{sim: s, acct: s.account(who), op: op, id: id, params: params, now: s.now().Unix()}
}

func (s *Simulator) readOnly(c *call, x *exchange) *answer {
	object, refused := x.route.read(c)
	if refused != nil {
		return refused.answer(x.requestID)
	}
	body, refused := c.expand(render(object))
	if refused != nil {
		return refused.answer(x.requestID)
	}
	return &answer{status: http.StatusOK, body: body, settled: true}
}

// insteadOf plays the faults that keep the operation from running; nil lets it run.
func (s *Simulator) insteadOf(f *Fault, x *exchange, c *call) *answer {
	var refused *refusal
	switch f.Kind {
	case LockTimeout:
		a := s.lockTimeout(x, f.Stored)
		a.settled = true
		return a
	case External:
		s.act(x.who.tenant, f.Code, c.id, rivalParams(x.params))
		return nil
	case Decline:
		code := f.Code
		if code == "" {
			code = "generic_decline"
		}
		refused = declined(code, "", nil)
	case ErrorRolledBack:
		refused = serverError()
	case ErrorKept: // lets the operation run
		return nil
	case NoFault, Refuse, Hang, EdgeBefore, Redirect, DropBefore, RevokeBefore, Reject, Stall, EdgeAfter, DropAfter, RevokeAfter, HalfBody, Garbage,
		SlowHeaders, CloseIdle:
		return nil // strike elsewhere
	}
	a := refused.answer(x.requestID)
	a.settled = true
	x.keep(a)
	return a
}

// rivalParams is what somebody else's operation on the same object says: which object, where that is not in the path, and
// nothing of the request's own, such as its metadata.
func rivalParams(sent *form) *form {
	var pairs []pair
	for _, name := range []string{"charge", "payment_intent"} {
		if value := sent.get(name).value(); value != "" {
			pairs = append(pairs, pair{name: name, value: value})
		}
	}
	params, err := buildForm(pairs)
	if err != nil {
		return &form{} // two plain names cannot clash
	}
	return params
}

func serverError() *refusal {
	r := invalid("", "", "An unknown error occurred")
	r.status, r.details.Type = http.StatusInternalServerError, apiError
	return r
}

// commit runs the operation and enters what it did into the books.
func (s *Simulator) commit(c *call, x *exchange, f *Fault) *answer {
	object, refused := x.route.run(c)
	if refused != nil {
		c.publish(nil, nil, 0)
		return refused.answer(x.requestID)
	}
	body := render(object)
	var delay int64
	if f != nil && f.Kind == ErrorKept {
		delay = int64(f.Delay.Seconds())
	}
	s.record(c, object)
	c.publish(object, body, delay)
	if f != nil && f.Kind == ErrorKept {
		return serverError().answer(x.requestID)
	}
	expanded, refused := c.expand(body)
	if refused != nil {
		expanded = body // the operation stands, whatever was to be shown of it
	}
	return &answer{status: http.StatusOK, body: expanded}
}

// act runs an operation that another program asked for. The caller holds s.mu.
func (s *Simulator) act(who tenant, op, id string, params *form) *refusal {
	e := s.byOp[op]
	c := s.newCall(who, op, id, params)
	c.stranger = true
	object, refused := e.run(c)
	if refused != nil {
		return refused
	}
	s.record(c, object)
	c.publish(object, render(object), 0)
	return nil
}
