package chaos_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"billonce/internal/programtest"
)

const (
	posters        = 6
	postPause      = 50 * time.Millisecond
	clientPatience = 4 * time.Second // with one answer
)

// post sends orders, many at a time, until each has been answered. It returns when all are, or ctx ends.
func (w *world) post(ctx context.Context, orders []*order) {
	queue := make(chan *order)
	var crew sync.WaitGroup
	for i := range posters {
		random := rand.New(rand.NewPCG(w.seed, uint64(i)+1))
		crew.Go(func() {
			for one := range queue {
				w.place(ctx, random, one)
			}
		})
	}
	for _, one := range orders {
		queue <- one
	}
	close(queue)
	crew.Wait()
}

// place sends one order as an impatient client does: to either api, again after no answer, and at times twice at once.
func (w *world) place(ctx context.Context, random *rand.Rand, one *order) {
	clients := w.clients()
	for ctx.Err() == nil {
		var twins sync.WaitGroup
		first := random.IntN(len(clients))
		answers := make([]programtest.Answer, 1+random.IntN(3)/2)
		for i := range answers {
			client := clients[(first+i)%len(clients)]
			twins.Go(func() {
				if answer, err := client.Try("POST", "/v1/tasks", one.body, "Idempotency-Key", one.key); err == nil {
					answers[i] = answer
				}
			})
		}
		twins.Wait()
		done := false
		for _, answer := range answers {
			done = w.answered(one, answer) || done
		}
		if done {
			break
		}
		pause(ctx, postPause)
	}
	if one.intent != "" && w.scheduled(one) && ctx.Err() == nil {
		w.insist(ctx, clients[random.IntN(len(clients))], one)
	}
}

// answered notes what an answer says of the order, and reports whether it settles it.
func (w *world) answered(one *order, answer programtest.Answer) bool {
	switch answer.Status {
	case 201:
		id, _ := answer.Body["id"].(string)
		w.mu.Lock()
		defer w.mu.Unlock()
		one.ids[id] = true
		return true
	case 0, 409, 500, 503: // no answer; the key is in use by the twin; the database is away
	case 422: // the merchant has left before
		w.mu.Lock()
		defer w.mu.Unlock()
		if one.merchant == leaver {
			one.refused = true
			return true
		}
		w.t.Errorf("order %s: %d %v", one.key, answer.Status, answer.Body)
		return true
	default:
		w.mu.Lock()
		defer w.mu.Unlock()
		w.t.Errorf("order %s: %d %v", one.key, answer.Status, answer.Body)
		return true
	}
	return false
}

func (w *world) scheduled(one *order) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(one.ids) > 0
}

// insist asks for the same intent under another key. While the first task may still be done, that is refused; once it has
// failed, another task with the intent is right.
func (w *world) insist(ctx context.Context, client *programtest.Client, one *order) {
	again := &order{key: one.key + "-again", intent: one.intent, merchant: one.merchant, body: one.body, ids: map[string]bool{}}
	for ctx.Err() == nil {
		answer, err := client.Try("POST", "/v1/tasks", again.body, "Idempotency-Key", again.key)
		switch {
		case err != nil || answer.Status >= 500 || answer.Status == 409 && answer.Body["code"] == "key_in_progress":
			pause(ctx, postPause)
			continue
		case answer.Status == 201:
			id, _ := answer.Body["id"].(string)
			again.ids[id] = true
		case answer.Status == 409 && answer.Body["code"] == "intent_taken", answer.Status == 422 && one.merchant == leaver:
			again.refused = true
		default:
			w.mu.Lock()
			w.t.Errorf("order %s: %d %v", again.key, answer.Status, answer.Body)
			w.mu.Unlock()
		}
		break
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.extra = append(w.extra, again)
}

// meddle cancels, postpones and repeats tasks until ctx ends.
func (w *world) meddle(ctx context.Context) {
	random := rand.New(rand.NewPCG(w.seed, 1000))
	clients := w.clients()
	for ctx.Err() == nil {
		pause(ctx, 30*time.Millisecond)
		client := clients[random.IntN(len(clients))]
		id := w.someTask(random)
		if id == "" {
			continue
		}
		path := "/v1/tasks/" + id
		switch random.IntN(6) {
		case 0:
			if answer, err := client.Try("POST", path+"/cancel", object{}); err == nil && answer.Status == 200 {
				w.count("tasks canceled")
			}
		case 1:
			at := time.Now().Add(time.Duration(random.IntN(2000)) * time.Millisecond).UTC().Format(time.RFC3339Nano)
			if answer, err := client.Try("POST", path+"/reschedule", object{"run_at": at}); err == nil && answer.Status == 200 {
				w.count("tasks rescheduled")
			}
		case 2:
			w.retry(clients, path)
		}
	}
}

// retry clicks twice at once, on both apis: one task must come of it.
func (w *world) retry(clients []*programtest.Client, path string) {
	var twins sync.WaitGroup
	ids := make([]string, len(clients))
	for i, client := range clients {
		twins.Go(func() {
			if answer, err := client.Try("POST", path+"/retry", object{}); err == nil && answer.Status == 201 {
				ids[i], _ = answer.Body["id"].(string)
			}
		})
	}
	twins.Wait()
	if ids[0] != "" || ids[1] != "" {
		w.count("tasks retried")
	}
	if ids[0] != "" && ids[1] != "" && ids[0] != ids[1] {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.t.Errorf("%s: two clicks made %v", path, ids)
	}
}

func (w *world) someTask(random *rand.Rand) string {
	one := w.wares.orders[random.IntN(len(w.wares.orders))]
	w.mu.Lock()
	defer w.mu.Unlock()
	for id := range one.ids {
		return id
	}
	return ""
}

// mend puts merchants right that lost their credentials, until ctx ends.
func (w *world) mend(ctx context.Context) {
	clients := w.clients()
	for n := 0; ctx.Err() == nil; n++ {
		w.mendOnce(clients[n%len(clients)], n)
		pause(ctx, 50*time.Millisecond)
	}
}

// mendOnce does what an operator does about a merchant that needs a new token.
func (w *world) mendOnce(client *programtest.Client, n int) {
	for i, m := range w.wares.merchants {
		answer, err := client.Try("GET", "/v1/merchants/"+m.id, nil)
		if err != nil || answer.Status != 200 || answer.Body["status"] != "paused" {
			continue
		}
		if len(m.tokens) > 0 {
			token := fmt.Sprintf("sk_test_canary_%s_%d", m.account, n)
			if a, err := w.sim.Try("POST", "/_sim/accounts", object{"token": token, "account": m.account}); err != nil || a.Status != 200 {
				continue
			}
			w.mu.Lock()
			m.tokens = append(m.tokens, token)
			w.mu.Unlock()
			if a, err := client.Try("PATCH", "/v1/merchants/"+m.id, object{"access_token": token}); err != nil || a.Status != 200 {
				continue
			}
		} else if a, err := w.sim.Try("POST", "/_sim/accounts/"+m.account+"/restore", nil); err != nil || a.Status != 200 {
			continue
		}
		if a, err := client.Try("POST", "/v1/merchants/"+m.id+"/resume", object{}); err == nil && a.Status == 200 {
			w.count(fmt.Sprintf("merchant %d mended", i))
		}
	}
}

func (w *world) count(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.struck[what]++
}

// pause waits, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
