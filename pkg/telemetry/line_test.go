package telemetry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math"
	"strings"
	"testing"
	"time"

	"billonce/pkg/secret"
)

// handlers are the quick one and slog's own, with the same attributes.
func handlers(with ...slog.Attr) (fast, slow slog.Handler, fastOut, slowOut *bytes.Buffer) {
	fastOut, slowOut = &bytes.Buffer{}, &bytes.Buffer{}
	names := newTable(isConfidential)
	options := &slog.HandlerOptions{ReplaceAttr: func(_ []string, attr slog.Attr) slog.Attr { return redact(names, attr) }}
	slow = slog.NewJSONHandler(slowOut, options)
	fast = &quick{Handler: slog.NewJSONHandler(fastOut, options), out: fastOut, names: names, plain: true}
	if len(with) > 0 {
		fast, slow = fast.WithAttrs(with), slow.WithAttrs(with)
	}
	return fast, slow, fastOut, slowOut
}

// TestQuickLinesAreThoseOfSlog, byte by byte: those that are written quickly, and those that are not.
func TestQuickLinesAreThoseOfSlog(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 26, 8, 30, 0, 120_000_000, time.UTC)
	values := map[string][]slog.Attr{
		"None": {}, "Texts": {slog.String("task_id", "0192f5a0-7b1c-7def-8a2b-0123456789ab"), slog.String("empty", "")},
		"Numbers":  {slog.Int("n", -7), slog.Int64("most", math.MaxInt64), slog.Uint64("u", math.MaxUint64), slog.Bool("yes", true)},
		"Floats":   {slog.Float64("f", 412.537), slog.Float64("zero", 0), slog.Float64("small", 1e-7), slog.Float64("large", 1e21), slog.Float64("whole", 3)},
		"NaN":      {slog.Float64("nan", math.NaN()), slog.Float64("inf", math.Inf(1))},
		"Minus":    {slog.Float64("minus", math.Copysign(0, -1)), slog.Float64("less", -0.25)},
		"Times":    {slog.Duration("took", 1500*time.Millisecond), slog.Time("at", at)},
		"Errors":   {slog.Any("error", errors.New(`it says "no" to sk_live_canary12345678`)), slog.Any("none", nil)},
		"Plain":    {slog.Any("error", errors.New("no"))},
		"Escapes":  {slog.String("quote", `a"b\c`), slog.String("line", "a\nb\x00\u2028"), slog.String("html", "<a&b>"), slog.String("umlaut", "größer")},
		"Names":    {slog.String("a \"name\"", "x"), slog.String("ünder", "x")},
		"Secrets":  {slog.String("access_token", "canary"), slog.Int("api_key", 7), slog.Any("text", secret.New("canary")), slog.String("note", "Bearer canary.canary.canary")},
		"Groups":   {slog.Group("g", slog.Int("inner", 1)), slog.Int("after", 2)},
		"Nothing":  {slog.Attr{}},
		"Many":     {slog.Int("a", 1), slog.Int("b", 2), slog.Int("c", 3), slog.Int("d", 4), slog.Int("e", 5), slog.Int("f", 6), slog.Int("g", 7)},
		"Invalid":  {slog.String("bytes", "\xff\xfe")},
		"Stringer": {slog.Any("level", slog.LevelWarn), slog.Any("list", []int{1, 2})},
	}
	for name, attrs := range values {
		for _, with := range [][]slog.Attr{nil, {slog.String("service", "worker"), slog.Int("n", 1)}, {slog.Any("list", []int{1})}} {
			for _, message := range []string{"task succeeded", `a "message"`, "of sk_live_canary12345678"} {
				fast, slow, fastOut, slowOut := handlers(with...)
				for _, level := range []slog.Level{slog.LevelInfo, slog.LevelError + 1} {
					record := slog.NewRecord(at, level, message, 0)
					record.AddAttrs(attrs...)
					if err := errors.Join(fast.Handle(t.Context(), record), slow.Handle(t.Context(), record)); err != nil {
						t.Fatal(err)
					}
				}
				if fastOut.String() != slowOut.String() {
					t.Errorf("%s:\n%s%s", name, fastOut, slowOut)
				}
				if strings.Contains(fastOut.String(), "canary") {
					t.Errorf("%s: a secret is shown: %s", name, fastOut)
				}
			}
		}
	}
	fast, slow, fastOut, slowOut := handlers()
	for _, handler := range []slog.Handler{fast, slow} {
		record := slog.NewRecord(time.Time{}, slog.LevelInfo, "without a time", 0)
		record.AddAttrs(slog.Int("n", 1))
		if err := errors.Join(handler.Handle(t.Context(), record), handler.WithGroup("g").Handle(t.Context(), record)); err != nil {
			t.Fatal(err)
		}
	}
	if fastOut.String() != slowOut.String() {
		t.Errorf("%s%s", fastOut, slowOut)
	}
}

// never is a handler that is not to be used.
type never struct{ slog.Handler }

func (never) Handle(context.Context, slog.Record) error { return errors.New("left to slog") }

// TestTheLineOfATaskIsQuick: nothing in it is left to slog's own handler.
func TestTheLineOfATaskIsQuick(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := NewLogger(&out, slog.LevelInfo, "json", "worker", "v1")
	fast, ok := log.Handler().(*quick)
	if !ok {
		t.Fatalf("%T", log.Handler())
	}
	fast.Handler = never{fast.Handler}
	log.LogAttrs(t.Context(), slog.LevelInfo, "task succeeded", slog.String("task_id", "x"), slog.Int("attempt", 1), slog.Float64("duration_ms", 1.5), slog.Bool("replayed", false))
	if !json.Valid(out.Bytes()) || !strings.Contains(out.String(), `"service":"worker","version":"v1","task_id":"x"`) {
		t.Errorf("%s", &out)
	}
}

// FuzzQuickLines: whatever the texts, both write the same.
func FuzzQuickLines(f *testing.F) {
	f.Add("task succeeded", "task_id", "0192f5a0", 1.5, int64(7))
	f.Add("a\nb", "access_token", "\xff<é>\"", math.Copysign(0, -1), int64(-1))
	f.Fuzz(func(t *testing.T, message, name, text string, number float64, whole int64) {
		fast, slow, fastOut, slowOut := handlers(slog.String("service", text))
		record := slog.NewRecord(time.Unix(1_764_000_000, 5).UTC(), slog.LevelInfo, message, 0)
		record.AddAttrs(slog.String(name, text), slog.Float64("f", number), slog.Int64("n", whole))
		errFast, errSlow := fast.Handle(context.Background(), record), slow.Handle(context.Background(), record)
		if fastOut.String() != slowOut.String() || (errFast == nil) != (errSlow == nil) {
			t.Errorf("%s%s%v %v", fastOut, slowOut, errFast, errSlow)
		}
	})
}
