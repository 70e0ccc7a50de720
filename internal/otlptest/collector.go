// Package otlptest is a collector of spans for tests: an HTTP server on loopback that speaks OTLP, as a real one does, and keeps
// what it was sent. It promises that nothing is lost of what it has answered with 200.
package otlptest

import (
	"compress/gzip"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	common "go.opentelemetry.io/proto/otlp/common/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// Span is a span as it was sent.
type Span struct {
	Service           string // that sent it
	Name, Kind        string // Kind: SERVER, CLIENT, CONSUMER
	TraceID, ID       string // in hexadecimal digits
	Parent            string // "" for the root of a trace
	Attributes        map[string]string
	Links             []Link
	Events            []map[string]string // their attributes
	Status, StatusMsg string              // Status: UNSET, OK, ERROR
}

// Link is where a span links to.
type Link struct{ TraceID, SpanID string }

// Collector is the server.
type Collector struct {
	URL string // for OTEL_EXPORTER_OTLP_ENDPOINT

	t       testing.TB
	mu      sync.Mutex
	spans   []Span
	raw     []string // everything that was sent, as JSON
	headers []http.Header
	news    chan struct{} // closed and replaced when something comes
	refuse  int           // a status to answer with; 0: none
	once    bool          // and only once
}

// Start starts a collector, which ends with the test.
func Start(t testing.TB) *Collector {
	t.Helper()
	c := &Collector{t: t, news: make(chan struct{})}
	server := httptest.NewServer(c)
	t.Cleanup(server.Close)
	c.URL = server.URL
	return c
}

// Refuse makes the collector answer with a status, and keep nothing; 0 makes it take what comes.
func (c *Collector) Refuse(status int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refuse = status
}

// RefuseOnce makes the collector answer with a status the next time.
func (c *Collector) RefuseOnce(status int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refuse, c.once = status, true
}

// ServeHTTP implements http.Handler.
func (c *Collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost || r.URL.Path != "/v1/traces" || r.Header.Get("Content-Type") != "application/x-protobuf" {
		c.t.Errorf("the collector was sent %s %s of %s", r.Method, r.URL.Path, r.Header.Get("Content-Type"))
	}
	content, err := read(r)
	if err != nil {
		c.t.Errorf("read spans: %v", err)
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if status := c.refuse; status != 0 {
		if c.once {
			c.refuse, c.once = 0, false
		}
		w.WriteHeader(status)
		return
	}
	c.headers = append(c.headers, r.Header.Clone())
	if err := c.take(content); err != nil {
		c.t.Errorf("decode spans: %v", err)
	}
	close(c.news)
	c.news = make(chan struct{})
	w.Header().Set("Content-Type", "application/x-protobuf") // an empty message
}

func read(r *http.Request) ([]byte, error) {
	if r.Header.Get("Content-Encoding") != "gzip" {
		return io.ReadAll(r.Body)
	}
	unpacked, err := gzip.NewReader(r.Body)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(unpacked)
}

// take keeps what a request held. An ExportTraceServiceRequest has the bytes of a TracesData.
func (c *Collector) take(content []byte) error {
	var sent otlp.TracesData
	if err := proto.Unmarshal(content, &sent); err != nil {
		return err
	}
	text, err := protojson.Marshal(&sent)
	if err != nil {
		return err
	}
	c.raw = append(c.raw, string(text))
	for _, of := range sent.GetResourceSpans() {
		service := attributes(of.GetResource().GetAttributes())["service.name"]
		for _, scope := range of.GetScopeSpans() {
			for _, span := range scope.GetSpans() {
				c.spans = append(c.spans, spanOf(service, span))
			}
		}
	}
	return nil
}

func spanOf(service string, sent *otlp.Span) Span {
	span := Span{
		Service: service, Name: sent.GetName(), Kind: sent.GetKind().String()[len("SPAN_KIND_"):],
		TraceID: hex.EncodeToString(sent.GetTraceId()), ID: hex.EncodeToString(sent.GetSpanId()), Parent: hex.EncodeToString(sent.GetParentSpanId()),
		Attributes: attributes(sent.GetAttributes()),
		Status:     sent.GetStatus().GetCode().String()[len("STATUS_CODE_"):], StatusMsg: sent.GetStatus().GetMessage(),
	}
	for _, link := range sent.GetLinks() {
		span.Links = append(span.Links, Link{TraceID: hex.EncodeToString(link.GetTraceId()), SpanID: hex.EncodeToString(link.GetSpanId())})
	}
	for _, event := range sent.GetEvents() {
		span.Events = append(span.Events, attributes(event.GetAttributes()))
	}
	return span
}

func attributes(sent []*common.KeyValue) map[string]string {
	all := make(map[string]string, len(sent))
	for _, one := range sent {
		switch value := one.GetValue().GetValue().(type) {
		case *common.AnyValue_StringValue:
			all[one.GetKey()] = value.StringValue
		case *common.AnyValue_IntValue:
			all[one.GetKey()] = fmt.Sprint(value.IntValue)
		case *common.AnyValue_BoolValue:
			all[one.GetKey()] = fmt.Sprint(value.BoolValue)
		default:
			all[one.GetKey()] = one.GetValue().String()
		}
	}
	return all
}

// Spans returns what has come so far.
func (c *Collector) Spans() []Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.spans)
}

// Raw returns every message that has come, as JSON.
func (c *Collector) Raw() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.raw)
}

// Headers returns the headers that came with the messages.
func (c *Collector) Headers() []http.Header {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.headers)
}

// Await waits until so many spans fit, and returns them all.
func (c *Collector) Await(n int, patience time.Duration, fits func(Span) bool) []Span {
	c.t.Helper()
	deadline := time.After(patience)
	for {
		c.mu.Lock()
		news := c.news
		c.mu.Unlock()
		found := slices.DeleteFunc(c.Spans(), func(s Span) bool { return !fits(s) })
		if len(found) >= n {
			return found
		}
		select {
		case <-news:
		case <-deadline:
			c.t.Fatalf("%d spans fit, want %d, of: %+v", len(found), n, c.Spans())
		}
	}
}
