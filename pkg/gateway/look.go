package gateway

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"billonce/pkg/billing"
)

// Bounds of a look: of the pages that one list is read through, and of the event types that Stripe takes in one request.
const (
	pageSize = 100
	maxPages = 50
	maxTypes = 20
	// clockMargin is how far Stripe's clock may be behind the database's. Beyond it, nothing that rests on times is believed.
	clockMargin = time.Minute
	readMargin  = 10 * time.Minute // how much earlier than the first send lists are read from
)

// Look reads at Stripe what became of tasks in doubt, which all belong to the account of credential. It never changes
// anything. There is a finding for each doubt:
//
//   - Stripe's events come first, one list for all doubts: an event whose request carried the task's key proves the effect,
//     or the decline. It is the only trace of calls that take no metadata.
//   - The object itself comes next, for kinds that act on one: if it is not as the task asks for, the task had no effect so
//     far (Absent). If it is, an event without the task's key tells of another hand; without any event nobody can tell.
//   - Created objects are found in Stripe's lists, which are consistent at once, by metadata[billonce_task_id]. A list that was
//     read to its end without it shows that there is none so far (Absent).
//
// A list that is too long to be read to its end proves what is found in it, and nothing by what is not. Stripe's search is never
// used: it lags. A read that fails proves nothing, and leaves [billing.ReasonLookFailed] or
// [billing.ReasonUnauthorized].
func (g *Gateway) Look(ctx context.Context, doubts []billing.Doubt, credential billing.Credential) map[billing.TaskID]billing.Finding {
	who, ok := g.identify(credential)
	if !ok {
		findings := make(map[billing.TaskID]billing.Finding, len(doubts))
		for _, doubt := range doubts {
			findings[doubt.ID] = failedLook(observation{unsent: true}, billing.ReasonUnauthorized, nil)
		}
		return findings
	}
	return g.look(ctx, doubts, who)
}

// look is one look for one account.
type look struct {
	gateway *Gateway
	who     identity
	since   int64           // of the first send of the oldest doubt, less a margin
	behind  time.Duration   // how far Stripe's clock is behind the database's, as far as one can see
	lists   map[string]list // what was read already
}

func (g *Gateway) look(ctx context.Context, doubts []billing.Doubt, who identity) map[billing.TaskID]billing.Finding {
	findings := make(map[billing.TaskID]billing.Finding, len(doubts))
	if len(doubts) == 0 {
		return findings
	}
	first := slices.MinFunc(doubts, func(a, b billing.Doubt) int { return a.FirstSentAt.Compare(b.FirstSentAt) })
	l := &look{gateway: g, who: who, since: first.FirstSentAt.Add(-readMargin).Unix(), lists: map[string]list{}}
	events := l.list(ctx, eventsPath(doubts, l.since), first.Request.APIVersion)
	if !events.at.IsZero() {
		l.behind = first.StartedAt.Sub(events.at)
	}
	for _, doubt := range doubts {
		findings[doubt.ID] = l.find(ctx, doubt, events)
	}
	return findings
}

func eventsPath(doubts []billing.Doubt, since int64) string {
	var types []string
	for _, doubt := range doubts {
		known := traceOf(doubt.Kind)
		types = append(append(types, known.made...), known.declined...)
	}
	slices.Sort(types)
	types = slices.Compact(types)
	query := url.Values{}
	if len(types) <= maxTypes {
		query["types[]"] = types
	}
	return "/v1/events?" + sinceQuery(query, since)
}

// sinceQuery completes the query of a list by its beginning and the size of a page.
func sinceQuery(query url.Values, since int64) string {
	query.Set("created[gte]", strconv.FormatInt(since, 10))
	query.Set("limit", strconv.Itoa(pageSize))
	return query.Encode()
}

// find judges one doubt.
func (l *look) find(ctx context.Context, doubt billing.Doubt, events list) billing.Finding {
	known := traceOf(doubt.Kind)
	evidence := []billing.Evidence{events.evidence("events")}
	if events.failed {
		return failedLook(events.failure, "", evidence)
	}
	if l.clocksDisagree() {
		evidence = append(evidence, billing.Evidence{
			Source: "clock", Note: "Stripe's clock is " + l.behind.Round(time.Second).String() + " behind the database's: nothing that rests on times is believed.",
		})
	}
	if found, ok := l.findEvent(doubt, known, events, &evidence); ok {
		return found
	}
	if doubt.Kind.Creates() {
		return l.findCreated(ctx, doubt, known, evidence)
	}
	return l.findState(ctx, doubt, known, events, evidence)
}

func (l *look) clocksDisagree() bool { return l.behind > clockMargin }

