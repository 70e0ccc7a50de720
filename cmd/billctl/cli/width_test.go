package cli_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"billonce/pkg/billing"
)

// longTask is a task of a kind with ids as long as Stripe's are, and the longest decline code.
func longTask(n int, kind billing.Kind, target, result, code string) string {
	quoted := func(text string) string {
		if text == "" {
			return "null"
		}
		return `"` + text + `"`
	}
	object := "null"
	if result != "" {
		object = fmt.Sprintf(`{"object":"x","id":%q,"status":"requires_payment_method","request_id":"req_1","replayed":false}`, result)
	}
	failure := "null"
	if code != "" {
		failure = fmt.Sprintf(`{"http_status":402,"type":"card_error","code":"card_declined","decline_code":%q,"param":"","message":"No.","request_id":"req_1"}`, code)
	}
	return fmt.Sprintf(`{"id":"019c0000-0000-7000-8000-%012d","merchant_id":"019c0000-0000-7000-8000-0000000000aa","kind":%q,"target":%s,"params":{},"metadata":{},
		"status":"succeeded","run_at":"2026-02-28T12:30:30Z","scheduled_for":"2026-03-01T11:00:00Z","attempt":100,"max_attempts":100,"idempotency_key":"x",
		"result":%s,"last_error":%s,"created_at":"2026-02-27T09:00:00Z","updated_at":"2026-03-01T11:58:32Z"}`, n, kind, quoted(target), object, failure)
}

// TestATableOfTasksFitsATerminal of 120 columns with the longest ids that there are, and shows all of them on demand.
func TestATableOfTasksFitsATerminal(t *testing.T) {
	t.Parallel()
	const invoice, schedule, intent = "in_1PqRsTuVwXyZ0123456789abc", "sub_sched_1PqRsTuVwXyZ0123456789abc", "pi_3PqRsTuVwXyZ0123456789abc"
	const longest = "mobile_device_authentication_required"
	for name, test := range map[string]struct {
		tasks []string
		shows []string // in the table that fits
	}{
		"Usual":  {[]string{longTask(1, "invoice.pay", invoice, "", ""), longTask(2, "invoice.pay", invoice, "", "expired_card")}, []string{invoice, "expired_card", "23h29m ago"}},
		"Plain":  {[]string{longTask(1, "payment_intent.create", "", intent, "")}, []string{intent}},
		"Worst":  {[]string{longTask(1, "subscription_schedule.release", schedule, "", longest), longTask(2, "invoice.mark_uncollectible", invoice, "", "")}, []string{"…", "sub_sch", "9abc", "mobile_"}},
		"Mixed":  {[]string{longTask(1, "payment_intent.capture", intent, intent, "insufficient_funds"), longTask(2, "invoice.pay", invoice, "", "")}, []string{"insufficient_funds"}},
		"Nobody": {nil, []string{"OBJECT"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			api := newAPI(t, map[string]http.HandlerFunc{"GET /v1/tasks": answerJSON(page("", test.tasks...)), "GET /v1/tasks/a/chain": answerJSON(page("", test.tasks...))})
			for _, line := range []string{"tasks list", "tasks chain a"} {
				got := must(t, api.env(), strings.Fields(line)...)
				for _, want := range append(test.shows, ids(len(test.tasks))...) {
					if !strings.Contains(got.out, want) {
						t.Errorf("%s has no %q:\n%s", line, want, got.out)
					}
				}
				for row := range strings.Lines(got.out) {
					if width := utf8.RuneCountInString(strings.TrimSuffix(row, "\n")); width > 120 {
						t.Errorf("%s is %d wide: %s", line, width, row)
					}
				}
				whole := must(t, api.env(), append(strings.Fields(line), "--wide")...)
				if strings.Contains(whole.out, "…") || len(test.tasks) > 0 && !strings.Contains(whole.out, "019c0000-0000-7000-8000-0000000000aa") {
					t.Errorf("%s --wide:\n%s", line, whole.out)
				}
			}
		})
	}
}

// ids are those of the first tasks, whole.
func ids(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("019c0000-0000-7000-8000-%012d", i+1)
	}
	return list
}
