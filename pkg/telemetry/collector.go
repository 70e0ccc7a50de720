package telemetry

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

const (
	collectorTries    = 3
	collectorPause    = time.Second / 2  // before the second try, and twice that before the third
	collectorPatience = 30 * time.Second // the longest that a collector may ask to be left alone
)

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
	request.Header.Set("Content-Type", "application/x-protobuf")
	if c.gzip {
		request.Header.Set("Content-Encoding", "gzip")
	}
	response, err := c.client.Do(request)
	if err != nil {
		return -1, fmt.Errorf("send spans: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	const kept = 64 << 10 // of an answer, so that the connection can be used again
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, kept))
	if response.StatusCode >= http.StatusOK && response.StatusCode < http.StatusMultipleChoices {
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
