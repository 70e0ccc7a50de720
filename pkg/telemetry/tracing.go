package telemetry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"billonce/pkg/secret"
)

// flushTimeout is what the last spans may take on their way when the process ends.
const flushTimeout = 2 * time.Second

const collectorTimeout = 10 * time.Second // as OpenTelemetry has it

// The values of OTEL_TRACES_SAMPLER.
const (
	SampleAlways       = "always_on"
	SampleNever        = "always_off"
	SampleRatio        = "traceidratio"
	SampleParent       = "parentbased_always_on"
	SampleParentOnly   = "parentbased_always_off"
	SampleParentsRatio = "parentbased_traceidratio"
)

// TracingConfig says where spans go. What it does not say (the sizes of batches, limits, attributes of the resource) OpenTelemetry reads
// from its own OTEL_ variables.
type TracingConfig struct {
	Endpoint string        // the whole URL of the collector
	Timeout  time.Duration // of one request; 0: 10 s
	Gzip     bool
	Headers  secret.Text // "name=value,name=value", values as in a URL; such as a key of the collector's
	Sampler  string
	Ratio    float64 // of SampleRatio and SampleParentsRatio
}

// Tracing follows requests and attempts with OpenTelemetry. Make one with [StartTracing].
//
// Spans say which route, which task, which kind, what came of it and Stripe's request id. They never hold a body, a parameter, a token,
// an object's id, nor a URL, where those stand.
type Tracing struct {
	provider *sdktrace.TracerProvider
	tracer   trace.Tracer
}

// StartTracing begins to send spans. It does not connect: a collector that is away costs spans and nothing else.
func StartTracing(ctx context.Context, conf TracingConfig, service, version string, metrics *SpanMetrics, log *slog.Logger) (*Tracing, error) {
	headers, err := headersOf(conf.Headers)
	if err != nil {
		return nil, err
	}
	// What OpenTelemetry has to complain of goes the way of everything else that is logged: through the redaction.
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		log.WarnContext(ctx, "OpenTelemetry complains", slog.Any("error", err))
	}))
	exporter, err := otlptrace.New(ctx, &collector{
		url: conf.Endpoint, headers: headers, gzip: conf.Gzip,
		client: &http.Client{
			Timeout:       cmp.Or(conf.Timeout, collectorTimeout),
			Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, MaxIdleConns: 1, IdleConnTimeout: time.Minute, ForceAttemptHTTP2: true},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // the headers are for this collector
		},
	})
	if err != nil {
		return nil, fmt.Errorf("prepare to export spans: %w", err)
	}
	described, err := resource.New(ctx, resource.WithTelemetrySDK(), resource.WithHost(), resource.WithAttributes(
		attribute.String("service.name", "billonce-"+service), attribute.String("service.version", version),
	), resource.WithFromEnv())
	if err != nil {
		log.WarnContext(ctx, "the resource of the spans is described in part", slog.Any("error", err))
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(&counted{SpanExporter: exporter, metrics: metrics, log: log}),
		sdktrace.WithResource(described), sdktrace.WithSampler(samplerOf(conf.Sampler, conf.Ratio)))
	log.InfoContext(ctx, "tracing is on", slog.String("sampler", conf.Sampler))
	return &Tracing{provider: provider, tracer: provider.Tracer("billonce", trace.WithInstrumentationVersion(version))}, nil
}

// Stop sends the spans that have ended and not been sent yet, for a short while at most.
func (t *Tracing) Stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTimeout)
	defer cancel()
	if err := t.provider.Shutdown(ctx); err != nil {
		return fmt.Errorf("send the last spans: %w", err)
	}
	return nil
}

// headersOf reads OTEL_EXPORTER_OTLP_HEADERS. The error shows none.
func headersOf(text secret.Text) (map[string]string, error) {
	headers := map[string]string{}
	for pair := range strings.SplitSeq(text.Reveal(), ",") {
		if strings.TrimSpace(pair) == "" {
			continue
		}
		name, value, ok := strings.Cut(pair, "=")
		decoded, err := url.PathUnescape(strings.TrimSpace(value))
		if name = strings.TrimSpace(name); !ok || err != nil || name == "" {
			return nil, errors.New("the headers for the collector cannot be read")
		}
		headers[name] = decoded
	}
	return headers, nil
}

func samplerOf(name string, ratio float64) sdktrace.Sampler {
	switch name {
	case SampleNever:
		return sdktrace.NeverSample() // whatever was sampled before
	case SampleAlways:
		return sdktrace.AlwaysSample()
	case SampleRatio:
		return linked{sdktrace.TraceIDRatioBased(ratio)}
	case SampleParentOnly:
		return linked{sdktrace.ParentBased(sdktrace.NeverSample())}
	case SampleParentsRatio:
		return linked{sdktrace.ParentBased(sdktrace.TraceIDRatioBased(ratio))}
	}
	return sdktrace.ParentBased(sdktrace.AlwaysSample())
}

// linked samples the traces of what a sampled request has led to: of a task of which the beginning is shown, the end is as well.
type linked struct{ otherwise sdktrace.Sampler }

// ShouldSample implements sdktrace.Sampler.
func (l linked) ShouldSample(span sdktrace.SamplingParameters) sdktrace.SamplingResult {
	if !trace.SpanContextFromContext(span.ParentContext).IsValid() {
		for _, link := range span.Links {
			if link.SpanContext.IsSampled() {
				return sdktrace.SamplingResult{Decision: sdktrace.RecordAndSample}
			}
		}
	}
	return l.otherwise.ShouldSample(span)
}

// Description implements sdktrace.Sampler.
func (l linked) Description() string { return "Linked{" + l.otherwise.Description() + "}" }

// SpanMetrics counts spans on their way.
type SpanMetrics struct{ exported *prometheus.CounterVec }

// NewSpanMetrics registers them.
func NewSpanMetrics(registry prometheus.Registerer) *SpanMetrics {
	m := &SpanMetrics{exported: counter("spans_exported_total", "Spans handed to the collector, or not.", "result")}
	m.exported.WithLabelValues("sent")
	m.exported.WithLabelValues("failed")
	registry.MustRegister(m.exported)
	return m
}

// counted is an exporter whose failures are counted and logged, and nobody else's concern.
type counted struct {
	sdktrace.SpanExporter
	metrics *SpanMetrics
	log     *slog.Logger
}

// ExportSpans implements sdktrace.SpanExporter.
func (c *counted) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	err := c.SpanExporter.ExportSpans(ctx, spans)
	lost := 0
	var refused *rejectedError
	switch {
	case errors.As(err, &refused):
		lost = min(refused.spans, len(spans))
	case err != nil:
		lost = len(spans)
	}
	c.metrics.exported.WithLabelValues("sent").Add(float64(len(spans) - lost))
	c.metrics.exported.WithLabelValues("failed").Add(float64(lost))
	if err != nil {
		c.log.WarnContext(ctx, "spans are lost", slog.Int("spans", lost), slog.Any("error", err))
	}
	return nil
}
