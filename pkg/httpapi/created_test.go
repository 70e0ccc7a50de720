package httpapi_test

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"billonce/pkg/billing"
	"billonce/pkg/httpapi"
)

// FuzzShown: an answer is what encoding/json makes of it, whatever is in the task.
func FuzzShown(f *testing.F) {
	f.Add("in_1", "renewal:1", "order", "42", []byte(`{"b":1.50e1,"a":"<é\u2028>"}`), int64(0), int64(1), 0)
	f.Add("", "", "", "", []byte(`{}`), int64(1<<40), int64(999_999_999), 1)
	f.Add("\"\\\x7f<&>\u2028\xff", "é\n", "\x00", "\"", []byte(` { } `), int64(-1<<40), int64(5), 2)
	f.Fuzz(func(t *testing.T, target, intent, name, note string, params []byte, seconds, nanos int64, happened int) {
		if found, err := httpapi.Scan(params); err != nil || found > 0 {
			return
		}
		at := time.Unix(seconds%(1<<38), nanos)
		task := billing.Task{
			ID: taskID, MerchantID: merchantID, Kind: billing.InvoicePay, Target: target, Params: params, Status: billing.Pending,
			RunAt: at, ScheduledFor: at, CreatedAt: at.Add(time.Hour), UpdatedAt: at, MaxAttempts: happened, Attempt: int(nanos), Intent: intent,
			RetryOf: billing.TaskID(note), RetriedBy: billing.TaskID(name), Declines: int(seconds),
		}
		if name != "" {
			task.Metadata = map[string]string{name: note, note: name}
		}
		switch happened {
		case 1:
			task.FirstSentAt = &at
		case 2:
			task.OnDecline = &billing.Dunning{RetryAfter: []time.Duration{time.Hour}}
		case 3:
			task.Result = &billing.Result{ID: name}
		}
		written, encoded, err := httpapi.Shown(task)
		if err != nil {
			if _, timeErr := json.Marshal(at); timeErr != nil {
				return
			}
			t.Fatal(err)
		}
		if !bytes.Equal(written, encoded) {
			t.Errorf("\n%s\n%s", written, encoded)
		}
	})
}
