package billing_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"billonce/pkg/billing"
)

func TestStatusTransitions(t *testing.T) {
	t.Parallel()
	allowed := map[string]bool{
		"pending running": true, "pending canceled": true,
		"running pending": true, "running succeeded": true, "running failed": true, "running in_doubt": true,
		"in_doubt succeeded": true, "in_doubt failed": true,
	}
	for _, from := range billing.Statuses() {
		if !from.Known() {
			t.Errorf("%s is not known", from)
		}
		for _, to := range billing.Statuses() {
			if got, want := from.CanBecome(to), allowed[string(from)+" "+string(to)]; got != want {
				t.Errorf("%s to %s: got %v, want %v", from, to, got, want)
			}
			if from.Terminal() && from.CanBecome(to) {
				t.Errorf("%s is terminal and becomes %s", from, to)
			}
		}
	}
	if billing.Status("retrying").Known() || billing.Status("").CanBecome(billing.Running) {
		t.Error("an unknown status is accepted")
	}
}

func TestKinds(t *testing.T) {
	t.Parallel()
	seen := map[billing.Kind]bool{}
	for _, kind := range billing.Kinds() {
		if seen[kind] || !kind.Known() {
			t.Errorf("%s", kind)
		}
		seen[kind] = true
		if got, want := kind.Creates(), strings.HasSuffix(string(kind), ".create"); got != want {
			t.Errorf("%s.Creates() = %v", kind, got)
		}
		if got, want := kind.PaysOut(), kind == billing.TransferCreate || kind == billing.PayoutCreate; got != want {
			t.Errorf("%s.PaysOut() = %v", kind, got)
		}
	}
	if len(seen) != 25 || billing.Kind("invoice.burn").Known() {
		t.Errorf("%d kinds", len(seen))
	}
}

func TestIDs(t *testing.T) {
	t.Parallel()
	const id = "0192f5a0-7b1c-7def-8a2b-0123456789ab"
	if got, err := billing.ParseTaskID(strings.ToUpper(id)); err != nil || got != id {
		t.Errorf("got %q, %v", got, err)
	}
	if got := billing.TaskID(id).IdempotencyKey(); got != "task_"+id {
		t.Errorf("key %q", got)
	}
	for _, bad := range []string{"", "1", id + "0", id[:35], strings.ReplaceAll(id, "-", "_"), "0192f5a07b1c-7def-8a2b-0123456789abc-", strings.Replace(id, "a", "g", 1)} {
		if _, err := billing.ParseTaskID(bad); billing.CodeOf(err) != billing.CodeNotFound {
			t.Errorf("ParseTaskID(%q): %v", bad, err)
		}
		if _, err := billing.ParseMerchantID(bad); billing.CodeOf(err) != billing.CodeNotFound {
			t.Errorf("ParseMerchantID(%q): %v", bad, err)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("a key was made of an empty id")
		}
	}()
	_ = billing.TaskID("").IdempotencyKey()
}

func TestBackoff(t *testing.T) {
	t.Parallel()
	backoff := billing.Backoff{Base: 2 * time.Second, Max: 15 * time.Minute}
	for range 1000 {
		attempt, jitter := rand.IntN(200)-5, rand.Float64()
		pause := backoff.Next(attempt, jitter)
		bound := backoff.Max
		if attempt < 10 {
			bound = min(bound, backoff.Base<<max(attempt-1, 0))
		}
		if pause < backoff.Base/10 || pause > max(bound, backoff.Base/10) {
			t.Fatalf("attempt %d, jitter %v: pause %s", attempt, jitter, pause)
		}
	}
	if got := backoff.Next(3, 0.5); got != 4*time.Second {
		t.Errorf("third pause at half jitter is %s, want 4s", got)
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	cause := errors.New("cause")
	err := fmt.Errorf("do: %w", &billing.Error{Code: billing.CodeConflict, Message: "no", Err: cause, Faults: []billing.Fault{{Pointer: "/x"}}})
	if billing.CodeOf(err) != billing.CodeConflict || !errors.Is(err, cause) || len(billing.FaultsOf(err)) != 1 {
		t.Errorf("%v", err)
	}
	if billing.CodeOf(nil) != "" || billing.CodeOf(cause) != billing.CodeInternal || billing.FaultsOf(cause) != nil {
		t.Error("an error without a code is not internal")
	}
	if err.Error() != "do: conflict: no: cause" {
		t.Errorf("%q", err)
	}
}

func TestRequestHashTellsItsPartsApart(t *testing.T) {
	t.Parallel()
	base := billing.Request{Method: "POST", Path: "/v1/invoices", Body: "a=1", APIVersion: "2023-10-16"}
	for _, other := range []billing.Request{
		{Method: "DELETE", Path: base.Path, Body: base.Body, APIVersion: base.APIVersion},
		{Method: base.Method, Path: base.Path + "a", Body: "=1", APIVersion: base.APIVersion},
		{Method: base.Method, Path: base.Path, Body: "a=2", APIVersion: base.APIVersion},
		{Method: base.Method, Path: base.Path, Body: base.Body, APIVersion: "2024-01-01"},
	} {
		if base.Hash() == other.Hash() {
			t.Errorf("%+v has the hash of %+v", other, base)
		}
	}
	if again := base; base.Hash() != again.Hash() {
		t.Error("the hash is not a function")
	}
}
