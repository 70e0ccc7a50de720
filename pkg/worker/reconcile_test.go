package worker_test

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"billonce/pkg/billing"
)

// doubtful is a rig whose tasks all end in doubt, with looks that come quickly.
func doubtful(t *testing.T) *rig {
	t.Helper()
	r := newRig(t)
	r.conf.LookDelays = []time.Duration{10 * time.Millisecond, 10 * time.Millisecond}
	r.gateway.answer = func(context.Context, billing.Claim, billing.Credential) billing.Answer {
		return billing.Answer{Outcome: billing.OutcomeUnknown, Reason: billing.ReasonServerError, Final: true, Error: &billing.StripeError{HTTPStatus: 500}}
	}
	return r
}

func looked(of []billing.Attempt) (looks []billing.Attempt) {
	for _, one := range of {
		if one.Kind == billing.AttemptLook {
			looks = append(looks, one)
		}
	}
	return looks
}

func (r *rig) attempts(t *testing.T, id billing.TaskID) []billing.Attempt {
	t.Helper()
	list, err := r.db.Store.ListAttempts(context.Background(), id)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestADoubtIsLookedAtUntilItIsKnown(t *testing.T) {
	t.Parallel()
	r := doubtful(t)
	id := r.task(t, r.db.Merchant(t).ID)
	r.gateway.finding = func(doubt billing.Doubt) billing.Finding {
		if doubt.Looks < 2 {
			return noTrace(doubt)
		}
		return billing.Finding{
			Outcome: billing.OutcomeSucceeded, Reason: billing.ReasonReconciled, Result: &billing.Result{Object: "invoice", ID: "in_1", RequestID: "req_first"},
		}
	}
	r.start(t)
	task := r.await(t, id, status(billing.Succeeded))
	if looks := looked(r.attempts(t, id)); len(looks) != 2 || task.Result.RequestID != "req_first" || r.gateway.sent(id) != 1 {
		t.Errorf("%d looks, %d sends, %+v", len(looks), r.gateway.sent(id), task.Result)
	}
}

// TestAbsenceIsBelievedOnlyAfterADay: however soon the last look comes by RECONCILE_DELAYS.
func TestAbsenceIsBelievedOnlyAfterADay(t *testing.T) {
	t.Parallel()
	r := doubtful(t)
	id := r.task(t, r.db.Merchant(t).ID)
	r.gateway.finding = func(billing.Doubt) billing.Finding {
		return billing.Finding{Outcome: billing.OutcomeUnknown, Reason: billing.ReasonNoTrace, Absent: true, Error: &billing.StripeError{}}
	}
	r.start(t)
	task := r.await(t, id, func(task billing.Task) bool { return task.LookAt != nil && time.Until(*task.LookAt) > time.Hour })
	if age := task.LookAt.Sub(*task.FirstSentAt); task.Status != billing.InDoubt || age < 25*time.Hour || age > 25*time.Hour+time.Minute {
		t.Errorf("%s, the next look comes %s after the first send", task.Status, age)
	}
	r.db.SQL.MustExec(`UPDATE scheduled_tasks SET first_sent_at = first_sent_at - interval '25 hours', look_at = now()`)
	task = r.await(t, id, status(billing.Failed))
	looks := looked(r.attempts(t, id))
	if last := looks[len(looks)-1]; last.Reason != billing.ReasonAbsent || last.Outcome != billing.OutcomeRefused || task.FinishedAt == nil {
		t.Errorf("%+v", last)
	}
}

// TestMoneyThatWentOutIsAPersonsToJudge: absence is never enough for a refund, a transfer or a payout.
func TestMoneyThatWentOutIsAPersonsToJudge(t *testing.T) {
	t.Parallel()
	r := doubtful(t)
	id := r.task(t, r.db.Merchant(t).ID)
	r.db.SQL.MustExec(`UPDATE scheduled_tasks SET kind = $1`, billing.RefundCreate)
	r.gateway.finding = func(billing.Doubt) billing.Finding {
		return billing.Finding{Outcome: billing.OutcomeUnknown, Reason: billing.ReasonNoTrace, Absent: true, Error: &billing.StripeError{}}
	}
	r.start(t)
	r.await(t, id, status(billing.InDoubt))
	r.db.SQL.MustExec(`UPDATE scheduled_tasks SET first_sent_at = first_sent_at - interval '30 hours'`)
	r.db.SQL.MustExec(`UPDATE scheduled_tasks SET look_at = now() WHERE look_at IS NOT NULL`)
	task := r.await(t, id, func(task billing.Task) bool { return task.LookAt == nil })
	if task.Status != billing.InDoubt {
		t.Errorf("%s", task.Status)
	}
}

// TestLooksThatFailAreMadeAgain: what could not be read says nothing, and does not use up a look.
func TestLooksThatFailAreMadeAgain(t *testing.T) {
	t.Parallel()
	r := doubtful(t)
	id := r.task(t, r.db.Merchant(t).ID)
	var calls atomic.Int64
	r.gateway.finding = func(doubt billing.Doubt) billing.Finding {
		if calls.Add(1) < 6 {
			return billing.Finding{Outcome: billing.OutcomeUnknown, Reason: billing.ReasonLookFailed, Error: &billing.StripeError{}}
		}
		if doubt.Looks != 1 {
			t.Errorf("look %d, want the first", doubt.Looks)
		}
		return billing.Finding{Outcome: billing.OutcomeSucceeded, Reason: billing.ReasonReconciled, Result: &billing.Result{ID: "in_1"}}
	}
	r.start(t)
	r.await(t, id, status(billing.Succeeded))
}

// TestALookThatIsRefusedPausesTheMerchant: the doubt waits, as tasks do, until the credentials are mended.
func TestALookThatIsRefusedPausesTheMerchant(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	r := doubtful(t)
	merchant := r.db.Merchant(t)
	id := r.task(t, merchant.ID)
	var mended atomic.Bool
	r.gateway.finding = func(doubt billing.Doubt) billing.Finding {
		if mended.Load() {
			return billing.Finding{Outcome: billing.OutcomeSucceeded, Reason: billing.ReasonReconciled, Result: &billing.Result{ID: "in_1"}}
		}
		return billing.Finding{Outcome: billing.OutcomeUnknown, Reason: billing.ReasonUnauthorized, Error: &billing.StripeError{HTTPStatus: 401}}
	}
	r.start(t)
	r.await(t, id, func(billing.Task) bool {
		view, err := r.db.Store.ViewMerchant(ctx, merchant.ID)
		return err == nil && view.PauseReason == billing.PauseNeedsReauth
	})
	mended.Store(true)
	if _, err := r.db.Store.ResumeMerchant(ctx, merchant.ID); err != nil {
		t.Fatal(err)
	}
	r.await(t, id, func(task billing.Task) bool {
		r.db.SQL.MustExec(`UPDATE scheduled_tasks SET look_at = now() WHERE look_at > now()`)
		return task.Status == billing.Succeeded
	})
}

// TestADeclineThatALookFoundIsFollowedUp: dunning does not care how the decline became known.
func TestADeclineThatALookFoundIsFollowedUp(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		code     string
		followed bool
	}{
		"ASoftOneIs":                  {"insufficient_funds", true},
		"AHardOneNot":                 {"stolen_card", false},
		"AStopCodeNot":                {"do_not_honor", false},
		"NorOneOfWhichNobodyKnowsWhy": {"", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := doubtful(t)
			id := r.task(t, r.db.Merchant(t).ID)
			r.db.SQL.MustExec(`UPDATE scheduled_tasks SET on_decline = '{"retry_after": ["24h"], "stop_codes": ["do_not_honor"]}'`)
			r.gateway.finding = func(billing.Doubt) billing.Finding {
				return billing.Finding{
					Outcome: billing.OutcomeRefused, Reason: billing.ReasonDeclined, Error: &billing.StripeError{DeclineCode: tc.code},
				}
			}
			r.start(t)
			task := r.await(t, id, status(billing.Failed))
			if (task.RetriedBy != "") != tc.followed {
				t.Fatalf("followed by %q", task.RetriedBy)
			}
			if tc.followed {
				if next := r.get(t, task.RetriedBy); next.Declines != 1 || time.Until(next.RunAt) < 23*time.Hour {
					t.Errorf("%+v", next)
				}
			}
		})
	}
}

