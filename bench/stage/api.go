package stage

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

const (
	callTimeout = 2 * time.Minute
	batchSize   = 10_000 // the most that the API takes
	loaders     = 2      // batches on their way at once
)

// API is a running api and a client of it.
type API struct {
	*Process
	Key  string // bearer key with every scope
	http *http.Client
}

func newAPI(process *Process) *API {
	return &API{Process: process, Key: adminKey, http: &http.Client{
		Transport: &http.Transport{MaxIdleConnsPerHost: 64}, Timeout: callTimeout,
	}}
}

// Task is a task to be scheduled.
type Task struct {
	MerchantID string          `json:"merchant_id"`
	Kind       string          `json:"kind"`
	Target     string          `json:"target,omitempty"`
	Params     json.RawMessage `json:"params,omitempty"`
	RunAt      *time.Time      `json:"run_at,omitempty"` // nil: now
}

// Post sends a document and decodes the answer into into, unless that is nil. The client keeps its connections.
func (a *API) Post(ctx context.Context, path string, body, into any) error {
	encoded, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("POST %s: %w", path, err)
	}
	return a.PostRaw(ctx, path, encoded, into)
}

// PostRaw is Post with a body that is encoded already, for measurements.
func (a *API) PostRaw(ctx context.Context, path string, body []byte, into any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, a.URL+path, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("POST %s: %w", path, err)
	}
	request.Header.Set("Authorization", "Bearer "+a.Key)
	request.Header.Set("Content-Type", "application/json")
	answer, err := a.http.Do(request)
	if err != nil {
		return fmt.Errorf("POST %s: %w", path, err)
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode < 200 || answer.StatusCode > 299 {
		text, _ := io.ReadAll(io.LimitReader(answer.Body, 500))
		return fmt.Errorf("POST %s: %s: %s", path, answer.Status, strings.TrimSpace(string(text)))
	}
	if into == nil {
		_, err = io.Copy(io.Discard, answer.Body)
	} else {
		err = json.NewDecoder(answer.Body).Decode(into)
	}
	if err != nil {
		return fmt.Errorf("POST %s: read the answer: %w", path, err)
	}
	return nil
}

// CreateMerchants connects n merchants, each with a token of its own (which the simulator knows), and returns their ids.
// Their accounts are acct_PREFIX0, acct_PREFIX1 and so on.
func (a *API) CreateMerchants(ctx context.Context, prefix string, n int) ([]string, error) {
	ids := make([]string, n)
	for i := range ids {
		account := fmt.Sprintf("acct_%s%d", prefix, i)
		var created struct {
			ID string `json:"id"`
		}
		body := map[string]any{"name": fmt.Sprintf("Bench %s %d", prefix, i), "stripe_connect_id": account, "access_token": "sk_test_" + account}
		if err := a.Post(ctx, "/v1/merchants", body, &created); err != nil {
			return nil, fmt.Errorf("connect merchant %d: %w", i, err)
		}
		ids[i] = created.ID
	}
	return ids, nil
}

// Schedule schedules n tasks in batches of 10,000; task makes the one with the given number and is called by several
// goroutines.
func (a *API) Schedule(ctx context.Context, n int, task func(i int) Task) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	starts := make(chan int)
	var group sync.WaitGroup
	for range loaders {
		group.Go(func() {
			for from := range starts {
				if err := a.batch(ctx, from, min(from+batchSize, n), task); err != nil {
					cancel(err)
				}
			}
		})
	}
	for from := 0; from < n && ctx.Err() == nil; from += batchSize {
		select {
		case starts <- from:
		case <-ctx.Done():
		}
	}
	close(starts)
	group.Wait()
	if ctx.Err() != nil {
		return fmt.Errorf("schedule %d tasks: %w", n, context.Cause(ctx))
	}
	return nil
}

func (a *API) batch(ctx context.Context, from, to int, task func(i int) Task) error {
	tasks := make([]Task, 0, to-from)
	for i := from; i < to; i++ {
		tasks = append(tasks, task(i))
	}
	return a.Post(ctx, "/v1/tasks/batch", map[string]any{"tasks": tasks}, nil)
}

// PaymentParams are the 200 bytes of parameters that a task of every contender carries: here those of a
// payment_intent.create.
func PaymentParams(i int) json.RawMessage {
	const size = 200
	head := fmt.Sprintf(`{"amount":%d,"currency":"eur","customer":"cus_ok","description":"Renewal %08d `, 1000+i%9000, i)
	return json.RawMessage(head + strings.Repeat("x", size-len(head)-2) + `"}`)
}
