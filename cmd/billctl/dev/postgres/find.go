package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// oldestMajor is the oldest PostgreSQL that billonce runs on.
const oldestMajor = 14

// usualFolders are where packages and installers put the server's programs, away from PATH.
var usualFolders = [...]string{
	"/usr/lib/postgresql/*/bin",                          // Debian, Ubuntu
	"/usr/pgsql-*/bin",                                   // PGDG on Red Hat and its kin
	"/usr/lib/postgresql*/bin",                           // SUSE
	"/usr/libexec/postgresql*",                           // Alpine
	"/usr/local/pgsql*/bin",                              // built from source
	"/opt/homebrew/opt/postgresql*/bin",                  // Homebrew on Apple silicon
	"/usr/local/opt/postgresql*/bin",                     // Homebrew on Intel
	"/home/linuxbrew/.linuxbrew/opt/postgresql*/bin",     // Homebrew on Linux
	"/opt/local/lib/postgresql*/bin",                     // MacPorts
	"/opt/pgsql*/bin",                                    // by hand
	"/opt/postgresql*/bin",                               // by hand
	"/Library/PostgreSQL/*/bin",                          // EDB's installer
	"/Applications/Postgres.app/Contents/Versions/*/bin", // Postgres.app
}

// errNotFound says that no installation fits.
var errNotFound = errors.New("no PostgreSQL found")

// installation is a folder with the server's programs.
type installation struct {
	folder string
	major  int
}

func (i installation) initdb() string { return filepath.Join(i.folder, "initdb") }
func (i installation) server() string { return filepath.Join(i.folder, "postgres") }

// find returns the installation to use: the one on PATH, else the newest of the usual folders. A wanted major version,
// that of an existing cluster, is the only one accepted; 0 accepts any from oldestMajor on.
func find(ctx context.Context, wanted int) (installation, error) {
	candidates := inUsualFolders(ctx)
	if onPath, err := exec.LookPath("postgres"); err == nil {
		if found, ok := inspect(ctx, filepath.Dir(resolve(onPath))); ok {
			candidates = slices.Insert(candidates, 0, found)
		}
	}
	return choose(candidates, wanted)
}

// choose takes the first candidate that fits.
func choose(candidates []installation, wanted int) (installation, error) {
	for _, candidate := range candidates {
		if candidate.major == wanted || wanted == 0 && candidate.major >= oldestMajor {
			return candidate, nil
		}
	}
	if wanted != 0 {
		return installation{}, fmt.Errorf("%w of version %d, with which the data folder was made", errNotFound, wanted)
	}
	if len(candidates) > 0 {
		return installation{}, fmt.Errorf("%w of version %d or newer (there is %d in %s)",
			errNotFound, oldestMajor, candidates[0].major, candidates[0].folder)
	}
	return installation{}, errNotFound
}

// inUsualFolders returns what the usual folders hold, newest first.
func inUsualFolders(ctx context.Context) []installation {
	var found []installation
	for _, pattern := range usualFolders {
		folders, _ := filepath.Glob(pattern) // the only error is a malformed pattern
		for _, folder := range folders {
			if one, ok := inspect(ctx, folder); ok {
				found = append(found, one)
			}
		}
	}
	slices.SortStableFunc(found, func(a, b installation) int { return b.major - a.major })
	return found
}

// inspect reports whether folder holds a server and initdb, and of which version.
func inspect(ctx context.Context, folder string) (installation, bool) {
	i := installation{folder: folder}
	if !executable(i.initdb()) || !executable(i.server()) {
		return i, false
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	output, err := exec.CommandContext(ctx, i.server(), "--version").Output() //nolint:gosec // a program just found on this machine
	if err != nil {
		return i, false
	}
	i.major, err = parseMajor(string(output))
	return i, err == nil
}

var versionPattern = regexp.MustCompile(`\(PostgreSQL\) (\d+)`)

// parseMajor reads the major version out of "postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)".
func parseMajor(output string) (int, error) {
	match := versionPattern.FindStringSubmatch(output)
	if match == nil {
		return 0, fmt.Errorf("read the version of PostgreSQL: %q is none", strings.TrimSpace(output))
	}
	return strconv.Atoi(match[1])
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0
}

// resolve follows symbolic links where it can: initdb lies beside the real program.
func resolve(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	return path
}
