package leaks_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
)

// badRequest is one that must be refused.
type badRequest struct {
	name, line, body string
	headers          []string // names and values by turns
}

// badRequests have canaries wherever a caller can put something.
func (w *world) badRequests() []badRequest {
	token, refresh, value := w.c.text("token in a bad request"), w.c.text("refresh token in a bad request"), w.c.text("value in a bad request")
	card := w.c.of(atStripe) // of which nothing may be kept, whoever names it
	field := w.c.text("name of an unknown field")
	inJSON := func(v any) string {
		encoded, err := json.Marshal(v)
		if err != nil {
			w.t.Fatal(err)
		}
		return string(encoded)
	}
	all := w.badHeaders(token, value)
	for name, body := range map[string]any{
		"a token of the other mode":    object{"name": "A", "stripe_connect_id": "acct_x", "access_token": token, "livemode": false, "refresh_token": refresh},
		"a token with a space":         object{"name": "A", "stripe_connect_id": "acct_x", "access_token": token + " x"},
		"a token that is too long":     object{"name": "A", "stripe_connect_id": "acct_x", "access_token": strings.Repeat(token, 100)},
		"a token in a list":            object{"name": "A", "stripe_connect_id": "acct_x", "access_token": []string{token}},
		"a token as a name":            object{"name": strings.Repeat(token, 20), "stripe_connect_id": "acct_x"},
		"a token as an account":        object{"name": "A", "stripe_connect_id": token},
		"a token as a switch":          object{"name": "A", "stripe_connect_id": "acct_x", "livemode": token},
		"a field that is not known":    object{"name": "A", "stripe_connect_id": "acct_x", field: token},
		"a merchant that is connected": object{"name": value, "stripe_connect_id": "acct_leak_main", "access_token": "sk_test_" + value, "refresh_token": refresh},
	} {
		all = append(all, badRequest{name: name, line: "POST /v1/merchants", body: inJSON(body)})
	}
	task := func(fields object) object {
		body := object{"merchant_id": w.merchants["main"], "kind": "invoice.pay", "target": "in_1"}
		for name, value := range fields {
			body[name] = value
		}
		return body
	}
	for name, fields := range map[string]object{
		"a merchant that is none": {"merchant_id": token}, "a kind that is none": {"kind": value}, "a target that is none": {"target": card},
		"a parameter of another type": {"params": object{"off_session": card}}, "a parameter too deep": {"params": object{"source": object{"number": card}}},
		"a parameter that is not known": {"params": object{field: card}}, "parameters that are none": {"params": card},
		"a time that is none": {"run_at": value}, "a number that is none": {"max_attempts": value}, "an intent that is too long": {"intent": strings.Repeat(value, 20)},
		"an intent that is taken": {"intent": w.c.text("intent"), "metadata": object{"a": card}},
		"metadata that is none":   {"metadata": card}, "metadata in metadata": {"metadata": object{"a": object{"b": card}}}, "dunning that is none": {"on_decline": card},
		"dunning after nothing": {"on_decline": object{"retry_after": []string{value}, "stop_codes": []string{card}}},
	} {
		all = append(all, badRequest{name: name, line: "POST /v1/tasks", body: inJSON(task(fields))},
			badRequest{name: name + ", in a batch", line: "POST /v1/tasks/batch", body: inJSON(object{"tasks": []object{task(nil), task(fields)}})})
	}
	whole := inJSON(task(object{"metadata": object{"a": token + card}}))
	for name, body := range map[string]string{
		"half a document": whole[:len(whole)-3], "two documents": whole + whole, "no document": token, "a list": "[" + whole + "]",
		"bytes that are no text": whole[:len(whole)-4] + "\xff" + whole[len(whole)-4:], "a zero": strings.Replace(whole, token, token+`\u0000`, 1),
		"two mebibytes": `{"metadata":{"a":"` + strings.Repeat(token, 70_000) + `"}}`, "a field twice": `{"kind":"` + token + `","kind":"` + token + `"}`,
		"depth": strings.Repeat(`{"`+value+`":`, 2000),
	} {
		all = append(all, badRequest{name: name, line: "POST /v1/tasks", body: body})
	}
	for name, body := range map[string]object{
		"an action that is none": {"action": value, "filter": object{"status": "pending"}, "reason": "r"},
		"a filter that is none":  {"action": "cancel", "filter": object{"target": card, "kind": token}, "reason": "r"},
		"a reason too long":      {"action": "cancel", "filter": object{"status": "pending"}, "reason": strings.Repeat(value, 30)},
	} {
		all = append(all, badRequest{name: name, line: "POST /v1/tasks/bulk", body: inJSON(body)})
	}
	for line, body := range map[string]any{
		"/resolve": object{"outcome": "failed", "note": value + card}, "/reschedule": object{"run_at": value}, "/cancel": nil,
	} {
		all = append(all, badRequest{name: line + " of a task that is done", line: "POST /v1/tasks/" + w.tasks["laden"] + line, body: inJSON(body)})
	}
	return append(all,
		badRequest{name: "a decision that is none", line: "POST /v1/tasks/" + w.tasks["look"] + "/resolve", body: inJSON(object{"outcome": value, "note": card})},
		badRequest{name: "a change of nobody", line: "PATCH /v1/merchants/" + w.tasks["laden"], body: inJSON(object{"access_token": token})},
		badRequest{name: "a change to a bad token", line: "PATCH /v1/merchants/" + w.merchants["main"], body: inJSON(object{"access_token": token, "refresh_token": refresh + "\n"})})
}

