package gateway

import (
	"encoding/json"
	"time"

	"billonce/pkg/billing"
)

// entry is an entry of one of Stripe's lists: an object, or an event about one.
type entry struct {
	ID               string
	Type             string // of an event
	Object           string
	Status           text
	Created          int64
	Metadata         textMap
	LastPaymentError lastRefusal `json:"last_payment_error"`
	Request          behind      // of an event
	Data             struct{ Object subject }
}

// subject is the object of an event.
type subject = object

// UnmarshalJSON reads an object as leniently as [readAnswer] does.
func (o *object) UnmarshalJSON(body []byte) error {
	*o, _ = readAnswer(body)
	return nil
}

// text is a field that is a string, or is left empty.
type text string

// UnmarshalJSON implements json.Unmarshaler.
func (t *text) UnmarshalJSON(body []byte) error {
	var read any
	if err := json.Unmarshal(body, &read); err != nil {
		return err
	}
	*t = text(plain(read))
	return nil
}

// textMap keeps those members of an object that are strings.
type textMap map[string]string

// UnmarshalJSON implements json.Unmarshaler.
func (m *textMap) UnmarshalJSON(body []byte) error {
	var read any
	if err := json.Unmarshal(body, &read); err != nil {
		return err
	}
	*m = textMap{}
	members, _ := read.(map[string]any)
	for name, value := range members {
		if word, ok := value.(string); ok {
			(*m)[name] = word
		}
	}
	return nil
}

// lastRefusal is whether a payment intent was refused once.
type lastRefusal bool

// UnmarshalJSON implements json.Unmarshaler.
func (l *lastRefusal) UnmarshalJSON(body []byte) error {
	var read any
	if err := json.Unmarshal(body, &read); err != nil {
		return err
	}
	tried, _ := refusedPayment(read)
	*l = lastRefusal(tried)
	return nil
}

// behind is the request that caused an event. Both fields are empty when nobody asked for it; before API version 2017-05-23
// it was the id alone.
type behind struct{ id, key string }

// UnmarshalJSON implements json.Unmarshaler.
func (b *behind) UnmarshalJSON(body []byte) error {
	var read any
	if err := json.Unmarshal(body, &read); err != nil {
		return err
	}
	switch known := read.(type) {
	case string:
		b.id = known
	case map[string]any:
		b.id, _ = known["id"].(string)
		b.key, _ = known["idempotency_key"].(string)
	}
	return nil
}

// object is the entry as an object.
func (e entry) object() object {
	return object{Object: plain(e.Object), ID: e.ID, Status: string(e.Status)}
}

// refused reports whether a payment intent was tried, by whomever, and declined.
func (e entry) refused() bool {
	return e.Object == "payment_intent" && e.Status == "requires_payment_method" && bool(e.LastPaymentError)
}

// decline is why an event's payment was refused, as far as the event says.
func (e entry) decline() string {
	if e.Type == actionRequired {
		return "authentication_required" // the customer would have to act, and is not there
	}
	return e.Data.Object.Decline
}

func (e entry) evidence(note string) billing.Evidence {
	found := billing.Evidence{
		Source: "events", HTTPStatus: 200, Object: plain(e.Type), ID: plainID(e.Data.Object.ID), EventID: plain(e.ID), Status: e.Data.Object.Status,
		RequestID: plain(e.Request.id), At: moment(e.Created), Note: note,
	}
	if isTaskKey(e.Request.key) {
		found.IdempotencyKey = e.Request.key
	}
	return found
}

func (e entry) objectEvidence(source string, of list, note string) billing.Evidence {
	return billing.Evidence{
		Source: source, HTTPStatus: of.status, Object: plain(e.Object), ID: plainID(e.ID), Status: string(e.Status), RequestID: plain(of.requestID),
		At: moment(e.Created), Note: note,
	}
}

// evidence of the read of an object.
func (seen observation) evidence(found object, note string) billing.Evidence {
	return billing.Evidence{
		Source: "object", HTTPStatus: seen.status, Object: found.Object, ID: plainID(found.ID), Status: found.Status,
		RequestID: plain(seen.requestID), Note: note,
	}
}

func moment(seconds int64) *time.Time {
	if seconds <= 0 {
		return nil
	}
	moment := time.Unix(seconds, 0).UTC()
	return &moment
}
