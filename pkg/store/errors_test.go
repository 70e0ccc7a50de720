package store_test

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/lib/pq"

	"billonce/pkg/billing"
	"billonce/pkg/secret"
	"billonce/pkg/store"
	"billonce/pkg/store/storetest"
)

func succeeding(t *testing.T) billing.Settlement {
	t.Helper()
	return settlement(billing.Claim{
		ID: billing.TaskID(storetest.NewID(t)), Worker: billing.WorkerID(storetest.NewID(t)), Attempt: 1, ClaimedAt: time.Now(),
	}, billing.Succeeded, billing.OutcomeSucceeded, billing.ReasonDone)
}

// TestAConnectionThatFailsIsNotTheContentsFault: what a worker knows of a task is worth waiting for a database that is being
// restored, a password that is being changed, a certificate that has run out.
func TestAConnectionThatFailsIsNotTheContentsFault(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	role := "role_" + strings.ReplaceAll(storetest.NewID(t), "-", "_")
	db.SQL.MustExec(`CREATE ROLE ` + role)
	t.Cleanup(func() { db.SQL.MustExec(`DROP ROLE ` + role) })
	for name, change := range map[string]func(*url.URL){
		"NoSuchDatabase": func(u *url.URL) { u.Path = "/not_there_for_a_minute" },
		"NoSuchUser":     func(u *url.URL) { u.User = url.UserPassword("nobody_of_this_name", "x") },
		"NoTLS":          func(u *url.URL) { u.RawQuery = "sslmode=require" },
		"NoRights": func(u *url.URL) {
			query := u.Query()
			query.Set("options", "-c role="+role)
			u.RawQuery = query.Encode()
		},
		"NobodyThere": func(u *url.URL) { u.Host = "127.0.0.1:1" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address, err := url.Parse(db.URL)
			if err != nil {
				t.Fatal(err)
			}
			change(address)
			pool, err := store.Open(store.Options{URL: secret.New(address.String())})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = pool.Close() })
			broken := store.New(pool, db.Vault)
			one, other := succeeding(t), succeeding(t)
			other.Status, other.Answer = billing.InDoubt, billing.Answer{Outcome: billing.OutcomeUnknown, Reason: billing.ReasonNoAnswer}
			for _, settlement := range []billing.Settlement{one, other} { // each by a statement of its own
				_, err := broken.Settle(context.Background(), []billing.Settlement{settlement})
				if err == nil || errors.Is(err, billing.ErrContent) || errors.Is(err, billing.ErrDenied) != (name == "NoRights") {
					t.Errorf("%s: %v", settlement.Status, err)
				}
			}
			_, err = broken.GetTask(context.Background(), one.ID)
			wantCode(t, err, billing.CodeUnavailable)
		})
	}
}

// TestATableThatIsNotThereIsNotTheContentsFault: a schema that is being mended comes back.
func TestATableThatIsNotThereIsNotTheContentsFault(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	claims := running(t, db)
	db.SQL.MustExec(`ALTER TABLE scheduled_tasks RENAME TO elsewhere`)
	settled := settlement(claims[0], billing.Succeeded, billing.OutcomeSucceeded, billing.ReasonDone)
	if _, err := db.Store.Settle(context.Background(), []billing.Settlement{settled}); err == nil || errors.Is(err, billing.ErrContent) {
		t.Errorf("%v", err)
	}
	db.SQL.MustExec(`ALTER TABLE elsewhere RENAME TO scheduled_tasks`)
	if ids := settle(t, db, settled); len(ids) != 1 {
		t.Error("it is not written when it can be")
	}
}

// TestWhatIsRefusedForItsContentSaysSo: only that must not hold back other settlements.
func TestWhatIsRefusedForItsContentSaysSo(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	claims := running(t, db)
	for name, spoil := range map[string]func(*billing.Settlement){
		"AZeroByte": func(s *billing.Settlement) { s.Answer.Result.Object = "\x00" },
		"NoStatus":  func(s *billing.Settlement) { s.Status = "odd" },
	} {
		settled := settlement(claims[0], billing.Succeeded, billing.OutcomeSucceeded, billing.ReasonDone)
		spoil(&settled)
		if _, err := db.Store.Settle(context.Background(), []billing.Settlement{settled}); !errors.Is(err, billing.ErrContent) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestWhatIsRefusedForItsContentDoesNotQuoteIt: PostgreSQL's own sentence does, and it would end in a log.
func TestWhatIsRefusedForItsContentDoesNotQuoteIt(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	_, err := db.Store.GetTask(context.Background(), "ann@canary.example")
	if err == nil || strings.Contains(err.Error(), "canary") || !strings.Contains(err.Error(), "SQLSTATE 22P02") {
		t.Errorf("%v", err)
	}
	if failure := (*pq.Error)(nil); !errors.As(err, &failure) || !errors.Is(err, billing.ErrContent) {
		t.Errorf("the cause is not in the chain: %v", err)
	}
}
