package dev

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"billonce/cmd/billctl/client"
	"billonce/pkg/billing"
)

// sampleMerchant is a merchant that a stack begins with. The simulator knows the token sk_test_acct_x for acct_x.
type sampleMerchant struct {
	name, account string
	token         bool // has a token of its own; else served with the platform's key
}

// sample is a task to be scheduled, and how it must end.
type sample struct {
	account string
	kind    billing.Kind
	target  string
	params  map[string]any
	delay   time.Duration // 0: at once
	want    billing.Status
}

// runMark tells the objects and keys of one run from those of another.
func runMark() string {
	random := make([]byte, 4)
	_, _ = rand.Read(random) // never fails since Go 1.24
	return hex.EncodeToString(random)
}

// ensureMerchant returns the connected merchant of the account, after creating it if there is none.
func (s *stack) ensureMerchant(ctx context.Context, want sampleMerchant) (client.Merchant, error) {
	var found struct {
		Data []client.Merchant `json:"data"`
	}
	query := url.Values{"stripe_connect_id": {want.account}}
	if err := s.api.Get(ctx, "/v1/merchants", query, &found); err != nil {
		return client.Merchant{}, fmt.Errorf("look for the merchant %s: %w", want.name, err)
	}
	for _, merchant := range found.Data {
		if merchant.Status != string(billing.MerchantDisconnected) && !merchant.Livemode {
			return merchant, nil
		}
	}
	body := map[string]any{"name": want.name, "stripe_connect_id": want.account}
	if want.token {
		body["access_token"] = accessToken(want.account)
		body["refresh_token"] = refreshToken(want.account)
	}
	var created client.Merchant
	err := s.api.Into(ctx, client.Call{Method: http.MethodPost, Path: "/v1/merchants", Body: body}, &created)
	if err != nil {
		return created, fmt.Errorf("create the merchant %s: %w", want.name, err)
	}
	return created, nil
}

func accessToken(account string) string  { return "sk_test_" + account }
func refreshToken(account string) string { return "rt_" + account }

// merchants makes the sample merchants and returns them by account.
func (s *stack) ensureMerchants(ctx context.Context, list []sampleMerchant) (map[string]client.Merchant, error) {
	byAccount := map[string]client.Merchant{}
	for _, want := range list {
		merchant, err := s.ensureMerchant(ctx, want)
		if err != nil {
			return nil, err
		}
		byAccount[want.account] = merchant
	}
	return byAccount, nil
}

// schedule posts the samples as one batch and returns their tasks, in order. Each has a key, so that the batch may be sent
// again.
func (s *stack) schedule(ctx context.Context, mark string, merchants map[string]client.Merchant, samples []sample) ([]client.Task, error) {
	type task struct {
		MerchantID     string         `json:"merchant_id"`
		Kind           billing.Kind   `json:"kind"`
		Target         string         `json:"target,omitempty"`
		Params         map[string]any `json:"params,omitempty"`
		RunAt          *time.Time     `json:"run_at,omitempty"`
		IdempotencyKey string         `json:"idempotency_key"`
	}
	batch := make([]task, len(samples))
	for i, one := range samples {
		batch[i] = task{
			MerchantID: merchants[one.account].ID, Kind: one.kind, Target: one.target, Params: one.params,
			IdempotencyKey: fmt.Sprintf("sample-%s-%d", mark, i),
		}
		if one.delay > 0 {
			at := s.opts.Now().Add(one.delay).UTC().Truncate(time.Millisecond)
			batch[i].RunAt = &at
		}
	}
	var answer struct {
		Data []client.Task `json:"data"`
	}
	err := s.api.Into(ctx, client.Call{Method: http.MethodPost, Path: "/v1/tasks/batch", Body: map[string]any{"tasks": batch}}, &answer)
	if err != nil {
		return nil, fmt.Errorf("schedule the sample tasks: %w", err)
	}
	if len(answer.Data) != len(samples) {
		return nil, fmt.Errorf("schedule the sample tasks: sent %d, %d came back", len(samples), len(answer.Data))
	}
	return answer.Data, nil
}
