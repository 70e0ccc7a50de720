package main

import (
	"context"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// describe puts into the header what the numbers depend on.
func describe(ctx context.Context, b *Bench) {
	r := b.Report
	r.Head("when", "%s", time.Now().UTC().Format(time.RFC3339))
	r.Head("machine", "%s, %d CPUs, %s %s", cpuModel(), runtime.NumCPU(), runtime.GOOS, runtime.GOARCH)
	load, _ := os.ReadFile("/proc/loadavg")
	r.Head("load before", "%s", strings.TrimSpace(string(load)))
	commit, _ := exec.CommandContext(ctx, "git", "-C", b.Stage.Root(), "describe", "--always", "--dirty").Output() //nolint:gosec // our tree
	r.Head("commit", "%s, Go %s, LOG_LEVEL=warn, MERCHANT_RATE=0, MERCHANT_CONCURRENCY=0", strings.TrimSpace(string(commit)), runtime.Version())
	r.Head("PostgreSQL", "%s", b.Stage.Version())
	settings := []string{}
	for _, setting := range b.Stage.Settings() {
		settings = append(settings, setting.Name+"="+setting.Value)
	}
	r.Head("settings", "%s", strings.Join(settings, " "))
	for _, c := range contenders() {
		r.Head(c.name, "%s", c.about)
	}
	r.Head("repeats", "%d", b.Repeats)
}

func cpuModel() string {
	info, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.SplitSeq(string(info), "\n") {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown CPU"
}
