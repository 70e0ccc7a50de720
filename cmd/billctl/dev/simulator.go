package dev

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

const (
	simulatorTimeout = 10 * time.Second
	maxLedger        = 64 << 20
)

// Effect is one line of the simulator's ledger: something that really happened.
type Effect struct {
	Seq            int64  `json:"seq"`
	Account        string `json:"account"`
	Op             string `json:"op"`
	Object         string `json:"object"`
	Amount         int64  `json:"amount"`
	IdempotencyKey string `json:"idempotency_key"`
}

// fixture is an object that exists at the simulator before any task runs.
type fixture map[string]any

// addFixtures puts objects into an account.
func (s *stack) addFixtures(ctx context.Context, account string, objects []fixture) error {
	body := map[string]any{"account": account, "livemode": false, "objects": objects}
	if _, err := s.simulate(ctx, http.MethodPost, "/_sim/fixtures", body); err != nil {
		return fmt.Errorf("prepare the simulator's account %s: %w", account, err)
	}
	return nil
}

// ledger returns every effect, in the order in which they happened.
func (s *stack) ledger(ctx context.Context) ([]Effect, error) {
	raw, err := s.simulate(ctx, http.MethodGet, "/_sim/ledger", nil)
	if err != nil {
		return nil, fmt.Errorf("read the simulator's ledger: %w", err)
	}
	var answer struct {
		Data []Effect `json:"data"`
	}
	if err := json.Unmarshal(raw, &answer); err != nil {
		return nil, fmt.Errorf("read the simulator's ledger: %w", err)
	}
	return answer.Data, nil
}

func (s *stack) simulate(ctx context.Context, method, path string, body any) ([]byte, error) {
	var content io.Reader = http.NoBody
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		content = bytes.NewReader(encoded)
	}
	request, err := http.NewRequestWithContext(ctx, method, s.simulator.url+path, content)
	if err != nil {
		return nil, err
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	control := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: simulatorTimeout}
	answer, err := control.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = answer.Body.Close() }()
	raw, err := io.ReadAll(io.LimitReader(answer.Body, maxLedger))
	if err != nil {
		return nil, err
	}
	if answer.StatusCode < 200 || answer.StatusCode > 299 {
		return nil, fmt.Errorf("%s: %s", answer.Status, strings.TrimSpace(string(raw[:min(len(raw), 500)])))
	}
	return raw, nil
}
