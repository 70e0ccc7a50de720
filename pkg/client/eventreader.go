package client

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strconv"
	"time"
)

const maxEventBytes = 1 << 20 // of one event; the server's have a few hundred

var errEventTooLong = errors.New("an event is too long")

// message is one block of a stream of events, as the HTML standard defines them (text/event-stream). One without data is no event, but
// its id counts.
type message struct {
	id    string
	name  string
	data  []byte
	retry time.Duration
}

// eventReader reads messages. Lines end with LF, CR, or both.
type eventReader struct {
	lines *bufio.Scanner
	begun bool
}

func newEventReader(from io.Reader) *eventReader {
	lines := bufio.NewScanner(from)
	lines.Buffer(make([]byte, 0, 4096), maxEventBytes)
	splitter := lineSplitter{}
	lines.Split(splitter.split)
	return &eventReader{lines: lines}
}

// next returns the next message. The error is io.EOF at the end; a message that has not ended then does not count.
func (r *eventReader) next() (message, error) {
	var m message
	size, some := 0, false
	for r.lines.Scan() {
		line := r.lines.Bytes()
		if !r.begun {
			r.begun, line = true, bytes.TrimPrefix(line, []byte("\xef\xbb\xbf"))
		}
		if len(line) == 0 {
			if some {
				m.data = bytes.TrimSuffix(m.data, []byte("\n"))
				return m, nil
			}
			continue
		}
		if size += len(line) + 1; size > maxEventBytes {
			return message{}, errEventTooLong
		}
		some = true
		m.take(line)
	}
	switch err := r.lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return message{}, errEventTooLong
	case err != nil:
		return message{}, err
	}
	return message{}, io.EOF
}

// take reads one line.
func (m *message) take(line []byte) {
	field, value, _ := bytes.Cut(line, []byte(":"))
	value = bytes.TrimPrefix(value, []byte(" "))
	switch string(field) {
	case "event":
		m.name = string(value)
	case "data":
		m.data = append(append(m.data, value...), '\n')
	case "id":
		if !bytes.ContainsRune(value, 0) {
			m.id = string(value)
		}
	case "retry":
		if n, err := strconv.ParseUint(string(value), 10, 31); err == nil {
			m.retry = time.Duration(n) * time.Millisecond
		}
	}
}

// lineSplitter splits at LF, CR and CRLF. A CR ends its line at once: what follows may take long to come. An LF behind it is left out.
type lineSplitter struct{ afterCR bool }

func (s *lineSplitter) split(data []byte, atEOF bool) (advance int, line []byte, err error) {
	skip := 0
	if s.afterCR && len(data) > 0 {
		s.afterCR = false
		if data[0] == '\n' {
			skip = 1
		}
	}
	if at := bytes.IndexAny(data[skip:], "\r\n"); at >= 0 {
		s.afterCR = data[skip+at] == '\r'
		return skip + at + 1, data[skip : skip+at], nil
	}
	if atEOF && len(data) > skip {
		return len(data), data[skip:], nil
	}
	return skip, nil, nil
}
