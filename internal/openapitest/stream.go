package openapitest

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"

	"billonce/internal/openapi"
)

// EventStream is the media type of answers that have no end.
const EventStream = "text/event-stream"

// isStream reports whether an answer is read as it comes.
func isStream(answer *http.Response) bool {
	return answer.StatusCode == http.StatusOK && strings.HasPrefix(answer.Header.Get("Content-Type"), EventStream)
}

// streamed holds the events of an answer against the description while somebody reads them; the first that is not as described ends the
// reading with [ErrMismatch].
type streamed struct {
	io.ReadCloser
	events openapi.Node // by their names
	line   []byte
	name   string
	data   []byte
}

func newStreamed(body io.ReadCloser, path string) *streamed {
	operation, _ := read().document.Find(http.MethodGet, path)
	return &streamed{
		ReadCloser: body,
		events:     read().document.Root.At("paths", operation.Path, "get", "responses", "200", "content", EventStream, "x-events"),
	}
}

// Read implements [io.Reader].
func (s *streamed) Read(into []byte) (int, error) {
	n, err := s.ReadCloser.Read(into)
	for _, one := range into[:n] {
		if one != '\n' {
			s.line = append(s.line, one)
			continue
		}
		if err := s.take(); err != nil {
			return 0, fmt.Errorf("%w: %w", ErrMismatch, err)
		}
		s.line = s.line[:0]
	}
	return n, err
}

// take judges one line as our server writes it.
func (s *streamed) take() error {
	name, value, _ := bytes.Cut(s.line, []byte(": "))
	switch string(name) {
	case "event":
		s.name = string(value)
	case "data":
		s.data = append(s.data, value...)
	case "":
		if len(s.line) > 0 { // a comment
			return nil
		}
		event, data := s.name, s.data
		s.name, s.data = "", nil
		if event == "" && len(data) == 0 {
			return nil
		}
		schema := s.events.At(event)
		if !schema.Exists() {
			return fmt.Errorf("the event %q is not described", event)
		}
		return prefix("the event "+event, read().body(toClient, schema.Follow(), data))
	case "id", "retry", ":":
	default:
		return fmt.Errorf("the line %q belongs to no event", s.line)
	}
	return nil
}

// FirstBlock reads a stream to the end of its first block, which comes at once.
func FirstBlock(stream io.Reader) ([]byte, error) {
	var block []byte
	one := make([]byte, 1)
	for !bytes.HasSuffix(block, []byte("\n\n")) {
		n, err := stream.Read(one)
		if block = append(block, one[:n]...); err != nil && !bytes.HasSuffix(block, []byte("\n\n")) {
			return block, err
		}
	}
	return block, nil
}
