package store_test

import (
	"context"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"billonce/internal/netfault"
	"billonce/pkg/billing"
	"billonce/pkg/secret"
	"billonce/pkg/store"
	"billonce/pkg/store/storetest"
)

// wired is a store that reaches a test's database through a proxy.
type wired struct {
	db    *storetest.DB // past the proxy
	proxy *netfault.Proxy
	store *store.Store
	pool  *store.DB
}

func openWired(t *testing.T, conns int, patience time.Duration) *wired {
	t.Helper()
	db := storetest.Open(t)
	address, err := url.Parse(db.URL)
	if err != nil {
		t.Fatal(err)
	}
	proxy, err := netfault.Start(t.Context(), address.Host)
	if err != nil {
		t.Fatal(err)
	}
	address.Host = proxy.Addr()
	pool, err := store.Open(store.Options{URL: secret.New(address.String()), MaxConns: conns, Name: "wired", Patience: patience})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = proxy.Close()
		_ = pool.Close()
	})
	return &wired{db: db, proxy: proxy, store: store.New(pool, db.Vault), pool: pool}
}

// written is a write, and how often the database shows its effect.
type written struct {
	act    func(ctx context.Context, s *store.Store) error
	effect string // a query that counts; wants 1 after the write, however often it was asked for
	args   []any
}

