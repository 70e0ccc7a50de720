// Package telemetry makes services observable: structured logs, metrics, traces, and the ops listener that serves health, metrics
// and profiles.
//
// It promises that no label grows with the number of merchants or tasks, that no span holds a body, a parameter, a token or the id of
// an object at Stripe, that a secret that slipped into a log attribute is redacted by name and by shape (the last net; secret.Text is
// the first), and that the ops listener says nothing that the public one must not, because it is a listener of its own.
//
// It never decides anything and is never needed for correctness. It alone knows OpenTelemetry: other rooms say what they want to tell.
package telemetry
