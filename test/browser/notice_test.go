package browser_test

import (
	"slices"
	"strings"
	"testing"
)

// TestWhatIsWrongIsNoticed: a watch that notices nothing proves nothing, so here is a page with one of each thing that fails the other
// tests, in a tab that nobody judges.
func TestWhatIsWrongIsNoticed(t *testing.T) {
	t.Parallel()
	ctx := openWindow(t)
	b := &tab{t: t, ctx: ctx, seen: watch(ctx, t)}
	b.before(reportViolations)
	b.openElsewhere(serve(t, `<!doctype html><html lang="en"><head><title>x</title><link rel="icon" href="data:,">
		<meta http-equiv="Content-Security-Policy" content="default-src 'self'; img-src data:; script-src 'nonce-a'; style-src 'none'"></head>
		<body><main><h1>Wrong</h1><p style="color: red">styled where it must not be</p><input></main>
		<script nonce="a">console.error('said'); setTimeout(() => { throw new Error('thrown') });</script>
		<script>document.title = 'run where it must not be'</script></body></html>`))
	for _, want := range []string{
		`console: "said"`, "exception: ", "thrown", "content security policy: style-src-attr", "content security policy: script-src-elem",
	} {
		b.wait("this is noticed: "+want, func() bool {
			b.seen.mu.Lock()
			defer b.seen.mu.Unlock()
			return slices.ContainsFunc(b.seen.faults, func(fault string) bool { return strings.Contains(fault, want) })
		})
	}
	if found := b.barriers(); !slices.ContainsFunc(found, func(one string) bool { return strings.Contains(one, "critical: label") }) {
		t.Errorf("a field without a label is no barrier: %q", found)
	}
}
