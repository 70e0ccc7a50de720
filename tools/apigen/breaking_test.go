package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const described = "pkg/httpapi/openapi.yaml"

// tree is a git repository with no more in it than tools/openapi.sh breaking needs.
type tree struct {
	t   *testing.T
	dir string
	env []string // for the check
}

// newTree returns one whose only commit, on main, has the description as it is.
func newTree(t *testing.T) *tree {
	t.Helper()
	tr := &tree{t: t, dir: t.TempDir()}
	for _, name := range []string{"tools/openapi.sh", "tools/oasdiff.txt", described} {
		tr.write(name, readFile(t, filepath.Join("../..", name)))
	}
	tr.write("tools/openapi-accepted.txt", "none\n")
	tr.git("init", "--quiet", "--initial-branch=main")
	tr.commit()
	return tr
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func (tr *tree) write(name, text string) {
	tr.t.Helper()
	path := filepath.Join(tr.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		tr.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		tr.t.Fatal(err)
	}
}

func (tr *tree) git(args ...string) {
	tr.t.Helper()
	git := exec.CommandContext(tr.t.Context(), "git", append([]string{
		"-C", tr.dir, "-c", "user.name=test", "-c", "user.email=test@localhost", "-c", "commit.gpgsign=false", "-c", "tag.gpgsign=false",
	}, args...)...)
	git.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null")
	if output, err := git.CombinedOutput(); err != nil {
		tr.t.Fatalf("git %v: %v\n%s", args, err, output)
	}
}

func (tr *tree) commit() {
	tr.t.Helper()
	tr.git("add", "--all")
	tr.git("commit", "--quiet", "--allow-empty", "--message", "a change")
}

// edit replaces a text of the description, which must be there.
func (tr *tree) edit(old, new string) {
	tr.t.Helper()
	text := readFile(tr.t, filepath.Join(tr.dir, described))
	if !strings.Contains(text, old) {
		tr.t.Fatalf("the description has no %q", old)
	}
	tr.write(described, strings.Replace(text, old, new, 1))
}

// breaking runs the check as CI does (ci), or as anybody does.
func (tr *tree) breaking(ci bool, env ...string) (passed bool, said string) {
	tr.t.Helper()
	check := exec.CommandContext(tr.t.Context(), "bash", filepath.Join(tr.dir, "tools/openapi.sh"), "breaking")
	check.Env = append(append(os.Environ(), "CI=", "BASE="), env...)
	if ci {
		check.Env = append(check.Env, "CI=true")
	}
	output, err := check.CombinedOutput()
	return err == nil, string(output)
}

const (
	// theBreak is one that nobody could miss: a new field that a request must have.
	before, theBreak = "      required: [name, scopes]\n", "      required: [name, scopes, expires_at]\n"
	harmless         = "      required: [name, scopes]\n      description: Said differently.\n"
)

// TestBreaksAreRefused breaks a client of the last release in every way that we can think of, but one: what a header of an answer may hold
// is not compared by oasdiff.
func TestBreaksAreRefused(t *testing.T) {
	t.Parallel()
	released := newTree(t)
	released.git("tag", "v1.0.0")
	for name, tc := range map[string]struct{ old, new string }{
		"RouteRemoved":          {"  /v1/tasks/{id}/chain:\n", "  /v1/tasks/{id}/chained:\n"},
		"MethodRemoved":         {"    patch:\n", "    put:\n"},
		"RequestFieldNew":       {before, theBreak},
		"RequestFieldGone":      {"        livemode:\n          description: Must fit", "        mode:\n          description: Must fit"},
		"RequestFieldInAllOf":   {"      required: [merchant_id, kind]\n", "      required: [merchant_id, kind, params]\n"},
		"RequestLonger":         {"      maxLength: 200\n", "      maxLength: 100\n"},
		"RequestEnumValueGone":  {"        outcome: {type: string, enum: [succeeded, failed]}", "        outcome: {type: string, enum: [succeeded]}"},
		"RequestNotNull":        {"          type: [integer, 'null']\n          minimum: 1\n          maximum: 1000\n", "          type: integer\n          minimum: 1\n          maximum: 1000\n"},
		"RequestTypeOther":      {"        run_at: {$ref: '#/components/schemas/Time'}\n", "        run_at: {type: integer}\n"},
		"QueryGone":             {"        - name: stripe_connect_id\n          in: query\n", "        - name: account\n          in: query\n"},
		"QueryRequired":         {"        - name: stripe_connect_id\n          in: query\n", "        - name: stripe_connect_id\n          required: true\n          in: query\n"},
		"HeaderRequired":        {"      name: Idempotency-Key\n      in: header\n", "      name: Idempotency-Key\n      required: true\n      in: header\n"},
		"AnswerFieldGone":       {"        has_access_token: {type: boolean}\n", ""},
		"AnswerFieldNotSure":    {"        - has_refresh_token\n", ""},
		"AnswerFieldInAnyOf":    {"      required: [object, id, status, request_id, replayed]\n", "      required: [object, id, status, request_id]\n"},
		"AnswerFieldNull":       {"        livemode: {type: boolean}\n", "        livemode: {type: [boolean, 'null']}\n"},
		"AnswerFieldTypeOther":  {"        declines:\n          description: Declines that led to this task.\n          type: integer\n", "        declines:\n          description: Declines that led to this task.\n          type: string\n"},
		"AnswerPageFieldGone":   {"      required: [data]\n", "      required: []\n"},
		"AnswerHeaderGone":      {"            Location: {$ref: '#/components/headers/Location'}\n", ""},
		"AnswerStatusOther":     {"        '201':\n          description: The merchant is connected.\n", "        '200':\n          description: The merchant is connected.\n"},
		"AnswerStatusGone":      {"        '404': {$ref: '#/components/responses/NotFound'}\n", ""},
		"AnswerMediaTypeOther":  {"        application/problem+json:\n", "        application/json:\n"},
		"ScopeOther":            {`security: [{apiKey: ["merchants:read"]}]`, "security: [{apiKey: [admin]}]"},
		"KeyDemanded":           {"      summary: Whether the process answers\n      security: []\n", "      summary: Whether the process answers\n      security: [{apiKey: [admin]}]\n"},
		"RequestMarkedReadOnly": {"        access_token:\n          description: Without one", "        access_token:\n          readOnly: true\n          description: Without one"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tr := &tree{t: t, dir: t.TempDir()}
			tr.git("clone", "--quiet", released.dir, ".")
			tr.edit(tc.old, tc.new)
			tr.commit()
			if passed, said := tr.breaking(true); passed || !strings.Contains(said, "with v1.0.0") {
				t.Errorf("passed=%t: %s", passed, said)
			}
		})
	}
}

