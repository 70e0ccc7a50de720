package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"billonce/pkg/client"
)

// leastPause keeps a watcher from being a load test.
const leastPause = 100 * time.Millisecond

// leastRest is how long a watcher rests after a look, however much happens.
const leastRest = 250 * time.Millisecond

// news says whether the API's events tell when to look again.
type news bool

const (
	polled news = false
	told   news = true // of tasks
)

// watchFlags are the flags of what can be looked at again and again.
type watchFlags struct {
	watch bool
	every time.Duration
	news  news // no flag: it depends on what is looked at
}

func (f *watchFlags) add(command *cobra.Command) {
	command.Flags().BoolVarP(&f.watch, "watch", "w", false, "look again and again, until Ctrl-C: a terminal is redrawn, elsewhere what is new or has changed is appended, a line for each thing")
	command.Flags().DurationVar(&f.every, "every", 2*time.Second, "how often to look with --watch")
}

// look is one look at the API.
type look struct {
	ctx context.Context // it lives as long as the look
	api *client.Client
}

// snapshot is what one look has seen.
type snapshot struct {
	document any    // what --json prints
	draw     func() // shows it to a person
	lines    []line // what is appended where no terminal is, oldest first
	over     bool   // nothing of it will change any more
}

// line is one thing of a snapshot. It is appended when its essence has changed, and what is printed of it besides the stamp.
type line struct {
	key      string // tells it from the others
	document json.RawMessage
	essence  string // the document without what moves by itself; "": all of it
	stamp    string // when it was so; "" where the cells say it
	cells    []string
}

// text is what is printed beside the stamp where it is no JSON.
func (l line) text() string {
	cells := make([]string, len(l.cells))
	for i, cell := range l.cells {
		cells[i] = plain(cell)
	}
	return strings.TrimRight(strings.Join(cells, "  "), " ")
}

// source takes a snapshot.
type source func(*look) (snapshot, error)

// watched makes command show what the source sees, once or with --watch again and again.
func (p *program) watched(command *cobra.Command, news news, of func(args []string) source) *cobra.Command {
	var flags apiFlags
	watch := watchFlags{news: news}
	flags.add(command)
	watch.add(command)
	command.RunE = func(command *cobra.Command, args []string) error {
		return p.look(command.Context(), flags, watch, of(args))
	}
	return command
}

// look shows what the source sees.
func (p *program) look(ctx context.Context, flags apiFlags, watch watchFlags, from source) error {
	if watch.every < leastPause {
		return usageError{fmt.Errorf("--every must be at least %s", leastPause)}
	}
	api, err := p.connect(ctx, flags)
	if err != nil {
		return err
	}
	if watch.watch {
		return p.watch(&look{ctx, api}, flags.json, watch, from)
	}
	seen, err := from(&look{ctx, api})
	if err != nil {
		return err
	}
	if flags.json {
		return p.printJSON(seen.document)
	}
	seen.draw()
	return nil
}

// watch looks until ctx ends, which is how a person ends it and no failure. It goes on when the API is away for a while.
func (p *program) watch(of *look, asJSON bool, flags watchFlags, from source) error {
	show := p.appender(asJSON)
	if !asJSON && p.terminal(p.Out) {
		show = p.redraw
	}
	moved, end := listen(of, flags.news)
	defer end()
	pause := time.NewTicker(flags.every)
	defer pause.Stop()
	away := false
	for first := true; ; first = false {
		seen, err := from(of)
		switch {
		case of.ctx.Err() != nil:
			return nil
		case err != nil && (first || !passes(err)):
			return err
		case err != nil && !away:
			p.sayf("%s; looking again every %s\n", err, flags.every)
			away = true
		case err == nil:
			away = false
			show(seen)
			if seen.over {
				return nil
			}
		}
		if !rest(of.ctx, pause.C, moved) {
			return nil
		}
	}
}

// rest returns when it is time to look again, and false when ctx has ended.
func rest(ctx context.Context, pause <-chan time.Time, moved <-chan struct{}) bool {
	select {
	case <-ctx.Done():
		return false
	case <-pause:
		return true
	case <-moved:
	}
	little := time.NewTimer(leastRest) // what comes with it is seen by the same look
	defer little.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-little.C:
		return true
	}
}

