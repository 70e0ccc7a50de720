package gateway

import (
	"fmt"
	"testing"
	"time"

	"billonce/pkg/billing"
)

const fuzzedTask = billing.TaskID("0192f5a0-7b1c-7def-8a2b-0123456789ab")

// TestNothingConfidentialPassesForAnIdentifier: what an answer has where an identifier belongs is kept, so it must be one.
func TestNothingConfidentialPassesForAnIdentifier(t *testing.T) {
	for _, odd := range []string{
		"sk_live_canary1234567890", "rk_test_canary1234567890", "pi_3Nabcdefgh_secret_canary", "4242424242424242", "ann@canary.example", "Ann Canary",
		"metadata[4242424242424242]",
	} {
		if kept := plain(odd); kept != "" {
			t.Errorf("plain keeps %q", kept)
		}
		body := fmt.Sprintf(`{"object":%[1]q,"id":%[1]q,"status":%[1]q,"charge":%[1]q}`, odd)
		read, ok := readAnswer([]byte(body))
		if ok != isID(odd) || read.Object != "" || read.Status != "" || read.Charge != "" {
			t.Errorf("of an object is kept %+v", read)
		}
		for _, kept := range []*billing.Result{done(observation{requestID: odd}, read).Result, foundLook(read, odd, nil).Result} {
			if *kept != (billing.Result{}) {
				t.Errorf("of a success is kept %+v", kept)
			}
		}
		if kept := (observation{requestID: odd}).evidence(read, ""); kept.ID != "" || kept.RequestID != "" {
			t.Errorf("of a look is kept %+v", kept)
		}
		listed, ok := readPage(observation{status: 200, body: []byte(`{"data":[` + body + `]}`)})
		if !ok {
			continue // a page whose entries have no ids is none
		}
		for _, kept := range []billing.Evidence{listed.Data[0].evidence(""), listed.Data[0].objectEvidence("page", list{requestID: odd}, "")} {
			if kept.ID != "" || kept.Object != "" || kept.EventID != "" || kept.Status != "" || kept.RequestID != "" {
				t.Errorf("of an entry is kept %+v", kept)
			}
		}
		if kept := foundLook(listed.Data[0].object(), odd, nil).Result; *kept != (billing.Result{}) {
			t.Errorf("of a listed object is kept %+v", kept)
		}
	}
	for _, word := range []string{"in_1NabcdEFgh", "req_1abcDEF", "card_error", "metadata[order]", "pi_3Nabcdefghijklmnop"} {
		if plain(word) != word {
			t.Errorf("plain drops %q", word)
		}
	}
}

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
			if found.Outcome == succeeded && (found.Result.ID != "" && !isID(found.Result.ID) || found.Result.Object != traceOf(kind).object) {
				t.Fatalf("%+v", found.Result)
			}
			for _, one := range read.Data {
				evidence = append(evidence, one.evidence(""), one.objectEvidence("list", events, ""))
			}
			for _, one := range evidence {
				for _, kept := range []string{one.Object, one.ID, one.EventID, one.Status, one.RequestID, one.IdempotencyKey} {
					if kept != "" && !isMadeOf(kept, "_-.[]") {
						t.Fatalf("kept %q", kept)
					}
				}
			}
		}
	})
}
