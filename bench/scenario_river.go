package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"billonce/bench/stage"
)

const (
	riverScenarioName    = "river"
	riverTemplate        = "scenario_river_template"
	riverDatabase        = "scenario_river"
	riverProgram         = "river"          // makes the schema, and jobs that are due
	riverScenarioProgram = "scenario_river" // calls by HTTP, and inserts
	riverPatience        = time.Minute      // with a program that ends by itself, beyond the time it is to take
)

// prepareRiver fills River's template with its schema and n due jobs.
func (b *Bench) prepareRiver(ctx context.Context, n int) error {
	program, err := b.Stage.BenchBinary(ctx, riverProgram)
	if err != nil {
		return err
	}
	if err := b.Stage.Create(ctx, riverTemplate); err != nil {
		return err
	}
	_, err = b.runRiver(ctx, riverPatience, stage.Command{
		Name: "river-load", Path: program, Args: []string{"-n", strconv.Itoa(n), "load"}, Env: b.riverEnv(riverTemplate),
	})
	if err != nil {
		return err
	}
	return b.Stage.Exec(ctx, riverTemplate, `VACUUM (ANALYZE)`)
}

func (b *Bench) riverEnv(database string) map[string]string {
	return map[string]string{"DATABASE_URL": b.Stage.URL(database)}
}

// runRiver runs a program to its end and returns the last line that it wrote.
func (b *Bench) runRiver(ctx context.Context, atMost time.Duration, command stage.Command) (string, error) {
	process, err := b.Stage.Spawn(ctx, command)
	if err != nil {
		return "", err
	}
	patience := time.NewTimer(atMost)
	defer patience.Stop()
	select {
	case <-process.Done():
	case <-patience.C:
		return "", fmt.Errorf("run %s: not done within %s: %w", command.Name, atMost, process.Stop(ctx))
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
	lines := strings.Split(process.Tail(), "\n")
	if code := process.ExitCode(); code != 0 {
		return "", fmt.Errorf("run %s: exit code %d:\n%s", command.Name, code, process.Tail())
	}
	return lines[len(lines)-1], nil
}

// riverInserts measures River's Insert from so many goroutines, or InsertMany of so many jobs at once, in jobs a second.
func (b *Bench) riverInserts(ctx context.Context, clients, size int, d time.Duration) (float64, error) {
	program, err := b.Stage.BenchBinary(ctx, riverScenarioProgram)
	if err != nil {
		return 0, err
	}
	if err := b.Stage.Clone(ctx, riverTemplate, riverDatabase); err != nil {
		return 0, err
	}
	line, err := b.runRiver(ctx, d+riverPatience, stage.Command{
		Name: "river-insert", Path: program, Env: b.riverEnv(riverDatabase),
		Args: []string{"-clients", strconv.Itoa(clients), "-size", strconv.Itoa(size), "-d", d.String(), "insert"},
	})
	if err != nil {
		return 0, err
	}
	rate, err := strconv.ParseFloat(line, 64)
	if err != nil {
		return 0, fmt.Errorf("read what river-insert measured: %w", err)
	}
	return rate, nil
}

// tryRiver is a trial of slots with River in billonce's place. Its rate is counted at the answerer.
func (s *slotsRun) tryRiver(ctx context.Context, trial slotsTrial) (err error) {
	program, err := s.Stage.BenchBinary(ctx, riverScenarioProgram)
	if err != nil {
		return err
	}
	if err := s.Stage.Clone(ctx, riverTemplate, riverDatabase); err != nil {
		return err
	}
	if err := s.Stage.Checkpoint(ctx); err != nil {
		return err
	}
	minimal, err := startAnswerer(ctx, slotsLatency)
	if err != nil {
		return err
	}
	defer func() {
		if closed := minimal.Close(); err == nil {
			err = closed
		}
	}()
	process, err := s.Stage.Spawn(ctx, stage.Command{
		Name: "river-call", Path: program, Env: s.riverEnv(riverDatabase),
		Args: []string{"-url", minimal.URL(), "-slots", strconv.Itoa(trial.slots), "call"},
	})
	if err != nil {
		return err
	}
	if err := s.watchRiver(ctx, trial, minimal, process); err != nil {
		_ = process.Stop(ctx)
		return err
	}
	return process.Stop(ctx)
}

func (s *slotsRun) watchRiver(ctx context.Context, trial slotsTrial, minimal *answerer, process *stage.Process) error {
	if err := pause(ctx, trial.warm); err != nil {
		return err
	}
	before, err := process.Usage()
	if err != nil {
		return err
	}
	began, answered := time.Now(), minimal.Answered()
	if err := pause(ctx, trial.measure); err != nil {
		return err
	}
	rate := float64(minimal.Answered()-answered) / time.Since(began).Seconds()
	after, err := process.Usage()
	if err != nil {
		return err
	}
	used := after.Sub(before)
	s.Logf("slots: river, %d slots: %.0f jobs/s", trial.slots, rate)
	add := func(what, unit string, value float64) {
		s.Report.Add(slotsName, riverScenarioName, slotsMetric(what, trial.slots, minimalName), unit, value)
	}
	add("rate", "tasks/s", rate)
	add("share of ideal", "", rate/(float64(trial.slots)/slotsLatency.Seconds()))
	add("worker CPU", "cores", used.CPU.Seconds()/trial.measure.Seconds())
	add("worker CPU a task", "µs", float64(used.CPU.Microseconds())/max(rate*trial.measure.Seconds(), 1))
	add("worker peak RSS", "MiB", mebibytes(used.PeakRSS))
	return nil
}
