package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"billonce/bench/stage"
)

// sender is a load of requests from several clients, each on one kept connection. The bodies are made before the clock
// starts, and where a body holds what must differ from request to request, it is written into it in place.
type sender struct {
	clients int
	keyed   bool // with an Idempotency-Key in the header
	path    string
	per     int // tasks in one request
	from    int // number of the first request's first task, so that no key comes twice
	body    func(client int) requestBody
}

// requestBody is a client's body, of which numbered makes the version with the number of its first task.
type requestBody interface{ numbered(first int) []byte }

const keyDigits = 12

// run sends for as long as d and returns how many tasks were scheduled, and how many a second. A request that has begun by the end
// is waited for and counts.
func (s sender) run(ctx context.Context, api *stage.API, d time.Duration) (sent int, rate float64, err error) {
	addr := strings.TrimPrefix(api.URL, "http://")
	clients, bodies := make([]*lightClient, s.clients), make([]requestBody, s.clients)
	for i := range clients {
		if clients[i], err = dialLight(ctx, addr, s.path, api.Key); err != nil {
			return 0, 0, err
		}
		defer clients[i].Close()
		bodies[i] = s.body(i)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(ctx, func() { // whoever waits for an answer then waits no longer
		for _, client := range clients {
			client.Close()
		}
	})()
	var group sync.WaitGroup
	var next, done atomic.Int64
	began := time.Now()
	for i, client := range clients {
		group.Go(func() {
			for ctx.Err() == nil && time.Since(began) < d {
				first := s.from + int(next.Add(int64(s.per))) - s.per
				if err := client.post(bodies[i].numbered(first), s.key(first)); err != nil {
					cancel(err)
					return
				}
				done.Add(int64(s.per))
			}
		})
	}
	group.Wait()
	took := time.Since(began)
	if ctx.Err() != nil {
		return int(done.Load()), 0, context.Cause(ctx)
	}
	return int(done.Load()), float64(done.Load()) / took.Seconds(), nil
}

func (s sender) key(first int) string {
	if !s.keyed {
		return ""
	}
	return fmt.Sprintf("bench-%0*d", keyDigits, first)
}

// plainBody is the same each time.
type plainBody []byte

func (b plainBody) numbered(int) []byte { return b }

// keyedBody has keys to be numbered: at holds where the digits of each begin.
type keyedBody struct {
	text []byte
	at   []int
}

func (b keyedBody) numbered(first int) []byte {
	for i, at := range b.at {
		digits := strconv.AppendInt(nil, int64(first+i), 10)
		field := b.text[at : at+keyDigits]
		for n := range field {
			field[n] = '0'
		}
		copy(field[keyDigits-len(digits):], digits)
	}
	return b.text
}

func (e *enqueueRun) tomorrow() string {
	return time.Now().Add(24 * time.Hour).UTC().Format(time.RFC3339)
}

func (e *enqueueRun) single(client int) requestBody {
	return plainBody(fmt.Sprintf(`{"merchant_id":%q,"kind":"payment_intent.create","params":%s,"run_at":%q}`,
		e.merchants[client%len(e.merchants)], stage.PaymentParams(client), e.tomorrow()))
}

// batch makes bodies of so many tasks of all merchants, with a key for each task if they are to have one.
func (e *enqueueRun) batch(size int, keyed bool) func(int) requestBody {
	return func(int) requestBody {
		var body keyedBody
		body.text = append(body.text, `{"tasks":[`...)
		at := e.tomorrow()
		for i := range size {
			if i > 0 {
				body.text = append(body.text, ',')
			}
			body.text = fmt.Appendf(body.text, `{"merchant_id":%q,"kind":"payment_intent.create","params":%s,"run_at":%q`,
				e.merchants[i%len(e.merchants)], stage.PaymentParams(i), at)
			if keyed {
				body.text = append(body.text, `,"idempotency_key":"bench-`...)
				body.at = append(body.at, len(body.text))
				body.text = append(append(body.text, strings.Repeat("0", keyDigits)...), '"')
			}
			body.text = append(body.text, '}')
		}
		body.text = append(body.text, `]}`...)
		return body
	}
}
