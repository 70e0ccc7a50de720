package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"
)

// callsOf returns when the simulator received calls for an account within a time, in order.
func callsOf(ctx context.Context, simulator, account string, from, to time.Time) ([]time.Time, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, simulator+"/_sim/requests", http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("read the simulator's requests: %w", err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Minute}
	answer, err := client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("read the simulator's requests: %w", err)
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		return nil, errors.New("read the simulator's requests: answered " + answer.Status)
	}
	var log struct {
		Data []struct {
			At      time.Time
			Account string
		}
	}
	if err := json.NewDecoder(answer.Body).Decode(&log); err != nil {
		return nil, fmt.Errorf("read the simulator's requests: %w", err)
	}
	var calls []time.Time
	for _, one := range log.Data {
		if one.Account == account && !one.At.Before(from) && one.At.Before(to) {
			calls = append(calls, one.At)
		}
	}
	slices.SortFunc(calls, time.Time.Compare)
	return calls, nil
}

// most returns how many of the moments, which are in order, fall at most into any span of time.
func most(moments []time.Time, span time.Duration) int {
	best, from := 0, 0
	for i, at := range moments {
		for !moments[from].After(at.Add(-span)) {
			from++
		}
		best = max(best, i-from+1)
	}
	return best
}
