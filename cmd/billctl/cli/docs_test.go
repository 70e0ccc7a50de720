package cli

import (
	"io"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestThePagesCallWhatThereIs: each call of billctl in a document names commands and flags that the program has, and as many arguments
// as it wants.
func TestThePagesCallWhatThereIs(t *testing.T) {
	t.Parallel()
	tree := os.DirFS("../../..")
	calls := 0
	err := fs.WalkDir(tree, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && name != "." && (path.Base(name)[0] == '.' || path.Base(name) == "node_modules"):
			return fs.SkipDir
		case entry.IsDir() || path.Ext(name) != ".md":
			return nil
		}
		content, err := fs.ReadFile(tree, name)
		if err != nil {
			return err
		}
		for _, call := range callsIn(string(content)) {
			calls++
			if err := call.check(); err != nil {
				t.Errorf("%s: %s: %v", name, call.text, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if calls < 50 {
		t.Errorf("only %d calls are found", calls)
	}
}

// documented is a call of billctl as a page shows it.
type documented struct {
	text    string
	mention bool // in the middle of a sentence, where arguments may be left out
}

var (
	fence   = regexp.MustCompile("(?ms)^ *```[a-z]*\n(.*?)^ *```$")
	inlined = regexp.MustCompile("`([^`]+)`")
	// A call ends where the shell's line does.
	called     = regexp.MustCompile(`(?:^|[\s(])(?:bin/)?billctl ([^|&;>)\n]*)`)
	inside     = regexp.MustCompile(`docker-compose run --rm (?:keys|rotate) ([^|&;>)\n]*)`)
	redirected = regexp.MustCompile(` [0-9]*>>?\s*[^\s;]+`)
)

func callsIn(page string) (list []documented) {
	for _, block := range fence.FindAllStringSubmatch(page, -1) {
		text := redirected.ReplaceAllString(strings.ReplaceAll(block[1], "\\\n", " "), "")
		for _, pattern := range []*regexp.Regexp{called, inside} {
			for _, match := range pattern.FindAllStringSubmatch(text, -1) {
				list = append(list, documented{text: match[1]})
			}
		}
	}
	for _, code := range inlined.FindAllStringSubmatch(fence.ReplaceAllString(page, ""), -1) {
		text := strings.Join(strings.Fields(code[1]), " ") // a line of prose may end within it
		for _, pattern := range []*regexp.Regexp{called, inside} {
			for _, match := range pattern.FindAllStringSubmatch(text, -1) {
				list = append(list, documented{text: match[1], mention: true})
			}
		}
	}
	return list
}

var words = regexp.MustCompile(`"(?:\\.|[^"])*"|'[^']*'|[^\s"']+`)

// check holds the call against the program's own commands, without running any.
func (d documented) check() error {
	text, _, _ := strings.Cut(d.text+" ", " #")
	args := words.FindAllString(text, -1)
	for i, arg := range args {
		args[i] = strings.Trim(arg, `"'`)
	}
	p := &program{Streams: Streams{Lookup: func(string) (string, bool) { return "", false }}, out: io.Discard, err: io.Discard}
	root := p.root()
	root.InitDefaultHelpCmd() // as Execute does
	root.InitDefaultCompletionCmd(args...)
	command, rest, err := root.Find(args)
	if err != nil || slices.Contains(rest, "…") || slices.Contains(rest, "--help") {
		return err
	}
	if err := command.ParseFlags(rest); err != nil {
		return err
	}
	if left := command.Flags().Args(); !d.mention || len(left) > 0 {
		return command.ValidateArgs(left)
	}
	return nil
}

// TestCallsAreUnderstood: a check that finds nothing proves nothing.
func TestCallsAreUnderstood(t *testing.T) {
	t.Parallel()
	page := "Run `bin/billctl tasks show ID`, `billctl tasks lost`, `billctl tasks\nresolve` and billctl alone.\n" +
		"```bash\nid=$(bin/billctl tasks show)\nA=b billctl tasks list --stat x | head # a note\nbillctl tasks resolve \"$x\" --as failed --note 'so it is'\n" +
		"docker-compose run --rm keys keys show admin_api_key --dir /keys\n```\n"
	var right, wrong []string
	for _, call := range callsIn(page) {
		if call.check() == nil {
			right = append(right, strings.TrimSpace(call.text))
		} else {
			wrong = append(wrong, strings.TrimSpace(call.text))
		}
	}
	if got := strings.Join(right, "; "); got != `tasks resolve "$x" --as failed --note 'so it is'; keys show admin_api_key --dir /keys; tasks show ID; tasks resolve` {
		t.Errorf("right are %s", got)
	}
	if got := strings.Join(wrong, "; "); got != "tasks show; tasks list --stat x; tasks lost" {
		t.Errorf("wrong are %s", got)
	}
}
