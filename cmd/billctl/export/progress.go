package export

import (
	"fmt"
	"io"
	"time"

	"github.com/schollz/progressbar/v3"
)

// Quiet tells nothing.
type Quiet struct{}

// Begin implements [Progress].
func (Quiet) Begin(int) {}

// Reached implements [Progress].
func (Quiet) Reached(State) {}

// End implements [Progress].
func (Quiet) End() {}

// barPause is the least time between two pictures of the bar.
const barPause = 100 * time.Millisecond

// Bar draws how far the export is on a terminal.
type Bar struct {
	out io.Writer
	bar *progressbar.ProgressBar
}

// NewBar returns a bar that is drawn on out.
func NewBar(out io.Writer) *Bar { return &Bar{out: out} }

// Begin implements [Progress].
func (b *Bar) Begin(estimate int) {
	b.bar = progressbar.NewOptions(max(estimate, 1), progressbar.OptionSetWriter(b.out), progressbar.OptionSetDescription("exporting"),
		progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetItsString("tasks"),
		progressbar.OptionSetPredictTime(true), progressbar.OptionThrottle(barPause), progressbar.OptionFullWidth(),
		progressbar.OptionClearOnFinish())
}

// Reached implements [Progress]. The total was an estimate; it grows when there turn out to be more.
func (b *Bar) Reached(state State) {
	if state.Seen >= b.bar.GetMax() {
		b.bar.ChangeMax(state.Seen + 1)
	}
	_ = b.bar.Set(state.Seen) // a terminal that is gone is no reason to stop
}

// End implements [Progress]. The bar makes room for what is said next.
func (b *Bar) End() {
	if b.bar != nil {
		_ = b.bar.Clear()
	}
}

// linePause is the time between two lines of Lines.
const linePause = 5 * time.Second

// Lines tells now and then how far the export is, where no terminal is.
type Lines struct {
	out      io.Writer
	now      func() time.Time
	began    time.Time
	told     time.Time
	estimate int
}

// NewLines returns a progress that writes lines to out.
func NewLines(out io.Writer, now func() time.Time) *Lines { return &Lines{out: out, now: now} }

// Begin implements [Progress].
func (l *Lines) Begin(estimate int) {
	l.began = l.now()
	l.told, l.estimate = l.began, estimate
	_, _ = fmt.Fprintf(l.out, "exporting about %d tasks\n", estimate)
}

// Reached implements [Progress].
func (l *Lines) Reached(state State) {
	now := l.now()
	if now.Sub(l.told) < linePause {
		return
	}
	l.told = now
	rate := float64(state.Seen) / now.Sub(l.began).Seconds()
	total := max(l.estimate, state.Seen)
	left := time.Duration(float64(total-state.Seen) / rate * float64(time.Second))
	_, _ = fmt.Fprintf(l.out, "%d of about %d tasks (%d %%), %d exported, %.0f a second, about %s left, at %s\n",
		state.Seen, total, 100*state.Seen/max(total, 1), state.Written, rate, left.Round(time.Second), state.Last)
}

// End implements [Progress].
func (*Lines) End() {}