// writes are all ways in which the services change the database, each prepared on a database of its own.
func writes() map[string]func(t *testing.T, db *storetest.DB) written {
	const taskIn = `SELECT count(*) FROM scheduled_tasks WHERE id = $1 AND status = $2`
	return map[string]func(t *testing.T, db *storetest.DB) written{
		"Schedule": func(t *testing.T, db *storetest.DB) written {
			t.Helper()
			task := newTask(t, db.Merchant(t).ID)
			task.Key, task.Fingerprint = "once", []byte{1}
			return written{func(ctx context.Context, s *store.Store) error {
				task.ID = billing.TaskID(storetest.NewID(t)) // as the api does: a new id with each request
				_, err := s.CreateTasks(ctx, []billing.NewTask{task})
				return err
			}, `SELECT count(*) FROM scheduled_tasks`, nil}
		},
		"ScheduleABatch": func(t *testing.T, db *storetest.DB) written {
			t.Helper()
			tasks := []billing.NewTask{newTask(t, db.Merchant(t).ID), newTask(t, db.Merchant(t).ID)}
			return written{func(ctx context.Context, s *store.Store) error {
				for i := range tasks {
					tasks[i].ID, tasks[i].Key, tasks[i].Fingerprint = billing.TaskID(storetest.NewID(t)), strings.Repeat("k", i+1), []byte{1}
				}
				_, err := s.CreateTasks(ctx, tasks)
				return err
			}, `SELECT count(*) / 2 FROM scheduled_tasks`, nil}
		},
		"Retry": func(t *testing.T, db *storetest.DB) written {
			t.Helper()
			first := failed(t, db)
			next := newTask(t, first.MerchantID)
			return written{func(ctx context.Context, s *store.Store) error {
				next.ID = billing.TaskID(storetest.NewID(t))
				_, err := s.RetryTask(ctx, first.ID, next)
				return err
			}, `SELECT count(*) FROM scheduled_tasks WHERE retry_of = $1`, []any{first.ID}}
		},
		"Claim": func(t *testing.T, db *storetest.DB) written {
			t.Helper()
			task := schedule(t, db, newTask(t, db.Merchant(t).ID))[0].Task
			worker := register(t, db, time.Minute)
			return written{func(ctx context.Context, s *store.Store) error {
				_, err := s.Claim(ctx, worker, 10)
				return err
			}, `SELECT count(*) FROM scheduled_tasks WHERE id = $1 AND status = 'running' AND attempt = 1`, []any{task.ID}}
		},
		"Release": func(t *testing.T, db *storetest.DB) written {
			t.Helper()
			claims := running(t, db)
			return written{
				func(ctx context.Context, s *store.Store) error { return s.Release(ctx, claims) },
				`SELECT count(*) FROM scheduled_tasks WHERE id = $1 AND status = 'pending' AND released = 1`,
				[]any{claims[0].ID},
			}
		},
		"RecoverOwn": func(t *testing.T, db *storetest.DB) written {
			t.Helper()
			claims := running(t, db)
			return written{func(ctx context.Context, s *store.Store) error {
				_, err := s.RecoverOwn(ctx, claims[0].Worker, nil)
				return err
			}, `SELECT count(*) FROM scheduled_tasks WHERE id = $1 AND status = 'pending' AND released = 1`, []any{claims[0].ID}}
		},
		"Settle": func(t *testing.T, db *storetest.DB) written {
			t.Helper()
			claims := running(t, db)
			return written{
				func(ctx context.Context, s *store.Store) error {
					_, err := s.Settle(ctx, []billing.Settlement{settlement(claims[0], billing.Succeeded, billing.OutcomeSucceeded, billing.ReasonDone)})
					return err
				}, `SELECT count(*) FROM scheduled_tasks AS t JOIN attempts AS a ON a.task_id = t.id WHERE t.id = $1 AND t.status = 'succeeded'`,
				[]any{claims[0].ID},
			}
		},
		"SettleADeclineWithASuccessor": func(t *testing.T, db *storetest.DB) written {
			t.Helper()
			claims := running(t, db)
			planned(db, claims[0].ID)
			declined := settlement(claims[0], billing.Failed, billing.OutcomeRefused, billing.ReasonDeclined)
			declined.Next = &billing.Successor{ID: billing.TaskID(storetest.NewID(t)), Request: claims[0].Request, After: time.Hour}
			return written{func(ctx context.Context, s *store.Store) error {
				_, err := s.Settle(ctx, []billing.Settlement{declined})
				return err
			}, `SELECT count(*) FROM scheduled_tasks WHERE retry_of = $1`, []any{claims[0].ID}}
		},
		"SettleALook": func(t *testing.T, db *storetest.DB) written {
			t.Helper()
			doubt := doubted(t, db)
			return written{func(ctx context.Context, s *store.Store) error {
				_, err := s.SettleLook(ctx, billing.LookSettlement{Doubt: doubt, Status: billing.Failed, Finding: billing.Finding{
					Outcome: billing.OutcomeRefused, Reason: billing.ReasonAbsent,
				}})
				return err
			}, `SELECT count(*) FROM task_attempts WHERE task_id = $1 AND kind = 'look'`, []any{doubt.ID}}
		},
		"MoveFinished": func(t *testing.T, db *storetest.DB) written {
			t.Helper()
			first := failed(t, db)
			age(t, db, first.ID, retention+time.Hour)
			return written{func(ctx context.Context, s *store.Store) error {
				_, err := s.MoveFinished(ctx, billing.Failed, time.Time{}, retention, 10)
				return err
			}, `SELECT count(*) FROM archived_tasks WHERE id = $1 AND jsonb_array_length(document->'attempts') = 1`, []any{first.ID}}
		},
		"TakeOver": func(t *testing.T, db *storetest.DB) written {
			t.Helper()
			claims := running(t, db)
			db.SQL.MustExec(`DELETE FROM workers`)
			return written{func(ctx context.Context, s *store.Store) error {
				_, err := s.TakeOver(ctx, 10, time.Minute)
				return err
			}, `SELECT count(*) FROM task_attempts WHERE task_id = $1 AND reason = 'worker_lost'`, []any{claims[0].ID}}
		},
		"Cancel": func(t *testing.T, db *storetest.DB) written {
			t.Helper()
			task := schedule(t, db, newTask(t, db.Merchant(t).ID))[0].Task
			return written{func(ctx context.Context, s *store.Store) error {
				_, err := s.CancelTask(ctx, task.ID)
				return err
			}, taskIn, []any{task.ID, "canceled"}}
		},
		"Resolve": func(t *testing.T, db *storetest.DB) written {
			t.Helper()
			doubt := doubted(t, db)
			return written{func(ctx context.Context, s *store.Store) error {
				_, err := s.ResolveTask(ctx, doubt.ID, billing.Resolution{Outcome: billing.Succeeded, Note: "seen", RequestID: "r"})
				return err
			}, `SELECT count(*) FROM task_resolutions WHERE task_id = $1`, []any{doubt.ID}}
		},
		"ConnectAMerchant": func(t *testing.T, _ *storetest.DB) written {
			t.Helper()
			id := billing.MerchantID(storetest.NewID(t))
			return written{func(ctx context.Context, s *store.Store) error {
				_, err := s.CreateMerchant(ctx, billing.NewMerchant{ID: id, Name: "M", StripeConnectID: "acct_wire", AccessToken: secret.New("sk_test_wire")})
				return err
			}, `SELECT count(*) FROM merchants WHERE stripe_connect_id = 'acct_wire'`, nil}
		},
		"PauseAMerchant": func(t *testing.T, db *storetest.DB) written {
			t.Helper()
			merchant := db.Merchant(t)
			return written{func(ctx context.Context, s *store.Store) error {
				_, err := s.PauseMerchant(ctx, merchant.ID, billing.PauseNeedsReauth, "x")
				return err
			}, `SELECT count(*) FROM merchants WHERE id = $1 AND pause_reason = 'needs_reauth'`, []any{merchant.ID}}
		},
		"RegisterAWorker": func(t *testing.T, _ *storetest.DB) written {
			t.Helper()
			id := billing.WorkerID(storetest.NewID(t))
			return written{func(ctx context.Context, s *store.Store) error {
				return s.RegisterWorker(ctx, billing.Worker{ID: id, Hostname: "h", PID: 1, Version: "v", Concurrency: 1, Lease: time.Minute})
			}, `SELECT count(*) FROM workers WHERE id = $1`, []any{id}}
		},
	}
}

