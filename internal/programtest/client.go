package programtest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"billonce/internal/openapitest"
)

// Client speaks JSON to the API, or to the simulator. What passes between it and the API must be as openapi.yaml says.
type Client struct {
	T         testing.TB
	Base      string // "http://host:port"
	Key       string // sent as a bearer token; "": none is
	Simulator bool   // Base is the simulator's, which nothing describes

	Patience time.Duration // how long one call may take; 0: [Patience]
}

// Answer is an answer of any status.
type Answer struct {
	Status int
	Header http.Header
	Body   map[string]any
}

// Do fails the test when there is no answer. headers are names and values by turns.
func (c *Client) Do(method, path string, body any, headers ...string) Answer {
	c.T.Helper()
	a, err := c.Try(method, path, body, headers...)
	if err != nil {
		c.T.Fatal(err)
	}
	return a
}

// Try reports a missing answer, and one that is not JSON or not as described, as an error. Any goroutine may call
// it: it never ends the test, though an answer that is not as described fails it.
func (c *Client) Try(method, path string, body any, headers ...string) (Answer, error) {
	var reader io.Reader
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return Answer{}, err
		}
		reader = bytes.NewReader(encoded)
	}
	patience := c.Patience
	if patience == 0 {
		patience = Patience
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, c.Base+path, reader)
	if err != nil {
		return Answer{}, err
	}
	if c.Key != "" {
		request.Header.Set("Authorization", "Bearer "+c.Key)
	}
	request.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	web := &http.Client{Transport: openapitest.Transport{}}
	if c.Simulator {
		web.Transport = nil
	}
	response, err := web.Do(request)
	if errors.Is(err, openapitest.ErrMismatch) { // whoever calls may think that the connection broke, and try again
		c.T.Error(err)
	}
	if err != nil {
		return Answer{}, err
	}
	defer func() { _ = response.Body.Close() }()
	a := Answer{Status: response.StatusCode, Header: response.Header, Body: map[string]any{}}
	if strings.HasPrefix(response.Header.Get("Content-Type"), openapitest.EventStream) && method != http.MethodHead { // it has no end
		_, err := openapitest.FirstBlock(response.Body)
		return a, err
	}
	content, err := io.ReadAll(response.Body)
	if err != nil {
		return Answer{}, err
	}
	// What the API describes as something else than JSON is of no interest here; it was held against the description above.
	other := !c.Simulator && slices.Contains([]string{"application/yaml", "text/html; charset=utf-8"}, response.Header.Get("Content-Type"))
	if len(content) > 0 && !other {
		if err := json.Unmarshal(content, &a.Body); err != nil {
			return Answer{}, fmt.Errorf("%s %s answered %d with %q", method, path, response.StatusCode, content)
		}
	}
	return a, nil
}

// Must fails the test unless the call is answered with the status, and returns the body.
func (c *Client) Must(status int, method, path string, body any, headers ...string) map[string]any {
	c.T.Helper()
	a := c.Do(method, path, body, headers...)
	if a.Status != status {
		c.T.Fatalf("%s %s answered %d, want %d: %v", method, path, a.Status, status, a.Body)
	}
	return a.Body
}

// Await polls until the task is in one of the statuses, and returns it.
func (c *Client) Await(id string, statuses ...string) map[string]any {
	c.T.Helper()
	deadline := time.After(Patience)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		task := c.Must(200, "GET", "/v1/tasks/"+id, nil)
		for _, status := range statuses {
			if task["status"] == status {
				return task
			}
		}
		select {
		case <-tick.C:
		case <-deadline:
			c.T.Fatalf("the task is not %v: %v", statuses, task)
		}
	}
}
