package gateway

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"billonce/pkg/billing"
)

const (
	// clockMargin is how far Stripe's clock may be behind the database's. Beyond it, nothing that rests on times is believed.
	clockMargin = time.Minute
	tick        = 2 * time.Second     // how exact times are that Stripe tells in seconds
	readMargin  = 10 * time.Minute    // how much earlier than the first send lists are read from
	eventsKept  = 29 * 24 * time.Hour // Stripe lists events of thirty days
)

// Look reads at Stripe what became of tasks in doubt, which all belong to the account of credential. It never changes
// anything. There is a finding for each doubt:
//
//   - Stripe's events come first, one list for all doubts: an event whose request carried the task's key proves the effect,
//     or the decline. It is the only trace of calls that take no metadata.
//   - The object itself comes next, for kinds that act on one: if it is not as the task asks for, the task had no effect so
//     far (Absent), unless it may have been so before and not all events were read. If it is, an event of another's request tells
//     of another hand; without any event, or with none but Stripe's own, nobody can tell.
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
	gateway  *Gateway
	who      identity
	since    int64           // when the oldest doubt may have been sent at the earliest, less a margin
	first    bool            // nothing is known to have been sent before
	compared bool            // Stripe and the database have told the time
	behind   time.Duration   // how far Stripe's clock is behind the database's, as far as one can see
	lists    map[string]list // what was read already
}

func (g *Gateway) look(ctx context.Context, doubts []billing.Doubt, who identity) map[billing.TaskID]billing.Finding {
	return g.lookWith(ctx, doubts, &look{gateway: g, who: who})
}

func (g *Gateway) lookWith(ctx context.Context, doubts []billing.Doubt, l *look) map[billing.TaskID]billing.Finding {
	began := time.Now() //nolint:forbidigo // to compare clocks
	findings := make(map[billing.TaskID]billing.Finding, len(doubts))
	if len(doubts) == 0 {
		return findings
	}
	first := slices.MinFunc(doubts, func(a, b billing.Doubt) int { return a.Since().Compare(b.Since()) })
	l.since, l.lists = first.Since().Add(-readMargin).Unix(), map[string]list{}
	events := l.events(ctx, doubts, first.Request.APIVersion)
	l.behind, l.compared = clockBehind(first.StartedAt, events.heard.Sub(began), events.at)
	for _, doubt := range doubts {
		findings[doubt.ID] = l.find(ctx, doubt, events)
	}
	return findings
}

// clockBehind is how far Stripe's clock is behind the database's, when the database told its time a while before Stripe did. It
// reports false when one of them did not.
func clockBehind(databases time.Time, while time.Duration, stripes time.Time) (time.Duration, bool) {
	return databases.Add(while).Sub(stripes), !databases.IsZero() && !stripes.IsZero()
}

// find judges one doubt.
func (l *look) find(ctx context.Context, doubt billing.Doubt, events list) billing.Finding {
	known := traceOf(doubt.Kind)
	evidence := []billing.Evidence{events.evidence("events")}
	if events.failed {
		return failedLook(events.failure, "", evidence)
	}
	if l.clocksDisagree() {
		evidence = append(evidence, l.clockEvidence())
	}
	if found, ok := l.findEvent(doubt, known, events, &evidence); ok {
		return l.nameDecline(ctx, doubt, known, events, found)
	}
	if doubt.Kind.Creates() {
		return l.findCreated(ctx, doubt, known, evidence)
	}
	return l.findState(ctx, doubt, known, events, evidence)
}

func (l *look) clocksDisagree() bool { return !l.compared || l.behind > clockMargin }

func (l *look) clockEvidence() billing.Evidence {
	note := "Stripe's clock and the database's could not be compared"
	if l.compared {
		note = "Stripe's clock is " + l.behind.Round(time.Second).String() + " behind the database's"
	}
	return billing.Evidence{Source: "clock", Note: note + ": nothing that rests on times is believed."}
}

// whole reports whether the events that were read are all that there were since the task may have been sent.
func (l *look) whole(doubt billing.Doubt, events list) bool {
	return events.complete && !l.clocksDisagree() && doubt.StartedAt.Sub(doubt.Since()) < eventsKept
}

