package app_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"billonce/internal/openapitest"
	"billonce/pkg/gateway"
	"billonce/pkg/httpapi"
	"billonce/pkg/secret"
	"billonce/pkg/store/storetest"
	"billonce/pkg/telemetry"
)

// hostile is one request, and what may come of it.
type hostile struct {
	name   string
	raw    []byte
	method string
	canary string // a value that a refusal must not repeat, nor log, nor keep
	secret bool   // the canary is a token: nothing may show it, accepted or not

	refused  bool   // must be answered 4xx
	pointer  string // where, if the answer is 422 with faults, one of them must lie: there, above it or below it
	wire     bool   // concerns the connection: net/http may refuse it by itself, or end the connection
	half     bool   // the client says no more after it
	stranger bool   // carries a wrong key, and so comes from another address
}

var canaries = regexp.MustCompile(`canary[0-9]{6}x`)

// TestHostileRequests sends the real api, with its real database, thousands of requests that are made from its own route table:
// every method, path, header, query parameter and field, each in every way that it could be wrong. None may be answered 5xx, hang,
// repeat what it was sent, or leave a row when it was refused.
func TestHostileRequests(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	process := spawn(t, "api", map[string]string{
		"DATABASE_URL": db.URL, "ADMIN_API_KEY": adminKey, "API_ADDR": "127.0.0.1:0", "OPS_ADDR": "127.0.0.1:0", "LOG_LEVEL": "debug",
		"ENCRYPTION_KEY": "7f4a1c9be2d3560817a5c4f2e9b0d36a8c5e1f7094b2d8a6c3e5f01927b4d86e",
	})
	address := process.Attr("api listening", "address")
	api := newClient(t, "http://"+address, adminKey)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)

	all := newGenerator(t, api, inProcess(t, db, httpapi.Config{}).Routes(), seed).everything()
	if len(all) < 5000 {
		t.Errorf("only %d cases", len(all))
	}
	before := allIDs(t, db)
	began := time.Now()
	outcome := fire(t, address, all)
	t.Logf("%d requests in %s, the slowest took %s; by status: %v", len(all), time.Since(began), outcome.slowest, outcome.statuses)

	if status, _ := api.get("/readyz"); status != http.StatusOK {
		t.Errorf("readyz answers %d afterwards", status)
	}
	added := slices.DeleteFunc(allIDs(t, db), func(id string) bool { return slices.Contains(before, id) })
	for _, id := range added {
		if !outcome.made[id] {
			t.Errorf("row %s was made by no request that was answered so", id)
		}
	}
	if len(added) != len(outcome.made) {
		t.Errorf("%d rows were added, %d were answered", len(added), len(outcome.made))
	}
	process.Signal(syscall.SIGTERM)
	if code := process.Exit(); code != 0 {
		t.Errorf("the api exits with %d", code)
	}
	written := process.Output()
	for _, alarm := range []string{`"level":"ERROR"`, "panic", "DATA RACE"} {
		if at := strings.Index(written, alarm); at >= 0 {
			t.Errorf("the log has %s: …%.600s", alarm, written[max(0, at-200):])
		}
	}
	outcome.mustNotHold(t, "the log", written)
	outcome.mustNotHold(t, "the database", everyRow(t, db))
}

// outcome is what became of all requests.
type outcome struct {
	mu       sync.Mutex
	statuses map[int]int
	made     map[string]bool   // ids that answers of 201 named
	unseen   map[string]string // canaries of refused requests, and which
	slowest  time.Duration
	faults   int
}

// fire sends the requests over a few connections at once.
func fire(t *testing.T, address string, all []hostile) *outcome {
	t.Helper()
	o := &outcome{statuses: map[int]int{}, made: map[string]bool{}, unseen: map[string]string{}}
	queue := make(chan hostile)
	var clients sync.WaitGroup
	for i := range 6 {
		clients.Go(func() {
			friend := &wire{address: address, from: fmt.Sprintf("127.0.0.%d", 10+i)}
			stranger := &wire{address: address, from: fmt.Sprintf("127.0.1.%d", 10+i)}
			defer friend.close()
			defer stranger.close()
			for h := range queue {
				client := friend
				if h.stranger {
					client = stranger
				}
				r, err := client.send(h)
				o.judge(t, h, r, err)
			}
		})
	}
	for _, h := range all {
		queue <- h
	}
	close(queue)
	clients.Wait()
	return o
}

