package browser_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// This file and watch_test.go are all that know chromedp.

// chrome is the browser that the tests share. Each tab is a private window: it has cookies of its own.
type chrome struct {
	ctx   context.Context
	close func()
}

// theChrome starts the browser with the first test that wants it.
var (
	theChrome = sync.OnceValues(startChrome)
	started   bool // by then
)

const (
	wide, high = 1280, 900
	narrow     = 390
	patience   = 20 * time.Second
)

func startChrome() (*chrome, error) {
	started = true
	path, err := findChrome()
	if err != nil {
		return nil, err
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.WindowSize(wide, high),
		chromedp.Flag("lang", "en-US"), chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true))
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // Chromium has none for root
	}
	allocator, closeAllocator := chromedp.NewExecAllocator(context.Background(), options...)
	// What chromedp says of events that a newer browser has and it does not know is of no interest.
	ctx, closeBrowser := chromedp.NewContext(allocator, chromedp.WithErrorf(func(string, ...any) {}))
	end := func() {
		closeBrowser()
		closeAllocator()
	}
	if err := chromedp.Do(ctx); err != nil {
		end()
		return nil, fmt.Errorf("start %s: %w", path, err)
	}
	return &chrome{ctx: ctx, close: end}, nil
}

// findChrome returns the browser of CHROME_BIN, or one that is installed.
func findChrome() (string, error) {
	if path := os.Getenv("CHROME_BIN"); path != "" {
		return path, nil
	}
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errors.New("there is no Chromium: run `make test-browser`, which installs it, or name one in CHROME_BIN")
}

// openWindow opens a tab in a private window. It is closed with the test.
func openWindow(t *testing.T) context.Context {
	t.Helper()
	c, err := theChrome()
	if err != nil {
		t.Fatal(err)
	}
	ctx, closeTab := chromedp.NewContext(c.ctx, chromedp.WithNewBrowserContext())
	t.Cleanup(closeTab)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("open a tab: %v", err)
	}
	return ctx
}

// within runs actions, each of which the browser has to finish in time.
func (b *tab) within(what string, actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		b.t.Fatalf("%s: %v", what, err)
	}
}

// evaluate returns what an expression is in the page. It works without JavaScript in the page, too: it is the tester's. The error may
// be that the page is being replaced.
func evaluate[T any](b *tab, expression string) (T, error) {
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	return chromedp.Run(ctx, chromedp.Evaluate[T](expression, func(p *runtime.EvaluateParams) {
		p.AwaitPromise = new(true)
		p.ReturnByValue = new(true)
	}))
}

// read is evaluate in a page that stays.
func read[T any](b *tab, expression string) T {
	b.t.Helper()
	value, err := evaluate[T](b, expression)
	if err != nil {
		b.t.Fatalf("evaluate %.200s: %v", expression, err)
	}
	return value
}

// open goes to a path and waits until the page is loaded.
func (b *tab) open(path string) {
	b.t.Helper()
	b.within("open "+path, chromedp.Navigate(b.base+path))
}

// back goes back as its button does.
func (b *tab) back() {
	b.t.Helper()
	read[bool](b, `(history.back(), true)`) // which may show a page that the browser has kept, and load nothing
}

// press types keys, named as in package kb, into whatever has the focus.
func (b *tab) press(keys string) {
	b.t.Helper()
	b.within(fmt.Sprintf("press %q", keys), chromedp.KeyEvent(keys))
}

// clickAt clicks a point of the window.
func (b *tab) clickAt(x, y float64) {
	b.t.Helper()
	b.within("click", chromedp.MouseClickXY(x, y))
}

// call runs a command of the protocol that answers nothing of interest.
func call[P, R any](b *tab, command cdp.Command[P, R], params P) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if _, err := chromedp.Call(ctx, command, params); err != nil {
		b.t.Fatalf("%s: %v", command.Method, err)
	}
}

// withoutScripts has the tab run no JavaScript from the next page on.
func (b *tab) withoutScripts() {
	b.t.Helper()
	call(b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
}

// scheme sets whether the person prefers "light" or "dark".
func (b *tab) scheme(name string) {
	b.t.Helper()
	call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}},
	})
}

// size sets the window's inner size.
func (b *tab) size(width, height int64) {
	b.t.Helper()
	b.within("resize", chromedp.EmulateViewport(width, height))
}

// before has a script run at the beginning of every page.
func (b *tab) before(script string) {
	b.t.Helper()
	call(b, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: script})
}

// tryPicture takes a picture of what the window shows, or of the whole page.
func (b *tab) tryPicture(whole bool) ([]byte, error) {
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if whole {
		return chromedp.Run(ctx, chromedp.FullScreenshot(100))
	}
	return chromedp.Run(ctx, chromedp.CaptureScreenshot())
}