// badHeaders have canaries in keys, headers, paths and queries.
func (w *world) badHeaders(token, value string) []badRequest {
	all := []badRequest{
		{
			name: "a key that was used for something else", line: "POST /v1/tasks", headers: []string{"Idempotency-Key", w.c.text("idempotency key") + "1"},
			body: fmt.Sprintf(`{"merchant_id":%q,"kind":"invoice.pay","target":"in_1","metadata":{"a":%q}}`, w.merchants["main"], value),
		},
		{name: "a key that is too long", line: "POST /v1/tasks", headers: []string{"Idempotency-Key", strings.Repeat(value, 20)}, body: `{}`},
		{name: "a media type that is none", line: "POST /v1/tasks", headers: []string{"Content-Type", "text/" + value}, body: `{}`},
		{name: "a token in what is said of a trace", line: "POST /v1/tasks", headers: []string{
			"Traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "Tracestate", "a=" + token, "Baggage", "a=" + value,
		}, body: `{}`},
		{name: "a trace that is none", line: "POST /v1/tasks", headers: []string{"Traceparent", value, "Tracestate", value}, body: `{}`},
		{name: "an encoding that is none", line: "POST /v1/tasks", headers: []string{"Content-Encoding", value}, body: `{}`},
	}
	for name, authorization := range map[string]string{
		"no key": "", "a wrong key": "Bearer " + w.c.text("wrong admin key"), "a key without a scheme": w.c.text("admin key"),
		"a right key and more": "Bearer " + w.c.text("admin key") + "x", "a part of the right key": "Bearer " + w.c.text("admin key")[:30],
		"a password": "Basic " + w.c.text("wrong basic password"), "a merchant's token": "Bearer " + w.c.text("access token"),
		"the platform's key": "Bearer " + w.c.text("platform key"), "the right key, in the wrong scheme": "Basic " + w.c.text("admin key"),
	} {
		for _, line := range []string{"GET /v1/merchants", "POST /v1/tasks", "GET /v1/tasks/" + value} {
			all = append(all, badRequest{name: name, line: line, headers: []string{"Authorization", authorization, "X-Api-Key", token}})
		}
	}
	for _, path := range []string{
		"/v1/tasks/" + value, "/v1/tasks/" + url.PathEscape(token) + "/attempts", "/v1/merchants/" + value, "/" + token, "/v1/" + token + "?key=" + token,
		"/v1/tasks?" + value + "=1", "/v1/tasks?cursor=" + value, "/v1/tasks?status=" + token, "/v1/tasks?kind=" + value, "/v1/tasks?merchant_id=" + token,
		"/v1/tasks?limit=" + value, "/v1/merchants?stripe_connect_id=" + token, "/v1/tasks?target=" + url.QueryEscape(w.c.of(atStripe)), "/v1/tasks?a=%zz" + value,
		"/v1/tasks?limit=1;cursor=" + value, "/v1/tasks?q=%00" + token, "/v1/tasks/counts?from=" + value, "/v1/tasks?retry_of=" + token,
		"/v1/tasks?attention=" + value, "/v1/overview?" + token + "=1", "/v1/workers?key=" + token,
	} {
		all = append(all, badRequest{name: "an odd address", line: "GET " + path})
	}
	return append(all,
		badRequest{name: "a method that is none", line: "PURGE /v1/tasks?key=" + token},
		badRequest{name: "another method", line: "PUT /v1/merchants/" + value, body: fmt.Sprintf(`{"access_token":%q}`, token)})
}
