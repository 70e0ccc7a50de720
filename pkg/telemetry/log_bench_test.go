package telemetry_test

import (
	"log/slog"
	"os"
	"testing"

	"billonce/pkg/telemetry"
)

// BenchmarkLine counts what the line costs that the worker writes of each task, down to the system call: a pipe's reader, a file or a
// collector of logs comes on top.
func BenchmarkLine(b *testing.B) {
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = null.Close() })
	for name, level := range map[string]slog.Level{"Written": slog.LevelInfo, "Unread": slog.LevelWarn} {
		log := telemetry.NewLogger(null, level, "json", "worker", "v1.4.0")
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if !log.Enabled(b.Context(), slog.LevelInfo) {
					continue
				}
				log.LogAttrs(b.Context(), slog.LevelInfo, "task succeeded",
					slog.String("task_id", "0192f5a0-7b1c-7def-8a2b-0123456789ab"), slog.String("merchant_id", "0192f5a0-7b1c-7def-8a2b-ba9876543210"),
					slog.String("kind", "payment_intent.confirm"), slog.String("target", "pi_3OxBenchmarkAnswer00000"), slog.String("status", "succeeded"),
					slog.Int("attempt", 1), slog.String("worker_id", "0192f5a0-7b1c-7def-8a2b-0123456789ac"), slog.String("outcome", "succeeded"),
					slog.String("reason", "done"), slog.String("request_id", "req_8KxZbQ2mVt41Lw"), slog.Float64("duration_ms", 412.5), slog.Bool("replayed", false))
			}
		})
	}
}