func (o *outcome) judge(t *testing.T, h hostile, r reply, err error) {
	t.Helper()
	fault := h.judge(r)
	if err != nil {
		fault = err.Error()
	}
	if fault == "" && !h.wire && !r.cut {
		fault = h.described(r)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.statuses[r.status]++
	o.slowest = max(o.slowest, r.took)
	if h.canary != "" && (h.secret || r.status >= 400 || r.cut) {
		o.unseen[h.canary] = h.name
	}
	if r.status == http.StatusCreated {
		var one struct {
			ID   string
			Data []struct{ ID string }
		}
		_ = json.Unmarshal(r.body, &one) // judge has looked at it
		for _, made := range append(one.Data, struct{ ID string }{one.ID}) {
			if made.ID != "" && r.header.Get("Idempotent-Replayed") == "" {
				o.made[made.ID] = true
			}
		}
	}
	if fault == "" {
		return
	}
	if o.faults++; o.faults <= 25 {
		t.Errorf("%s: %s\nsent     %.300q\nanswered %d %.600s", h.name, fault, h.raw, r.status, r.body)
	}
}

func (o *outcome) mustNotHold(t *testing.T, where, text string) {
	t.Helper()
	for _, found := range canaries.FindAllString(text, -1) {
		if name, ok := o.unseen[found]; ok {
			t.Errorf("%s holds what was sent as %s", where, name)
			delete(o.unseen, found)
		}
	}
}

// judge returns what is wrong with an answer, "" when nothing is.
func (h hostile) judge(r reply) string {
	switch {
	case r.cut && h.wire:
		return ""
	case r.cut:
		return "the connection was cut without an answer"
	case len(r.after) > 0:
		return fmt.Sprintf("one request has a second answer: %.200q", r.after)
	case h.canary != "" && strings.Contains(string(r.raw), h.canary) && (h.secret || r.status >= 400):
		return "the answer repeats what was sent"
	case r.status == http.StatusNotImplemented || r.status == http.StatusHTTPVersionNotSupported:
		// RFC 9112 wants these of any server for a coding or a version that it does not know; net/http says them and hangs up.
		if h.wire && isBare(r) {
			return ""
		}
		return "a 5xx"
	case r.status >= 500:
		return "a 5xx"
	case r.status == http.StatusSeeOther && strings.Contains(string(r.raw), "\r\nLocation: /sign-in"):
		return "" // a page of the console, which nobody sees who is not signed in
	case r.status < 400 && h.refused:
		return "not refused"
	case r.status < 400:
		return ""
	case h.wire && isBare(r):
		return ""
	}
	return h.judgeProblem(r)
}

// isBare reports whether net/http answered by itself, before any of our code, and ended the connection.
func isBare(r reply) bool {
	if r.status == http.StatusExpectationFailed {
		return r.last && len(r.body) == 0
	}
	mediaType, _, err := mime.ParseMediaType(r.header.Get("Content-Type"))
	return err == nil && mediaType == "text/plain" && r.last && len(r.body) < 200
}

// described holds the request and its answer against openapi.yaml, "" when they are as it says.
func (h hostile) described(r reply) string {
	request, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(h.raw)))
	if err != nil {
		return "net/http cannot read what it took: " + err.Error()
	}
	sent, err := io.ReadAll(request.Body)
	if err != nil {
		return "" // the body is cut, and so may be what the server made of it
	}
	if h.method == http.MethodGet || h.method == http.MethodHead {
		sent = nil // which is not read
	}
	err = openapitest.Check(openapitest.Exchange{
		Method: h.method, URL: request.URL, Request: request.Header, Sent: sent, Status: r.status, Answer: r.header, Got: r.body,
	})
	if err != nil {
		return err.Error()
	}
	return ""
}

