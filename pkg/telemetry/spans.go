package telemetry

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"billonce/pkg/billing"
	"billonce/pkg/secret"
)

const (
	headerTraceparent = "traceparent"
	headerTracestate  = "tracestate"
	maxTracestate     = 256 // bytes that are stored with a task
)

// w3c is the only form in which spans are named to and by others. Baggage is neither read nor passed on: it is other people's content.
var w3c propagation.TraceContext

// StartRequest begins the span of a request, within the trace that its headers name if they do. The context is the one to handle it
// under; end ends the span, and takes the route's template and the answer's status.
func (t *Tracing) StartRequest(ctx context.Context, header http.Header, method, requestID string) (within context.Context, end func(route string, status int)) {
	named := propagation.MapCarrier{}
	if parents := header.Values(headerTraceparent); len(parents) == 1 {
		named[headerTraceparent] = parents[0]
		if state := strings.Join(header.Values(headerTracestate), ","); !secret.Resembles(state) {
			named[headerTracestate] = state
		}
	}
	within, span := t.tracer.Start(w3c.Extract(ctx, named), method, trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(
		attribute.String("http.request.method", method), attribute.String("billonce.request_id", requestID)))
	return within, func(route string, status int) {
		span.SetName(method + " " + route)
		span.SetAttributes(attribute.String("http.route", route), attribute.Int("http.response.status_code", status))
		if status >= http.StatusInternalServerError {
			fail(span, strconv.Itoa(status))
		}
		span.End()
	}
}

// Context names the span of ctx in the form in which it is stored with a task: "" when there is none, or none that anybody will see.
func (t *Tracing) Context(ctx context.Context) string {
	if !trace.SpanContextFromContext(ctx).IsSampled() {
		return ""
	}
	named := propagation.MapCarrier{}
	w3c.Inject(ctx, named)
	parent, state := named[headerTraceparent], named[headerTracestate]
	if state == "" || len(state) > maxTracestate {
		return parent
	}
	return parent + " " + state
}

// linkTo is the link to what [Tracing.Context] named.
func linkTo(text string) (trace.Link, bool) {
	parent, state, _ := strings.Cut(text, " ")
	named := w3c.Extract(context.Background(), propagation.MapCarrier{headerTraceparent: parent, headerTracestate: state})
	found := trace.SpanContextFromContext(named)
	return trace.Link{SpanContext: found}, found.IsValid()
}

// consumer are the attributes that OpenTelemetry's conventions give to whoever processes messages, which are tasks here.
func consumer(more ...attribute.KeyValue) trace.SpanStartEventOption {
	return trace.WithAttributes(append([]attribute.KeyValue{
		attribute.String("messaging.system", "billonce"), attribute.String("messaging.destination.name", "task"),
		attribute.String("messaging.operation.type", "process"), attribute.String("messaging.operation.name", "process"),
	}, more...)...)
}

// StartAttempt begins the trace of an attempt, which links to the request that scheduled the task: the two may be days apart. within puts
// a context into the attempt's span; end ends it, and takes what was decided, nil for a claim that was given back.
func (t *Tracing) StartAttempt(claim *billing.Claim) (within func(context.Context) context.Context, end func(*billing.Settlement)) {
	options := []trace.SpanStartOption{trace.WithNewRoot(), trace.WithSpanKind(trace.SpanKindConsumer), consumer(
		attribute.String("messaging.message.id", string(claim.ID)), attribute.String("billonce.merchant_id", string(claim.MerchantID)),
		attribute.String("billonce.kind", string(claim.Kind)), attribute.Int("billonce.attempt", claim.Attempt),
		attribute.String("billonce.worker_id", string(claim.Worker)), attribute.Bool("billonce.resend", claim.Resend),
	)}
	if link, ok := linkTo(claim.TraceContext); ok {
		options = append(options, trace.WithLinks(link))
	}
	_, span := t.tracer.Start(context.Background(), "process task", options...)
	within = func(ctx context.Context) context.Context { return trace.ContextWithSpan(ctx, span) }
	return within, func(decided *billing.Settlement) {
		if decided == nil {
			span.SetAttributes(attribute.Bool("billonce.given_back", true))
			span.End()
			return
		}
		span.SetAttributes(attribute.String("billonce.status", string(decided.Status)),
			attribute.String("billonce.outcome", string(decided.Answer.Outcome)), attribute.String("billonce.reason", string(decided.Answer.Reason)))
		if decided.Answer.Outcome != billing.OutcomeSucceeded {
			fail(span, string(decided.Answer.Reason))
		}
		span.End()
	}
}

// StartLook begins the trace of a look at tasks of one merchant, which links to the requests that scheduled them.
func (t *Tracing) StartLook(ctx context.Context, doubts []billing.Doubt) (within context.Context, end func(map[billing.TaskID]billing.Finding)) {
	options := []trace.SpanStartOption{trace.WithNewRoot(), trace.WithSpanKind(trace.SpanKindConsumer), consumer(
		attribute.Int("messaging.batch.message_count", len(doubts)), attribute.String("billonce.merchant_id", string(doubts[0].MerchantID)),
	)}
	for i := range doubts {
		if link, ok := linkTo(doubts[i].TraceContext); ok {
			options = append(options, trace.WithLinks(link))
		}
	}
	within, span := t.tracer.Start(ctx, "look task", options...)
	return within, func(findings map[billing.TaskID]billing.Finding) {
		for i := range doubts {
			found := findings[doubts[i].ID]
			span.AddEvent("looked", trace.WithAttributes(
				attribute.String("messaging.message.id", string(doubts[i].ID)), attribute.String("billonce.kind", string(doubts[i].Kind)),
				attribute.String("billonce.outcome", string(found.Outcome)), attribute.String("billonce.reason", string(found.Reason)),
			))
		}
		span.End()
	}
}

// StartCall begins the span of one HTTP call to Stripe, within that of ctx. No header tells Stripe of it. operation is a kind, or "look".
func (t *Tracing) StartCall(ctx context.Context, operation, method, host string) (within context.Context, end func(status int, requestID, errorType, errorCode string)) {
	within, span := t.tracer.Start(ctx, method+" "+operation, trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(
		attribute.String("http.request.method", method), attribute.String("server.address", host), attribute.String("stripe.operation", operation)))
	return within, func(status int, requestID, errorType, errorCode string) {
		for name, text := range map[string]string{
			"stripe.request_id": requestID, "stripe.error.type": errorType, "stripe.error.code": errorCode,
		} {
			if text != "" {
				span.SetAttributes(attribute.String(name, text))
			}
		}
		if status != 0 {
			span.SetAttributes(attribute.Int("http.response.status_code", status))
		}
		switch {
		case status == 0:
			fail(span, "no_answer")
		case status >= http.StatusBadRequest:
			fail(span, strconv.Itoa(status))
		}
		span.End()
	}
}

// fail marks a span as that of something that did not succeed. reason is one of a few words.
func fail(span trace.Span, reason string) {
	span.SetAttributes(attribute.String("error.type", reason))
	span.SetStatus(codes.Error, reason)
}