// TestWhatIsCompared: whatever git has, the break is compared with what was there before it.
func TestWhatIsCompared(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		make func(*tree) // from a commit with the description as it is
		want string      // a part of what is said; refused, unless it begins with "passes: "
	}{
		"InTheWorkingTree":  {func(tr *tree) { tr.edit(before, theBreak) }, "required"},
		"OnMain":            {func(tr *tree) { tr.edit(before, theBreak); tr.commit() }, "required"},
		"OnMainSomeTimeAgo": {func(tr *tree) { tr.edit(before, theBreak); tr.commit(); tr.write("a", "b"); tr.commit() }, "required"},
		"OnMainAsItsCISeesIt": {func(tr *tree) {
			tr.edit(before, theBreak)
			tr.commit()
			tr.git("update-ref", "refs/remotes/origin/main", "HEAD")
		}, "required"},
		"OnABranch": {func(tr *tree) {
			tr.git("switch", "--quiet", "-c", "x")
			tr.edit(before, theBreak)
			tr.commit()
			tr.write("a", "b")
			tr.commit()
		}, "required"},
		"ByAMerge":        {mergeTheBreak, "required"},
		"SinceTheLastTag": {func(tr *tree) { tr.git("tag", "v1.0.0"); tr.edit(before, theBreak); tr.commit(); tr.commit() }, "with v1.0.0"},
		"OnTheNextTag": {func(tr *tree) {
			tr.git("tag", "v0.9.0")
			tr.edit(before, theBreak)
			tr.commit()
			tr.git("tag", "v1.0.0")
		}, "with v0.9.0"},
		"NotTheNearestTag": {func(tr *tree) {
			tr.git("tag", "v1.0.0")
			tr.edit(before, theBreak)
			tr.commit()
			tr.git("tag", "bench-2026")
			tr.git("tag", "v1.1.0-rc1")
			tr.commit()
		}, "with v1.0.0"},
		"VersionsNotAlphabet": {func(tr *tree) {
			tr.git("tag", "v1.10.0")
			tr.edit(before, theBreak)
			tr.commit()
			tr.git("tag", "v1.9.0")
			tr.commit()
		}, "with v1.10.0"},
		"TakenAwayAndBack":     {takeAwayAndBack, "required"},
		"TheTagSaysAnother":    {func(tr *tree) { tr.git("tag", "v7.7.7") }, "says that it is version"},
		"NoSuchBase":           {func(tr *tree) { tr.git("tag", "v1.0.0"); tr.base("canary") }, "at canary"},
		"Accepted":             {acceptTheBreak("nothing"), "passes: comparing"},
		"AcceptedLongAgo":      {acceptTheBreak("v0.1.0"), "required"},
		"Harmless":             {func(tr *tree) { tr.git("tag", "v1.0.0"); tr.edit(before, harmless); tr.commit() }, "passes: with v1.0.0"},
		"TheFirstVersion":      {func(*tree) {}, "passes: no client to break yet"},
		"TheFirstRelease":      {func(tr *tree) { tr.git("tag", "v1.0.0") }, "passes: no client to break yet"},
		"UnrelatedAfterTheTag": {func(tr *tree) { tr.git("tag", "v1.0.0"); tr.write("a", "b"); tr.commit() }, "passes: with v1.0.0"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tr := newTree(t)
			tc.make(tr)
			want, pass := strings.CutPrefix(tc.want, "passes: ")
			if passed, said := tr.breaking(true, tr.env...); passed != pass || !strings.Contains(said, want) {
				t.Errorf("passed=%t: %s", passed, said)
			}
		})
	}
}