var pointerForm = regexp.MustCompile(`^(/([^~/]|~[01])*)*$`)

// judgeProblem looks at a problem document (RFC 9457).
func (h hostile) judgeProblem(r reply) string {
	if got := r.header.Get("Content-Type"); got != "application/problem+json" {
		return "the refusal is " + got
	}
	if h.method == http.MethodHead {
		return ""
	}
	var p struct {
		Type, Title, Detail, Code string
		Status                    int
		RequestID                 string `json:"request_id"`
		Errors                    []struct{ Pointer, Query, Code, Detail *string }
	}
	decoder := json.NewDecoder(strings.NewReader(string(r.body)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&p); err != nil {
		return "the problem cannot be read: " + err.Error()
	}
	if decoder.More() {
		return "something follows the problem"
	}
	if p.Type != "urn:billonce:problem:"+p.Code || p.Title == "" || p.Detail == "" || p.Code == "" || p.Status != r.status ||
		p.RequestID == "" || p.RequestID != r.header.Get("X-Request-Id") {
		return "the problem is incomplete"
	}
	if p.Code == "invalid" && len(p.Errors) == 0 {
		return "the problem names no fault"
	}
	near := h.pointer == "" || p.Code != "invalid"
	for _, fault := range p.Errors {
		if fault.Pointer == nil || fault.Code == nil || fault.Detail == nil || *fault.Code == "" || *fault.Detail == "" {
			return "a fault is incomplete"
		}
		if !pointerForm.MatchString(*fault.Pointer) {
			return fmt.Sprintf("%q is no JSON pointer", *fault.Pointer)
		}
		near = near || strings.HasPrefix(h.pointer+"/", *fault.Pointer+"/") || strings.HasPrefix(*fault.Pointer, h.pointer+"/")
	}
	if !near {
		return "no fault is at " + h.pointer
	}
	return ""
}

func (c *client) get(path string) (int, map[string]any) {
	c.T.Helper()
	a := c.Do(http.MethodGet, path, nil)
	return a.Status, a.Body
}

// inProcess is the api's server over a test's database, with limits of the test's own.
func inProcess(t *testing.T, db *storetest.DB, config httpapi.Config) *httpapi.Server {
	t.Helper()
	return httpapi.New(httpapi.Deps{
		Merchants: db.Store, Tasks: db.Store, Standing: db.Store, Keys: db.Store, Audit: db.Store, Events: db.Store,
		Freezer: gateway.NewFreezer(false), Health: telemetry.NewHealth(),
		AdminKey: secret.New(adminKey), Log: slog.New(slog.NewJSONHandler(io.Discard, nil)),
	}, config)
}

// tables returns the names of all tables of the schema.
func tables(t *testing.T, db *storetest.DB) []string {
	t.Helper()
	var names []string
	if err := db.SQL.Select(&names, `SELECT tablename FROM pg_tables WHERE schemaname = 'public'`); err != nil {
		t.Fatal(err)
	}
	return names
}

// allIDs returns the ids of all rows of the tables in which the API makes objects.
func allIDs(t *testing.T, db *storetest.DB) []string {
	t.Helper()
	var ids []string
	for _, name := range tables(t, db) {
		if name != "scheduled_tasks" && name != "merchants" && name != "api_keys" {
			continue
		}
		var some []string
		if err := db.SQL.Select(&some, `SELECT id::text FROM `+name); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, some...)
	}
	return ids
}

// everyRow is the whole database as text.
func everyRow(t *testing.T, db *storetest.DB) string {
	t.Helper()
	var out strings.Builder
	for _, name := range tables(t, db) {
		var rows []string
		if err := db.SQL.Select(&rows, `SELECT x::text FROM `+name+` AS x`); err != nil {
			t.Fatal(err)
		}
		out.WriteString(strings.Join(rows, "\n"))
	}
	return out.String()
}
