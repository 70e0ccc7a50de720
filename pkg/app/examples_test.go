package app_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"billonce/internal/openapi"
	"billonce/internal/openapitest"
	"billonce/internal/programtest"
)

// story is the order in which the examples of the description follow one another.
var story = []string{
	"getMe", "createMerchant", "getEncryption", "getOverview", "listAttempts", "resolveTask", "listWorkers",
	"listMerchants", "getMerchant", "updateMerchant", "pauseMerchant", "resumeMerchant",
	"createTask", "createTasks", "streamEvents", "listTasks", "countTasks", "changeTasks", "getTask", "rescheduleTask", "cancelTask",
	"retryTask", "listChain",
	"createAPIKey", "listAPIKeys", "getAPIKey", "rotateAPIKey", "deleteAPIKey", "revokeAPIKey", "listAudit", "disconnectMerchant",
	"getHealth", "getLiveness", "getReadiness", "getDescription", "getDocs",
}

// TestTheExamplesOfTheDescription sends each of its requests to the real programs, and wants the answer that stands beside it: field
// by field, but for what is new each time (ids, which must be the same wherever the examples have the same, times, request ids).
func TestTheExamplesOfTheDescription(t *testing.T) {
	t.Parallel()
	document := openapitest.Document()
	operations := map[string]openapi.Operation{}
	for _, operation := range document.Operations {
		operations[operation.ID] = operation
		if !slices.Contains(story, operation.ID) {
			t.Errorf("%s is not in the story", operation.ID)
		}
	}
	s := newStack(t)
	_, c := s.api()
	teller := &teller{t: t, base: c.Base, ids: map[string]string{}}
	for _, id := range story {
		var worker *programtest.Process
		if id == "listWorkers" {
			worker = s.worker("WORKER_CONCURRENCY", "32")
		}
		teller.tell(operations[id])
		switch id {
		case "createMerchant":
			s.doubt(c, teller)
		case "listWorkers":
			s.end(worker)
		}
	}
}

// end stops a worker as it should be stopped.
func (s *stack) end(worker *programtest.Process) {
	s.t.Helper()
	worker.Signal(syscall.SIGTERM)
	if code := worker.Exit(); code != 0 {
		s.t.Fatalf("the worker ended with %d", code)
	}
}

// doubt brings about the task in doubt of the examples.
func (s *stack) doubt(c *client, teller *teller) {
	s.t.Helper()
	const target, example, merchant = "in_4710", "019a0c3e-6c70-7c41-8d1f-6a1e0f4b7b06", "019a0c3e-5b70-7c41-9d2f-6a1e0f4b7a01"
	s.seed(target)
	s.simulator().Must(200, "POST", "/_sim/faults", map[string]any{"faults": []any{
		map[string]any{"kind": "error_kept", "op": "invoice.pay"},
	}})
	worker := s.worker()
	task := c.Must(201, "POST", "/v1/tasks", map[string]any{"merchant_id": teller.ids[merchant], "kind": "invoice.pay", "target": target})
	teller.ids[example] = idOf(c.Await(idOf(task), "in_doubt"))
	s.end(worker)
}

// teller sends examples, and knows which real id stands for which of theirs.
type teller struct {
	t    *testing.T
	base string
	ids  map[string]string
}

// real replaces the examples' ids by the real ones.
func (l *teller) real(text string) string {
	for example, id := range l.ids {
		text = strings.ReplaceAll(text, example, id)
	}
	return text
}

func (l *teller) tell(operation openapi.Operation) {
	l.t.Helper()
	path, query := operation.Path, url.Values{}
	header := http.Header{}
	for _, parameter := range operation.Parameters {
		example := l.real(parameter.Example.Text())
		switch {
		case example == "":
		case parameter.In == "path":
			path = strings.ReplaceAll(path, "{"+parameter.Name+"}", example)
		case parameter.In == "query":
			query.Set(parameter.Name, example)
		case parameter.In == "header":
			header.Set(parameter.Name, example)
		}
	}
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	answer := operation.Answers[0]
	if len(operation.Body.Examples) == 0 {
		l.compare(operation, answer, "", l.send(operation, answer, path, header, nil))
		return
	}
	for _, example := range operation.Body.Examples {
		body, err := json.Marshal(example.Value.Value())
		if err != nil {
			l.t.Fatal(err)
		}
		l.compare(operation, answer, example.Name, l.send(operation, answer, path, header, []byte(l.real(string(body)))))
	}
}