// running is a task in a worker's hands.
func running(t *testing.T, db *storetest.DB) []billing.Claim {
	t.Helper()
	schedule(t, db, newTask(t, db.Merchant(t).ID))
	return claim(t, db, register(t, db, time.Minute), 1)
}

func failed(t *testing.T, db *storetest.DB) billing.Task {
	t.Helper()
	claims := running(t, db)
	settle(t, db, settlement(claims[0], billing.Failed, billing.OutcomeRefused, billing.ReasonInvalid))
	return get(t, db, claims[0].ID)
}

// doubted is a task in doubt that somebody looks at.
func doubted(t *testing.T, db *storetest.DB) billing.Doubt {
	t.Helper()
	claims := running(t, db)
	settle(t, db, settlement(claims[0], billing.InDoubt, billing.OutcomeUnknown, billing.ReasonNoAnswer))
	db.SQL.MustExec(`UPDATE scheduled_tasks SET look_at = now() WHERE id = $1`, claims[0].ID)
	doubts, err := db.Store.ClaimLooks(context.Background(), claims[0].Worker, 1, 1, time.Minute)
	if err != nil || len(doubts) != 1 {
		t.Fatalf("%d doubts, %v", len(doubts), err)
	}
	return doubts[0]
}

// TestALostAnswerDoublesNothing ends the connection after the server has carried out a write and before the client hears of it:
// where database/sql would send the statement again on another connection (lib/pq#939), the effect would be there twice.
func TestALostAnswerDoublesNothing(t *testing.T) {
	t.Parallel()
	for name, prepare := range writes() {
		for how, withReset := range map[string]bool{"ByFIN": false, "ByRST": true} {
			t.Run(name+how, func(t *testing.T) {
				t.Parallel()
				w := openWired(t, 4, 0)
				one := prepare(t, w.db)
				if _, err := w.store.CreateMerchant(t.Context(), newMerchant(t, "acct_before")); err != nil { // sealings are counted ahead
					t.Fatal(err)
				}
				count := func() (n int) {
					if err := w.db.SQL.Get(&n, one.effect, one.args...); err != nil {
						t.Fatal(err)
					}
					return n
				}
				lost := make(chan string, 1)
				inTx := false
				w.proxy.LoseAnswer(1, withReset, func(tag string) bool {
					inTx = inTx || tag == "BEGIN"
					writes := tag == "COMMIT" || !inTx && tag != "SET" && tag != "BEGIN"
					if writes {
						lost <- tag
					}
					return writes
				})
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				defer cancel()
				err := one.act(ctx, w.store)
				select {
				case tag := <-lost:
					t.Logf("the answer %q was lost, and the call said: %v", tag, err)
				default:
					t.Fatal("no answer was lost: this test has shown nothing")
				}
				if err == nil {
					t.Error("the call claims to know what became of it")
				}
				if n := count(); n != 1 {
					t.Fatalf("the effect is there %d times", n)
				}
				_ = one.act(ctx, w.store) // as whoever has no answer does
				if n := count(); n != 1 {
					t.Errorf("after another call the effect is there %d times", n)
				}
			})
		}
	}
}

