package postgres_test

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	_ "github.com/lib/pq" // the driver

	"billonce/cmd/billctl/dev/postgres"
)

const patience = time.Minute

// TestMain lets the test binary play a billctl that brings a lasting server up and then waits to be killed.
func TestMain(m *testing.M) {
	folder := os.Getenv("POSTGRES_TEST_FOLDER")
	if folder == "" {
		os.Exit(m.Run())
	}
	server, err := postgres.Start(context.Background(), postgres.Options{Folder: folder})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(server.PID())
	select {}
}

func start(t *testing.T, folder string) *postgres.Server {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	server, err := postgres.Start(ctx, postgres.Options{Folder: folder})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Stop(context.WithoutCancel(t.Context())) })
	return server
}

func stop(t *testing.T, server *postgres.Server) {
	t.Helper()
	if err := server.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, server *postgres.Server, database string) *sql.DB {
	t.Helper()
	db, err := sql.Open("postgres", server.URL(database).Reveal())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// folder returns a place that the server's user can reach, which t.TempDir is not when the tests run as root.
func folder(t *testing.T) string {
	t.Helper()
	place, err := os.MkdirTemp("/tmp", "pgtest-") //nolint:usetesting // t.TempDir is private to root
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(place) })
	if err := os.Chmod(place, 0o711); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(place, "postgres")
}

func TestThrowawayServer(t *testing.T) {
	t.Parallel()
	server := start(t, "")
	db := open(t, server, "postgres")
	for setting, want := range map[string]string{
		"fsync": "off", "synchronous_commit": "off", "listen_addresses": "127.0.0.1", "TimeZone": "UTC",
		"server_encoding": "UTF8", "max_connections": "300",
	} {
		var got string
		if err := db.QueryRow(`SELECT current_setting($1)`, setting).Scan(&got); err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Errorf("%s = %s, want %s", setting, got, want)
		}
	}
	address, err := url.Parse(server.URL("postgres").Reveal())
	if err != nil {
		t.Fatal(err)
	}
	address.User = url.UserPassword(address.User.Username(), "guess")
	stranger, err := sql.Open("postgres", address.String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stranger.Close() }()
	if err := stranger.Ping(); err == nil || !strings.Contains(err.Error(), "password authentication failed") {
		t.Errorf("a wrong password: %v", err)
	}
	stop(t, server)
	if _, err := os.Stat(server.Folder()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder is left behind: %v", err)
	}
	if conn, err := net.Dial("tcp", address.Host); err == nil {
		_ = conn.Close()
		t.Error("somebody still listens on the port")
	}
}

func TestLastingServer(t *testing.T) {
	t.Parallel()
	place := folder(t)
	first := start(t, place)
	if err := first.CreateDatabase(t.Context(), "billonce"); err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, first, "billonce").Exec(`CREATE TABLE kept AS SELECT 42 AS answer`); err != nil {
		t.Fatal(err)
	}
	var fsync string
	if err := open(t, first, "billonce").QueryRow(`SHOW fsync`).Scan(&fsync); err != nil || fsync != "on" {
		t.Errorf("fsync = %q, %v", fsync, err)
	}
	if _, err := postgres.Start(t.Context(), postgres.Options{Folder: place}); err == nil || !strings.Contains(err.Error(), "another billctl") {
		t.Errorf("a second one in the same folder: %v", err)
	}
	stop(t, first)

	// A machine that lost its power leaves the file; by then another process may have the number.
	stale := fmt.Sprintf("%d\n%s/data\n1\n", os.Getpid(), place)
	if err := os.WriteFile(filepath.Join(place, "data", "postmaster.pid"), []byte(stale), 0o600); err != nil {
		t.Fatal(err)
	}
	second := start(t, place)
	if first.URL("x").Reveal() != second.URL("x").Reveal() {
		t.Error("the URL changed from one life to the next")
	}
	if err := second.CreateDatabase(t.Context(), "billonce"); err != nil {
		t.Errorf("a database that exists: %v", err)
	}
	var answer int
	if err := open(t, second, "billonce").QueryRow(`SELECT answer FROM kept`).Scan(&answer); err != nil || answer != 42 {
		t.Errorf("answer = %d, %v", answer, err)
	}
}

