package cli_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"billonce/cmd/billctl/cli"
)

// TestTheReferenceIsWhatThereIs: docs/billctl.md names every command and its purpose. UPDATE_REFERENCE=1 writes it.
func TestTheReferenceIsWhatThereIs(t *testing.T) {
	t.Parallel()
	path := filepath.Join("..", "..", "..", "docs", "billctl.md")
	got := must(t, nil, "reference").out
	if os.Getenv("UPDATE_REFERENCE") != "" {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("docs/billctl.md is not what `billctl reference` prints (UPDATE_REFERENCE=1 go test writes it):\n%s", diff)
	}
}

// TestEveryCommandExplainsItself: help of each ends with 0, and says what the command is for.
func TestEveryCommandExplainsItself(t *testing.T) {
	t.Parallel()
	rows := regexp.MustCompile("(?m)^\\| `billctl ([a-z_ -]+?)(?: (?:[A-Z\\[]|--).*?)?` \\| (.+) \\|$").FindAllStringSubmatch(must(t, nil, "reference").out, -1)
	if len(rows) < 45 {
		t.Fatalf("the reference has %d commands", len(rows))
	}
	for _, row := range rows {
		got := must(t, nil, append(strings.Fields(row[1]), "--help")...)
		if !strings.Contains(got.out, "Usage:") || got.err != "" {
			t.Errorf("billctl %s: %+v", row[1], got)
		}
	}
}

func TestExitCodesAreExplainedInOnePlace(t *testing.T) {
	t.Parallel()
	help := must(t, nil, "help", "exit-codes").out
	for _, code := range []int{cli.ExitOK, cli.ExitFailure, cli.ExitUsage, cli.ExitRefused, cli.ExitConfig} {
		if !regexp.MustCompile(fmt.Sprintf(`(?m)^  %d +\S`, code)).MatchString(help) {
			t.Errorf("%d is not explained in\n%s", code, help)
		}
	}
	if times := must(t, nil, "help", "times").out; !strings.Contains(times, "-2h") {
		t.Error(times)
	}
	if help := must(t, nil, "help").out; !strings.Contains(help, "exit-codes") {
		t.Error("the help does not lead there")
	}
}

func TestTheShellIsOfferedWhatThereIs(t *testing.T) {
	t.Parallel()
	env, _ := home(t, nil)
	must(t, env, "context", "set", "prod", "--url", "https://a.example")
	must(t, env, "context", "set", "local", "--url", "https://b.example")
	for line, want := range map[string]string{
		"ta":                                      "tasks",
		"tasks ":                                  "batch",
		"tasks list --sta":                        "--status",
		"tasks list --status ":                    "in_doubt",
		"tasks list --status failed,":             "failed,in_doubt",
		"tasks list --kind ":                      "invoice.pay",
		"tasks create --kind ":                    "refund.create",
		"tasks bulk cancel --status ":             "pending",
		"tasks resolve --as ":                     "succeeded",
		"tasks list --context ":                   "prod",
		"merchants list --status ":                "paused",
		"doctor --context ":                       "local",
		"doctor --skip ":                          "stripe",
		"context use ":                            "local",
		"apikeys create --scope ":                 "tasks:read",
		"audit --action ":                         "task.cancel",
		"events watch --kind invoice.pay,invoice": "invoice.pay,invoice.void",
		"help ": "tasks",
	} {
		words := strings.Split(line, " ")
		got := run(t, env, append([]string{"__complete"}, words...)...)
		offers := strings.Split(got.out, "\n")
		found := false
		for _, offer := range offers {
			name, _, _ := strings.Cut(offer, "\t")
			found = found || name == want
		}
		if !found {
			t.Errorf("%q: no %q among\n%s", line, want, got.out)
		}
	}
	if got := run(t, env, "__complete", "tasks", "list", "--status", "failed,"); strings.Contains(got.out, "failed,failed") {
		t.Errorf("what is there already is offered: %s", got.out)
	}
}

// TestTheScriptsAreRight, as far as the shells are here to say so.
func TestTheScriptsAreRight(t *testing.T) {
	t.Parallel()
	for _, shell := range []string{"bash", "zsh", "fish"} {
		script := must(t, nil, "completion", shell).out
		if !strings.Contains(script, "billctl") {
			t.Errorf("%s: %.80s", shell, script)
		}
		path := filepath.Join(t.TempDir(), "script")
		if err := os.WriteFile(path, []byte(script), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := exec.LookPath(shell); err != nil {
			t.Logf("%s is not here: its script was not read", shell)
			continue
		}
		if output, err := exec.Command(shell, "-n", path).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", shell, err, output)
		}
	}
	// The whole way through a shell: what bash would offer.
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, filepath.Join(dir, "billctl")); err != nil {
		t.Fatal(err)
	}
	command := exec.Command("bash", "-c", `
		_get_comp_words_by_ref() { cur=${COMP_WORDS[COMP_CWORD]}; prev=${COMP_WORDS[COMP_CWORD-1]}; words=("${COMP_WORDS[@]}"); cword=$COMP_CWORD; }
		_init_completion() { _get_comp_words_by_ref; }
		__ltrim_colon_completions() { :; }
		source <(billctl completion bash)
		COMP_WORDS=(billctl tasks list --status pen); COMP_CWORD=4; COMP_LINE="billctl tasks list --status pen"; COMP_POINT=${#COMP_LINE}; COMP_TYPE=9
		__start_billctl; echo "${COMPREPLY[@]}"`)
	command.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"), actAsMain+"=1")
	if output, err := command.CombinedOutput(); err != nil || !strings.Contains(string(output), "pending") {
		t.Errorf("%v\n%s", err, output)
	}
}

func TestQuietSaysNothingButResultsAndErrors(t *testing.T) {
	t.Parallel()
	env, _ := home(t, nil)
	if got := must(t, env, "context", "set", "a", "--url", "https://a.example", "--quiet"); got.out+got.err != "" {
		t.Errorf("%+v", got)
	}
	if got := run(t, env, "-q", "context", "use", "b"); got.code != 2 || got.err == "" {
		t.Errorf("%+v", got)
	}
}
