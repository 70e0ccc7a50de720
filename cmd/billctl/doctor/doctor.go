// Package doctor looks at an installation from outside and says what is wrong with it and what to do.
//
// It promises to change nothing, to send no key anywhere but to the API that it is given, to bound every look, and to go on when one
// cannot be made: what was not looked at is said, and is never called in order. What it says holds no secret and no customer's data.
package doctor

import (
	"context"
	"fmt"
	"slices"
	"time"

	"billonce/pkg/secret"
)

// Level is how bad a finding is.
type Level string

// The levels.
const (
	OK   Level = "ok"
	Warn Level = "warn" // look at it in office hours; or it could not be looked at
	Fail Level = "fail" // money does not move, or is not safe
)

// Finding is one thing that was looked at.
type Finding struct {
	Check   string `json:"check"` // what was looked at
	Level   Level  `json:"level"`
	What    string `json:"what"`              // what was seen
	Do      string `json:"do,omitempty"`      // what to do about it
	Runbook string `json:"runbook,omitempty"` // where it is explained: a page and its heading
}

// patience is how long one look may take.
const patience = 15 * time.Second

// Options say what to look at. What is nil is not looked at.
type Options struct {
	Database  Database
	Keys      []string // ids of the encryption keys that the services are given; nil: nobody said
	API       API
	Stripe    *Stripe
	Retention time.Duration // TASK_RETENTION of the workers, 0: everything stays
	Skip      []string      // checks that are not wanted, as in [Checks]
	Now       func() time.Time
}

// Checks are the names of the checks that can be left out. Whether the database answers always is looked at.
func Checks() []string {
	return []string{
		"settings", "schema", "roles", "keys", "clock", "workers", "tasks", "archive", "tables", "transactions", "api", "stripe",
	}
}

// Examine looks at everything and tells each finding as soon as it is there.
func Examine(ctx context.Context, opts Options, tell func(Finding)) {
	e := &examination{Options: opts, tell: tell}
	var stripeClock *reading
	if opts.Stripe != nil {
		e.run(ctx, "stripe", func(ctx context.Context) { stripeClock = e.stripe(ctx) })
	}
	if opts.Database != nil {
		e.database(ctx, stripeClock)
	} else if stripeClock != nil {
		e.run(ctx, "clock", func(context.Context) { e.ownClock(*stripeClock) })
	}
	if opts.API != nil {
		e.run(ctx, "api", func(ctx context.Context) { e.api(ctx) })
	}
}

type examination struct {
	Options
	tell  func(Finding)
	check string // the one that is being made
}

// run makes one check, unless it is not wanted.
func (e *examination) run(ctx context.Context, check string, look func(context.Context)) {
	if !slices.Contains(e.Skip, check) {
		e.make(ctx, check, look)
	}
}

func (e *examination) make(ctx context.Context, check string, look func(context.Context)) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	e.check = check
	look(ctx)
}

func (e *examination) ok(format string, args ...any) {
	e.tell(Finding{Check: e.check, Level: OK, What: said(format, args)})
}

// advice is what to do and where it is explained.
type advice struct{ do, page string }

func (e *examination) warn(what advice, format string, args ...any) {
	e.found(Warn, what, format, args)
}

func (e *examination) fail(what advice, format string, args ...any) {
	e.found(Fail, what, format, args)
}

func (e *examination) found(level Level, what advice, format string, args []any) {
	e.tell(Finding{Check: e.check, Level: level, What: said(format, args), Do: what.do, Runbook: what.page})
}

// said is a sentence; errors in it may quote what came over a wire.
func said(format string, args []any) string { return secret.Scrub(fmt.Sprintf(format, args...)) }

// blind says that a check could not be made.
func (e *examination) blind(err error) {
	e.warn(advice{do: "look with a user that may see it, or mend what keeps it from being looked at"}, "could not be looked at: %v", err)
}

// reading is a clock that was read: between two moments of this machine's clock it showed the given time.
type reading struct {
	before, after, shown time.Time
	grain                time.Duration // how coarse it is
}

// ahead is how far the clock is ahead of this machine's, and how far that may be off.
func (r reading) ahead() (distance, doubt time.Duration) {
	middle := r.before.Add(r.after.Sub(r.before) / 2)
	return r.shown.Add(r.grain / 2).Sub(middle), r.after.Sub(r.before)/2 + r.grain/2
}

// The distances between clocks at which somebody should know. Signatures of webhooks hold for five minutes, leases for seconds.
const (
	clockWarn = 2 * time.Second
	clockFail = 30 * time.Second
)

// compare tells how far two clocks are apart.
func (e *examination) compare(name, other string, distance, doubt time.Duration, what advice) {
	apart := distance.Abs() - doubt
	text := fmt.Sprintf("%s is %s %s %s", name, distance.Abs().Round(time.Millisecond), direction(distance), other)
	switch {
	case apart >= clockFail:
		e.fail(what, "%s", text)
	case apart >= clockWarn:
		e.warn(what, "%s", text)
	default:
		e.ok("%s and %s agree within %s", name, other, (distance.Abs() + doubt + time.Millisecond/2).Round(time.Millisecond))
	}
}

func direction(distance time.Duration) string {
	if distance < 0 {
		return "behind"
	}
	return "ahead of"
}