// listen says when the API's events tell of something new. Where there are none, as with an older API, nothing is said, and the looks
// every now and then are all there is. end waits for what listens.
func listen(of *look, news news) (moved <-chan struct{}, end func()) {
	something := make(chan struct{}, 1)
	if !news {
		return something, func() {}
	}
	ctx, cancel := context.WithCancel(of.ctx)
	var listening sync.WaitGroup
	listening.Go(func() {
		for _, err := range of.api.Events(ctx, client.EventsQuery{}) {
			if err != nil {
				return
			}
			select {
			case something <- struct{}{}:
			default: // it is said already
			}
		}
	})
	return something, func() {
		cancel()
		listening.Wait()
	}
}

// passes reports whether an error may be gone at the next look.
func passes(err error) bool {
	var problem *client.Problem
	if !errors.As(err, &problem) {
		return true // the network's
	}
	return problem.Status >= http.StatusInternalServerError || problem.Status == http.StatusTooManyRequests
}

// appender returns what prints the lines of snapshots that are new or have changed since the snapshot before.
func (p *program) appender(asJSON bool) func(snapshot) {
	type printed struct{ essence, text string }
	before := map[string]printed{}
	return func(seen snapshot) {
		now := make(map[string]printed, len(seen.lines))
		for _, one := range seen.lines {
			last, known := before[one.key]
			this := printed{one.essence, one.text()}
			if this.essence == "" {
				this.essence = string(one.document)
			}
			now[one.key] = this
			if known && (last.essence == this.essence || !asJSON && last.text == this.text) {
				continue
			}
			var compact bytes.Buffer
			if asJSON && json.Compact(&compact, one.document) == nil {
				p.printf("%s\n", compact.Bytes())
				continue
			}
			p.printf("%s\n", strings.TrimLeft(plain(one.stamp)+"  "+this.text, " "))
		}
		before = now
	}
}

// without returns a document without the members that move by themselves, each named by its path, in a form that tells two apart. A
// document that cannot be read stands for itself.
func without(document json.RawMessage, moving ...string) string {
	decoder := json.NewDecoder(bytes.NewReader(document))
	decoder.UseNumber()
	var whole map[string]any
	if err := decoder.Decode(&whole); err != nil {
		return string(document)
	}
	for _, path := range moving {
		at := whole
		names := strings.Split(path, ".")
		for _, name := range names[:len(names)-1] {
			at, _ = at[name].(map[string]any)
		}
		delete(at, names[len(names)-1])
	}
	rest, err := json.Marshal(whole)
	if err != nil {
		return string(document)
	}
	return string(rest)
}

// Sequences that terminals understand (ECMA-48).
const (
	cursorHome  = "\x1b[H"
	eraseLine   = "\x1b[K" // from the cursor on
	eraseScreen = "\x1b[J" // from the cursor on
)

// redraw draws a snapshot over the one before, without a flicker, and no more of it than there is room for.
func (p *program) redraw(seen snapshot) {
	var picture bytes.Buffer
	screen, messages := p.out, p.err
	p.out, p.err = &picture, &picture
	p.printf("%s  %s  (Ctrl-C ends)\n\n", p.Now().UTC().Format("2006-01-02 15:04:05Z"), plain(p.at.String()))
	seen.draw()
	p.out, p.err = screen, messages
	width, height, err := term.GetSize(int(p.Out.Fd()))
	if err != nil {
		width, height = 0, 0
	}
	lines := strings.Split(strings.TrimRight(picture.String(), "\n"), "\n")
	if height > 1 && len(lines) > height-1 {
		lines = lines[:height-1]
	}
	var frame strings.Builder
	frame.WriteString(cursorHome)
	for _, text := range lines {
		if runes := []rune(text); width > 0 && len(runes) > width {
			text = string(runes[:width])
		}
		frame.WriteString(text + eraseLine + "\n")
	}
	frame.WriteString(eraseScreen)
	p.printf("%s", frame.String())
}
