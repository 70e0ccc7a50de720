package chaos_test

import (
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

// row is a task as the database has it at the end.
type row struct {
	ID       string  `db:"id"`
	Merchant string  `db:"merchant_id"`
	Kind     string  `db:"kind"`
	Status   string  `db:"status"`
	Intent   string  `db:"intent"`
	RetryOf  *string `db:"retry_of"`
	Result   string  `db:"result"` // the object's id
	Sent     bool    `db:"sent"`
	Unknown  int     `db:"unknown"` // sends without an answer
}

// doubt is a task that only a person could settle.
type doubt struct {
	row
	effects int
	use     use
}

// use is what the simulator saw of one key.
type use struct {
	Key          string
	Requests     int
	Unread       int
	Fingerprints int
	Accounts     []string
	Modes        []string
	First, Last  time.Time
	Answers      []reply
	Faults       []string
	Dropped      []string // types of its events that are never listed
	Stored       int
}

type reply struct{ requestID, fault string }

// summary counts what one or more seeds had.
type summary struct {
	tasks, requests, effects, doubts, events int
	statuses, struck                         map[string]int
}

func (s *summary) add(other summary) {
	s.tasks += other.tasks
	s.requests += other.requests
	s.effects += other.effects
	s.doubts += other.doubts
	s.events += other.events
	for _, pair := range []struct{ into, from *map[string]int }{{&s.statuses, &other.statuses}, {&s.struck, &other.struck}} {
		if *pair.into == nil {
			*pair.into = map[string]int{}
		}
		for name, n := range *pair.from {
			(*pair.into)[name] += n
		}
	}
}

// String is one line for a person.
func (s summary) String() string {
	return fmt.Sprintf("%d tasks %v, %d sends, %d effects, %d decided by a person, %d events; %v",
		s.tasks, s.statuses, s.requests, s.effects, s.doubts, s.events, s.struck)
}

func (w *world) rows() []row {
	w.t.Helper()
	rows := []row{}
	if err := w.db.Select(&rows, `
		SELECT t.id, t.merchant_id, t.kind, t.status, t.intent, t.retry_of, coalesce(t.result->>'id', '') AS result,
			t.first_sent_at IS NOT NULL AS sent,
			(SELECT count(*) FROM attempts AS a WHERE a.task_id = t.id AND a.kind = 'send' AND a.request_id = '') AS unknown
		FROM scheduled_tasks AS t`); err != nil {
		w.t.Fatal(err)
	}
	return rows
}

// uses asks the simulator what it saw of every key.
func (w *world) uses() map[string]use {
	w.t.Helper()
	found := map[string]use{}
	after := ""
	for more := true; more; {
		page := w.control("GET", "keys?limit=5000&after="+url.QueryEscape(after), nil)
		more, _ = page["has_more"].(bool)
		for _, entry := range list(page["data"]) {
			one := use{Key: text(entry["key"]), Requests: count(entry["requests"]), Unread: count(entry["unread"]), Fingerprints: count(entry["fingerprints"]), Stored: count(entry["stored_status"])}
			one.First, _ = time.Parse(time.RFC3339Nano, text(entry["first_at"]))
			one.Last, _ = time.Parse(time.RFC3339Nano, text(entry["last_at"]))
			one.Accounts, one.Modes, one.Faults = texts(entry["accounts"]), texts(entry["auth_modes"]), texts(entry["faults"])
			one.Dropped = texts(entry["dropped"])
			for _, answer := range list(entry["answers"]) {
				one.Answers = append(one.Answers, reply{requestID: text(answer["request_id"]), fault: text(answer["fault"])})
			}
			found[one.Key] = one
			after = one.Key
		}
	}
	return found
}

// effects lists the objects of the effects under each key.
func (w *world) effects() map[string][]string {
	w.t.Helper()
	found := map[string][]string{}
	for _, entry := range list(w.control("GET", "ledger", nil)["data"]) {
		if key := text(entry["idempotency_key"]); key != "" {
			found[key] = append(found[key], text(entry["object"]))
		}
	}
	return found
}

// judge is the person who decides about what is in doubt, with the books of Stripe before him.
func (w *world) judge() {
	w.t.Helper()
	effects, uses := w.effects(), w.uses()
	for _, r := range w.rows() {
		if r.Status != "in_doubt" {
			continue
		}
		one := doubt{r, len(effects["task_"+r.ID]), uses["task_"+r.ID]}
		w.doubts = append(w.doubts, one)
		if !w.mayDoubt(one) {
			w.t.Errorf("I6: task %s (%s) is in doubt without need: %d effects, %+v\n%s", r.ID, r.Kind, one.effects, one.use, w.story(r.ID))
		}
		outcome := "failed"
		if one.effects > 0 {
			outcome = "succeeded"
		}
		w.api().Must(200, "POST", "/v1/tasks/"+r.ID+"/resolve", object{"outcome": outcome, "note": "by the ledger"})
	}
}

// mayDoubt tells whether a task may be left to a person: Stripe kept a 500 or lost evidence of this very task, somebody else did the
// same, money went out, or the merchant is gone, so that nobody can look.
func (w *world) mayDoubt(one doubt) bool {
	return one.use.Stored >= 500 || slices.Contains(one.use.Faults, "error_kept") || len(one.use.Dropped) > 0 || slices.Contains(one.use.Faults, "external") || one.Kind == "refund.create" ||
		one.Kind == "invoice.send" || one.Merchant == w.wares.merchants[leaver].id
}

// audit holds every task against the books, invariant by invariant (reference/stripe.md §9).
func (w *world) audit() summary {
	w.t.Helper()
	rows, uses, effects := w.rows(), w.uses(), w.effects()
	report := summary{tasks: len(rows), doubts: len(w.doubts), events: w.told(), statuses: map[string]int{}, struck: w.struck}
	known := map[string]row{}
	for _, r := range rows {
		known[r.ID] = r
		key := "task_" + r.ID
		report.statuses[r.Status]++
		report.requests += uses[key].Requests
		report.effects += len(effects[key])
		w.auditTask(r, uses[key], effects[key])
		delete(effects, key)
		delete(uses, key)
	}
	for key := range effects {
		w.t.Errorf("I1: effects under %q, which is no task", key)
	}
	for key := range uses {
		w.t.Errorf("I1: requests under %q, which is no task", key)
	}
	w.auditOrders(known)
	w.auditSecrets()
	return report
}

func (w *world) auditTask(r row, seen use, effects []string) {
	w.t.Helper()
	fault := func(invariant, format string, args ...any) {
		w.t.Errorf("%s: task %s (%s, %s): %s; %+v\n%s", invariant, r.ID, r.Kind, r.Status, fmt.Sprintf(format, args...), seen, w.story(r.ID))
	}
	if len(effects) > 1 {
		fault("I1", "%d effects", len(effects))
	}
	switch r.Status {
	case "succeeded":
		if len(effects) != 1 {
			fault("I2", "%d effects", len(effects))
		} else if r.Result != "" && r.Result != effects[0] {
			fault("I2", "its result is %s, the ledger's %s", r.Result, effects[0])
		}
	case "failed", "canceled":
		if len(effects) != 0 {
			fault("I5", "%d effects", len(effects))
		}
	case "pending":
		if r.Merchant != w.wares.merchants[leaver].id {
			fault("I6", "it has come to no end")
		}
		if !r.Sent && seen.Requests > 0 && w.counting(r.ID) > 0 {
			fault("I2", "it was sent without a mark")
		}
	default:
		fault("I6", "it has come to no end")
	}
	if r.Status == "canceled" && seen.Requests > 0 && w.counting(r.ID) > 0 {
		fault("I8", "it was sent")
	}
	if age := seen.Last.Sub(seen.First); age > 23*time.Hour && w.keyAge(r.ID) > 23*time.Hour {
		fault("I3", "sent again after %s", w.keyAge(r.ID))
	}
	if seen.Fingerprints > 1 || len(seen.Accounts) > 1 || len(seen.Modes) > 1 {
		fault("I4", "sent in different ways")
	}
	if m := w.wares.merchants[leaver]; r.Merchant == m.id && !m.left.IsZero() && seen.Last.After(m.left.Add(lease+stripeTimeout)) {
		fault("I9", "sent after its merchant had left at %s", m.left)
	}
	w.auditAnswers(r, seen, fault)
}

// sends are the moments of a task's requests from the first one on that can have left a record under the key. Requests that
// Stripe refused before it looked at the key, one after the other from the first on, left none: what follows is a first send.
func (w *world) sends(id string) []time.Time {
	var sends []time.Time
	for _, entry := range list(w.control("GET", "requests?key=task_"+id, nil)["data"]) {
		status := count(entry["status"])
		if len(sends) == 0 && (status == 401 || status == 403 || status == 429) {
			continue
		}
		at, _ := time.Parse(time.RFC3339Nano, text(entry["at"]))
		sends = append(sends, at)
	}
	return sends
}

func (w *world) counting(id string) int { return len(w.sends(id)) }

// keyAge is the time from the first to the last of them.
func (w *world) keyAge(id string) time.Duration {
	sends := w.sends(id)
	if len(sends) == 0 {
		return 0
	}
	return sends[len(sends)-1].Sub(sends[0])
}

// story tells what both sides know of a task, for whoever must understand a failure.
func (w *world) story(id string) string {
	var lines []string
	err := w.db.Select(&lines, `
		SELECT concat_ws(' ', started_at::text, kind, attempt, outcome, reason, request_id, evidence::text)
		FROM attempts WHERE task_id = $1 ORDER BY attempt, started_at`, id)
	if err != nil {
		lines = append(lines, err.Error())
	}
	for _, entry := range list(w.control("GET", "requests?key=task_"+id, nil)["data"]) {
		lines = append(lines, fmt.Sprintf("stripe %v %v %v %v replayed=%v fault=%v", entry["at"], entry["op"], entry["request_id"],
			entry["status"], entry["replayed"], entry["fault"]))
	}
	return strings.Join(lines, "\n")
}

// auditAnswers wants every answer of Stripe's in the attempts, save those that a worker took to its grave.
func (w *world) auditAnswers(r row, seen use, fault func(invariant, format string, args ...any)) {
	var kept []string
	if err := w.db.Select(&kept, `SELECT request_id FROM attempts WHERE task_id = $1 AND request_id <> ''`, r.ID); err != nil {
		w.t.Error(err)
	}
	lost := 0
	for _, answer := range seen.Answers {
		if answer.requestID != "" && answer.fault == "" && !slices.Contains(kept, answer.requestID) {
			lost++
		}
	}
	if lost > r.Unknown {
		fault("I10", "%d answers are in no attempt, and %d attempts had none", lost, r.Unknown)
	}
}

// auditOrders wants one task for every order and every intent.
func (w *world) auditOrders(known map[string]row) {
	w.t.Helper()
	ordered := map[string]bool{}
	for _, one := range append(slices.Clone(w.wares.orders), w.extra...) {
		if len(one.ids) > 1 {
			w.t.Errorf("order %s made the tasks %v", one.key, slices.Collect(maps.Keys(one.ids)))
		}
		for id := range one.ids {
			ordered[id] = true
			if _, found := known[id]; !found {
				w.t.Errorf("task %s of order %s is lost", id, one.key)
			}
		}
	}
	open := map[string]string{}
	for _, r := range known {
		if r.RetryOf == nil && r.Intent == "" && !ordered[r.ID] {
			w.t.Errorf("task %s (%s) was ordered by nobody", r.ID, r.Kind)
		}
		if r.Intent == "" || r.Status == "failed" || r.Status == "canceled" {
			continue
		}
		if other, taken := open[r.Merchant+r.Intent]; taken {
			w.t.Errorf("I7: tasks %s and %s share the intent %s", r.ID, other, r.Intent)
		}
		open[r.Merchant+r.Intent] = r.ID
	}
}

var clientSecret = regexp.MustCompile(`pi_\w+_secret_\w+`)

// auditSecrets searches every line that a process wrote and every row of the database.
func (w *world) auditSecrets() {
	w.t.Helper()
	address, err := url.Parse(w.server.url(w.name))
	if err != nil {
		w.t.Fatal(err)
	}
	password, _ := address.User.Password()
	secrets := []string{adminKey, platformKey, encryptionKey, password}
	for _, m := range w.wares.merchants {
		secrets = append(secrets, m.tokens...)
	}
	search := func(where, text string) {
		for _, one := range secrets {
			if strings.Contains(text, one) {
				w.t.Errorf("I11: %s shows a secret: %q", where, one)
			}
		}
		if found := clientSecret.FindString(text); found != "" {
			w.t.Errorf("I11: %s shows a client's secret: %q", where, found)
		}
	}
	for _, n := range w.nodes {
		search(n.name, n.process.Output())
	}
	for _, text := range w.output {
		search("a log", text)
	}
	for _, table := range w.tables() {
		var content []string
		if err := w.db.Select(&content, `SELECT t::text FROM `+table+` AS t`); err != nil {
			w.t.Fatal(err)
		}
		search("the table "+table, strings.Join(content, "\n"))
	}
}
