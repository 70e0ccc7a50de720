package worker_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"billonce/pkg/billing"
	"billonce/pkg/secret"
	"billonce/pkg/store/storetest"
)

func TestWhatMayNotBeSent(t *testing.T) {
	t.Parallel()
	unknownFirst := func(r *rig) {
		r.gateway.answer = func(context.Context, billing.Claim, billing.Credential) billing.Answer {
			return billing.Answer{Outcome: billing.OutcomeUnknown, Reason: billing.ReasonNoAnswer}
		}
		r.conf.Backoff = billing.Backoff{Base: 24 * time.Hour, Max: 24 * time.Hour}
	}
	unknown := func(task billing.Task) bool { return task.Status == billing.Pending && task.FirstSentAt != nil }

	t.Run("OutsideTheWindow", func(t *testing.T) {
		t.Parallel()
		r := newRig(t)
		unknownFirst(r)
		id := r.task(t, r.db.Merchant(t).ID)
		r.start(t)
		r.await(t, id, unknown)
		r.db.SQL.MustExec(`UPDATE scheduled_tasks SET first_sent_at = first_sent_at - interval '23 hours', run_at = now()`)
		r.await(t, id, status(billing.InDoubt))
		if r.gateway.sent(id) != 1 {
			t.Errorf("sent %d times", r.gateway.sent(id))
		}
	})
	t.Run("OutsideTheWindowByAClockThatWentBack", func(t *testing.T) {
		t.Parallel()
		r := newRig(t)
		unknownFirst(r)
		id := r.task(t, r.db.Merchant(t).ID)
		r.start(t)
		r.await(t, id, unknown)
		r.db.SQL.MustExec(`UPDATE scheduled_tasks SET first_sent_at = now() + interval '1 hour', run_at = now()`)
		r.await(t, id, status(billing.InDoubt))
		if r.gateway.sent(id) != 1 {
			t.Errorf("sent %d times", r.gateway.sent(id))
		}
	})
	t.Run("OutsideTheWindowAfterAPause", func(t *testing.T) {
		t.Parallel()
		r := newRig(t)
		unknownFirst(r)
		merchant := r.db.Merchant(t)
		id := r.task(t, merchant.ID)
		r.start(t)
		r.await(t, id, unknown)
		if _, err := r.db.Store.PauseMerchant(context.Background(), merchant.ID, billing.PauseRequested, ""); err != nil {
			t.Fatal(err)
		}
		r.db.SQL.MustExec(`UPDATE scheduled_tasks SET first_sent_at = first_sent_at - interval '30 hours', run_at = now()`)
		r.awaitHeld(t, id)
		if _, err := r.db.Store.ResumeMerchant(context.Background(), merchant.ID); err != nil {
			t.Fatal(err)
		}
		r.await(t, id, status(billing.InDoubt))
		if r.gateway.sent(id) != 1 {
			t.Errorf("sent %d times", r.gateway.sent(id))
		}
	})
	t.Run("WithOtherBytes", func(t *testing.T) {
		t.Parallel()
		r := newRig(t)
		// What the gateway says of a request whose hash is not the one that was stored, whether or not something was sent.
		r.gateway.answer = func(_ context.Context, claim billing.Claim, _ billing.Credential) billing.Answer {
			outcome := billing.OutcomeNotSent
			if claim.Resend {
				outcome = billing.OutcomeUnknown
			}
			return billing.Answer{Outcome: outcome, Reason: billing.ReasonRequestChanged, Final: true}
		}
		never, again := r.task(t, r.db.Merchant(t).ID), r.task(t, r.db.Merchant(t).ID)
		r.db.SQL.MustExec(`UPDATE scheduled_tasks SET first_sent_at = now(), sent_auth = 'token',
			sent_account = (SELECT stripe_connect_id FROM merchants WHERE id = merchant_id) WHERE id = $1`, again)
		r.start(t)
		r.await(t, never, status(billing.Failed))
		r.await(t, again, status(billing.InDoubt))
	})
	t.Run("WithAnotherCredential", func(t *testing.T) {
		t.Parallel()
		r := newRig(t)
		unknownFirst(r)
		merchant := r.db.Merchant(t)
		id := r.task(t, merchant.ID)
		r.start(t)
		r.await(t, id, unknown)
		none := secret.Text{}
		if _, err := r.db.Store.UpdateMerchant(context.Background(), merchant.ID, billing.MerchantChange{AccessToken: &none}); err != nil {
			t.Fatal(err)
		}
		r.db.SQL.MustExec(`UPDATE scheduled_tasks SET run_at = now()`)
		r.await(t, id, status(billing.InDoubt))
		if r.gateway.sent(id) != 1 {
			t.Errorf("sent %d times", r.gateway.sent(id))
		}
	})
	t.Run("WithATokenChangedByHand", func(t *testing.T) {
		t.Parallel()
		r := newRig(t)
		broken, healthy := r.db.Merchant(t), r.db.Merchant(t)
		r.db.SQL.MustExec(`UPDATE merchants SET access_token = overlay(access_token PLACING 'ffffffff' FROM 60) WHERE id = $1`, broken.ID)
		id, other := r.task(t, broken.ID), r.task(t, healthy.ID)
		r.start(t)
		r.await(t, other, status(billing.Succeeded))
		task := r.await(t, id, func(task billing.Task) bool { return task.Status == billing.Pending && task.FirstSentAt == nil })
		merchant, err := r.db.Store.ViewMerchant(context.Background(), broken.ID)
		if err != nil || merchant.PauseReason != billing.PauseNeedsReauth || r.gateway.sent(id) != 0 || task.Attempt != 0 {
			t.Errorf("%+v, sent %d times, %+v, %v", merchant, r.gateway.sent(id), task, err)
		}
	})
}