// TestOneMerchantsTokenHoldsBackNoOthersLook: a token that does not open pauses its merchant, and the rest are looked at.
func TestOneMerchantsTokenHoldsBackNoOthersLook(t *testing.T) {
	t.Parallel()
	r := doubtful(t)
	r.conf.LookDelays = []time.Duration{time.Hour}
	r.gateway.finding = func(billing.Doubt) billing.Finding {
		return billing.Finding{Outcome: billing.OutcomeSucceeded, Reason: billing.ReasonReconciled, Result: &billing.Result{ID: "in_1"}}
	}
	broken, healthy := r.db.Merchant(t), r.db.Merchant(t)
	shut, open := r.task(t, broken.ID), r.task(t, healthy.ID)
	stop := r.start(t)
	r.await(t, shut, status(billing.InDoubt))
	r.await(t, open, status(billing.InDoubt))
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	r.db.SQL.MustExec(`UPDATE merchants SET access_token = overlay(access_token PLACING 'ffffffff' FROM 60) WHERE id = $1`, broken.ID)
	r.db.SQL.MustExec(`UPDATE scheduled_tasks SET look_at = now()`)
	r.conf.LookDelays = []time.Duration{10 * time.Millisecond}
	r.start(t)
	r.await(t, open, status(billing.Succeeded))
	r.await(t, shut, func(task billing.Task) bool {
		view, err := r.db.Store.ViewMerchant(context.Background(), broken.ID)
		return err == nil && view.PauseReason == billing.PauseNeedsReauth && task.Status == billing.InDoubt
	})
}