// TestASilentPeerFreezesNothing lets the wire to the database fall silent: calls end, and once it speaks again the pool is as
// good as new.
func TestASilentPeerFreezesNothing(t *testing.T) {
	t.Parallel()
	const patience = 2 * time.Second // with each read and write; a slow machine must not need it when the peer speaks
	for name, mute := range map[string]func(*netfault.Proxy, bool){
		"BothWays": (*netfault.Proxy).BlackHole, "Answers": (*netfault.Proxy).BlackHoleAnswers,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := openWired(t, 4, patience)
			task := schedule(t, w.db, newTask(t, w.db.Merchant(t).ID))[0].Task
			if _, err := w.store.GetTask(t.Context(), task.ID); err != nil {
				t.Fatal(err)
			}
			mute(w.proxy, true)
			var calls sync.WaitGroup
			ended := make(chan struct{})
			for range 8 {
				calls.Go(func() {
					if _, err := w.store.GetTask(context.Background(), task.ID); err == nil {
						t.Error("an answer out of nothing")
					} else if billing.CodeOf(err) != billing.CodeUnavailable {
						t.Errorf("the error is %v", err)
					}
				})
			}
			go func() {
				defer close(ended)
				calls.Wait()
			}()
			select {
			case <-ended:
			case <-time.After(20 * time.Second): // connecting may take its own ten seconds
				t.Fatal("calls hang although nothing has moved on the wire")
			}
			w.proxy.Heal()
			for range 20 {
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				got, err := w.store.GetTask(ctx, task.ID)
				cancel()
				if err != nil || got.ID != task.ID {
					t.Fatalf("after the silence: %v %v", got.ID, err)
				}
			}
		})
	}
}

// TestAPoisonedConnectionIsNotHandedOn cancels statements half-way, on a pool of one connection: whoever comes next must get
// the answer to its own question.
func TestAPoisonedConnectionIsNotHandedOn(t *testing.T) {
	t.Parallel()
	w := openWired(t, 1, 0)
	merchant := w.db.Merchant(t)
	tasks := schedule(t, w.db, newTask(t, merchant.ID), newTask(t, merchant.ID), newTask(t, merchant.ID))
	w.proxy.Delay(2 * time.Millisecond)
	for i := range 60 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1+i%9)*time.Millisecond)
		_, _ = w.store.GetTask(ctx, tasks[0].Task.ID)
		_, _ = w.store.Claim(ctx, billing.WorkerID(storetest.NewID(t)), 0)
		_, _ = w.store.CancelTask(ctx, billing.TaskID(storetest.NewID(t)))
		cancel()
		want := tasks[i%3].Task.ID
		got, err := w.store.GetTask(t.Context(), want)
		if err != nil || got.ID != want {
			t.Fatalf("round %d: asked for %s and got %q (%v)", i, want, got.ID, err)
		}
		open := 0
		if err := w.db.SQL.Get(&open, `
			SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'wired' AND state LIKE 'idle in transaction%'`); err != nil || open != 0 {
			t.Fatalf("round %d: %d transactions are left open (%v)", i, open, err)
		}
	}
}
