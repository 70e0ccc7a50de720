package console

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html/template"
	"reflect"
	"strconv"
	"strings"
	"time"

	"billonce/pkg/billing"
	"billonce/pkg/client"
	"billonce/pkg/secret"
)

// moment reads what templates hand over as a time; ok is false for none.
func moment(value any) (t time.Time, ok bool) {
	switch given := value.(type) {
	case time.Time:
		return given.UTC(), !given.IsZero()
	case *time.Time:
		if given != nil {
			return given.UTC(), !given.IsZero()
		}
	}
	return time.Time{}, false
}

// at writes a moment for people and for programs, always in UTC.
func at(value any) template.HTML {
	t, ok := moment(value)
	if !ok {
		return `<span class="none">none</span>`
	}
	return template.HTML(`<time datetime="` + t.Format(time.RFC3339) + `">` + t.Format("2006-01-02 15:04:05") + `</time>`) //nolint:gosec // digits alone
}

// ago says how far away a moment is.
func ago(value any, now time.Time) string {
	t, ok := moment(value)
	if !ok {
		return ""
	}
	if t.After(now) {
		return "in " + rough(t.Sub(now))
	}
	return rough(now.Sub(t)) + " ago"
}

// rough is a duration in its largest unit, cut off.
func rough(d time.Duration) string {
	switch {
	case d < time.Second:
		return "a moment"
	case d < 2*time.Minute:
		return strconv.Itoa(int(d/time.Second)) + " s"
	case d < 2*time.Hour:
		return strconv.Itoa(int(d/time.Minute)) + " min"
	case d < 48*time.Hour:
		return strconv.Itoa(int(d/time.Hour)) + " h"
	}
	return strconv.Itoa(int(d/(24*time.Hour))) + " days"
}

// age is rough for seconds.
func age(seconds int) string {
	if seconds <= 0 {
		return "none"
	}
	return rough(time.Duration(seconds) * time.Second)
}

// span is the time between two moments, exactly.
func span(from, to any) string {
	a, known := moment(from)
	b, ended := moment(to)
	if !known || !ended {
		return ""
	}
	switch d := b.Sub(a); {
	case d < time.Second:
		return strconv.FormatInt(d.Milliseconds(), 10) + " ms"
	case d < time.Minute:
		return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + " s"
	default:
		return lasting(d.Round(time.Second))
	}
}

// number writes 12345 as 12,345.
func number(n any) string {
	digits := fmt.Sprint(n)
	sign := ""
	if strings.HasPrefix(digits, "-") {
		sign, digits = "-", digits[1:]
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return sign + digits
}

// capped is a count that may have been stopped.
func capped(n int, stopped bool) string {
	if stopped {
		return number(n) + "+"
	}
	return number(n)
}

// words writes in_doubt as people say it, and says in words what an attempt, a reason or a duration is.
func words(value any) string {
	switch given := value.(type) {
	case client.Attempt:
		return told(given)
	case *billing.PauseReason:
		if given != nil {
			return whyPaused(*given)
		}
	case time.Duration:
		return lasting(given)
	}
	return strings.ReplaceAll(text(value), "_", " ")
}

// text is what a pointer leads to, and "" for none.
func text(value any) string {
	v := reflect.ValueOf(value)
	for v.IsValid() && v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return ""
		}
		v = v.Elem()
	}
	if !v.IsValid() {
		return ""
	}
	return fmt.Sprint(v.Interface())
}

// last is the end of an id, which tells ids apart that begin with the same moment.
func last(id any) string {
	whole := text(id)
	return whole[max(0, len(whole)-12):]
}

func yes(is bool) string {
	if is {
		return "yes"
	}
	return "no"
}

// detailOf is what the audit log keeps of a change, in one line, with whatever looks like a credential taken out.
func detailOf(raw json.RawMessage) string {
	var out bytes.Buffer
	if len(raw) == 0 || json.Compact(&out, raw) != nil || out.String() == "{}" {
		return ""
	}
	return secret.Scrub(out.String())
}