// TestLooksThatCannotBeMadeEndWithAPerson: a key that may not read, or a Stripe that is away for days, is not waited for in silence.
func TestLooksThatCannotBeMadeEndWithAPerson(t *testing.T) {
	t.Parallel()
	r := doubtful(t)
	id := r.task(t, r.db.Merchant(t).ID)
	r.gateway.finding = func(billing.Doubt) billing.Finding {
		return billing.Finding{Outcome: billing.OutcomeUnknown, Reason: billing.ReasonLookFailed, Error: &billing.StripeError{HTTPStatus: 403}}
	}
	r.start(t)
	r.await(t, id, func(task billing.Task) bool { return len(looked(r.attempts(t, id))) > 3 && task.LookAt != nil })
	r.db.SQL.MustExec(`UPDATE scheduled_tasks SET first_sent_at = first_sent_at - interval '49 hours', look_at = now()`)
	task := r.await(t, id, func(task billing.Task) bool {
		return task.LookAt == nil && r.log.count(slog.LevelError, "looked at Stripe", string(id)) > 0
	})
	if n := r.log.count(slog.LevelError, "looked at Stripe", string(id)); task.Status != billing.InDoubt || n != 1 {
		t.Errorf("%s, %d lines tell of it", task.Status, n)
	}
}

