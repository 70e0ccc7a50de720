package telemetry

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"slices"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

const (
	collectorTries    = 3
	collectorPause    = time.Second / 2  // before the second try, and twice that before the third
	collectorPatience = 30 * time.Second // the longest that a collector may ask to be left alone
)

const protobuf = "application/x-protobuf"

// rejectedError says that a collector took a request and refused some of its spans. Its own words for that are not repeated.
type rejectedError struct{ spans int }

func (e *rejectedError) Error() string {
	return fmt.Sprintf("send spans: the collector refused %d of them", e.spans)
}

// collector takes spans by OTLP over HTTP. OpenTelemetry's own client for that brings gRPC along, whether or not it is spoken: six modules
// and as much memory as a hundred calls in flight.
type collector struct {
	url     string
	headers map[string]string
	gzip    bool
	client  *http.Client
}

var _ otlptrace.Client = (*collector)(nil)

// Start implements otlptrace.Client. There is nothing to connect to before there are spans.
func (*collector) Start(context.Context) error { return nil }

// Stop implements otlptrace.Client.
func (c *collector) Stop(context.Context) error {
	c.client.CloseIdleConnections()
	return nil
}

// UploadTraces implements otlptrace.Client. A collector that is busy is asked again, as OTLP wants it.
func (c *collector) UploadTraces(ctx context.Context, spans []*otlp.ResourceSpans) error {
	body, err := proto.Marshal(&otlp.TracesData{ResourceSpans: spans}) // the bytes of an ExportTraceServiceRequest
	if err == nil && c.gzip {
		body, err = packed(body)
	}
	if err != nil {
		return fmt.Errorf("encode spans: %w", err)
	}
	for try, pause := 1, collectorPause; ; try, pause = try+1, 2*pause {
		later, err := c.send(ctx, body)
		if err == nil || later < 0 || try == collectorTries {
			return err
		}
		timer := time.NewTimer(max(pause, later))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return errors.Join(err, ctx.Err())
		}
	}
}

func packed(body []byte) ([]byte, error) {
	var into bytes.Buffer
	writer := gzip.NewWriter(&into)
	_, err := writer.Write(body)
	err = errors.Join(err, writer.Close())
	return into.Bytes(), err
}

// send makes one try. With an error it says how long the collector wants to be left alone, less than 0 if there is no use in asking again.
func (c *collector) send(ctx context.Context, body []byte) (later time.Duration, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return -1, fmt.Errorf("send spans: %w", err)
	}
	for name, value := range c.headers {
		request.Header.Set(name, value)
	}
	request.Header.Set("Content-Type", protobuf)
	if c.gzip {
		request.Header.Set("Content-Encoding", "gzip")
	}
	response, err := c.client.Do(request)
	if err != nil {
		return -1, fmt.Errorf("send spans: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	const kept = 64 << 10 // of an answer, so that the connection can be used again
	answer, _ := io.ReadAll(io.LimitReader(response.Body, kept))
	if response.StatusCode >= http.StatusOK && response.StatusCode < http.StatusMultipleChoices {
		if n := rejected(answer); n > 0 && response.Header.Get("Content-Type") == protobuf {
			return -1, &rejectedError{spans: n} // as OTLP wants it, these are not sent again
		}
		return 0, nil
	}
	err = fmt.Errorf("send spans: the collector answered %d", response.StatusCode)
	busy := []int{http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout}
	if !slices.Contains(busy, response.StatusCode) {
		return -1, err
	}
	seconds, _ := strconv.Atoi(response.Header.Get("Retry-After")) // 0 if it does not say, or says a date
	return min(max(time.Duration(seconds)*time.Second, 0), collectorPatience), err
}

// rejected reads from an ExportTraceServiceResponse how many spans were refused: the first field of the message in its first field. The
// code that is generated for that message brings gRPC along. What cannot be read says nothing.
func rejected(answer []byte) int {
	partial, size := protowire.ConsumeBytes(first(answer, protowire.BytesType))
	if size < 0 {
		return 0
	}
	n, size := protowire.ConsumeVarint(first(partial, protowire.VarintType))
	if size < 0 || n > math.MaxInt32 {
		return 0
	}
	return int(n)
}

// first returns a message from the value of its field 1 on; nil if it has none of that type, or is none.
func first(message []byte, kind protowire.Type) []byte {
	for len(message) > 0 {
		number, found, size := protowire.ConsumeTag(message)
		if size < 0 {
			return nil
		}
		message = message[size:]
		if number == 1 && found == kind {
			return message
		}
		if size = protowire.ConsumeFieldValue(number, found, message); size < 0 {
			return nil
		}
		message = message[size:]
	}
	return nil
}