func (tr *tree) base(commit string) { tr.env = append(tr.env, "BASE="+commit) }

func mergeTheBreak(tr *tree) {
	tr.git("switch", "--quiet", "-c", "x")
	tr.edit(before, theBreak)
	tr.commit()
	tr.git("switch", "--quiet", "main")
	tr.write("a", "b")
	tr.commit()
	tr.git("merge", "--quiet", "--no-ff", "-m", "merge", "x")
}

func takeAwayAndBack(tr *tree) {
	tr.git("rm", "--quiet", "--cached", described)
	tr.git("commit", "--quiet", "-m", "away")
	tr.edit(before, theBreak)
	tr.commit()
}

// acceptTheBreak puts what is said of the break on record, as decided since a release.
func acceptTheBreak(since string) func(*tree) {
	return func(tr *tree) {
		tr.edit(before, theBreak)
		tr.write("tools/openapi-accepted.txt", "since "+since+" POST /v1/api_keys added the new required request property `expires_at`: for a reason\n"+
			"since "+since+" POST /v1/api_keys the request property `expires_at` became required\n")
		tr.commit()
	}
}

// TestWhatCannotBeComparedIsSaid: in CI it is an error, and elsewhere not taken for a pass in silence.
func TestWhatCannotBeComparedIsSaid(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		make func(*tree)
		want string
	}{
		"NoRepository": {func(tr *tree) { tr.remove(".git") }, "git says: "},
		"NoCommit":     {func(tr *tree) { tr.remove(".git"); tr.git("init", "--quiet") }, "no commit"},
		"Broken":       {func(tr *tree) { tr.write(".git/HEAD", "canary") }, "git says: "},
		"Shallow":      {shallow, "shallow"},
		"WithinAnother": {func(tr *tree) {
			tr.remove(".git")
			outer := tr.dir
			tr.dir = filepath.Join(outer, "inner")
			tr.copyFrom(outer)
			(&tree{t: tr.t, dir: outer}).git("init", "--quiet")
		}, "not the root"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tr := newTree(t)
			tr.edit(before, theBreak)
			tr.commit()
			tc.make(tr)
			for _, ci := range []bool{true, false} {
				passed, said := tr.breaking(ci)
				if passed == ci || !strings.Contains(said, "NOT CHECKED") || !strings.Contains(said, tc.want) {
					t.Errorf("ci=%t passed=%t: %s", ci, passed, said)
				}
			}
		})
	}
}

func (tr *tree) remove(name string) {
	tr.t.Helper()
	if err := os.RemoveAll(filepath.Join(tr.dir, name)); err != nil {
		tr.t.Fatal(err)
	}
}

func (tr *tree) copyFrom(dir string) {
	tr.t.Helper()
	for _, name := range []string{"tools/openapi.sh", "tools/oasdiff.txt", "tools/openapi-accepted.txt", described} {
		tr.write(name, readFile(tr.t, filepath.Join(dir, name)))
	}
}

// shallow makes the tree a clone of its last commit alone.
func shallow(tr *tree) {
	clone := filepath.Join(tr.t.TempDir(), "clone")
	tr.git("clone", "--quiet", "--depth=1", "file://"+tr.dir, clone)
	tr.dir = clone
}
