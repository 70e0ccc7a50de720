package billing_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/google/uuid"

	"billonce/pkg/billing"
)

// FuzzID: what is taken for an id is a UUID in its canonical form, and one key belongs to it. Anything else is not found.
func FuzzID(f *testing.F) {
	for _, seed := range []string{
		"", "0192f5a0-7b1c-7def-8a2b-0123456789ab", "0192F5A0-7B1C-7DEF-8A2B-0123456789AB", "{0192f5a0-7b1c-7def-8a2b-0123456789ab}", "0192f5a07b1c7def8a2b0123456789ab",
		"urn:uuid:0192f5a0-7b1c-7def-8a2b-0123456789ab", "0192f5a0-7b1c-7def-8a2b-0123456789a\x00", "0192f5a0-7b1c-7def-8a2b-0123456789a\xff", "0192f5a0_7b1c_7def_8a2b_0123456789ab",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		task, errTask := billing.ParseTaskID(text)
		merchant, errMerchant := billing.ParseMerchantID(text)
		if (errTask == nil) != (errMerchant == nil) {
			t.Fatalf("%q: %v, %v", text, errTask, errMerchant)
		}
		if errTask != nil {
			if billing.CodeOf(errTask) != billing.CodeNotFound || text != "" && len(text) > 2 && strings.Contains(errTask.Error(), text) && !strings.Contains("no such task", text) && !strings.Contains("not_found", text) {
				t.Fatalf("%q: %v", text, errTask)
			}
			return
		}
		known, err := uuid.Parse(text)
		if err != nil || known.String() != string(task) || string(task) != string(merchant) || len(text) != 36 {
			t.Fatalf("%q is taken for %q: %v", text, task, err)
		}
		if got := task.IdempotencyKey(); got != "task_"+known.String() {
			t.Fatalf("the key of %q is %q", text, got)
		}
	})
}

// FuzzDunning: a plan that can be read is written so that it is read again as the same.
func FuzzDunning(f *testing.F) {
	for _, seed := range []string{
		`{}`, `null`, `{"retry_after":["24h","1h30m"],"stop_codes":["lost_card"]}`, `{"retry_after":["-1ns","0"]}`, `{"retry_after":["9999999h"]}`, `{"retry_after":[""]}`, `{"retry_after":7}`, `[]`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var plan, again billing.Dunning
		if json.Unmarshal(text, &plan) != nil {
			return
		}
		written, err := json.Marshal(plan)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(written, &again); err != nil {
			t.Fatalf("%s: %v", written, err)
		}
		if !reflect.DeepEqual(append([]string{}, plan.StopCodes...), append([]string{}, again.StopCodes...)) || len(plan.RetryAfter) != len(again.RetryAfter) {
			t.Fatalf("%s is read as %+v, then as %+v", text, plan, again)
		}
		for i, after := range plan.RetryAfter {
			if again.RetryAfter[i] != after {
				t.Fatalf("%s becomes %s", after, again.RetryAfter[i])
			}
		}
	})
}
