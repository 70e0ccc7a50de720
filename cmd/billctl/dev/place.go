package dev

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// place is where a stack keeps its files and finds its programs.
type place struct {
	repo string // the checkout, "" when this program runs away from one
	dir  string // .dev, or a throw-away folder
}

// findPlace finds the checkout around the working directory, or else the one around this program.
func findPlace() (place, error) {
	here, err := os.Getwd()
	if err != nil {
		return place{}, fmt.Errorf("find the checkout: %w", err)
	}
	starts := []string{here}
	if self, err := os.Executable(); err == nil {
		starts = append(starts, filepath.Dir(self))
	}
	for _, start := range starts {
		if repo, ok := checkoutAround(start); ok {
			return place{repo: repo, dir: filepath.Join(repo, ".dev")}, nil
		}
	}
	return place{dir: filepath.Join(here, ".dev")}, nil
}

func checkoutAround(folder string) (string, bool) {
	for {
		if moduleName(filepath.Join(folder, "go.mod")) == "billonce" {
			return folder, true
		}
		parent := filepath.Dir(folder)
		if parent == folder {
			return "", false
		}
		folder = parent
	}
}

func moduleName(path string) string {
	file, err := os.Open(path) //nolint:gosec // a go.mod above the working directory
	if err != nil {
		return ""
	}
	defer func() { _ = file.Close() }()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if name, ok := strings.CutPrefix(lines.Text(), "module "); ok {
			return strings.TrimSpace(name)
		}
	}
	return ""
}

// make makes the folder. As root others may pass through it, which the database's user must.
func (p place) make() error {
	mode := os.FileMode(0o700)
	if os.Geteuid() == 0 {
		mode = 0o711
	}
	if err := os.MkdirAll(p.dir, mode); err != nil {
		return fmt.Errorf("make the stack's folder: %w", err)
	}
	if err := os.MkdirAll(filepath.Join(p.dir, "log"), 0o700); err != nil {
		return fmt.Errorf("make the stack's folder: %w", err)
	}
	return nil
}

func (p place) file(name string) string { return filepath.Join(p.dir, name) }

func (p place) log(name string) string { return filepath.Join(p.dir, "log", name+".log") }

// programs are the services that a stack consists of.
var programs = [...]string{"api", "worker", "stripesim"}

// binaries returns the folder of the services' programs: this program's own, else one that they are built into.
func (p place) binaries(ctx context.Context, progress io.Writer) (string, error) {
	if self, err := os.Executable(); err == nil {
		if folder := filepath.Dir(self); holdsPrograms(folder) {
			return folder, nil
		}
	}
	if p.repo == "" {
		return "", errors.New("find the services: api, worker and stripesim lie neither beside this program nor in a checkout around it")
	}
	folder := filepath.Join(p.dir, "bin")
	_, _ = fmt.Fprintln(progress, "building api, worker and stripesim")
	build := exec.CommandContext(ctx, "go", "build", "-o", folder+string(filepath.Separator), "./cmd/api", "./cmd/worker", "./cmd/stripesim") //nolint:gosec // fixed packages
	build.Dir = p.repo
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the services: %w\n%s", err, strings.TrimSpace(string(output)))
	}
	return folder, nil
}

func holdsPrograms(folder string) bool {
	for _, name := range programs {
		info, err := os.Stat(filepath.Join(folder, name))
		if err != nil || !info.Mode().IsRegular() || info.Mode().Perm()&0o111 == 0 {
			return false
		}
	}
	return true
}
