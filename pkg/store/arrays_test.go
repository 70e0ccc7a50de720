package store

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/lib/pq"
	"github.com/lib/pq/oid"

	"billonce/pkg/billing"
)

func texts(list ...string) []byte {
	a := newArray(oid.T_text, len(list), 8)
	for _, text := range list {
		a.addText(text)
	}
	return a.text
}

// FuzzResult: a result is written as encoding/json does, whatever is in it.
func FuzzResult(f *testing.F) {
	f.Add("invoice", "in_1", "paid", "req_1", true)
	f.Add("", "\x00\x1f\x7f", "<&>\"\\/", "é\u2028\xff", false)
	f.Fuzz(func(t *testing.T, object, id, status, request string, replayed bool) {
		result := billing.Result{Object: object, ID: id, Status: status, RequestID: request, Replayed: replayed}
		want, err := json.Marshal(result)
		if err != nil {
			t.Fatal(err)
		}
		got, err := appendResult([]byte("before"), &result)
		if err != nil || string(got) != "before"+string(want) {
			t.Errorf("%q, %v; encoding/json writes %q", got, err, want)
		}
	})
}

// FuzzUUID: an id is taken exactly if it has the canonical form, and its digits are all there.
func FuzzUUID(f *testing.F) {
	f.Add("01890a5d-ac96-774b-bcce-b302099a8057")
	f.Add("01890A5D-AC96-774B-BCCE-B302099A8057")
	f.Add("01890a5dac96774bbcceb302099a8057")
	f.Add("01890a5d-ac96-774b-bcce-b302099a805g")
	f.Add("")
	f.Fuzz(func(t *testing.T, id string) {
		_, err := billing.ParseTaskID(id)
		a := newArray(oid.T_uuid, 1, 16)
		before := len(a.text)
		if got := a.addUUID(id); (got == nil) != (err == nil) {
			t.Fatalf("%q: %v, want %v", id, got, err)
		}
		if err != nil {
			return
		}
		digits := hex.EncodeToString(a.text[before:])
		if want := "00000010" + strings.ToLower(strings.ReplaceAll(id, "-", "")); digits != want {
			t.Errorf("%q became %s", id, digits)
		}
	})
}

// TestArraysAreSizedExactly: nothing is allocated twice, and nothing but the arrays.
func TestArraysAreSizedExactly(t *testing.T) {
	settlements := manySettlements(500)
	settlements[7].Answer.Reason = billing.ReasonReconciled // so that all are told in full
	args, err := finishArgs("01890a5d-ac96-774b-bcce-b302099a8057", settlements)
	if err != nil {
		t.Fatal(err)
	}
	for i, arg := range args[1:] {
		if array, ok := arg.([]byte); !ok || len(array) < 20+4*len(settlements) {
			t.Errorf("parameter %d is no array of %d: %T", i+2, len(settlements), arg)
		}
	}
	got := testing.AllocsPerRun(20, func() { _, err = finishArgs("01890a5d-ac96-774b-bcce-b302099a8057", settlements) })
	if err != nil || got > 25 {
		t.Errorf("%v allocations for %d settlements, %v", got, len(settlements), err)
	}
}

// TestPlainSuccessesAreToldInShort: ids, attempts and results are there, the rest is what finishQuery takes for granted.
func TestPlainSuccessesAreToldInShort(t *testing.T) {
	t.Parallel()
	settlements := manySettlements(500)
	args, err := finishArgs("01890a5d-ac96-774b-bcce-b302099a8057", settlements)
	if err != nil {
		t.Fatal(err)
	}
	full := map[int]bool{1: true, 2: true, 4: true}
	for i, arg := range args[1:] {
		array, ok := arg.([]byte)
		if empty := ok && len(array) == 12; !ok || empty == full[i+1] {
			t.Errorf("parameter %d has %d bytes", i+2, len(array))
		}
	}
}

func manySettlements(n int) []*billing.Settlement {
	settlements := make([]*billing.Settlement, n)
	for i := range settlements {
		settlements[i] = &billing.Settlement{
			ID: "01890a5d-ac96-774b-bcce-b302099a8057", Attempt: 1, Status: billing.Succeeded,
			Answer: billing.Answer{Outcome: billing.OutcomeSucceeded, Reason: billing.ReasonDone, Result: &billing.Result{
				Object: "payment_intent", ID: "pi_3OxBenchmarkAnswer00000", Status: "succeeded", RequestID: "req_BenchmarkAns0",
			}},
		}
	}
	return settlements
}

// TestASettlementThatCannotBeWritten: an id or an attempt that PostgreSQL would refuse is refused here.
func TestASettlementThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	for _, bad := range []billing.Settlement{{ID: "no id", Attempt: 1}, {ID: "01890a5d-ac96-774b-bcce-b302099a8057", Attempt: 1 << 31}} {
		if _, err := finishArgs("w", []*billing.Settlement{&bad}); !errors.Is(err, billing.ErrContent) {
			t.Errorf("%v, attempt %d: %v", bad.ID, bad.Attempt, err)
		}
	}
}

func BenchmarkFinishArgs(b *testing.B) {
	settlements := manySettlements(500)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := finishArgs("01890a5d-ac96-774b-bcce-b302099a8057", settlements); err != nil {
			b.Fatal(err)
		}
	}
}

// sameArrays are the parameters of a query that compares an array of ours with one of lib/pq's.
func sameArrays(list []string, ids []string, numbers []int64) ([]any, error) {
	binary, err := uuids(ids)
	if err != nil {
		return nil, err
	}
	ints := newArray(oid.T_int4, len(numbers), 4)
	for _, n := range numbers {
		if err := ints.addInt(int(n)); err != nil {
			return nil, err
		}
	}
	return []any{texts(list...), pq.Array(list), binary, pq.Array(ids), bytes.Clone(ints.text), pq.Array(numbers)}, nil
}
