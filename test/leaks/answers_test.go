package leaks_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"billonce/internal/openapitest"
	"billonce/internal/programtest"
)

// book keeps every answer that was received, each different text once.
type book struct {
	mu     sync.Mutex
	pieces map[piece]bool
}

func newBook() *book { return &book{pieces: map[piece]bool{}} }

func (b *book) add(pieces ...piece) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, one := range pieces {
		b.pieces[one] = true
	}
}

func (b *book) all() []piece {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []piece
	for one := range b.pieces {
		all = append(all, one)
	}
	return all
}

// caller makes calls of every kind, good and bad, and notes whatever is answered.
type caller struct {
	t         testing.TB
	base, key string
	book      *book
	client    *http.Client
}

// caller calls the API; what is sent and answered must be as openapi.yaml says.
func (w *world) caller(base, key string) *caller {
	return &caller{t: w.t, base: base, key: key, book: w.book, client: &http.Client{
		Transport:     openapitest.Transport{Base: &http.Transport{}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// operator looks at the pages for operators, which nothing describes.
func (w *world) operator(base string) *caller {
	c := w.caller(base, "")
	c.client.Transport = &http.Transport{}
	return c
}

// send sends a body as it is. headers are names and values by turns; they replace what is there, and an empty value removes it.
func (c *caller) send(method, path, body string, headers ...string) (int, string) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), programtest.Patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, c.base+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	if c.key != "" {
		request.Header.Set("Authorization", "Bearer "+c.key)
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
		if headers[i+1] == "" {
			request.Header.Del(headers[i])
		}
	}
	response, err := c.client.Do(request)
	if errors.Is(err, openapitest.ErrMismatch) {
		c.t.Fatal(err)
	}
	if err != nil {
		c.t.Fatalf("%s: no answer", method) // the error would show the path
	}
	defer func() { _ = response.Body.Close() }()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		c.t.Fatalf("%s: half an answer: %v", method, err)
	}
	for name, values := range response.Header {
		c.book.add(piece{"answer's header " + name, strings.Join(values, "\n")})
	}
	c.book.add(document("answer", string(content))...)
	return response.StatusCode, string(content)
}

// want sends an object and fails the test unless it is answered with the status.
func (c *caller) want(status int, method, path string, body any, headers ...string) object {
	c.t.Helper()
	text := ""
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			c.t.Fatal(err)
		}
		text = string(encoded)
	}
	got, content := c.send(method, path, text, headers...)
	answer := object{}
	if err := json.Unmarshal([]byte(content), &answer); err != nil {
		c.t.Fatalf("%s %s: %d without JSON", method, path, got)
	}
	if got != status {
		c.t.Fatalf("%s %s: %d, want %d: code %v, errors %v", method, path, got, status, answer["code"], answer["errors"])
	}
	return answer
}

// idOf returns the id of an object of the API.
func idOf(answer object) string {
	id, _ := answer["id"].(string)
	return id
}