func TestAServerDoesNotOutliveAKilledParent(t *testing.T) {
	t.Parallel()
	place := folder(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	parent := exec.CommandContext(t.Context(), self)
	parent.Env = append(os.Environ(), "POSTGRES_TEST_FOLDER="+place)
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	text, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil {
		t.Fatalf("the parent said %q", text)
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait() // killed
	if runtime.GOOS == "linux" {
		waitGone(t, pid)
	}
	server := start(t, place)
	if err := open(t, server, "postgres").Ping(); err != nil {
		t.Error(err)
	}
}

func waitGone(t *testing.T, pid int) {
	t.Helper()
	deadline := time.After(patience)
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	for {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil || strings.Contains(string(stat), ") Z ") {
			return
		}
		select {
		case <-poll.C:
		case <-deadline:
			t.Fatalf("the server, process %d, still runs", pid)
		}
	}
}

func TestFolderThatTheServersUserCannotReach(t *testing.T) {
	t.Parallel()
	private := filepath.Join(t.TempDir(), "private")
	if err := os.Mkdir(private, 0o700); err != nil {
		t.Fatal(err)
	}
	server := start(t, filepath.Join(private, "postgres"))
	t.Cleanup(func() { _ = os.RemoveAll(server.Folder()) })
	if err := open(t, server, "postgres").Ping(); err != nil {
		t.Error(err)
	}
	if inside := strings.HasPrefix(server.Folder(), private); inside != (os.Geteuid() != 0) {
		t.Errorf("the data lies in %s", server.Folder())
	}
}

func TestFolderWhosePathIsTooLongForASocket(t *testing.T) {
	t.Parallel()
	place := filepath.Join(folder(t), strings.Repeat("long/", 25), "postgres")
	server := start(t, place)
	var sockets string
	if err := open(t, server, "postgres").QueryRow(`SHOW unix_socket_directories`).Scan(&sockets); err != nil {
		t.Fatal(err)
	}
	sockets = strings.Trim(sockets, `"`)
	if strings.HasPrefix(sockets, place) {
		t.Errorf("the socket lies in %s", sockets)
	}
	entries, err := filepath.Glob(filepath.Join(sockets, ".s.PGSQL.*"))
	if err != nil || len(entries) == 0 {
		t.Errorf("no socket in %s: %v", sockets, err)
	}
	stop(t, server)
	if _, err := os.Stat(sockets); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket folder is left behind: %v", err)
	}
}

func TestLeftOverFoldersAreSwept(t *testing.T) {
	t.Parallel()
	left, err := os.MkdirTemp("", "billonce-pg-") //nolint:usetesting // it has to lie where the others lie
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(left) })
	if err := os.WriteFile(filepath.Join(left, "lock"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	running := start(t, "")
	other := start(t, "")
	if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder of a killed program is still there: %v", err)
	}
	if err := open(t, running, "postgres").Ping(); err != nil {
		t.Errorf("the sweep of %d hurt a running server: %v", other.PID(), err)
	}
}

func TestPortTakenByAnotherProgram(t *testing.T) {
	t.Parallel()
	place := folder(t)
	first := start(t, place)
	address, err := url.Parse(first.URL("postgres").Reveal())
	if err != nil {
		t.Fatal(err)
	}
	stop(t, first)
	var listener net.Listener
	if listener, err = net.Listen("tcp", address.Host); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	second := start(t, place)
	if strings.Contains(second.URL("postgres").Reveal(), address.Host) {
		t.Error("the server claims a port that another program has")
	}
}

func TestAFolderOfAnUninstalledVersionIsRefused(t *testing.T) {
	t.Parallel()
	place := folder(t)
	data := filepath.Join(place, "data")
	if err := os.MkdirAll(data, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(data, "PG_VERSION"), []byte("11\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := postgres.Start(t.Context(), postgres.Options{Folder: place})
	if err == nil || !strings.Contains(err.Error(), "version 11") || !strings.Contains(err.Error(), "remove the data folder") {
		t.Errorf("Start() = %v", err)
	}
}