// findEvent looks for an event that the task's own request caused.
func (l *look) findEvent(doubt billing.Doubt, known trace, events list, evidence *[]billing.Evidence) (billing.Finding, bool) {
	var own, declined *entry
	for i, event := range events.entries {
		if event.Request.key != doubt.ID.IdempotencyKey() {
			continue
		}
		switch {
		case slices.Contains(known.made, event.Type):
			if own == nil || own.Data.Object.Object != known.object {
				own = &events.entries[i]
			}
		case slices.Contains(known.declined, event.Type):
			declined = &events.entries[i]
		}
	}
	switch {
	case declined != nil && (own == nil || doubt.Kind == billing.PaymentIntentCreate):
		*evidence = append(*evidence, declined.evidence("The payment was tried under the task's key and refused."))
		return refusedLook(billing.ReasonDeclined, *evidence), true
	case own != nil && doubt.Kind == billing.PaymentIntentCreate:
		return billing.Finding{}, false // it exists; the list tells whether its payment was declined
	case own != nil:
		*evidence = append(*evidence, own.evidence("The task's own request caused it."))
		object := own.Data.Object
		if object.Object != known.object {
			object.Object, object.ID, object.Status = known.object, doubt.Target, "" // told by an event of a neighboring object
			if object.ID == "" {
				return billing.Finding{}, false // the list of what was created has it
			}
		}
		return foundLook(object, own.Request.id, *evidence), true
	}
	return billing.Finding{}, false
}

// findCreated looks for what the task created in the list where it must stand.
func (l *look) findCreated(ctx context.Context, doubt billing.Doubt, known trace, evidence []billing.Evidence) billing.Finding {
	all := l.list(ctx, known.listPath(doubt.Request.Body, l.since), doubt.Request.APIVersion)
	for _, one := range all.entries {
		if one.Metadata[taskIDMetadata] != string(doubt.ID) {
			continue
		}
		evidence = append(evidence, one.objectEvidence("list", all, "It carries the task's id."))
		if one.refused() {
			return refusedLook(billing.ReasonDeclined, evidence)
		}
		return foundLook(one.object(), all.requestID, evidence)
	}
	evidence = append(evidence, all.evidence("list"))
	if all.failed {
		return failedLook(all.failure, "", evidence)
	}
	return noTraceLook(all.complete && !l.clocksDisagree(), evidence)
}

// findState judges by the object that the task was to act on.
func (l *look) findState(ctx context.Context, doubt billing.Doubt, known trace, events list, evidence []billing.Evidence) billing.Finding {
	if known.met == nil {
		return noTraceLook(false, evidence)
	}
	seen := l.gateway.call(ctx, l.gateway.keyed, reading(objectPath(doubt.Request.Path), doubt.Request.APIVersion), l.who, nil)
	_, fromStripe := readRefusal(seen.body)
	found, readable := readAnswer(seen.body)
	note := billing.Evidence{
		Source: "object", HTTPStatus: seen.status, Object: found.Object, ID: found.ID, Status: found.Status, RequestID: plain(seen.requestID),
	}
	switch {
	case seen.cut:
	case seen.status == http.StatusNotFound && fromStripe:
		note.Note = "There is no such object to act on."
		return noTraceLook(true, append(evidence, note))
	case seen.status == http.StatusOK && readable && !known.met(found):
		note.Note = "The object is not as the task asks for."
		return noTraceLook(true, append(evidence, note))
	case seen.status == http.StatusOK && readable:
		note.Note = "The object is as the task asks for."
		return l.attribute(doubt, known, found, events, append(evidence, note))
	}
	return failedLook(seen, "", append(evidence, note))
}

// attribute tells by whose hand an object came to be as the task asks for, when no event carries the task's key.
func (l *look) attribute(doubt billing.Doubt, known trace, found object, events list, evidence []billing.Evidence) billing.Finding {
	earliest := doubt.FirstSentAt.Add(-clockMargin)
	cancel, believed := doubt.Kind == billing.SubscriptionCancel, !l.clocksDisagree()
	if cancel && believed && found.CanceledAt != 0 && time.Unix(found.CanceledAt, 0).Before(earliest) {
		return refusedLook(billing.ReasonSatisfied, evidence) // over before anything was sent
	}
	for _, event := range events.entries {
		if !known.explains(event, doubt, found) {
			continue
		}
		if cancel && event.Request.key == "" && event.Request.id != "" {
			if !believed || time.Unix(event.Created, 0).Before(earliest) {
				break
			}
			// Stripe documents no key for DELETE. Nobody but this task is known to have asked for it.
			evidence = append(evidence, event.evidence("A request without a key canceled it, after the task's was first sent."))
			return foundLook(found, event.Request.id, evidence)
		}
		evidence = append(evidence, event.evidence("Another request, or Stripe itself, caused it."))
		return refusedLook(billing.ReasonSatisfied, evidence)
	}
	return billing.Finding{
		Outcome: billing.OutcomeUnknown, Reason: billing.ReasonUnattributed, Evidence: evidence, Error: told(billing.ReasonUnattributed),
	}
}

