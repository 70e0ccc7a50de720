package httpapi

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"billonce/pkg/billing"
)

// appendShown appends what encoding/json makes of [showTask], byte by byte. A task that has just been scheduled, of which an answer
// may hold ten thousand, is written without its reflection.
func appendShown(to []byte, task billing.Task) ([]byte, error) {
	if !isNew(task) {
		text, err := encode(showTask(task))
		return append(to, text...), err
	}
	text := func(name, value string) { to = appendString(append(to, name...), value) }
	orNull := func(name, value string) {
		if value == "" {
			to = append(append(to, name...), "null"...)
			return
		}
		text(name, value)
	}
	moment := func(name string, at time.Time) {
		to = append(at.UTC().AppendFormat(append(append(to, name...), '"'), time.RFC3339Nano), '"')
	}
	number := func(name string, n int) { to = strconv.AppendInt(append(to, name...), int64(n), 10) }

	text(`{"id":`, string(task.ID))
	text(`,"merchant_id":`, string(task.MerchantID))
	text(`,"kind":`, string(task.Kind))
	orNull(`,"target":`, task.Target)
	to = append(to, `,"params":`...)
	if len(task.Params) == 0 {
		to = append(to, "{}"...)
	} else {
		to = appendCanonical(to, task.Params)
	}
	to = append(to, `,"metadata":`...)
	if len(task.Metadata) == 0 {
		to = append(to, "{}"...)
	} else {
		notes, err := encode(task.Metadata)
		if err != nil {
			return to, err
		}
		to = append(to, bytes.TrimSpace(notes)...)
	}
	text(`,"status":`, string(task.Status))
	moment(`,"run_at":`, task.RunAt)
	moment(`,"scheduled_for":`, task.ScheduledFor)
	number(`,"attempt":`, task.Attempt)
	number(`,"max_attempts":`, task.MaxAttempts)
	text(`,"idempotency_key":`, task.ID.IdempotencyKey())
	orNull(`,"retry_of":`, string(task.RetryOf))
	to = append(to, `,"first_sent_at":null,"result":null,"last_error":null`...)
	moment(`,"created_at":`, task.CreatedAt)
	moment(`,"updated_at":`, task.UpdatedAt)
	to = append(to, `,"finished_at":null`...)
	orNull(`,"retried_by":`, string(task.RetriedBy))
	orNull(`,"intent":`, task.Intent)
	to = append(to, `,"on_decline":null`...)
	number(`,"declines":`, task.Declines)
	return append(to, `,"waiting_since":null,"look_at":null,"resolution":null}`+"\n"...), nil
}

// isNew reports whether appendShown writes a task by itself: nothing has happened to it, and its times are such as encoding/json
// takes.
func isNew(task billing.Task) bool {
	for _, at := range []time.Time{task.RunAt, task.ScheduledFor, task.CreatedAt, task.UpdatedAt} {
		if year := at.UTC().Year(); year < 0 || year > 9999 {
			return false
		}
	}
	return task.FirstSentAt == nil && task.Result == nil && task.LastError == nil && task.FinishedAt == nil && task.OnDecline == nil &&
		task.WaitingSince == nil && task.LookAt == nil && task.Resolution == nil
}

// appendString appends a JSON string as encoding/json writes it where HTML need not be escaped.
func appendString(to []byte, text string) []byte {
	if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' }) {
		encoded, err := encode(text)
		if err != nil {
			panic("httpapi: a text that is no JSON string")
		}
		return append(to, bytes.TrimSpace(encoded)...)
	}
	return append(append(append(to, '"'), text...), '"')
}

func encode(document any) ([]byte, error) {
	var buffer bytes.Buffer
	encoder := json.NewEncoder(&buffer)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(document)
	return buffer.Bytes(), err
}