// TestAnOverdueTaskIsLookedForBeforeItIsSent: what was never sent, as far as the database knows, may have been sent by an earlier
// life of it, under a key that Stripe has forgotten.
func TestAnOverdueTaskIsLookedForBeforeItIsSent(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	overdue := func(t *testing.T, finding func(billing.Doubt) billing.Finding) (*rig, billing.Merchant, billing.TaskID) {
		t.Helper()
		r := newRig(t)
		r.gateway.finding = finding
		merchant := r.db.Merchant(t)
		id := r.task(t, merchant.ID)
		r.db.SQL.MustExec(`UPDATE scheduled_tasks SET scheduled_for = now() - interval '23 hours', run_at = now()`)
		r.start(t)
		return r, merchant, id
	}
	clean := billing.Finding{Outcome: billing.OutcomeUnknown, Reason: billing.ReasonNoTrace, Clean: true}
	t.Run("WithoutATraceItIsSent", func(t *testing.T) {
		t.Parallel()
		r, _, id := overdue(t, func(doubt billing.Doubt) billing.Finding {
			if age := doubt.Age(); age < 23*time.Hour {
				t.Errorf("looked back %s", age)
			}
			return clean
		})
		if task := r.await(t, id, status(billing.Succeeded)); r.gateway.sent(id) != 1 || task.Attempt != 1 {
			t.Errorf("sent %d times, %+v", r.gateway.sent(id), task)
		}
	})
	t.Run("WithATraceItIsInDoubtSinceItsTime", func(t *testing.T) {
		t.Parallel()
		r, _, id := overdue(t, func(billing.Doubt) billing.Finding {
			return billing.Finding{Outcome: billing.OutcomeSucceeded, Reason: billing.ReasonReconciled, Result: &billing.Result{ID: "in_1"}}
		})
		task := r.await(t, id, status(billing.InDoubt))
		if !task.FirstSentAt.Equal(task.ScheduledFor) || task.LookAt == nil || r.gateway.sent(id) != 0 {
			t.Errorf("sent %d times, %+v", r.gateway.sent(id), task)
		}
	})
	t.Run("WithoutAReadableStripeItWaits", func(t *testing.T) {
		t.Parallel()
		var calls atomic.Int64
		r, _, id := overdue(t, func(billing.Doubt) billing.Finding {
			if calls.Add(1) < 4 {
				return billing.Finding{Outcome: billing.OutcomeUnknown, Reason: billing.ReasonLookFailed, Error: &billing.StripeError{HTTPStatus: 500}}
			}
			return clean
		})
		r.await(t, id, status(billing.Succeeded))
		if list := r.attempts(t, id); len(list) != 4 || list[0].Outcome != billing.OutcomeNotSent || list[0].Reason != billing.ReasonLookFailed {
			t.Errorf("%+v", list)
		}
	})
	t.Run("WithoutAReadableStripeForEverItIsInDoubt", func(t *testing.T) {
		t.Parallel()
		r := newRig(t)
		r.gateway.finding = func(billing.Doubt) billing.Finding {
			return billing.Finding{Outcome: billing.OutcomeUnknown, Reason: billing.ReasonLookFailed, Error: &billing.StripeError{HTTPStatus: 403}}
		}
		id := r.task(t, r.db.Merchant(t).ID)
		r.db.SQL.MustExec(`UPDATE scheduled_tasks SET scheduled_for = now() - interval '23 hours', run_at = now(), max_attempts = 3`)
		r.start(t)
		task := r.await(t, id, status(billing.InDoubt))
		if task.Attempt != 3 || !task.FirstSentAt.Equal(task.ScheduledFor) || task.LookAt == nil || r.gateway.sent(id) != 0 {
			t.Errorf("sent %d times, %+v", r.gateway.sent(id), task)
		}
	})
	t.Run("WithoutCredentialsItsMerchantIsPaused", func(t *testing.T) {
		t.Parallel()
		r, merchant, id := overdue(t, func(billing.Doubt) billing.Finding {
			return billing.Finding{Outcome: billing.OutcomeUnknown, Reason: billing.ReasonUnauthorized, Error: &billing.StripeError{HTTPStatus: 401}}
		})
		task := r.await(t, id, func(task billing.Task) bool { return task.Status == billing.Pending && task.LastError != nil })
		view, err := r.db.Store.ViewMerchant(ctx, merchant.ID)
		if err != nil || view.PauseReason != billing.PauseNeedsReauth || task.FirstSentAt != nil || r.gateway.sent(id) != 0 {
			t.Errorf("%+v, %+v, %v", view, task, err)
		}
	})
	t.Run("InTimeNobodyLooks", func(t *testing.T) {
		t.Parallel()
		r := newRig(t)
		r.gateway.finding = func(billing.Doubt) billing.Finding {
			t.Error("looked")
			return clean
		}
		id := r.task(t, r.db.Merchant(t).ID)
		r.db.SQL.MustExec(`UPDATE scheduled_tasks SET scheduled_for = now() - interval '22 hours', run_at = now()`)
		r.start(t)
		r.await(t, id, status(billing.Succeeded))
	})
}

