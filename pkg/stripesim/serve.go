package stripesim

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"
)

const maxBody = 1 << 20

// exchange is one request on its way through the simulator.
type exchange struct {
	sim       *Simulator
	w         http.ResponseWriter
	r         *http.Request
	route     *endpoint // nil: the path names nothing
	id        string    // of the object in the path
	who       caller
	key       string
	requestID string
	log       *Request
	planned   *planned // nil: nothing is in store for it
	parts     int      // what still works on it: the handler, and an execution that outlives it

	params  *form
	invalid *refusal // for its parameters, when that is to be kept under the key
	print   [32]byte
	slot    *slot // taken by this request; nil without a key
	slotID  slotID
}

// serve takes the request through the steps of the real thing, in their order: the edge, authentication, the limiter,
// validation, the key, the object's lock, execution, commit, answer.
func (s *Simulator) serve(w http.ResponseWriter, r *http.Request) {
	x := &exchange{sim: s, w: w, r: r, key: r.Header.Get("Idempotency-Key"), parts: 1}
	x.route, x.id = locate(s.routes, r.Method, r.URL)
	edge := x.arrive()
	defer x.leave()
	if edge != nil {
		x.strikeAtEdge(edge)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		var tooLong *http.MaxBytesError
		if errors.As(err, &tooLong) {
			x.respond(invalid("", "", "The request is too long.").answer(x.requestID))
			return
		}
		panic(http.ErrAbortHandler) // the client has left
	}
	a, dropped := x.admit(body)
	if dropped != nil {
		x.drop(dropped)
		return
	}
	if a == nil {
		a = x.perform()
	}
	if a == nil {
		panic(http.ErrAbortHandler) // nobody waits; an empty 200 must not be made of it
	}
	x.respond(a)
}

// arrive notes the request and asks for faults at the edge.
func (x *exchange) arrive() *Fault {
	s := x.sim
	s.mu.Lock()
	defer s.mu.Unlock()
	x.requestID = s.newID("req")
	x.who = s.identify(x.r)
	x.log = &Request{
		Method: x.r.Method, Path: x.r.URL.EscapedPath(), Account: x.who.account, Livemode: x.who.live, AuthMode: x.who.mode,
		Credential: fingerprint(x.who.token), Key: x.key, Version: x.r.Header.Get("Stripe-Version"), RequestID: x.requestID,
	}
	if x.route != nil {
		x.log.Op = x.route.op
	}
	s.note(x.log)
	s.active++
	if s.switches.NoKeepAlive {
		x.w.Header().Set("Connection", "close")
	}
	s.keys.arrived(x)
	x.planned = s.plan.drawFor(x)
	return s.strike(atEdge, x)
}

// leave ends the handler's part of the request.
func (x *exchange) leave() {
	x.sim.mu.Lock()
	defer x.sim.mu.Unlock()
	x.sim.partDone(x)
}

// partDone counts the request as over once nothing works on it any more. The caller holds s.mu.
func (s *Simulator) partDone(x *exchange) {
	if x.parts--; x.parts == 0 {
		s.active--
	}
}

// admit does what comes before the key: a refusal from here is not remembered.
func (x *exchange) admit(body []byte) (*answer, *Fault) {
	pairs, wrong := x.parse(body)
	s := x.sim
	s.mu.Lock()
	defer s.mu.Unlock()
	x.log.BodyHash = hexOf(sha256.Sum256(body))
	s.keys.read(x)
	if f := s.strike(afterRead, x); f != nil && f.Kind == RevokeBefore {
		s.revokeUsed(x.who)
	} else if f != nil {
		return nil, f
	}
	if refused := s.authenticate(x.who, x.r.Header.Get("Stripe-Account")); refused != nil {
		return refused.answer(x.requestID), nil
	}
	if f := s.strike(atLimiter, x); f != nil {
		return inject(f).answer(x.requestID), nil
	}
	if s.tooFast(x.who.tenant) {
		return rateLimited().answer(x.requestID), nil
	}
	if refused := x.validate(wrong); refused != nil {
		return refused.answer(x.requestID), nil
	}
	x.print = fingerprintOf(x.r, pairs)
	return nil, nil
}

// parse reads the parameters from the query and the body.
func (x *exchange) parse(body []byte) ([]pair, error) {
	pairs, err := parsePairs(x.r.URL.RawQuery)
	if err != nil {
		return nil, err
	}
	sent, err := parsePairs(string(body))
	if err != nil {
		return nil, err
	}
	pairs = append(pairs, sent...)
	x.params, err = buildForm(pairs)
	return pairs, err
}

func (x *exchange) validate(wrong error) *refusal {
	if x.route == nil {
		r := invalid("", "", "Unrecognized request URL (%s: %s). If you are trying to list objects, remove the trailing slash.",
			x.r.Method, x.r.URL.EscapedPath())
		r.status = http.StatusNotFound
		return r
	}
	if wrong != nil {
		return invalid("", "", "The parameters cannot be read: %v", wrong)
	}
	if version := x.r.Header.Get("Stripe-Version"); version != "" && version != APIVersion {
		return invalid("", "", "Invalid Stripe API version: %s. The simulator speaks %s.", version, APIVersion)
	}
	if refused := checkKey(x.r); refused != nil {
		return refused
	}
	refused := x.route.validate(x.params)
	if x.sim.switches.StoreInvalid && x.key != "" && x.r.Method == http.MethodPost {
		x.invalid = refused
		return nil
	}
	return refused
}

