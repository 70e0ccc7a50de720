package gateway

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"billonce/pkg/billing"
)

// Bounds of a look: of the pages that one list is read through, and of the event types that Stripe takes in one request.
const (
	pageSize = 100
	maxPages = 50
	maxTypes = 20
)

// list is a list of Stripe's, newest first, as far as it was read.
type list struct {
	entries   []entry
	complete  bool // read to its end
	status    int  // of the last page
	requestID string
	at, heard time.Time // when the first page was answered, by Stripe's clock and by this process's
	failed    bool      // a page could not be read, as failure tells
	failure   observation
}

// add appends what another list holds.
func (l *list) add(more list) {
	l.entries = append(l.entries, more.entries...)
	l.complete = l.complete && more.complete
	l.status, l.requestID, l.failed, l.failure = more.status, more.requestID, more.failed, more.failure
	if l.heard.IsZero() {
		l.at, l.heard = more.at, more.heard
	}
}

// list reads a list, once for all doubts of a look: to its end, or as far as half of the time that is left allows. The other
// half is for what can be told without it.
func (l *look) list(ctx context.Context, path, version string) list {
	if known, ok := l.lists[path]; ok {
		return known
	}
	var read list
	half, cancel := halfTheTime(ctx)
	defer cancel()
	after := ""
	for range maxPages {
		seen := l.gateway.read(half, reading(path+after, version), l.who)
		if len(read.entries) > 0 && half.Err() != nil && ctx.Err() == nil {
			break
		}
		read.status, read.requestID = seen.status, seen.requestID
		if read.heard.IsZero() {
			read.at, read.heard = seen.at, seen.heard
		}
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

func halfTheTime(ctx context.Context) (context.Context, context.CancelFunc) {
	end, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, time.Until(end)/2)
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

// events reads the events of all types that the doubts could have left.
func (l *look) events(ctx context.Context, doubts []billing.Doubt, version string) list {
	var types []string
	for _, doubt := range doubts {
		known := traceOf(doubt.Kind)
		types = append(append(append(types, known.made...), known.declined...), known.confirmed...)
	}
	slices.Sort(types)
	whole := list{complete: true}
	for some := range slices.Chunk(slices.Compact(types), maxTypes) {
		whole.add(l.list(ctx, "/v1/events?"+sinceQuery(url.Values{"types[]": some}, l.since), version))
		if whole.failed {
			break
		}
	}
	return whole
}

// sinceQuery completes the query of a list by its beginning and the size of a page.
func sinceQuery(query url.Values, since int64) string {
	query.Set("created[gte]", strconv.FormatInt(since, 10))
	query.Set("limit", strconv.Itoa(pageSize))
	return query.Encode()
}
