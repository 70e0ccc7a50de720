package protocol

// stripe makes the steps of Stripe and of the network before it.
func (m model) stripe(s state) {
	if s.adrift > 0 {
		next := s
		next.adrift--
		m.emit(nobody, "a request of nobody is lost", next)
		m.arrives(next, dead)
	}
	for i, w := range s.work {
		if w.phase == waiting && w.at == onWay {
			next := s
			next.work[i].at = gone
			m.emit(i, "sends in vain: the request is lost", next)
			m.arrives(next, number(i))
		}
	}
	if s.record == executing {
		m.finishes(s)
	}
	if s.sent && s.effects == 0 && !s.taken {
		next := s
		next.taken = true
		m.emit(nobody, "somebody else does it", next)
	}
	if s.rolls && !s.taken {
		next := s
		next.rolls, next.effects = false, min(s.effects+1, 2)
		m.emit(nobody, "Stripe rolls a stored error forward", next)
	}
}

// arrives is a request before Stripe. The limiter and the check of credentials stand before the record of keys, and nobody says
// where the checks of parameters stand.
func (m model) arrives(s state, of uint8) {
	m.answers(s, of, Limited)
	m.answers(s, of, Unauthorized)
	m.answers(s, of, Invalid)
	if !m.rules.OneKey && s.record != executing {
		s.record = nothing // another key each time
	}
	switch s.record {
	case nothing:
		next := s
		next.record, next.executor, next.rolls = executing, of, false
		m.emit(nobody, "Stripe begins", next)
	case executing:
		m.answers(s, of, InProgress)
	case storedDone:
		m.answers(s, of, DoneAgain)
	case storedDecline:
		m.answers(s, of, DeclinedAgain)
	case storedInvalid:
		m.answers(s, of, InvalidAgain)
	case storedError:
		m.answers(s, of, ServerErrorAgain)
	}
}

// finishes ends what is being carried out, in every way that it can end.
func (m model) finishes(s state) {
	of := s.executor
	end := func(record uint8, effect, rolls bool, answer Answer) {
		next := s
		next.record, next.executor, next.rolls = record, 0, rolls
		if effect {
			next.effects = min(s.effects+1, 2)
		}
		m.answers(next, of, answer)
	}
	if !s.taken {
		end(storedDone, true, false, Done)
		end(storedError, true, false, ServerError)
	}
	end(storedDecline, false, false, Declined)
	end(storedInvalid, false, false, Invalid)
	end(storedError, false, true, ServerError)
	end(nothing, false, false, ServerError)
}

// heard names the answers in a way.
var heard = [...]string{
	NoAnswer: "waits no longer", NotReached: "reaches nobody", Limited: "hears 429", Unauthorized: "hears 401",
	Invalid: "hears 400", InvalidAgain: "hears the stored 400", InProgress: "hears 409", Done: "hears 200", DoneAgain: "hears the stored 200",
	Declined: "hears 402", DeclinedAgain: "hears the stored 402", ServerError: "hears 500", ServerErrorAgain: "hears the stored 500",
}

// answers sends an answer on its way; it may be lost. An answer that is late is one that a worker is slow to judge or to write.
func (m model) answers(s state, of uint8, answer Answer) {
	m.emit(nobody, "Stripe's answer is lost", s)
	if of == dead {
		return
	}
	i := int(of) - 1
	if s.work[i].phase == waiting {
		m.hears(s, i, answer)
	}
}