func foundLook(found object, requestID string, evidence []billing.Evidence) billing.Finding {
	return billing.Finding{
		Outcome: billing.OutcomeSucceeded, Reason: billing.ReasonReconciled, Evidence: evidence,
		Result: &billing.Result{Object: found.Object, ID: found.ID, Status: found.Status, RequestID: plain(requestID)},
	}
}

func refusedLook(reason billing.Reason, evidence []billing.Evidence) billing.Finding {
	return billing.Finding{Outcome: billing.OutcomeRefused, Reason: reason, Evidence: evidence, Error: told(reason)}
}

func noTraceLook(absent bool, evidence []billing.Evidence) billing.Finding {
	return billing.Finding{
		Outcome: billing.OutcomeUnknown, Reason: billing.ReasonNoTrace, Absent: absent, Evidence: evidence, Error: told(billing.ReasonNoTrace),
	}
}

func told(reason billing.Reason) *billing.StripeError {
	return &billing.StripeError{Message: sentence(verdict{outcome: billing.OutcomeRefused, reason: reason})}
}

// failedLook is the finding of a read that did not give what was asked for.
func failedLook(seen observation, reason billing.Reason, evidence []billing.Evidence) billing.Finding {
	refused, fromStripe := readRefusal(seen.body)
	if reason == "" {
		reason = billing.ReasonLookFailed
		if judge(seen, refused, fromStripe && !seen.cut).reason == billing.ReasonUnauthorized {
			reason = billing.ReasonUnauthorized
		}
	}
	proven := verdict{outcome: billing.OutcomeUnknown, reason: reason}
	return billing.Finding{Outcome: proven.outcome, Reason: reason, Evidence: evidence, Error: answer(proven, seen, refused).Error}
}

// list is a list of Stripe's, newest first, as far as it was read.
type list struct {
	entries   []entry
	complete  bool // read to its end
	status    int  // of the last page
	requestID string
	at        time.Time // when the last page was answered, by Stripe's clock
	failed    bool      // a page could not be read, as failure tells
	failure   observation
}

// list reads a list to its end, once for all doubts of a look.
func (l *look) list(ctx context.Context, path, version string) list {
	if known, ok := l.lists[path]; ok {
		return known
	}
	var read list
	after := ""
	for range maxPages {
		seen := l.gateway.call(ctx, l.gateway.keyed, reading(path+after, version), l.who, nil)
		read.status, read.requestID, read.at = seen.status, seen.requestID, seen.at
		page, ok := readPage(seen)
		if !ok {
			read.failed, read.failure = true, seen
			break
		}
		read.entries = append(read.entries, page.Data...)
		if !page.HasMore {
			read.complete = true
			break
		}
		after = "&starting_after=" + url.QueryEscape(page.Data[len(page.Data)-1].ID)
	}
	l.lists[path] = read
	return read
}

type listPage struct {
	Data    []entry
	HasMore bool `json:"has_more"`
}

// readPage reads a page of a list. An entry without an id makes the page unreadable, and so does an empty page that is said not to
// be the last: nothing could be said of what follows.
func readPage(seen observation) (listPage, bool) {
	var page listPage
	if seen.status != http.StatusOK || seen.cut || json.Unmarshal(seen.body, &page) != nil || page.Data == nil || len(page.Data) == 0 && page.HasMore {
		return listPage{}, false
	}
	for _, one := range page.Data {
		if !isID(one.ID) {
			return listPage{}, false
		}
	}
	return page, true
}

func (l list) evidence(source string) billing.Evidence {
	note := "Read to its end: " + strconv.Itoa(len(l.entries)) + " entries since the first send."
	switch {
	case l.failed:
		note = "Could not be read to its end."
	case !l.complete:
		note = "Longer than is read: the latest " + strconv.Itoa(len(l.entries)) + " entries."
	}
	return billing.Evidence{Source: source, HTTPStatus: l.status, RequestID: plain(l.requestID), Note: note}
}

// isTaskKey reports whether a key is one of ours: others may hold anything.
func isTaskKey(key string) bool {
	id, ours := strings.CutPrefix(key, "task_")
	parsed, err := billing.ParseTaskID(id)
	return ours && err == nil && string(parsed) == id
}