// TestAStrangePlatformKeyPausesNobody: a 401 under the platform's own key is the operator's to mend.
func TestAStrangePlatformKeyPausesNobody(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for name, tc := range map[string]struct {
		status int
		paused bool
	}{
		"401":                 {401, false},
		"403 account_invalid": {403, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			merchant, err := r.db.Store.CreateMerchant(ctx, billing.NewMerchant{
				ID: billing.MerchantID(storetest.NewID(t)), Name: "Platform", StripeConnectID: "acct_platform",
			})
			if err != nil {
				t.Fatal(err)
			}
			r.gateway.answer = func(context.Context, billing.Claim, billing.Credential) billing.Answer {
				return billing.Answer{Outcome: billing.OutcomeNotSent, Reason: billing.ReasonUnauthorized, Error: &billing.StripeError{HTTPStatus: tc.status}}
			}
			id := r.task(t, merchant.ID)
			r.start(t)
			sends := 3
			if tc.paused {
				sends = 1
			}
			r.await(t, id, func(task billing.Task) bool {
				return task.Status == billing.Pending && task.LastError != nil && r.gateway.sent(id) >= sends
			})
			view, err := r.db.Store.ViewMerchant(ctx, merchant.ID)
			if err != nil || (view.Status == billing.MerchantPaused) != tc.paused || tc.paused && view.PauseDetail == "" {
				t.Errorf("%+v, %v", view, err)
			}
		})
	}
}

func TestUnauthorizedPausesTheMerchantAndKeepsTheTask(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	r := newRig(t)
	merchant := r.db.Merchant(t)
	var accepted atomic.Bool
	r.gateway.answer = func(ctx context.Context, claim billing.Claim, credential billing.Credential) billing.Answer {
		if accepted.Load() {
			return done(ctx, claim, credential)
		}
		return billing.Answer{Outcome: billing.OutcomeNotSent, Reason: billing.ReasonUnauthorized, Error: &billing.StripeError{HTTPStatus: 401}}
	}
	id := r.task(t, merchant.ID)
	r.db.SQL.MustExec(`UPDATE scheduled_tasks SET max_attempts = 1`)
	r.start(t)
	task := r.await(t, id, func(task billing.Task) bool { return task.Status == billing.Pending && task.LastError != nil })
	if task.FirstSentAt != nil {
		t.Error("the task is marked as sent")
	}
	paused, err := r.db.Store.ViewMerchant(ctx, merchant.ID)
	if err != nil || paused.Status != billing.MerchantPaused || paused.PauseReason != billing.PauseNeedsReauth {
		t.Fatalf("%+v, %v", paused, err)
	}
	accepted.Store(true)
	if _, err := r.db.Store.ResumeMerchant(ctx, merchant.ID); err != nil {
		t.Fatal(err)
	}
	r.await(t, id, status(billing.Succeeded))
}
