package dev

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"
)

const readyPoll = 25 * time.Millisecond

// waitReady returns when the service answers the URL with a 2xx, or with the reason why it never will.
func (s *stack) waitReady(ctx context.Context, which *service, url string) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	transport := &http.Transport{DisableKeepAlives: true}
	probe := &http.Client{Transport: transport, Timeout: 2 * time.Second}
	poll := time.NewTicker(readyPoll)
	defer poll.Stop()
	for {
		err := ask(ctx, probe, url)
		if err == nil {
			return nil
		}
		select {
		case <-poll.C:
		case <-which.Done():
			return died(which)
		case <-s.databaseDone():
			return s.databaseDied()
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready (its log is %s): %w", which.Name(), which.log, err)
		}
	}
}

func ask(ctx context.Context, probe *http.Client, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	answer, err := probe.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode < 200 || answer.StatusCode > 299 {
		return fmt.Errorf("%s answers %s", url, answer.Status)
	}
	return nil
}

// reachable turns an address to listen on into one to connect to.
func reachable(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}
