package store_test

import (
	"context"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"billonce/pkg/billing"
	"billonce/pkg/secret"
	"billonce/pkg/store"
	"billonce/pkg/store/storetest"
)

// BenchmarkWatched schedules, claims and settles tasks in batches, while nobody watches, while somebody does and everything is written
// in detail, and as it is then: a flood is only counted. It says what of PostgreSQL's CPU each task takes.
func BenchmarkWatched(b *testing.B) {
	for name, most := range map[string]int{"Nobody": 0, "InDetail": 1000, "Flood": 1} {
		b.Run(name, func(b *testing.B) {
			db := storetest.Open(b)
			if most > 0 {
				db.SQL.MustExec(`INSERT INTO event_watch (epoch, until, most) VALUES ('a', now() + interval '1 hour', $1)`, most)
			}
			runLives(b, db)
		})
	}
}

// runLives takes b.N tasks through their lives, a thousand at a time.
func runLives(b *testing.B, db *storetest.DB) {
	b.Helper()
	const batch, atOnce = 1000, 250
	ctx := context.Background()
	merchant := db.Merchant(b)
	pool, err := store.Open(store.Options{URL: secret.New(db.URL), Name: "lives"})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = pool.Close() }()
	s, worker := store.New(pool, db.Vault), register(b, db, time.Hour)
	lives := func(n int) {
		for ; n > 0; n -= batch {
			tasks := make([]billing.NewTask, min(batch, n))
			for i := range tasks {
				tasks[i] = newTask(b, merchant.ID)
			}
			if _, err := s.CreateTasks(ctx, tasks); err != nil {
				b.Fatal(err)
			}
			for left := len(tasks); left > 0; {
				claimed, err := s.Claim(ctx, worker, atOnce)
				if err != nil {
					b.Fatal(err)
				}
				ends := make([]billing.Settlement, len(claimed.Claims))
				for i, c := range claimed.Claims {
					ends[i] = settlement(c, billing.Succeeded, billing.OutcomeSucceeded, billing.ReasonDone)
				}
				settled, err := s.Settle(ctx, ends)
				if err != nil {
					b.Fatal(err)
				}
				left -= len(settled)
			}
		}
	}
	lives(batch)
	before := serverCPU(b, db)
	b.ResetTimer()
	lives(b.N)
	b.StopTimer()
	b.ReportMetric(float64(serverCPU(b, db)-before)/float64(time.Microsecond)/float64(b.N), "pg-µs/task")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tasks/s")
}

// serverCPU is what the server's processes that serve the benchmark have used; 0 where that cannot be read.
func serverCPU(b *testing.B, db *storetest.DB) time.Duration {
	b.Helper()
	var pids []int
	if err := db.SQL.Select(&pids, `SELECT pid FROM pg_stat_activity WHERE application_name = 'lives'`); err != nil {
		b.Fatal(err)
	}
	var sum time.Duration
	for _, pid := range pids {
		text, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/schedstat") // nanoseconds on a CPU
		spent, _, _ := strings.Cut(string(text), " ")
		n, _ := strconv.ParseInt(spent, 10, 64)
		sum += time.Duration(n)
	}
	return sum
}

// BenchmarkSingles schedules tasks one by one from many callers, as the api does: with nobody watching, and with somebody who does.
func BenchmarkSingles(b *testing.B) {
	for name, most := range map[string]int{"Nobody": 0, "InDetail": 1000} {
		b.Run(name, func(b *testing.B) {
			db := storetest.Open(b)
			merchant := db.Merchant(b)
			if most > 0 {
				db.SQL.MustExec(`INSERT INTO event_watch (epoch, until, most) VALUES ('a', now() + interval '1 hour', $1)`, most)
			}
			next := make(chan billing.NewTask, 64)
			var callers sync.WaitGroup
			b.ResetTimer()
			for range 32 {
				callers.Go(func() {
					for task := range next {
						if _, err := db.Store.CreateTasks(context.Background(), []billing.NewTask{task}); err != nil {
							b.Error(err)
						}
					}
				})
			}
			for range b.N {
				next <- newTask(b, merchant.ID)
			}
			close(next)
			callers.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tasks/s")
		})
	}
}
