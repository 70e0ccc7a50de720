package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/riverqueue/river"
)

// Payment is a job with the fields of [stage.PaymentParams], hence the same 200 bytes.
type Payment struct {
	Amount      int    `json:"amount"`
	Currency    string `json:"currency"`
	Customer    string `json:"customer"`
	Description string `json:"description"`
}

// Kind implements river.JobArgs.
func (Payment) Kind() string { return "payment_intent.create" }

func (p *Payment) read(params json.RawMessage) error { return json.Unmarshal(params, p) }

// caller sends a job's parameters to Stripe, as a form, under a key, on kept connections.
type caller struct {
	river.WorkerDefaults[Payment]
	url  string
	http *http.Client
}

func newCaller(base string, slots int) *caller {
	return &caller{url: base + "/v1/payment_intents", http: &http.Client{
		Transport: &http.Transport{MaxIdleConns: slots, MaxIdleConnsPerHost: slots}, Timeout: 80 * time.Second,
	}}
}

// Work implements river.Worker.
func (c *caller) Work(ctx context.Context, job *river.Job[Payment]) error {
	form := url.Values{
		"amount": {strconv.Itoa(job.Args.Amount)}, "currency": {job.Args.Currency}, "customer": {job.Args.Customer},
		"description": {job.Args.Description},
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, strings.NewReader(form.Encode()))
	if err != nil {
		return fmt.Errorf("call Stripe: %w", err)
	}
	request.Header.Set("Authorization", "Bearer sk_test_acct_river0")
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Idempotency-Key", "job_"+strconv.FormatInt(job.ID, 10))
	answer, err := c.http.Do(request)
	if err != nil {
		return fmt.Errorf("call Stripe: %w", err)
	}
	defer func() { _ = answer.Body.Close() }()
	var object struct{ ID, Object, Status string }
	if err := json.NewDecoder(answer.Body).Decode(&object); err != nil {
		return fmt.Errorf("read Stripe's answer: %w", err)
	}
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		return fmt.Errorf("read Stripe's answer: %w", err)
	}
	if answer.StatusCode != http.StatusOK || object.ID == "" {
		return fmt.Errorf("call Stripe: answered %s", answer.Status)
	}
	return nil
}
