package proc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// Spec says how to start a child.
type Spec struct {
	Name string // how messages call it
	Path string
	Args []string
	Env  []string // nil: this program's environment
	Dir  string   // "": this program's working directory

	Stdin          *os.File // nil: no input
	Stdout, Stderr *os.File // nil: discarded

	Credential *syscall.Credential // nil: this program's user
	// Orphan is what the child receives if this program dies without stopping it.
	Orphan syscall.Signal
	// SameGroup leaves the child in this program's process group, where the terminal's signals reach it as well.
	SameGroup bool
}

// Process is a started child.
type Process struct {
	name  string
	cmd   *exec.Cmd
	group bool
	done  chan struct{}
	err   error
}

// Start starts a child. The end of ctx does not end it: Stop does.
func Start(ctx context.Context, spec Spec) (*Process, error) {
	cmd := exec.CommandContext(context.WithoutCancel(ctx), spec.Path, spec.Args...) //nolint:gosec // running what it is told is its purpose
	cmd.Env, cmd.Dir = spec.Env, spec.Dir
	setStreams(cmd, spec)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: !spec.SameGroup, Credential: spec.Credential}
	setOrphanSignal(cmd.SysProcAttr, spec.Orphan)

	p := &Process{name: spec.Name, cmd: cmd, group: !spec.SameGroup, done: make(chan struct{})}
	started := make(chan error, 1)
	go p.run(started)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", spec.Name, err)
	}
	return p, nil
}

// run starts the child and waits for it on one operating system thread: the kernel sends the parent-death signal when the
// thread that started the child ends, and Go ends idle threads as it likes.
func (p *Process) run(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := p.cmd.Start()
	started <- err
	if err != nil {
		return
	}
	p.err = p.cmd.Wait()
	close(p.done)
}

// setStreams leaves nil files out: in an interface they would no longer be nil.
func setStreams(cmd *exec.Cmd, spec Spec) {
	if spec.Stdin != nil {
		cmd.Stdin = spec.Stdin
	}
	if spec.Stdout != nil {
		cmd.Stdout = spec.Stdout
	}
	if spec.Stderr != nil {
		cmd.Stderr = spec.Stderr
	}
}

// Name returns the name given in the Spec.
func (p *Process) Name() string { return p.name }

// PID returns the child's process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed when the child has ended and been waited for.
func (p *Process) Done() <-chan struct{} { return p.done }

func (p *Process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// ExitCode returns the child's exit code once Done is closed: 128 plus the signal's number where a signal ended it.
func (p *Process) ExitCode() int {
	<-p.done
	state := p.cmd.ProcessState
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return state.ExitCode()
}

// Signal sends sig to the child's process group, or to the child alone where it has none. A child that has ended is no
// error.
func (p *Process) Signal(sig syscall.Signal) error {
	target := p.PID()
	if p.group {
		target = -target // what the child left behind in its group is meant too
	} else if p.ended() {
		return nil // the id may already be another process's
	}
	if err := syscall.Kill(target, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("signal %s: %w", p.name, err)
	}
	return nil
}

// Stop sends sig and waits until the child has ended. After grace, or when ctx ends, it kills the child's whole group. The
// error says that it had to.
func (p *Process) Stop(ctx context.Context, sig syscall.Signal, grace time.Duration) error {
	if p.ended() {
		return nil
	}
	if err := p.Signal(sig); err != nil {
		return err
	}
	timer := time.NewTimer(grace)
	defer timer.Stop()
	var reason string
	select {
	case <-p.done:
		return nil
	case <-timer.C:
		reason = fmt.Sprintf("did not stop within %s", grace)
	case <-ctx.Done():
		reason = "was not given time to stop"
	}
	if err := p.Signal(syscall.SIGKILL); err != nil {
		return err
	}
	<-p.done
	return fmt.Errorf("%s %s and was killed", p.name, reason)
}
