package progress_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"billonce/cmd/billctl/progress"
)

var words = progress.Words{Doing: "exporting", Things: "tasks", Done: "exported"}

func TestLinesComeNowAndThen(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	var out bytes.Buffer
	lines := progress.NewLines(&out, func() time.Time { return now }, words)
	lines.Begin(1000)
	for _, seen := range []int{100, 200, 500, 1200} {
		now = now.Add(3 * time.Second)
		lines.Reached(progress.Step{Seen: seen, Done: seen / 2, At: "x"})
	}
	lines.End()
	want := "exporting about 1000 tasks\n" +
		"200 of about 1000 tasks (20 %), 100 exported, 33 a second, about 24s left, at x\n" +
		"1200 of about 1200 tasks (100 %), 600 exported, 100 a second, about 0s left, at x\n"
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
}

func TestTheBarGrowsWithWhatThereIs(t *testing.T) {
	t.Parallel()
	for name, estimate := range map[string]int{"Exact": 1000, "TooLow": 10, "None": 0} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			bar := progress.NewBar(&out, words)
			bar.Begin(estimate)
			for seen := 250; seen <= 1000; seen += 250 {
				bar.Reached(progress.Step{Seen: seen})
			}
			bar.End()
			if !strings.Contains(out.String(), "exporting") || !strings.Contains(out.String(), "%") || strings.Contains(out.String(), "\n") {
				t.Errorf("%q", out.String())
			}
		})
	}
	progress.NewBar(&bytes.Buffer{}, words).End() // before there was anything to show
}
