package cli_test

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"billonce/pkg/store/storetest"
)

// filled is a database with n tasks.
func filled(t *testing.T, n int) *storetest.DB {
	t.Helper()
	db := storetest.Open(t)
	db.SQL.MustExec(`
		INSERT INTO scheduled_tasks (id, merchant_id, kind, created_at) SELECT gen_random_uuid(), $1, 'invoice.pay', '2026-01-31 12:00+00'
		FROM generate_series(1, $2::int)`, db.Merchant(t).ID, n)
	return db
}

func TestTasksExport(t *testing.T) {
	t.Parallel()
	db := filled(t, 600)
	env := map[string]string{"DATABASE_URL": db.URL}
	t.Run("WritesLinesAndTellsTheProgress", func(t *testing.T) {
		t.Parallel()
		got := run(t, env, "tasks", "export")
		if got.code != 0 || strings.Count(got.out, "\n") != 600 || got.err != "exporting about 600 tasks\nexported 600 tasks\n" {
			t.Errorf("code %d, %d lines, %s", got.code, strings.Count(got.out, "\n"), got.err)
		}
	})
	t.Run("IsQuiet", func(t *testing.T) {
		t.Parallel()
		if got := run(t, env, "tasks", "export", "--quiet", "--status", "succeeded"); got != (result{}) {
			t.Errorf("%+v", got)
		}
	})
	t.Run("KnowsDays", func(t *testing.T) {
		t.Parallel()
		for day, want := range map[string]int{"2026-01-31": 600, "2026-02-01": 0, "2026-01-31T12:00:00Z": 600, "2026-01-31T12:00:00.1Z": 0} {
			if got := run(t, env, "tasks", "export", "--from", day); got.code != 0 || strings.Count(got.out, "\n") != want {
				t.Errorf("from %s: code %d, %d lines, %s", day, got.code, strings.Count(got.out, "\n"), got.err)
			}
		}
	})
	t.Run("WritesAFileAndNeverOverOne", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "history.ndjson")
		if got := run(t, env, "tasks", "export", "--output", path); got.code != 0 || got.out != "" {
			t.Errorf("%+v", got)
		}
		content, err := os.ReadFile(path)
		info, statErr := os.Stat(path)
		if err != nil || bytes.Count(content, []byte("\n")) != 600 || statErr != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%d bytes, %v, %v", len(content), err, statErr)
		}
		if got := run(t, env, "tasks", "export", "--output", path); got.code != 1 || !strings.Contains(got.err, "exists") {
			t.Errorf("%+v", got)
		}
		again := run(t, env, "tasks", "export", "--output", path, "--after", "ffffffff-ffff-ffff-ffff-ffffffffffff")
		if after, err := os.ReadFile(path); again.code != 0 || err != nil || !bytes.Equal(after, content) {
			t.Errorf("%+v, %v", again, err)
		}
	})
}

func TestTasksExportRefuses(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		args []string
		env  map[string]string
		code int
		says string
	}{
		"AWrongDay":      {[]string{"--from", "yesterday"}, nil, 2, "--from"},
		"AWrongEnd":      {[]string{"--to", "1"}, nil, 2, "--to"},
		"AWrongStatus":   {[]string{"--status", "done"}, nil, 2, "--status"},
		"AWrongMerchant": {[]string{"--merchant", "m"}, nil, 2, "--merchant"},
		"AWrongTask":     {[]string{"--after", "1"}, nil, 2, "--after"},
		"AWrongTime":     {[]string{"--by", "run_at"}, nil, 2, "--by"},
		"NoDatabase":     {nil, nil, 78, "DATABASE_URL"},
		"NoServer":       {nil, map[string]string{"DATABASE_URL": "postgres://127.0.0.1:1/none?sslmode=disable"}, 1, "export"},
		"NoSchema":       {nil, map[string]string{"DATABASE_URL": storetest.Create(t, "")}, 1, "billctl migrate up"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := run(t, tc.env, append([]string{"tasks", "export"}, tc.args...)...)
			if got.code != tc.code || !strings.Contains(got.err, tc.says) || got.out != "" {
				t.Errorf("%+v", got)
			}
		})
	}
}

// TestTasksExportIsInterruptedCleanly: what was written are whole lines, and the message says where to go on.
func TestTasksExportIsInterruptedCleanly(t *testing.T) {
	t.Parallel()
	db := filled(t, 6000)
	command := billctl(t, []string{"DATABASE_URL=" + db.URL, "DATABASE_URL_FILE="}, "tasks", "export")
	var said bytes.Buffer
	command.Stderr = &said
	pipe, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(pipe)
	first, err := lines.ReadString('\n') // more than a pipe holds is still to come: the export waits for us
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(lines)
	if err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := command.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Errorf("%v, want exit code 1", err)
	}
	text := strings.TrimSuffix(first+string(rest), "\n")
	last := text[strings.LastIndexByte(text, '\n')+1:]
	_, after, found := strings.Cut(strings.TrimSpace(said.String()), "interrupted; ")
	id := after[strings.LastIndexByte(after, ' ')+1:]
	if !found || !strings.HasSuffix(last, "}") || !strings.Contains(last, `"id":"`+id+`"`) {
		t.Errorf("%q does not tell of %q", said.String(), last)
	}
	if n := strings.Count(text, "\n") + 1; n == 6000 || n%250 != 0 {
		t.Errorf("%d lines were written", n)
	}
}