func (l *teller) send(operation openapi.Operation, answer openapi.Answer, path string, header http.Header, body []byte) []byte {
	l.t.Helper()
	request, err := http.NewRequestWithContext(l.t.Context(), operation.Method, l.base+path, bytes.NewReader(body))
	if err != nil {
		l.t.Fatal(err)
	}
	request.Header = header
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if !operation.Open {
		request.Header.Set("Authorization", "Bearer "+adminKey)
	}
	response, err := (&http.Client{Transport: openapitest.Transport{}, Timeout: patience}).Do(request)
	if err != nil {
		l.t.Fatalf("%s: %v", operation.ID, err)
	}
	defer func() { _ = response.Body.Close() }()
	read := io.ReadAll
	if answer.MediaType == openapitest.EventStream { // it has no end
		read = openapitest.FirstBlock
	}
	got, err := read(response.Body)
	if err != nil || response.StatusCode != answer.Status {
		l.t.Fatalf("%s was answered %d, not %d: %v\n%s", operation.ID, response.StatusCode, answer.Status, err, got)
	}
	return got
}

// compare wants the answer's example of the given name, or its only one.
func (l *teller) compare(operation openapi.Operation, answer openapi.Answer, name string, got []byte) {
	l.t.Helper()
	if answer.MediaType != "application/json" {
		return
	}
	example := answer.Examples[0]
	for _, other := range answer.Examples {
		if other.Name == name {
			example = other
		}
	}
	var have any
	if err := json.Unmarshal(got, &have); err != nil {
		l.t.Fatal(err)
	}
	l.learn(example.Value.Value(), have)
	text, err := json.Marshal(example.Value.Value())
	if err != nil {
		l.t.Fatal(err)
	}
	var want any
	if err := json.Unmarshal([]byte(l.real(string(text))), &want); err != nil {
		l.t.Fatal(err)
	}
	if diff := cmp.Diff(lasting("", want), lasting("", have)); diff != "" {
		l.t.Errorf("%s, example %s: - described, + answered:\n%s", operation.ID, example.Name, diff)
	}
}

// learn takes the ids of an answer for those that the example has at the same places.
func (l *teller) learn(example, got any) {
	switch example := example.(type) {
	case map[string]any:
		fields, _ := got.(map[string]any)
		if id, ok := fields["id"].(string); ok {
			if shown, ok := example["id"].(string); ok && l.ids[shown] == "" {
				l.ids[shown] = id
			}
		}
		for name, value := range example {
			l.learn(value, fields[name])
		}
	case []any:
		list, _ := got.([]any)
		for i, value := range example {
			if i < len(list) {
				l.learn(value, list[i])
			}
		}
	}
}

// happened reports whether anything did in a step of outcomes; the example leaves the others out.
func happened(step any) bool {
	counts, _ := step.(map[string]any)
	for _, count := range counts {
		if n, ok := count.(float64); ok && n > 0 {
			return true
		}
	}
	return false
}

// lasting replaces what is new each time by its name.
func lasting(name string, value any) any {
	switch value := value.(type) {
	case map[string]any:
		kept := map[string]any{}
		for field, inner := range value {
			kept[field] = lasting(field, inner)
		}
		return kept
	case []any:
		kept := []any{}
		for _, inner := range value {
			if name != "outcomes" || happened(inner) {
				kept = append(kept, lasting(name, inner))
			}
		}
		return kept
	case string:
		if slices.Contains([]string{"request_id", "worker_id", "hint", "key", "host", "version"}, name) {
			return name
		}
		if _, err := time.Parse(time.RFC3339, value); err == nil && !strings.HasPrefix(value, "2035-") { // which the examples chose
			return "a time"
		}
		return value
	}
	return value
}
