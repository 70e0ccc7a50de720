package config

import (
	"cmp"
	"net/url"
	"slices"
	"strings"
	"time"

	"billonce/pkg/secret"
)

// Tracing is the part of OpenTelemetry's own variables on which it depends whether and where spans go. The others are read by
// OpenTelemetry itself.
type Tracing struct {
	CollectorURL      string      `env:"OTEL_EXPORTER_OTLP_ENDPOINT"`
	TracesURL         string      `env:"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"`
	CollectorHeaders  secret.Text `env:"OTEL_EXPORTER_OTLP_HEADERS"`
	TracesHeaders     secret.Text `env:"OTEL_EXPORTER_OTLP_TRACES_HEADERS"`
	CollectorProtocol string      `env:"OTEL_EXPORTER_OTLP_PROTOCOL" envDefault:"http/protobuf"`
	TracesProtocol    string      `env:"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"`
	CollectorPacking  string      `env:"OTEL_EXPORTER_OTLP_COMPRESSION" envDefault:"none"`
	TracesPacking     string      `env:"OTEL_EXPORTER_OTLP_TRACES_COMPRESSION"`
	CollectorTimeout  int         `env:"OTEL_EXPORTER_OTLP_TIMEOUT" envDefault:"10000"` // milliseconds
	TracesTimeout     int         `env:"OTEL_EXPORTER_OTLP_TRACES_TIMEOUT" envDefault:"0"`
	TracesExporter    string      `env:"OTEL_TRACES_EXPORTER" envDefault:"otlp"`
	Sampler           string      `env:"OTEL_TRACES_SAMPLER" envDefault:"parentbased_always_on"`
	SamplerArg        float64     `env:"OTEL_TRACES_SAMPLER_ARG" envDefault:"1"`
	SDKDisabled       bool        `env:"OTEL_SDK_DISABLED" envDefault:"false"`
}

// samplers are the values of OTEL_TRACES_SAMPLER.
var samplers = []string{
	"always_on", "always_off", "traceidratio", "parentbased_always_on", "parentbased_always_off", "parentbased_traceidratio",
}

// SpansURL is where spans go, "" while nothing is followed.
func (t Tracing) SpansURL() string {
	switch {
	case t.SDKDisabled || t.TracesExporter == "none":
		return ""
	case t.TracesURL != "":
		return t.TracesURL
	case t.CollectorURL != "":
		return strings.TrimSuffix(t.CollectorURL, "/") + "/v1/traces"
	}
	return ""
}

// SpansHeaders go with the spans.
func (t Tracing) SpansHeaders() secret.Text {
	if !t.TracesHeaders.Empty() {
		return t.TracesHeaders
	}
	return t.CollectorHeaders
}

// SpansTimeout is what one request to the collector may take.
func (t Tracing) SpansTimeout() time.Duration {
	return time.Duration(cmp.Or(t.TracesTimeout, t.CollectorTimeout)) * time.Millisecond
}

// SpansPacked reports whether spans are compressed with gzip.
func (t Tracing) SpansPacked() bool { return cmp.Or(t.TracesPacking, t.CollectorPacking) == "gzip" }

// tracing judges what is given only where spans are to go somewhere: the variables may be there for others.
func (f *faultList) tracing(t Tracing) {
	if t.SpansURL() == "" {
		return
	}
	f.collector("OTEL_EXPORTER_OTLP_ENDPOINT", t.CollectorURL)
	f.collector("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", t.TracesURL)
	variable, protocol := "OTEL_EXPORTER_OTLP_PROTOCOL", t.CollectorProtocol
	if t.TracesProtocol != "" {
		variable, protocol = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", t.TracesProtocol
	}
	if protocol != "http/protobuf" {
		f.add(variable, "must be http/protobuf: nothing else is spoken")
	}
	for variable, packing := range map[string]string{
		"OTEL_EXPORTER_OTLP_COMPRESSION": t.CollectorPacking, "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION": cmp.Or(t.TracesPacking, "none"),
	} {
		if packing != "none" && packing != "gzip" {
			f.add(variable, "must be none or gzip")
		}
	}
	if t.CollectorTimeout < 1 {
		f.add("OTEL_EXPORTER_OTLP_TIMEOUT", "must be at least 1, in milliseconds")
	}
	if t.TracesTimeout < 0 {
		f.add("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "must be at least 1, in milliseconds")
	}
	if t.TracesExporter != "otlp" {
		f.add("OTEL_TRACES_EXPORTER", "must be otlp or none")
	}
	if !slices.Contains(samplers, t.Sampler) {
		f.add("OTEL_TRACES_SAMPLER", "must be one of "+strings.Join(samplers, ", "))
	}
	if !(t.SamplerArg >= 0 && t.SamplerArg <= 1) { // so that NaN, which is neither, is refused
		f.add("OTEL_TRACES_SAMPLER_ARG", "must be between 0 and 1")
	}
}

func (f *faultList) collector(variable, address string) {
	if address == "" {
		return
	}
	parsed, err := url.Parse(address)
	if err != nil || parsed.Scheme != "http" && parsed.Scheme != "https" || parsed.Hostname() == "" || parsed.User != nil ||
		parsed.RawQuery != "" || parsed.Fragment != "" {
		f.add(variable, "must be an http or https URL without a user, a query or a fragment")
	}
}
