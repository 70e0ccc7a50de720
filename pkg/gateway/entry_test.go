package gateway

import (
	"testing"
	"time"

	"billonce/pkg/billing"
)

const fuzzedTask = billing.TaskID("0192f5a0-7b1c-7def-8a2b-0123456789ab")

// FuzzPage reads pages that anybody may have written: a finding may come of them, but nothing is kept that is not an identifier,
// and no success without the task's own mark.
func FuzzPage(f *testing.F) {
	own := `"request":{"id":"req_1","idempotency_key":"` + fuzzedTask.IdempotencyKey() + `"}`
	for _, body := range []string{
		`{"data":[]}`, `{"data":[{"id":"evt_1","type":"invoice.paid",` + own + `,"data":{"object":{"id":"in_1","object":"invoice"}}}],"has_more":true}`,
		`{"data":[{"id":"evt_1","type":"refund.created","created":-1,"request":"req_1","data":null}]}`,
		`{"data":[{"id":"re_1","object":"refund","metadata":{"billonce_task_id":"` + string(fuzzedTask) + `"},"status":7}]}`,
		`{"data":[{"id":"pi_1","object":"payment_intent","metadata":[],"last_payment_error":{}}]}`, `[]`, ``, page,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		read, ok := readPage(observation{status: 200, body: body})
		if !ok {
			return
		}
		l := &look{}
		events := list{entries: read.Data, complete: true}
		for _, kind := range billing.Kinds() {
			doubt := billing.Doubt{ID: fuzzedTask, Kind: kind, Target: "in_1", FirstSentAt: time.Unix(1, 0)}
			evidence := []billing.Evidence{events.evidence("events")}
			found, told := l.findEvent(doubt, traceOf(kind), events, &evidence)
			if told && found.Outcome != succeeded && found.Outcome != refused {
				t.Fatalf("%+v", found)
			}
			if found.Outcome == succeeded && (!isID(found.Result.ID) || found.Result.Object != traceOf(kind).object) {
				t.Fatalf("%+v", found.Result)
			}
			for _, one := range read.Data {
				evidence = append(evidence, one.evidence(""), one.objectEvidence("list", events, ""))
			}
			for _, one := range evidence {
				for _, kept := range []string{one.Object, one.EventID, one.Status, one.RequestID, one.IdempotencyKey} {
					if kept != "" && !isMadeOf(kept, "_-.[]") {
						t.Fatalf("kept %q", kept)
					}
				}
			}
		}
	})
}
