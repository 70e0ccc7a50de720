package httpapi

import (
	"encoding/json"
	"slices"
	"sync"
	"time"

	"billonce/pkg/billing"
)

// maxUnread is how much may wait for a stream's reader before it is cut off. What waits is shared by all streams that wait for it.
const maxUnread = 512 << 10 // bytes

// Why a stream has ended.
const (
	endedClient   = "client"   // its reader went away
	endedSlow     = "slow"     // its reader did not read
	endedKey      = "key"      // its API key does not allow it any more
	endedShutdown = "shutdown" // the server ends
)

// eventFilter is what of all events a stream is for.
type eventFilter struct {
	merchant billing.MerchantID // "": every one
	nobody   bool               // the caller has asked for a merchant that it must not know of
	statuses []billing.Status   // empty: every one
	kinds    []billing.Kind
}

func (f eventFilter) takes(event *billing.TaskEvent) bool {
	return !f.nobody && (f.merchant == "" || f.merchant == event.MerchantID) &&
		(len(f.statuses) == 0 || slices.Contains(f.statuses, event.Status)) &&
		(len(f.kinds) == 0 || slices.Contains(f.kinds, event.Kind))
}

// stream is one reader's.
type stream struct {
	who    caller
	filter eventFilter
	after  billing.EventMark // where it says that it was; zero: nowhere
	begun  bool              // it is told what happens; the hub's

	ready chan struct{} // something is unread
	ended chan struct{} // closed at its end

	mu     sync.Mutex
	unread [][]byte
	bytes  int
	mark   string // up to where it has been told all
	why    string
}

func newStream(who caller, filter eventFilter, after billing.EventMark) *stream {
	return &stream{who: who, filter: filter, after: after, ready: make(chan struct{}, 1), ended: make(chan struct{})}
}

// offer adds what is to be sent, up to the mark. It never waits: a reader that leaves too much unread is cut off.
func (s *stream) offer(frames [][]byte, mark string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.why != "" {
		return
	}
	for _, frame := range frames {
		s.bytes += len(frame)
	}
	s.mark = mark
	if s.unread = append(s.unread, frames...); s.bytes > maxUnread {
		s.finish(endedSlow)
		return
	}
	if len(frames) > 0 {
		select {
		case s.ready <- struct{}{}:
		default:
		}
	}
}

// take returns what is unread.
func (s *stream) take() [][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	taken := s.unread
	s.unread, s.bytes = nil, 0
	return taken
}

// rest is what is sent when there is nothing: that the connection lives, and the place up to which all is told.
func (s *stream) rest() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mark == "" || len(s.unread) > 0 {
		return []byte(":\n\n")
	}
	return []byte(":\nid: " + s.mark + "\n\n")
}

func (s *stream) end(why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.finish(why)
}

// finish ends the stream; what is unread is lost. The caller holds the lock.
func (s *stream) finish(why string) {
	if s.why != "" {
		return
	}
	s.why, s.unread = why, nil
	close(s.ended)
}

// reason is why the stream has ended, and otherwise, as the one who asks knows, why it does.
func (s *stream) reason(otherwise string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.why != "" {
		return s.why
	}
	return otherwise
}

// eventAnswer is the data of an event "task".
type eventAnswer struct {
	ID         billing.TaskID     `json:"id"`
	MerchantID billing.MerchantID `json:"merchant_id"`
	Kind       billing.Kind       `json:"kind"`
	Target     *string            `json:"target"`
	Status     billing.Status     `json:"status"`
	Attempt    int                `json:"attempt"`
	RunAt      time.Time          `json:"run_at"`
	At         time.Time          `json:"at"`
}

// telling is a page of events as it is sent. Each is written once, and the last that a stream gets bears the id: a reader that loses
// the connection before it gets all of them again.
type telling struct {
	events []billing.TaskEvent
	frames [][]byte
	id     []byte
}

func newTelling(events []billing.TaskEvent, id string) *telling {
	return &telling{events: events, frames: make([][]byte, len(events)), id: []byte("id: " + id + "\n")}
}

// to returns what of it passes the filter.
func (t *telling) to(filter eventFilter) [][]byte {
	var frames [][]byte
	for i := range t.events {
		if filter.takes(&t.events[i]) {
			frames = append(frames, t.frame(i))
		}
	}
	if len(frames) > 0 {
		frames = slices.Insert(frames, len(frames)-1, t.id)
	}
	return frames
}

func (t *telling) frame(i int) []byte {
	if t.frames[i] == nil {
		event := &t.events[i]
		t.frames[i] = frame("task", eventAnswer{
			ID: event.ID, MerchantID: event.MerchantID, Kind: event.Kind, Target: orNull(event.Target), Status: event.Status,
			Attempt: event.Attempt, RunAt: event.RunAt, At: event.At,
		})
	}
	return t.frames[i]
}

type resetAnswer struct {
	Reason billing.ResetReason `json:"reason"`
}

func resetFrame(reason billing.ResetReason, id string) []byte {
	return append([]byte("id: "+id+"\n"), frame("reset", resetAnswer{reason})...)
}

// frame is one event of the stream. JSON has no line breaks outside texts, and writes those within as \n.
func frame(name string, data any) []byte {
	text, err := json.Marshal(data)
	if err != nil { // texts, numbers and times of the database's
		panic(err)
	}
	return slices.Concat([]byte("event: "+name+"\ndata: "), text, []byte("\n\n"))
}