// findEvent looks for an event that the task's own request caused.
func (l *look) findEvent(doubt billing.Doubt, known trace, events list, evidence *[]billing.Evidence) (billing.Finding, bool) {
	var own, confirmed, declined *entry
	for i, event := range events.entries {
		if event.Request.key != doubt.ID.IdempotencyKey() {
			continue
		}
		switch {
		case slices.Contains(known.made, event.Type):
			if own == nil || own.Data.Object.Object != known.object {
				own = &events.entries[i]
			}
		case slices.Contains(known.confirmed, event.Type):
			confirmed = &events.entries[i]
		case slices.Contains(known.declined, event.Type):
			if declined == nil || declined.decline() == "" {
				declined = &events.entries[i]
			}
		}
	}
	if confirmed != nil {
		own = confirmed // its first payment was not refused
	}
	switch {
	case declined != nil && (own == nil || doubt.Kind == billing.PaymentIntentCreate):
		*evidence = append(*evidence, declined.evidence("The payment was tried under the task's key and refused."))
		return refusedLook(billing.ReasonDeclined, declined.decline(), *evidence), true
	case own != nil && doubt.Kind == billing.PaymentIntentCreate && confirmed == nil:
		return billing.Finding{}, false // it exists; the list tells whether a payment of it was refused
	case own != nil:
		*evidence = append(*evidence, own.evidence("The task's own request caused it."))
		object := own.Data.Object
		if object.Object != known.object {
			object.Object, object.ID, object.Status = known.object, doubt.Target, "" // told by an event of a neighboring object
		}
		if !isID(object.ID) {
			return billing.Finding{}, false // the list of what was created has it
		}
		return foundLook(object, own.Request.id, *evidence), true
	}
	return billing.Finding{}, false
}

// nameDecline completes a decline whose events do not say why the payment was refused: the charge does.
func (l *look) nameDecline(ctx context.Context, doubt billing.Doubt, known trace, events list, found billing.Finding) billing.Finding {
	if found.Reason != billing.ReasonDeclined || found.Error.DeclineCode != "" {
		return found
	}
	for _, event := range events.entries {
		charge := event.Data.Object.Charge
		if event.Request.key != doubt.ID.IdempotencyKey() || !slices.Contains(known.declined, event.Type) || !isID(charge) {
			continue
		}
		seen := l.gateway.read(ctx, reading("/v1/charges/"+charge, doubt.Request.APIVersion), l.who)
		read, ok := readAnswer(seen.body)
		if ok && seen.status == http.StatusOK && !seen.cut && read.ID == charge {
			found.Error.DeclineCode = read.Decline
			found.Evidence = append(found.Evidence, seen.evidence(read, "The charge that was refused."))
		}
		break
	}
	return found
}

// findCreated looks for what the task created in the list where it must stand.
//
// A payment intent that was to be confirmed, and waits for another payment method after a refusal, may have been refused under
// the task's key, or later, to the customer: its state does not tell, and no event has.
func (l *look) findCreated(ctx context.Context, doubt billing.Doubt, known trace, evidence []billing.Evidence) billing.Finding {
	all := l.list(ctx, known.listPath(doubt.Request.Body, l.since), doubt.Request.APIVersion)
	for _, one := range all.entries {
		if one.Metadata[taskIDMetadata] != string(doubt.ID) {
			continue
		}
		if one.refused() && confirms(doubt.Request) {
			return unattributedLook(append(evidence, one.objectEvidence("list", all, "It carries the task's id and was refused, by whose hand nothing tells.")))
		}
		evidence = append(evidence, one.objectEvidence("list", all, "It carries the task's id."))
		return foundLook(one.object(), all.requestID, evidence)
	}
	evidence = append(evidence, all.evidence("list"))
	if all.failed {
		return failedLook(all.failure, "", evidence)
	}
	return noTraceLook(all.complete && !l.clocksDisagree(), evidence)
}

// confirms reports whether a request to create a payment intent asks for its payment too.
func confirms(request billing.Request) bool {
	sent, err := url.ParseQuery(request.Body)
	return err != nil || sent.Get("confirm") == "true"
}

