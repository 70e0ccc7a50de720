package cli_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"billonce/cmd/billctl/cli"
	"billonce/internal/openapi"
	"billonce/internal/openapitest"
)

// byCommand is a call of billctl for each operation of the API. FILE is one with two tasks.
var byCommand = map[string]string{
	"getOverview": "overview", "listWorkers": "workers", "getEncryption": "encryption", "getMe": "me", "listAudit": "audit",
	"createMerchant": "merchants create --name A --account acct_1", "listMerchants": "merchants list", "getMerchant": "merchants show ID",
	"updateMerchant": "merchants update ID --name B", "disconnectMerchant": "merchants disconnect ID --yes",
	"pauseMerchant": "merchants pause ID", "resumeMerchant": "merchants resume ID",
	"createTask": "tasks create --merchant ID --kind invoice.pay --target in_1", "createTasks": "tasks batch FILE", "listTasks": "tasks list",
	"countTasks": "tasks counts", "changeTasks": "tasks bulk cancel --status pending --reason r --yes", "getTask": "tasks show ID",
	"listAttempts": "tasks attempts ID", "listChain": "tasks chain ID", "cancelTask": "tasks cancel ID", "rescheduleTask": "tasks reschedule ID --at 3d",
	"retryTask": "tasks retry ID", "resolveTask": "tasks resolve ID --as failed --note n", "streamEvents": "events watch",
	"createAPIKey": "apikeys create --name A --scope tasks:read", "listAPIKeys": "apikeys list", "getAPIKey": "apikeys show ID",
	"revokeAPIKey": "apikeys revoke ID", "rotateAPIKey": "apikeys rotate ID",
	"getReadiness": "doctor --skip stripe", "getDescription": "doctor --skip stripe",
}

// noCommand are the operations that billctl needs none for.
var noCommand = map[string]string{
	"deleteAPIKey": "does what revokeAPIKey does", "getHealth": "for probes", "getLiveness": "for probes", "getDocs": "for readers",
}

// TestEveryOperationHasACommand: billctl can do whatever the API can, says so to people and, with --json, to programs. The API answers with
// the description's examples.
func TestEveryOperationHasACommand(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "tasks.ndjson")
	if err := os.WriteFile(file, []byte(`{"kind":"a"}`+"\n"+`{"kind":"b"}`+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, operation := range openapitest.Document().Operations {
		line, has := byCommand[operation.ID]
		if _, needsNone := noCommand[operation.ID]; has == needsNone {
			t.Errorf("%s (%s %s) has no command", operation.ID, operation.Method, operation.Path)
		}
		if !has {
			continue
		}
		t.Run(operation.ID, func(t *testing.T) {
			t.Parallel()
			for _, more := range []string{"", "--json"} {
				example := newExampleAPI(t)
				ctx, cancel := contextOf(t)
				var out *os.File
				example.told = func() { // a stream has no end: whoever watches it ends it, once something is printed
					await(t, func() bool {
						content, err := os.ReadFile(out.Name())
						return err == nil && len(content) > 0
					})
					cancel()
				}
				args := strings.Fields(strings.NewReplacer("ID", taskID, "FILE", file).Replace(line) + " " + more)
				got := runIn(ctx, t, example.env(), func(streams *cli.Streams) { out = streams.Out }, args...)
				if !example.has(operation.ID) || got.out == "" || got.code != 0 && args[0] != "doctor" { // which finds faults in examples
					t.Errorf("billctl %s: %+v", strings.Join(args, " "), got)
				}
				if more == "--json" && !areDocuments(got.out) {
					t.Errorf("billctl %s prints no JSON: %s", strings.Join(args, " "), got.out)
				}
			}
		})
	}
}

// areDocuments reports whether a text is JSON, and nothing else.
func areDocuments(text string) bool {
	decoder := json.NewDecoder(strings.NewReader(text))
	for {
		var document any
		switch err := decoder.Decode(&document); {
		case errors.Is(err, io.EOF):
			return true
		case err != nil:
			return false
		}
	}
}

// exampleAPI answers each operation with the description's example.
type exampleAPI struct {
	*fakeAPI
	t    *testing.T
	told func() // called once a stream has sent its event

	mu    sync.Mutex
	asked map[string]bool // operations
}

func newExampleAPI(t *testing.T) *exampleAPI {
	t.Helper()
	e := &exampleAPI{t: t, asked: map[string]bool{}}
	e.fakeAPI = newAPI(t, map[string]http.HandlerFunc{"/": e.answer})
	return e
}

func (e *exampleAPI) has(operation string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.asked[operation]
}

func (e *exampleAPI) answer(w http.ResponseWriter, r *http.Request) {
	operation, ok := openapitest.Document().Find(r.Method, r.URL.Path)
	if !ok {
		e.t.Errorf("%s %s is no operation", r.Method, r.URL.Path)
	}
	e.mu.Lock()
	e.asked[operation.ID] = true
	e.mu.Unlock()
	answer := operation.Answers[0]
	w.Header().Set("Content-Type", answer.MediaType)
	w.WriteHeader(answer.Status)
	switch {
	case operation.ID == "streamEvents":
		_, _ = io.WriteString(w, "id: 1\nevent: reset\ndata: {\"reason\":\"begin\"}\n\n")
		_ = http.NewResponseController(w).Flush()
		e.told()
		<-r.Context().Done()
	case answer.MediaType == "application/json":
		text, err := json.Marshal(exampleFor(r, answer))
		if err != nil {
			e.t.Error(err)
		}
		_, _ = w.Write(text)
	}
}

// exampleFor is the example that answers a request: a count the first, a change the last.
func exampleFor(r *http.Request, answer openapi.Answer) any {
	body, _ := io.ReadAll(r.Body) // which these callers do not break off
	last := len(answer.Examples) - 1
	if bytes.Contains(body, []byte(`"dry_run":true`)) {
		last = 0
	}
	return answer.Examples[last].Value.Value()
}
