package gateway

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"billonce/pkg/billing"
)

const (
	// clockMargin is how far Stripe's clock may be behind the database's. Beyond it, nothing that rests on times is believed.
	clockMargin = time.Minute
	readMargin  = 10 * time.Minute    // how much earlier than the first send lists are read from
	eventsKept  = 29 * 24 * time.Hour // Stripe lists events of thirty days
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
	events := l.events(ctx, doubts, first.Request.APIVersion)
	if !events.at.IsZero() {
		l.behind = first.StartedAt.Sub(events.at)
	}
	for _, doubt := range doubts {
		findings[doubt.ID] = l.find(ctx, doubt, events)
	}
	return findings
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
	if known.met == nil { // the events alone can tell
		found := noTraceLook(false, evidence)
		found.Clean = events.complete && !l.clocksDisagree() && doubt.StartedAt.Sub(doubt.FirstSentAt) < eventsKept
		return found
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
		Outcome: billing.OutcomeUnknown, Reason: billing.ReasonNoTrace, Absent: absent, Clean: absent, Evidence: evidence,
		Error: told(billing.ReasonNoTrace),
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

// isTaskKey reports whether a key is one of ours: others may hold anything.
func isTaskKey(key string) bool {
	id, ours := strings.CutPrefix(key, "task_")
	parsed, err := billing.ParseTaskID(id)
	return ours && err == nil && string(parsed) == id
}