// findState judges by the object that the task was to act on.
func (l *look) findState(ctx context.Context, doubt billing.Doubt, known trace, events list, evidence []billing.Evidence) billing.Finding {
	if known.met == nil { // the events alone can tell
		found := noTraceLook(false, evidence)
		found.Clean = l.whole(doubt, events)
		return found
	}
	seen := l.gateway.read(ctx, readingObject(doubt.Kind, doubt.Request), l.who)
	_, fromStripe := readRefusal(seen.body)
	found, readable := readAnswer(seen.body)
	tells := l.tells(doubt, known, found, events)
	switch {
	case seen.cut:
	case seen.status == http.StatusNotFound && fromStripe:
		return noTraceLook(tells, append(evidence, seen.evidence(found, "There is no such object to act on.")))
	case seen.status == http.StatusOK && readable && !known.met(found) && tells:
		return noTraceLook(true, append(evidence, seen.evidence(found, "The object is not as the task asks for.")))
	case seen.status == http.StatusOK && readable && !known.met(found):
		return noTraceLook(false, append(evidence, seen.evidence(found, "The object is not as the task asks for, and may have been: the events do not tell.")))
	case seen.status == http.StatusOK && readable:
		return l.attribute(doubt, known, found, events, append(evidence, seen.evidence(found, "The object is as the task asks for.")))
	}
	return failedLook(seen, "", append(evidence, seen.evidence(found, "")))
}

// tells reports whether an object that is not as the task asks for shows that the task had no effect.
func (l *look) tells(doubt billing.Doubt, known trace, found object, events list) bool {
	before := found.TriedAt != 0 && time.Unix(found.TriedAt, 0).Before(doubt.Since().Add(-clockMargin))
	switch {
	case known.movedOn == nil || !known.movedOn(found), before && !l.clocksDisagree():
		return true
	case !l.whole(doubt, events):
		return false
	}
	return doubt.Kind != billing.InvoicePay || othersTried(doubt, known, found, events)
}

// othersTried reports whether another's request explains that an invoice's payment was tried. What Stripe tells by itself, as that a
// debit has failed, may follow from the task's own request.
func othersTried(doubt billing.Doubt, known trace, found object, events list) (explained bool) {
	for _, event := range events.entries {
		about := event.Data.Object.ID
		if about != doubt.Target && (about == "" || about != found.PaymentID) || !slices.Contains(slices.Concat(known.made, known.declined), event.Type) {
			continue
		}
		if event.Request == (behind{}) {
			return false
		}
		explained = true
	}
	return explained
}

// attribute tells by whose hand an object came to be as the task asks for, when no event carries the task's key.
func (l *look) attribute(doubt billing.Doubt, known trace, found object, events list, evidence []billing.Evidence) billing.Finding {
	sent := doubt.FirstSentAt.Add(-max(l.behind, 0) - tick) // by Stripe's clock
	cancel, believed := doubt.Kind == billing.SubscriptionCancel, !l.clocksDisagree()
	if cancel && believed && found.CanceledAt != 0 && time.Unix(found.CanceledAt, 0).Before(doubt.Since().Add(-clockMargin)) {
		return refusedLook(billing.ReasonSatisfied, "", evidence) // over before anything can have been sent
	}
	for _, event := range events.entries {
		switch {
		case !known.explains(event, doubt, found):
		case event.Request == behind{}:
			// What Stripe does by itself may follow from the task's own request: a debit clears, an error is rolled forward.
			evidence = append(evidence, event.evidence("Stripe itself caused it; upon whose request, nothing tells."))
		case cancel && event.Request.key == "":
			if l.first || !believed || time.Unix(event.Created, 0).Before(sent) {
				continue
			}
			// Stripe documents no key for DELETE. Nobody but this task is known to have asked for it.
			evidence = append(evidence, event.evidence("A request without a key canceled it, after the task's was first sent."))
			return foundLook(found, event.Request.id, evidence)
		default:
			return refusedLook(billing.ReasonSatisfied, "", append(evidence, event.evidence("Another request caused it.")))
		}
	}
	return unattributedLook(evidence)
}

func foundLook(found object, requestID string, evidence []billing.Evidence) billing.Finding {
	return billing.Finding{
		Outcome: billing.OutcomeSucceeded, Reason: billing.ReasonReconciled, Evidence: evidence,
		Result: &billing.Result{Object: found.Object, ID: plainID(found.ID), Status: found.Status, RequestID: plain(requestID)},
	}
}

// refusedLook is a finding that there is no effect of the task's; decline says why a payment was refused, as far as it is known.
func refusedLook(reason billing.Reason, decline string, evidence []billing.Evidence) billing.Finding {
	found := billing.Finding{Outcome: billing.OutcomeRefused, Reason: reason, Evidence: evidence, Error: told(reason)}
	found.Error.DeclineCode = decline
	return found
}

func unattributedLook(evidence []billing.Evidence) billing.Finding {
	return billing.Finding{
		Outcome: billing.OutcomeUnknown, Reason: billing.ReasonUnattributed, Evidence: evidence, Error: told(billing.ReasonUnattributed),
	}
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
