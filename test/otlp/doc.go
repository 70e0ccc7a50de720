// Package otlp holds the tests of what our exporter of spans sends: that the OpenTelemetry collector's own receiver takes it, and that
// what the collector has read is whole. It has tests only.
//
// pkg/telemetry's tests have a collector of our own (internal/otlptest), which reads with the library that the exporter writes with: a
// fault in it would be on both sides. The collector reads with code of its own, generated from OpenTelemetry's definitions.
//
// It is a module of its own, because the collector as a library is larger than billonce: nothing of it is built into a program.
package otlp
