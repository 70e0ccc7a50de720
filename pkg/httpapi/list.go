package httpapi

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"billonce/pkg/billing"
)

// Bounds of a page.
const (
	maxLimit     = 200
	defaultLimit = 50
)

// cursorVersion changes when the meaning of a cursor does, so that an old one is refused and not misread.
const (
	cursorVersion = 1
	listIDBytes   = 8
)

// query reads the parameters of a list. A parameter without a value is an absent one.
type query struct {
	values url.Values
	faults faults
	list   listID // which a cursor belongs to
}

func readQuery(c echo.Context, list string) *query {
	q := &query{values: c.QueryParams()} // checkQuery has refused what cannot be read
	filters := url.Values{}
	for name, given := range q.values {
		if name != "limit" && name != "cursor" && given[0] != "" {
			filters[name] = given
		}
	}
	q.list = makeListID(list, filters.Encode()) // Encode sorts
	return q
}

func (q *query) fault(name, code, detail string) { q.faults.add(atQuery(name), code, detail) }

func (q *query) limit() int {
	text := q.values.Get("limit")
	if text == "" {
		return defaultLimit
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxLimit || !isDigit(text[0]) {
		q.fault("limit", faultRange, fmt.Sprintf("must be 1 to %d", maxLimit))
		return defaultLimit
	}
	return n
}

// after returns the last entry of the page before, "" for the first page. valid judges what the cursor holds.
func (q *query) after(valid func(last string) bool) string {
	text := q.values.Get("cursor")
	if text == "" {
		return ""
	}
	last, ok := q.list.after(text)
	if !ok || !valid(last) {
		q.fault("cursor", faultFormat, "must be the next_cursor of an earlier page of this list with the same filters")
		return ""
	}
	return last
}

func (q *query) cursor(last string) *string { return q.list.cursor(last) }

// listID tells a list from others: by its name and filters.
type listID [listIDBytes]byte

func makeListID(name, filters string) (id listID) {
	sum := sha256.Sum256([]byte(name + "?" + filters))
	copy(id[:], sum[:])
	return id
}

// cursor makes a cursor that leads to what comes after an entry.
func (id listID) cursor(last string) *string {
	raw := append([]byte{cursorVersion}, id[:]...)
	text := base64.RawURLEncoding.EncodeToString(append(raw, last...))
	return &text
}

// after returns the entry that a cursor of this list begins after; ok is false if it is none.
func (id listID) after(cursor string) (last string, ok bool) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	if err != nil || len(raw) < 1+listIDBytes || raw[0] != cursorVersion || !bytes.Equal(raw[1:1+listIDBytes], id[:]) {
		return "", false
	}
	return string(raw[1+listIDBytes:]), true
}

// text reads a filter of visible characters.
func (q *query) text(name string) string {
	text := q.values.Get(name)
	if len(text) > maxTargetBytes || strings.ContainsFunc(text, isNotVisible) {
		q.fault(name, faultFormat, fmt.Sprintf("must be up to %d visible ASCII characters", maxTargetBytes))
		return ""
	}
	return text
}

// moment reads a filter that is a time, zero when there is none.
func (q *query) moment(name string) time.Time {
	text := q.values.Get(name)
	if text == "" {
		return time.Time{}
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil || !isTimestamp(text) {
		q.fault(name, faultFormat, "must be a time as in RFC 3339, like 2030-01-31T09:00:00Z")
		return time.Time{}
	}
	return at.UTC()
}

// merchant reads a filter that is a merchant's id, "" when there is none.
func (q *query) merchant(name string) billing.MerchantID {
	text := q.values.Get(name)
	if text == "" {
		return ""
	}
	id, err := billing.ParseMerchantID(text)
	if err != nil {
		q.fault(name, faultFormat, "must be the id of a merchant")
	}
	return id
}

// readStatuses reads one status of tasks, or several with commas between them.
func readStatuses(text string) (statuses []billing.Status, ok bool) {
	for name := range strings.SplitSeq(text, ",") {
		status := billing.Status(name)
		if !status.Known() || len(statuses) == len(billing.Statuses()) {
			return nil, false
		}
		statuses = append(statuses, status)
	}
	return statuses, true
}

// flag reads a filter that is true or false.
func (q *query) flag(name string) bool {
	switch q.values.Get(name) {
	case "", "false":
	case "true":
		return true
	default:
		q.fault(name, faultUnknownValue, "must be true or false")
	}
	return false
}

// maxTold is how many characters may be looked for: as many as a value in metadata has.
const maxTold = 500

// told reads what somebody was told of a task.
func (q *query) told(name string) string {
	text := strings.TrimSpace(q.values.Get(name))
	if !utf8.ValidString(text) || utf8.RuneCountInString(text) > maxTold || strings.ContainsFunc(text, unicode.IsControl) {
		q.fault(name, faultFormat, fmt.Sprintf("must be up to %d characters of one line", maxTold))
		return ""
	}
	return text
}

// task reads a filter that is a task's id, "" when there is none.
func (q *query) task(name string) billing.TaskID {
	text := q.values.Get(name)
	if text == "" {
		return ""
	}
	id, err := billing.ParseTaskID(text)
	if err != nil {
		q.fault(name, faultFormat, "must be the id of a task")
	}
	return id
}

func isNotVisible(r rune) bool { return r <= ' ' || r > '~' }

func isTaskID(text string) bool {
	id, err := billing.ParseTaskID(text)
	return err == nil && string(id) == text
}

func isMerchantID(text string) bool {
	id, err := billing.ParseMerchantID(text)
	return err == nil && string(id) == text
}

// pageOf cuts the entry that was read beyond the limit, and shows the rest.
func pageOf[E, A any](q *query, entries []E, limit int, show func(E) A, last func(E) string) page[A] {
	var next *string
	if len(entries) > limit {
		entries = entries[:limit]
		next = q.cursor(last(entries[limit-1]))
	}
	data := make([]A, len(entries))
	for i, entry := range entries {
		data[i] = show(entry)
	}
	return page[A]{Data: data, NextCursor: next}
}
