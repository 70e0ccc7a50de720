package worker_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"billonce/pkg/billing"
)

type spanKey struct{}

// tracer notes what is followed.
type tracer struct {
	mu       sync.Mutex
	begun    int
	ended    []*billing.Settlement
	looks    []int // tasks of each
	findings []map[billing.TaskID]billing.Finding
}

func (f *tracer) StartAttempt(claim *billing.Claim) (func(context.Context) context.Context, func(*billing.Settlement)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.begun++
	return func(ctx context.Context) context.Context { return context.WithValue(ctx, spanKey{}, claim.Attempt) }, func(decided *billing.Settlement) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.ended = append(f.ended, decided)
	}
}

func (f *tracer) StartLook(ctx context.Context, doubts []billing.Doubt) (context.Context, func(map[billing.TaskID]billing.Finding)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.looks = append(f.looks, len(doubts))
	return context.WithValue(ctx, spanKey{}, 0), func(findings map[billing.TaskID]billing.Finding) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.findings = append(f.findings, findings)
	}
}

func (f *tracer) seen() (begun int, ended []*billing.Settlement) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.begun, append([]*billing.Settlement(nil), f.ended...)
}

// TestEveryAttemptIsFollowedToItsEnd: once each, within its own context, with what was decided.
func TestEveryAttemptIsFollowedToItsEnd(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.tracer = &tracer{}
	id := r.task(t, r.db.Merchant(t).ID)
	r.gateway.answer = func(ctx context.Context, claim billing.Claim, credential billing.Credential) billing.Answer {
		if ctx.Value(spanKey{}) != claim.Attempt {
			t.Error("the call is not within its attempt")
		}
		if claim.Attempt == 1 {
			return billing.Answer{Outcome: billing.OutcomeNotSent, Reason: billing.ReasonUnreachable}
		}
		return done(ctx, claim, credential)
	}
	stop := r.start(t)
	r.await(t, id, status(billing.Succeeded))
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	begun, ended := r.tracer.seen()
	if begun != 2 || len(ended) != 2 || ended[0].Status != billing.Pending || ended[1].Status != billing.Succeeded || ended[1].ID != id {
		t.Errorf("%d begun, ended: %+v", begun, ended)
	}
}

// TestAClaimThatIsGivenBackIsFollowedToItsEnd too: nothing was decided.
func TestAClaimThatIsGivenBackIsFollowedToItsEnd(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.tracer = &tracer{}
	merchant := r.db.Merchant(t)
	r.queue.opened = func() { // between the claim and the look at the merchant
		if _, err := r.db.Store.PauseMerchant(context.Background(), merchant.ID, billing.PauseRequested, ""); err != nil {
			t.Error(err)
		}
	}
	id := r.task(t, merchant.ID)
	stop := r.start(t)
	r.awaitHeld(t, id)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	begun, ended := r.tracer.seen()
	if begun == 0 || len(ended) != begun {
		t.Fatalf("%d begun, %d ended", begun, len(ended))
	}
	for _, decided := range ended {
		if decided != nil && decided.Status != billing.Succeeded {
			t.Errorf("%+v", decided)
		}
	}
}

// TestALookIsFollowed with what it found.
func TestALookIsFollowed(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.tracer = &tracer{}
	r.conf.LookDelays = []time.Duration{10 * time.Millisecond}
	id := r.task(t, r.db.Merchant(t).ID)
	r.gateway.answer = func(context.Context, billing.Claim, billing.Credential) billing.Answer {
		return billing.Answer{Outcome: billing.OutcomeUnknown, Reason: billing.ReasonServerError, Final: true}
	}
	r.gateway.finding = func(billing.Doubt) billing.Finding {
		return billing.Finding{Outcome: billing.OutcomeSucceeded, Reason: billing.ReasonReconciled, Result: &billing.Result{Object: "invoice", ID: "in_1"}}
	}
	stop := r.start(t)
	r.await(t, id, status(billing.Succeeded))
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if len(r.tracer.looks) != 1 || r.tracer.looks[0] != 1 || r.tracer.findings[0][id].Reason != billing.ReasonReconciled {
		t.Errorf("%+v", r.tracer)
	}
	doubted, succeeded := r.metrics.seen(billing.InDoubt), r.metrics.seen(billing.Succeeded)
	if len(doubted) != 1 || len(succeeded) != 1 || succeeded[0].reason != billing.ReasonReconciled || succeeded[0].age <= 0 || succeeded[0].age > time.Minute {
		t.Errorf("counted: in doubt %+v, succeeded %+v", doubted, succeeded)
	}
}

// TestWhatBecomesOfTasksIsToldAndCounted: a line and a count for each outcome; of those that succeed no line where only problems are
// asked for.
func TestWhatBecomesOfTasksIsToldAndCounted(t *testing.T) {
	t.Parallel()
	for name, problems := range map[string]bool{"All": false, "Problems": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.conf.LogProblems = problems
			merchant := r.db.Merchant(t)
			fine, declined, doubted := r.task(t, merchant.ID), r.task(t, merchant.ID), r.task(t, merchant.ID)
			r.gateway.answer = func(ctx context.Context, claim billing.Claim, credential billing.Credential) billing.Answer {
				switch {
				case claim.ID == declined:
					return billing.Answer{Outcome: billing.OutcomeRefused, Reason: billing.ReasonDeclined, Error: &billing.StripeError{HTTPStatus: 402, Code: "card_declined"}}
				case claim.ID == doubted:
					return billing.Answer{Outcome: billing.OutcomeUnknown, Reason: billing.ReasonServerError, Final: true}
				case claim.Attempt == 1:
					return billing.Answer{Outcome: billing.OutcomeNotSent, Reason: billing.ReasonUnreachable}
				}
				return done(ctx, claim, credential)
			}
			stop := r.start(t)
			r.await(t, fine, status(billing.Succeeded))
			r.await(t, declined, status(billing.Failed))
			r.await(t, doubted, status(billing.InDoubt))
			if err := stop(); err != nil {
				t.Fatal(err)
			}
			succeeded := 1
			if problems {
				succeeded = 0
			}
			for _, line := range []struct {
				level   slog.Level
				message string
				task    billing.TaskID
				n       int
				words   []string
			}{
				{slog.LevelInfo, "task succeeded", fine, succeeded, []string{`"request_id":"req_1"`, `"attempt":2`}},
				{slog.LevelInfo, "task retried", fine, 1, []string{`"reason":"unreachable"`, `"retry_in_ms"`}},
				{slog.LevelInfo, "task failed", declined, 1, []string{`"http_status":402`, `"code":"card_declined"`, `"target":"in_`}},
				{slog.LevelError, "task in doubt", doubted, 1, []string{`"reason":"server_error"`}},
			} {
				if n := r.log.count(line.level, line.message, append(line.words, string(line.task))...); n != line.n {
					t.Errorf("%q is told %d times of its task, want %d", line.message, n, line.n)
				}
			}
			for status, reason := range map[billing.Status]billing.Reason{
				billing.Succeeded: billing.ReasonDone, billing.Failed: billing.ReasonDeclined, billing.InDoubt: billing.ReasonServerError, billing.Pending: billing.ReasonUnreachable,
			} {
				got := r.metrics.seen(status)
				if len(got) != 1 || got[0].reason != reason || got[0].kind != billing.InvoicePay {
					t.Errorf("%s: %+v", status, got)
				}
				if status.Terminal() && (got[0].age <= 0 || got[0].age > time.Minute) {
					t.Errorf("%s after %s", status, got[0].age)
				}
			}
		})
	}
}