// strikeAtEdge plays a fault that never lets the request in.
func (x *exchange) strikeAtEdge(f *Fault) {
	if f.Kind == Refuse {
		x.drop(f)
		return
	}
	if f.Kind == Hang {
		_, _ = io.Copy(io.Discard, x.r.Body) // only then is the client's leaving noticed
		select {
		case <-x.r.Context().Done():
		case <-x.sim.closing:
		}
		panic(http.ErrAbortHandler)
	}
	if f.Kind == Redirect {
		x.w.Header().Set("Location", "/elsewhere")
		x.finish(http.StatusFound, "text/html", []byte("<html>moved</html>"))
		return
	}
	x.edgePage(f)
}

func (x *exchange) edgePage(f *Fault) {
	status := f.Status
	if status == 0 {
		status = defaultEdge
	}
	x.finish(status, "text/html", []byte("<html><head><title>"+strconv.Itoa(status)+" "+http.StatusText(status)+"</title></head></html>"))
}

// drop ends the connection without an answer. Refuse resets it; the others close it.
func (x *exchange) drop(f *Fault) {
	conn, _, err := http.NewResponseController(x.w).Hijack()
	if err != nil { // HTTP/2, or a recorder
		panic(http.ErrAbortHandler)
	}
	if f.FirstByte {
		_, _ = io.WriteString(conn, "H")
	}
	if tcp, ok := conn.(*net.TCPConn); ok && f.Kind == Refuse && !f.FirstByte {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// respond sends the answer, unless a fault meets it on its way.
func (x *exchange) respond(a *answer) {
	x.sim.mu.Lock()
	var f *Fault
	if a.settled {
		f = x.sim.strike(responding, x)
	}
	if f != nil && f.Kind == RevokeAfter {
		x.sim.revokeUsed(x.who)
	}
	x.log.Status, x.log.Replayed = a.status, a.replayed
	x.sim.mu.Unlock()
	if f == nil {
		f = &Fault{}
	}
	switch f.Kind {
	case DropAfter, RevokeAfter:
		x.setStatus(0)
		x.drop(f)
	case EdgeAfter:
		x.edgePage(f)
	case HalfBody:
		x.headers(a)
		x.half(a)
	case SlowHeaders:
		x.pause(f.Delay)
		x.headers(a)
		x.finish(a.status, "application/json", a.body)
	case Garbage:
		x.headers(a)
		x.finish(http.StatusOK, "application/json", []byte("\x1f\x8b{\"id\": \"in_"))
	case CloseIdle:
		x.headers(a)
		x.finish(a.status, "application/json", a.body)
		_ = http.NewResponseController(x.w).Flush()
		x.drop(&Fault{})
	case NoFault, Refuse, Hang, EdgeBefore, Redirect, DropBefore, RevokeBefore, Reject, Stall, LockTimeout, Decline, External,
		ErrorRolledBack, ErrorKept:
		x.headers(a)
		x.finish(a.status, "application/json", a.body)
	}
}

func (x *exchange) headers(a *answer) {
	h := x.w.Header()
	h.Set("Request-Id", x.requestID)
	h.Set("Stripe-Version", APIVersion)
	if x.key != "" && x.r.Method == http.MethodPost {
		h.Set("Idempotency-Key", x.key)
	}
	if a.original != "" {
		h.Set("Original-Request", a.original)
		h.Set("Stripe-Should-Retry", "false")
	}
	if a.replayed {
		h.Set("Idempotent-Replayed", "true")
	}
	if a.reason != "" {
		h.Set("Stripe-Rate-Limited-Reason", a.reason)
	}
	if a.retry != "" {
		h.Set("Stripe-Should-Retry", a.retry)
	}
}

// half sends everything but the second half of the body, and drops the connection.
func (x *exchange) half(a *answer) {
	h := x.w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(a.body)))
	x.answered(a.status)
	x.w.WriteHeader(a.status)
	_, _ = x.w.Write(a.body[:len(a.body)/2])
	_ = http.NewResponseController(x.w).Flush()
	panic(http.ErrAbortHandler)
}

// answered notes what is about to leave, unless nobody is there to read it.
func (x *exchange) answered(status int) {
	x.setStatus(status)
	if x.r.Context().Err() != nil {
		return
	}
	x.sim.mu.Lock()
	defer x.sim.mu.Unlock()
	x.sim.keys.answered(x, status, x.w.Header().Get("Request-Id"))
}

// setStatus notes what left; 0: nothing.
func (x *exchange) setStatus(status int) {
	x.sim.mu.Lock()
	defer x.sim.mu.Unlock()
	x.log.Status = status
}

func (x *exchange) pause(d time.Duration) {
	ctx, cancel := context.WithTimeout(x.r.Context(), d)
	defer cancel()
	select {
	case <-ctx.Done():
	case <-x.sim.closing:
	}
}

// finish writes a whole answer.
func (x *exchange) finish(status int, kind string, body []byte) {
	x.answered(status)
	x.w.Header().Set("Content-Type", kind)
	x.w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	x.w.WriteHeader(status)
	_, _ = x.w.Write(body)
}
