package client_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"billonce/internal/openapi"
	"billonce/internal/openapitest"
	"billonce/pkg/client"
	"billonce/pkg/secret"
)

// TestEveryCall makes the call of each operation with the description's example, against a server that answers with the example: the
// request is as described, and what comes back, written again, is what was answered, so that no type loses a field.
func TestEveryCall(t *testing.T) {
	t.Parallel()
	calls := 0
	for _, operation := range openapitest.Document().Operations {
		answer := operation.Answers[0]
		if answer.MediaType != "application/json" {
			continue
		}
		calls++
		t.Run(operation.ID, func(t *testing.T) {
			t.Parallel()
			want, err := json.Marshal(answer.Examples[0].Value.Value())
			if err != nil {
				t.Fatal(err)
			}
			server := answering(t, operation, answer, want)
			c, err := client.New(server.URL, secret.New("bo_live_x"), client.Through(openapitest.Transport{}))
			if err != nil {
				t.Fatal(err)
			}
			name := strings.ToUpper(operation.ID[:1]) + operation.ID[1:]
			method := reflect.ValueOf(c).MethodByName(name)
			if !method.IsValid() {
				t.Fatalf("there is no call %s", name)
			}
			results := method.Call(argumentsOf(t, method.Type(), operation))
			if err, _ := results[1].Interface().(error); err != nil {
				t.Fatal(err)
			}
			got, err := json.Marshal(results[0].Interface())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(value(t, want), value(t, got)); diff != "" {
				t.Errorf("- answered, + understood:\n%s", diff)
			}
		})
	}
	if methods := reflect.TypeFor[*client.Client]().NumMethod() - len([]string{"Do", "Send", "Get", "Into", "List", "Events"}); methods != calls {
		t.Errorf("%d calls for %d operations", methods, calls)
	}
}

// answering returns a server that wants one operation's example, and answers it.
func answering(t *testing.T, operation openapi.Operation, answer openapi.Answer, body []byte) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if found, ok := openapitest.Document().Find(r.Method, r.URL.Path); !ok || found.ID != operation.ID {
			t.Errorf("%s %s is not %s", r.Method, r.URL.Path, operation.ID)
		}
		for _, parameter := range operation.Parameters {
			got := r.Header.Get(parameter.Name)
			switch parameter.In {
			case "query":
				got = r.URL.Query().Get(parameter.Name)
			case "path":
				got = r.URL.Path[strings.Index(operation.Path, "{"):][:len(parameter.Example.Text())]
			}
			if want := parameter.Example.Text(); got != want {
				t.Errorf("%s is %q, not %q", parameter.Name, got, want)
			}
		}
		sent, _ := io.ReadAll(r.Body)
		if len(openapi.Properties(operation.Body.Schema)) > 0 {
			want, _ := json.Marshal(operation.Body.Examples[0].Value.Value())
			if diff := cmp.Diff(value(t, want), value(t, sent)); diff != "" {
				t.Errorf("- described, + sent:\n%s", diff)
			}
		}
		w.Header().Set("Content-Type", answer.MediaType)
		w.Header().Set("X-Request-Id", "r")
		for _, header := range answer.Headers {
			if header.Name == "Location" {
				w.Header().Set("Location", "/v1/tasks/019a0c3e-6c80-7d52-8e30-7b2f1a5c8b02")
			}
		}
		w.WriteHeader(answer.Status)
		_, _ = io.Copy(w, bytes.NewReader(body))
	}))
	t.Cleanup(server.Close)
	return server
}

// argumentsOf makes a call's arguments from the examples.
func argumentsOf(t *testing.T, method reflect.Type, operation openapi.Operation) []reflect.Value {
	t.Helper()
	arguments := []reflect.Value{reflect.ValueOf(t.Context())}
	var texts []string
	for _, parameter := range operation.Parameters {
		if parameter.In != "query" {
			texts = append(texts, parameter.Example.Text())
		}
	}
	for i := 1; i < method.NumIn(); i++ {
		argument := reflect.New(method.In(i)).Elem()
		switch {
		case argument.Kind() == reflect.String:
			argument.SetString(texts[0])
			texts = texts[1:]
		case strings.HasSuffix(argument.Type().Name(), "Query"):
			fill(t, argument, operation)
		default:
			body, err := json.Marshal(operation.Body.Examples[0].Value.Value())
			if err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(body, argument.Addr().Interface()); err != nil {
				t.Fatal(err)
			}
		}
		arguments = append(arguments, argument)
	}
	return arguments
}

// fill sets each field of a query to its parameter's example. They stand in the same order.
func fill(t *testing.T, query reflect.Value, operation openapi.Operation) {
	t.Helper()
	field := 0
	for _, parameter := range operation.Parameters {
		if parameter.In != "query" {
			continue
		}
		if example := parameter.Example.Text(); example != "" {
			switch into := query.Field(field).Addr().Interface().(type) {
			case *int:
				if _, err := fmt.Sscan(example, into); err != nil {
					t.Fatal(err)
				}
			case *time.Time:
				at, err := time.Parse(time.RFC3339, example)
				if err != nil {
					t.Fatal(err)
				}
				*into = at
			default:
				query.Field(field).SetString(example)
			}
		}
		field++
	}
}

func value(t *testing.T, text []byte) any {
	t.Helper()
	var read any
	if err := json.Unmarshal(text, &read); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return read
}
