package protocol

import "billonce/pkg/billing"

func initial() state { return state{status: billing.Pending} }

// model makes the steps out of a state, and hands each to emit.
type model struct {
	rules Rules
	emit  func(actor int, step string, next state)
}

// nobody is the actor of a step that no worker makes.
const nobody = -1

func (m model) steps(s state) {
	m.timePasses(s)
	m.stripe(s)
	if s.status == billing.Pending && !s.sent {
		next := s
		next.status = billing.Canceled
		m.emit(nobody, "the client cancels", next)
	}
	if s.status == billing.Running {
		m.takeOver(s)
	}
	for i := range s.work {
		m.worker(s, i)
	}
}

// timePasses: a request lives for minutes, and Stripe forgets a key an hour after the window has ended. Nothing is on its way
// through that hour, therefore.
func (m model) timePasses(s state) {
	if !s.sent && s.record == nothing || s.hours == late {
		return
	}
	busy := s.record == executing || s.adrift > 0
	for _, w := range s.work {
		busy = busy || w.phase == waiting && w.at == onWay
	}
	if s.hours >= pastWindow && busy {
		return
	}
	next := s
	next.hours++
	switch next.hours {
	case pruned:
		next.record = nothing
	case late:
		next.rolls = false
	}
	m.emit(nobody, "hours pass", next)
}

// takeOver declares the owner dead, rightly or not.
func (m model) takeOver(s state) {
	next := s
	if s.owner == 1 || s.owner == 2 {
		next.work[s.owner-1].token = false
		next.work[s.owner-1].lapsed = true
	}
	next.owner, next.first = 0, false
	next.status = billing.Pending
	if s.tries >= maxAttempts {
		next.status = billing.InDoubt
	}
	m.emit(nobody, "the owner is declared dead", next)
}

func (m model) worker(s state, i int) {
	w := s.work[i]
	if w.phase != idle {
		m.crash(s, i)
	}
	switch w.phase {
	case idle:
		m.begin(s, i)
	case holding:
		m.send(s, i)
	case waiting:
		m.hears(s, i, NoAnswer)
	case judged:
		m.settle(s, i)
	case looking:
		m.look(s, i)
	case seeing:
		m.settleLook(s, i)
	}
}

// crash ends a process. What it had under way goes on without it; another process takes its place under another name.
func (m model) crash(s state, i int) {
	next := s.forget(i)
	if next.owner == number(i) {
		next.owner = dead
	}
	next.work[i] = worker{}
	m.emit(i, "is killed", next)
}

// forget leaves a worker's request to itself.
func (s state) forget(i int) state {
	if s.work[i].phase == waiting && s.work[i].at == onWay {
		s.adrift = min(s.adrift+1, maxAttempts) // more of them do nothing that these cannot
		s.work[i].at = gone
	}
	if s.executor == number(i) {
		s.executor = dead
	}
	return s
}

func number(i int) uint8 { return uint8(i) + 1 }

// begin claims the task, or a look at it.
func (m model) begin(s state, i int) {
	switch {
	case s.status == billing.Pending:
		next := s
		next.status, next.owner = billing.Running, number(i)
		next.tries = min(s.tries+1, maxAttempts)
		claimed := worker{phase: holding, token: true, resend: s.sent, last: s.tries+1 >= maxAttempts}
		if m.rules.SentFirst {
			next.first, next.sent = !s.sent, true
			if !s.sent {
				next.hours = inWindow
			}
		}
		lost := next
		lost.work[i].lapsed = false
		next.work[i] = claimed
		m.emit(i, "claims", next)
		m.emit(i, "claims and never hears of it", lost)
	case s.status == billing.Running && s.owner == number(i):
		m.emit(i, "gives back what it never heard of", s.giveBack(i))
	case s.status == billing.InDoubt && !s.person:
		next := s
		for j := range next.work {
			next.work[j].token = false
		}
		next.work[i] = worker{phase: looking, token: true, late: s.hours == late || !m.rules.LateAbsence}
		m.emit(i, "begins a look", next)
	}
}

// giveBack returns a claim of which nothing was sent.
func (s state) giveBack(i int) state {
	s.status, s.owner = billing.Pending, 0
	if s.tries > 0 {
		s.tries--
	}
	if s.first {
		s.sent, s.first = false, false
	}
	s.work[i] = worker{}
	return s
}

// send is the step from a claim to a request on its way, if that is still allowed.
func (m model) send(s state, i int) {
	w := s.work[i]
	if w.lapsed && m.rules.Lease || s.hours >= pastWindow && m.rules.Window {
		if w.resend && w.token {
			next := s
			next.work[i].phase, next.work[i].proof = judged, Proof{Outcome: billing.OutcomeUnknown, Final: true}
			m.emit(i, "finds the window closed", next)
			return
		}
		next := s
		if w.token {
			next = s.giveBack(i)
		}
		next.work[i] = worker{}
		m.emit(i, "gives back", next)
		return
	}
	next := s
	next.work[i].phase, next.work[i].at = waiting, onWay
	m.emit(i, "sends", next)
	m.hears(s, i, NotReached)
}

// hears ends an attempt with an answer.
func (m model) hears(s state, i int, answer Answer) {
	next := s.forget(i)
	w := &next.work[i]
	w.phase, w.proof = judged, Proves(answer, w.resend && m.rules.Sticky)
	m.emit(i, heard[answer], next)
}

// settle writes what was judged; the answer to the write may be lost, then it is written again.
func (m model) settle(s state, i int) {
	w := s.work[i]
	next := s
	if w.token || !m.rules.Fencing {
		next.status = Becomes(w.proof, w.last)
		next.owner = 0
		unsent := w.proof.Outcome == billing.OutcomeNotSent
		switch {
		case !m.rules.SentFirst:
			next.sent = s.sent || !unsent
		case unsent && s.first && next.status != billing.InDoubt:
			next.sent = false
		}
		next.first, next.person = false, false
		for j := range next.work {
			next.work[j].token = false
		}
	}
	again := next
	next.work[i] = worker{}
	m.emit(i, "settles", next)
	m.emit(i, "settles, and does not hear of it", again)
}

// look reads at Stripe. Events may be missing; an effect then cannot be told from another's.
func (m model) look(s state, i int) {
	saw := func(sight Sight) {
		next := s
		next.work[i].phase, next.work[i].saw = seeing, sight
		m.emit(i, "looks", next)
	}
	saw(Unreadable)
	saw(Partial)
	if s.effects > 0 || s.taken {
		saw(Unclear)
	}
	if s.effects > 0 {
		saw(Effect)
	}
	if s.record == storedDecline {
		saw(Decline)
	}
	if s.taken || s.effects > 0 && !m.rules.Explained {
		saw(Another)
	}
	if s.effects == 0 && !s.taken || s.effects > 0 && !m.rules.Whole {
		saw(Absence)
	}
}

func (m model) settleLook(s state, i int) {
	m.settleLookAs(s, i, false)
	if s.work[i].late && s.work[i].saw == Unreadable {
		m.settleLookAs(s, i, true)
	}
}

func (m model) settleLookAs(s state, i int, over bool) {
	w := s.work[i]
	next := s
	if w.token || !m.rules.Fencing {
		next.status, next.person = Concludes(w.saw, w.late, over)
		next.owner = 0
		for j := range next.work {
			next.work[j].token = false
		}
	}
	next.work[i] = worker{}
	m.emit(i, "settles its look", next)
}