// TestADoubtOfAMerchantThatHasLeftIsAPersons: nobody can look for it any more, and nobody would be told if it were put off.
func TestADoubtOfAMerchantThatHasLeftIsAPersons(t *testing.T) {
	t.Parallel()
	r := doubtful(t)
	r.conf.LookDelays = []time.Duration{time.Hour}
	merchant := r.db.Merchant(t)
	id := r.task(t, merchant.ID)
	stop := r.start(t)
	r.await(t, id, status(billing.InDoubt))
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := r.db.Store.DisconnectMerchant(context.Background(), merchant.ID); err != nil {
		t.Fatal(err)
	}
	r.db.SQL.MustExec(`UPDATE scheduled_tasks SET look_at = now()`)
	r.conf.LookDelays = []time.Duration{10 * time.Millisecond}
	r.start(t)
	task := r.await(t, id, func(task billing.Task) bool {
		return task.LookAt == nil && r.log.count(slog.LevelError, "looked at Stripe", string(id)) > 0
	})
	if looks := looked(r.attempts(t, id)); task.Status != billing.InDoubt || len(looks) != 1 || looks[0].Error == nil || r.gateway.looks[id] != 0 {
		t.Errorf("%s, %+v", task.Status, looks)
	}
}

// TestAPanicWhileLookingEndsNothing: a page that trips the reader is there again at the next look, of every worker.
func TestAPanicWhileLookingEndsNothing(t *testing.T) {
	t.Parallel()
	t.Run("AtADoubt", func(t *testing.T) {
		t.Parallel()
		r := doubtful(t)
		id, other := r.task(t, r.db.Merchant(t).ID), r.task(t, r.db.Merchant(t).ID)
		r.gateway.finding = func(doubt billing.Doubt) billing.Finding {
			if doubt.ID == id {
				panic("an odd page")
			}
			return billing.Finding{Outcome: billing.OutcomeSucceeded, Reason: billing.ReasonReconciled, Result: &billing.Result{ID: "in_1"}}
		}
		stop := r.start(t)
		r.await(t, other, status(billing.Succeeded))
		r.await(t, id, func(billing.Task) bool { return len(looked(r.attempts(t, id))) > 1 })
		if err := stop(); err != nil || looked(r.attempts(t, id))[0].Reason != billing.ReasonLookFailed {
			t.Errorf("%v, %+v", err, r.attempts(t, id))
		}
	})
	t.Run("BeforeAnOverdueSend", func(t *testing.T) {
		t.Parallel()
		r := newRig(t)
		id := r.task(t, r.db.Merchant(t).ID)
		r.db.SQL.MustExec(`UPDATE scheduled_tasks SET scheduled_for = now() - interval '23 hours', run_at = now()`)
		var calls atomic.Int64
		r.gateway.finding = func(billing.Doubt) billing.Finding {
			if calls.Add(1) == 1 {
				panic("an odd page")
			}
			return billing.Finding{Outcome: billing.OutcomeUnknown, Reason: billing.ReasonNoTrace, Clean: true}
		}
		r.start(t)
		r.await(t, id, status(billing.Succeeded))
	})
}

// TestALookThatWaitedKnowsTheTime: what is compared with Stripe's clock is the time at which the look begins.
func TestALookThatWaitedKnowsTheTime(t *testing.T) {
	t.Parallel()
	r := doubtful(t)
	merchant := r.db.Merchant(t)
	id := r.task(t, merchant.ID)
	const wait = 300 * time.Millisecond
	r.queue.opened = func() { <-time.After(wait) }
	r.gateway.finding = func(doubt billing.Doubt) billing.Finding {
		var claimed time.Time // by the database's clock, as the look's claim was told
		if err := r.db.SQL.Get(&claimed, `SELECT updated_at FROM scheduled_tasks WHERE id = $1`, id); err != nil {
			t.Error(err)
		}
		if waited := doubt.StartedAt.Sub(claimed); waited < wait {
			t.Errorf("the look is told that it begins %s after its claim, and it waited for %s", waited, wait)
		}
		return billing.Finding{Outcome: billing.OutcomeSucceeded, Reason: billing.ReasonReconciled, Result: &billing.Result{ID: "in_1"}}
	}
	r.start(t)
	r.await(t, id, status(billing.Succeeded))
}
