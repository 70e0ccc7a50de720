package stage

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Usage is what a process has used since it started.
type Usage struct {
	CPU     time.Duration // user and system
	RSS     int64         // resident bytes now
	PeakRSS int64         // resident bytes at most
}

// Sub returns the CPU time used since an earlier reading; the memory is that of u.
func (u Usage) Sub(earlier Usage) Usage { u.CPU -= earlier.CPU; return u }

// Add sums two processes.
func (u Usage) Add(other Usage) Usage {
	return Usage{CPU: u.CPU + other.CPU, RSS: u.RSS + other.RSS, PeakRSS: u.PeakRSS + other.PeakRSS}
}

// tick is the unit of /proc/PID/stat, on every Linux that Go runs on.
const tick = 10 * time.Millisecond

// usageOf reads one process. With reaped, the time of its children that have ended counts too.
func usageOf(pid int, reaped bool) (Usage, error) {
	fields, err := statOf(pid)
	if err != nil {
		return Usage{}, err
	}
	var usage Usage
	last := 12 // utime and stime are fields 14 and 15 of proc(5); fields begins with the third
	if reaped {
		last = 14
	}
	for _, field := range fields[11 : last+1] {
		ticks, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return Usage{}, fmt.Errorf("read the times of process %d: %w", pid, err)
		}
		usage.CPU += time.Duration(ticks) * tick
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return Usage{}, fmt.Errorf("read the memory of process %d: %w", pid, err)
	}
	for line := range strings.SplitSeq(string(status), "\n") {
		name, value, _ := strings.Cut(line, ":")
		kilobytes, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		switch name {
		case "VmHWM":
			usage.PeakRSS = kilobytes << 10
		case "VmRSS":
			usage.RSS = kilobytes << 10
		}
	}
	return usage, nil
}

// statOf returns the fields of /proc/PID/stat behind the name, which may hold anything.
func statOf(pid int) ([]string, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil, fmt.Errorf("read the times of process %d: %w", pid, err)
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 15 {
		return nil, fmt.Errorf("read the times of process %d: %d fields", pid, len(fields))
	}
	return fields, nil
}

// ServerUsage is the CPU time of PostgreSQL: of the server, its living processes, and those that have ended. Its memory is
// left out, as the processes share most of it.
func (s *Stage) ServerUsage() (Usage, error) {
	parent := s.server.PID()
	total, err := usageOf(parent, true)
	if err != nil {
		return Usage{}, err
	}
	folders, _ := filepath.Glob("/proc/[0-9]*") // the pattern is well formed
	for _, folder := range folders {
		pid, err := strconv.Atoi(filepath.Base(folder))
		if err != nil {
			continue
		}
		if fields, err := statOf(pid); err != nil || fields[1] != strconv.Itoa(parent) {
			continue // it has ended, or is not the server's
		}
		if child, err := usageOf(pid, false); err == nil {
			total.CPU += child.CPU
		}
	}
	return Usage{CPU: total.CPU}, nil
}
