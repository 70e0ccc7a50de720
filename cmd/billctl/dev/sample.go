package dev

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"billonce/pkg/billing"
	"billonce/pkg/client"
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
	found, err := s.api.ListMerchants(ctx, client.ListMerchantsQuery{StripeConnectID: want.account})
	if err != nil {
		return client.Merchant{}, fmt.Errorf("look for the merchant %s: %w", want.name, err)
	}
	for _, merchant := range found.Data {
		if merchant.Status != billing.MerchantDisconnected && !merchant.Livemode {
			return merchant, nil
		}
	}
	body := client.NewMerchant{Name: want.name, StripeConnectID: want.account}
	if want.token {
		access, refresh := accessToken(want.account), refreshToken(want.account)
		body.AccessToken, body.RefreshToken = &access, &refresh
	}
	created, err := s.api.CreateMerchant(ctx, body)
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
	batch := make([]client.BatchTask, len(samples))
	for i, one := range samples {
		key := fmt.Sprintf("sample-%s-%d", mark, i)
		batch[i] = client.BatchTask{MerchantID: merchants[one.account].ID, Kind: one.kind, IdempotencyKey: &key}
		if one.target != "" {
			batch[i].Target = &one.target
		}
		if one.params != nil {
			params, err := json.Marshal(one.params)
			if err != nil {
				return nil, fmt.Errorf("write the parameters of sample %d: %w", i, err)
			}
			batch[i].Params = params
		}
		if one.delay > 0 {
			at := s.opts.Now().Add(one.delay).UTC().Truncate(time.Millisecond)
			batch[i].RunAt = &at
		}
	}
	answer, err := s.api.CreateTasks(ctx, "", client.NewTasks{Tasks: batch})
	if err != nil {
		return nil, fmt.Errorf("schedule the sample tasks: %w", err)
	}
	if len(answer.Data) != len(samples) {
		return nil, fmt.Errorf("schedule the sample tasks: sent %d, %d came back", len(samples), len(answer.Data))
	}
	return answer.Data, nil
}
