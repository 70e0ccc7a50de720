package telemetry_test

import (
	"io"
	"log/slog"
	"testing"
	"time"

	"billonce/pkg/telemetry"
)

// BenchmarkLine counts what the line costs that the worker writes of each attempt.
func BenchmarkLine(b *testing.B) {
	log := telemetry.NewLogger(io.Discard, slog.LevelInfo, "json", "worker", "v1.4.0")
	b.ReportAllocs()
	for b.Loop() {
		log.LogAttrs(b.Context(), slog.LevelInfo, "attempt settled",
			slog.String("task_id", "0192f5a0-7b1c-7def-8a2b-0123456789ab"), slog.String("merchant_id", "0192f5a0-7b1c-7def-8a2b-ba9876543210"),
			slog.String("kind", "payment_intent.confirm"), slog.Int("attempt", 1), slog.String("worker_id", "worker-7d9f8-0192f5a0"),
			slog.String("outcome", "succeeded"), slog.String("reason", "done"), slog.String("status", "succeeded"),
			slog.Duration("took", 412*time.Millisecond), slog.String("stripe_request_id", "req_8KxZbQ2mVt41Lw"), slog.Bool("replayed", false))
	}
}
