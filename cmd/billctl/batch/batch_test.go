package batch_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"billonce/cmd/billctl/batch"
	"billonce/cmd/billctl/progress"
	"billonce/pkg/client"
)

// book is an API that schedules each key once.
type book struct {
	keys  map[string]bool
	sizes []int
	fail  error // what the next call ends with
}

func (b *book) Send(_ context.Context, call client.Call) (client.Answer, error) {
	if b.fail != nil {
		return client.Answer{}, b.fail
	}
	encoded, err := json.Marshal(call.Body)
	if err != nil {
		return client.Answer{}, err
	}
	var body struct {
		Tasks []struct {
			Key string `json:"idempotency_key"`
		}
	}
	if err := json.Unmarshal(encoded, &body); err != nil {
		return client.Answer{}, err
	}
	answer := client.Answer{Replayed: true}
	list := client.List{}
	for _, task := range body.Tasks {
		if !b.keys[task.Key] {
			b.keys[task.Key], answer.Replayed = true, false
		}
		list.Data = append(list.Data, json.RawMessage(fmt.Sprintf(`{"id":%q}`, task.Key)))
	}
	b.sizes = append(b.sizes, len(body.Tasks))
	answer.Body, err = json.Marshal(list)
	return answer, err
}

func send(t *testing.T, api batch.API, text string, opts batch.Options) (batch.State, error) {
	t.Helper()
	return batch.Run(t.Context(), api, strings.NewReader(text), opts, func([]json.RawMessage) error { return nil }, progress.Quiet{})
}

func TestSendingAFileAgainSchedulesNothingTwice(t *testing.T) {
	t.Parallel()
	api := &book{keys: map[string]bool{}}
	const first = `{"kind":"invoice.pay","target":"in_1"}
{"target":"in_2", "kind":"invoice.pay"}

{"kind":"invoice.pay","target":"in_1"}
{"kind":"invoice.pay","target":"in_3","idempotency_key":"own"}
`
	state, err := send(t, api, first, batch.Options{Size: 3})
	if err != nil || state != (batch.State{Tasks: 4, Line: 5}) || len(api.keys) != 4 || !api.keys["own"] {
		t.Fatalf("%+v, %v, %v", state, err, slices.Sorted(maps.Keys(api.keys)))
	}
	if diff := cmp.Diff([]int{3, 1}, api.sizes); diff != "" {
		t.Error(diff)
	}
	for name, tc := range map[string]struct {
		text string
		opts batch.Options
		more int
	}{
		"TheSame":          {first, batch.Options{Size: 3}, 0},
		"OtherParts":       {first, batch.Options{Size: 1}, 0},
		"OneMoreBefore":    {`{"kind":"invoice.pay","target":"in_9"}` + "\n" + first, batch.Options{Size: 3}, 1},
		"WrittenOtherwise": {`{ "target": "in_1", "kind": "invoice.pay" }`, batch.Options{Size: 3}, 0},
		"AnotherSeries":    {first, batch.Options{Size: 10, Series: "march"}, 3},
	} {
		t.Run(name, func(t *testing.T) {
			again := &book{keys: maps.Clone(api.keys)}
			if _, err := send(t, again, tc.text, tc.opts); err != nil || len(again.keys)-len(api.keys) != tc.more {
				t.Errorf("%d more, %v", len(again.keys)-len(api.keys), err)
			}
		})
	}
}

func TestNumbersStayAsTheyAreWritten(t *testing.T) {
	t.Parallel()
	var sent string
	api := sender(func(call client.Call) (client.Answer, error) {
		encoded, err := json.Marshal(call.Body)
		sent = string(encoded)
		return client.Answer{Body: json.RawMessage(`{"data":[{}]}`)}, err
	})
	if _, err := send(t, api, `{"params":{"amount":12345678901234567890}}`, batch.Options{Size: 1}); err != nil || !strings.Contains(sent, ":12345678901234567890}") {
		t.Errorf("%s, %v", sent, err)
	}
}

type sender func(client.Call) (client.Answer, error)

func (s sender) Send(_ context.Context, call client.Call) (client.Answer, error) { return s(call) }

func TestFaultsAreToldByLines(t *testing.T) {
	t.Parallel()
	api := &book{keys: map[string]bool{}, fail: &client.Problem{Title: "The request is not valid", Status: 422, Errors: []client.Fault{
		{Pointer: "/tasks/1/kind", Detail: "is unknown"}, {Pointer: "/tasks/0", Detail: "is odd"}, {Pointer: "/x", Detail: "is else"},
	}}}
	state, err := send(t, api, "\n{}\n\n{\"kind\":\"x\"}\n", batch.Options{Size: 10})
	if err == nil || state.Tasks != 0 {
		t.Fatalf("%+v, %v", state, err)
	}
	for _, want := range []string{"line 4, /kind: is unknown", "line 2: is odd", "/x: is else"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in %v", want, err)
		}
	}
}

func TestWhatIsNoTaskIsFoundBeforeAnythingIsSent(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"NotJSON": "{}\nnonsense\n", "AList": "{}\n[]\n", "Two": "{}\n{}{}\n", "Null": "{}\nnull\n", "Cut": "{}\n{\"a\":\n",
	} {
		if n, err := batch.Count(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), "line 2") || n != 1 {
			t.Errorf("%s: %d, %v", name, n, err)
		}
	}
	if n, err := batch.Count(strings.NewReader("{}\n\n {} \n")); n != 2 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if _, err := batch.Count(io.LimitReader(endless{}, 3<<20)); err == nil {
		t.Error("a line without an end is taken")
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}
