// Package progress shows how far a long piece of work is: as a bar on a terminal, as lines elsewhere.
//
// It promises that the total may be an estimate, and that a place to write to that is gone is no reason to stop. It never decides
// what is done.
package progress

import (
	"fmt"
	"io"
	"time"

	"github.com/schollz/progressbar/v3"
)

// Words say what is being done.
type Words struct {
	Doing  string // "exporting"
	Things string // "tasks"
	Done   string // "exported": what was done with those that count
}

// Step is how far the work is.
type Step struct {
	Seen int    // things looked at
	Done int    // of these, those that something was done with
	At   string // the last one
}

// Meter is told how far the work is.
type Meter interface {
	// Begin is called once, with roughly how many things will be looked at.
	Begin(estimate int)
	// Reached is called now and then.
	Reached(step Step)
	// End is called once, however the work ends.
	End()
}

// Quiet tells nothing.
type Quiet struct{}

// Begin implements [Meter].
func (Quiet) Begin(int) {}

// Reached implements [Meter].
func (Quiet) Reached(Step) {}

// End implements [Meter].
func (Quiet) End() {}

// barPause is the least time between two pictures of the bar.
const barPause = 100 * time.Millisecond

// Bar draws how far the work is on a terminal.
type Bar struct {
	out   io.Writer
	words Words
	bar   *progressbar.ProgressBar
}

// NewBar returns a bar that is drawn on out.
func NewBar(out io.Writer, words Words) *Bar { return &Bar{out: out, words: words} }

// Begin implements [Meter].
func (b *Bar) Begin(estimate int) {
	b.bar = progressbar.NewOptions(max(estimate, 1), progressbar.OptionSetWriter(b.out), progressbar.OptionSetDescription(b.words.Doing),
		progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetItsString(b.words.Things),
		progressbar.OptionSetPredictTime(true), progressbar.OptionThrottle(barPause), progressbar.OptionFullWidth(),
		progressbar.OptionClearOnFinish())
}

// Reached implements [Meter]. The total was an estimate; it grows when there turn out to be more.
func (b *Bar) Reached(step Step) {
	if step.Seen >= b.bar.GetMax() {
		b.bar.ChangeMax(step.Seen + 1)
	}
	_ = b.bar.Set(step.Seen) // a terminal that is gone is no reason to stop
}

// End implements [Meter]. The bar makes room for what is said next.
func (b *Bar) End() {
	if b.bar != nil {
		_ = b.bar.Clear()
	}
}

// linePause is the time between two lines of Lines.
const linePause = 5 * time.Second

// Lines tells now and then how far the work is, where no terminal is.
type Lines struct {
	out      io.Writer
	words    Words
	now      func() time.Time
	began    time.Time
	told     time.Time
	estimate int
}

// NewLines returns a meter that writes lines to out.
func NewLines(out io.Writer, now func() time.Time, words Words) *Lines {
	return &Lines{out: out, now: now, words: words}
}

// Begin implements [Meter].
func (l *Lines) Begin(estimate int) {
	l.began = l.now()
	l.told, l.estimate = l.began, estimate
	_, _ = fmt.Fprintf(l.out, "%s about %d %s\n", l.words.Doing, estimate, l.words.Things)
}

// Reached implements [Meter].
func (l *Lines) Reached(step Step) {
	now := l.now()
	if now.Sub(l.told) < linePause {
		return
	}
	l.told = now
	rate := float64(step.Seen) / now.Sub(l.began).Seconds()
	total := max(l.estimate, step.Seen)
	left := time.Duration(float64(total-step.Seen) / rate * float64(time.Second))
	_, _ = fmt.Fprintf(l.out, "%d of about %d %s (%d %%), %d %s, %.0f a second, about %s left, at %s\n",
		step.Seen, total, l.words.Things, 100*step.Seen/max(total, 1), step.Done, l.words.Done, rate, left.Round(time.Second), step.At)
}

// End implements [Meter].
func (*Lines) End() {}
