package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"

	"billonce/bench/floor"
	"billonce/bench/stage"
)

func riverContender() contender {
	return contender{
		name:  riverName,
		about: "River v0.51.2, riverpgxv5, the settings of riverbench (FetchCooldown 2ms, FetchPollInterval 20ms), best MaxWorkers",
		ready: func(ctx context.Context, b *Bench) error { _, err := b.Stage.BenchBinary(ctx, "river"); return err },
		load: func(ctx context.Context, b *Bench, database string, fill filling) error {
			return b.runToEnd(ctx, database, riverCommand(b, "-n", strconv.Itoa(fill.due), "load"))
		},
		start: func(ctx context.Context, b *Bench, database string, workers int, args variant) ([]*stage.Process, error) {
			return b.spawn(ctx, database, workers, riverCommand(b, append(slices.Clone(args), "work")...))
		},
		variants: []variant{{"-max-workers", "2000"}, {"-max-workers", "1000"}, {"-max-workers", "500"}},
		latency: func(b *Bench, _ string, rate, seconds int) (stage.Command, error) {
			return riverCommand(b, "-rate", strconv.Itoa(rate), "-seconds", strconv.Itoa(seconds), "latency"), nil
		},
		watch: watch{
			table: `river_job`,
			left: []string{
				`SELECT 1 FROM river_job WHERE state = 'available' AND queue = 'default' AND priority = 1 ORDER BY scheduled_at DESC, id DESC LIMIT 1`,
				`SELECT 1 FROM river_job WHERE state = 'running' AND queue = 'default' AND priority = 1 ORDER BY scheduled_at DESC, id DESC LIMIT 1`,
			},
			done: `SELECT count(*) FROM river_job WHERE state = 'completed' AND finalized_at >= $1`,
		},
		around: surroundings{
			table:    `river_job`,
			postpone: `UPDATE river_job SET state = 'scheduled', scheduled_at = scheduled_at + interval '1 day' WHERE state = 'available'`,
			finished: `state = 'completed'`, future: `state = 'scheduled'`,
			columns: map[string]string{
				"id": "", "scheduled_at": `scheduled_at + k * interval '1 minute' * (CASE state WHEN 'scheduled' THEN 1 ELSE -1 END)`,
			},
			equal: `UPDATE river_job SET scheduled_at = now() - interval '1 minute' WHERE state = 'available'`,
			spread: `UPDATE river_job SET scheduled_at = now() - interval '1 hour' + d.n * interval '50 microseconds'
				FROM (SELECT id, row_number() OVER (ORDER BY id) AS n FROM river_job WHERE state = 'available') AS d WHERE d.id = river_job.id`,
		},
	}
}

func riverCommand(b *Bench, args ...string) stage.Command {
	return stage.Command{Name: riverName, Path: filepath.Join(b.Stage.Dir(), "bin", "bench-river"), Args: args}
}

func graphileContender() contender {
	return contender{
		name:  graphileName,
		about: "graphile-worker 0.18.0 on Node 26.10.0: best local queue, completion batched with delay 0; deletes what is done",
		ready: nodeReady,
		load: func(ctx context.Context, b *Bench, database string, fill filling) error {
			return b.runToEnd(ctx, database, nodeCommand(b, graphileName, "load", "--n", strconv.Itoa(fill.due)))
		},
		start: func(ctx context.Context, b *Bench, database string, workers int, args variant) ([]*stage.Process, error) {
			return b.spawn(ctx, database, workers, nodeCommand(b, graphileName, append(variant{"work"}, args...)...))
		},
		variants: []variant{
			{"--concurrency", "24", "--queue", "500"},
			{"--concurrency", "100", "--queue", "500"},
			{"--concurrency", "250", "--queue", "1000"},
			{"--concurrency", "1000", "--queue", "4000"},
		},
		latency: func(b *Bench, _ string, rate, seconds int) (stage.Command, error) {
			return nodeCommand(b, graphileName, "latency", "--rate", strconv.Itoa(rate), "--seconds", strconv.Itoa(seconds)), nil
		},
		watch: watch{
			table: `graphile_worker._private_jobs`,
			left:  []string{`SELECT 1 FROM graphile_worker._private_jobs WHERE run_at <= now() ORDER BY id DESC LIMIT 1`},
			rest:  `SELECT count(*) FROM graphile_worker._private_jobs WHERE run_at <= now()`,
		},
		around: surroundings{
			table:    `graphile_worker._private_jobs`,
			postpone: `UPDATE graphile_worker._private_jobs SET run_at = run_at + interval '1 day'`,
			future:   `true`, // finished jobs are deleted
			columns:  map[string]string{"id": "", "run_at": `run_at + k * interval '1 minute'`},
			equal:    `UPDATE graphile_worker._private_jobs SET run_at = now() - interval '1 minute' WHERE run_at <= now()`,
			spread: `UPDATE graphile_worker._private_jobs AS j SET run_at = now() - interval '1 hour' + d.n * interval '50 microseconds'
				FROM (SELECT id, row_number() OVER (ORDER BY id) AS n FROM graphile_worker._private_jobs WHERE run_at <= now()) AS d WHERE d.id = j.id`,
		},
	}
}

func pgbossContender() contender {
	return contender{
		name:  pgbossName,
		about: "pg-boss 12.38.0 on Node 26.10.0: best of batches fetched and completed as a whole, and its own work()",
		ready: nodeReady,
		load: func(ctx context.Context, b *Bench, database string, fill filling) error {
			return b.runToEnd(ctx, database, nodeCommand(b, pgbossName, "load", "--n", strconv.Itoa(fill.due)))
		},
		start: func(ctx context.Context, b *Bench, database string, workers int, args variant) ([]*stage.Process, error) {
			return b.spawn(ctx, database, workers, nodeCommand(b, pgbossName, append(variant{"work"}, args...)...))
		},
		variants: []variant{
			{"--loops", "2", "--batch", "5000"},
			{"--loops", "1", "--batch", "5000"},
			{"--loops", "2", "--batch", "1000"},
			{"--own", "1", "--loops", "2", "--batch", "5000"},
		},
		latency: func(b *Bench, _ string, rate, seconds int) (stage.Command, error) {
			return nodeCommand(b, pgbossName, "latency", "--rate", strconv.Itoa(rate), "--seconds", strconv.Itoa(seconds)), nil
		},
		watch: watch{
			table: `pgboss.job`,
			left: []string{
				`SELECT 1 FROM pgboss.job WHERE name = 'payment_intent.create' AND state < 'active' AND NOT blocked AND start_after <= now()
					ORDER BY name DESC, priority, created_on DESC LIMIT 1`,
				`SELECT 1 FROM pgboss.job WHERE name = 'payment_intent.create' AND state = 'active' LIMIT 1`,
			},
			done: `SELECT count(*) FROM pgboss.job WHERE state = 'completed' AND completed_on >= $1`,
		},
		around: surroundings{
			table:    `pgboss.job`,
			postpone: `UPDATE pgboss.job SET start_after = start_after + interval '1 day' WHERE state = 'created'`,
			finished: `state = 'completed'`, future: `state = 'created'`,
			columns: map[string]string{
				"id": "", "start_after": `start_after + k * interval '1 minute' * (CASE state WHEN 'created' THEN 1 ELSE -1 END)`,
			},
			equal: `UPDATE pgboss.job SET start_after = now() - interval '1 minute', created_on = now() WHERE state = 'created' AND start_after <= now()`,
			spread: `UPDATE pgboss.job AS j SET start_after = now() - interval '1 hour' + d.n * interval '50 microseconds',
					created_on = now() - interval '1 hour' + d.n * interval '50 microseconds'
				FROM (SELECT id, row_number() OVER (ORDER BY created_on) AS n FROM pgboss.job WHERE state = 'created' AND start_after <= now()) AS d
				WHERE d.id = j.id`,
		},
	}
}

func floorContender() contender {
	return contender{
		name:  floorName,
		about: "the bare claim and complete statements, lib/pq with binary_parameters, best batch, one connection for each worker",
		ready: func(ctx context.Context, b *Bench) error { _, err := b.Stage.BenchBinary(ctx, "floor"); return err },
		load: func(ctx context.Context, b *Bench, database string, fill filling) error {
			db, err := b.Stage.Open(database)
			if err != nil {
				return err
			}
			defer func() { _ = db.Close() }()
			if there, err := stage.Count(ctx, db, `SELECT count(*) FROM pg_class WHERE relname = 'tasks'`); err != nil {
				return err
			} else if there == 0 {
				if _, err := db.ExecContext(ctx, floor.Schema); err != nil {
					return fmt.Errorf("make the floor's table: %w", err)
				}
			}
			return floor.Load(ctx, db, fill.due)
		},
		start: func(ctx context.Context, b *Bench, database string, workers int, args variant) ([]*stage.Process, error) {
			return b.spawn(ctx, database, 1, stage.Command{
				Name: floorName, Path: filepath.Join(b.Stage.Dir(), "bin", "bench-floor"),
				Args: append([]string{"-connections", strconv.Itoa(workers)}, args...),
			})
		},
		variants: []variant{{"-batch", "500"}, {"-batch", "250"}, {"-batch", "100"}},
		watch: watch{
			table: `tasks`,
			left: []string{
				`SELECT 1 FROM tasks WHERE status = 'pending' AND run_at <= now() ORDER BY run_at DESC LIMIT 1`,
				`SELECT 1 FROM tasks WHERE status = 'running' ORDER BY run_at DESC LIMIT 1`,
			},
			done: `SELECT count(*) FROM tasks WHERE status = 'succeeded' AND finished_at >= $1`,
		},
		around: surroundings{
			table:    `tasks`,
			postpone: `UPDATE tasks SET run_at = run_at + interval '1 day' WHERE status = 'pending'`,
			finished: `status = 'succeeded'`, future: `status = 'pending'`,
			columns: map[string]string{"id": "", "run_at": `run_at + k * interval '1 minute' * (CASE status WHEN 'pending' THEN 1 ELSE -1 END)`},
			equal:   `UPDATE tasks SET run_at = now() - interval '1 minute' WHERE status = 'pending' AND run_at <= now()`,
			spread: `UPDATE tasks AS j SET run_at = now() - interval '1 hour' + d.n * interval '50 microseconds'
				FROM (SELECT id, row_number() OVER (ORDER BY id) AS n FROM tasks WHERE status = 'pending' AND run_at <= now()) AS d WHERE d.id = j.id`,
		},
	}
}

// nodeReady installs the Node contenders from the lock file, on first use.
func nodeReady(ctx context.Context, b *Bench) error {
	dir := filepath.Join(b.Stage.Root(), "bench", "node")
	node := filepath.Join(dir, "node_modules", "node", "bin", "node")
	if exec.CommandContext(ctx, node, "--version").Run() == nil { //nolint:gosec // our own folder
		return nil
	}
	npm, err := exec.LookPath("npm")
	if err != nil {
		return errors.New("npm is not installed")
	}
	b.Logf("installing the Node contenders")
	cmd := exec.CommandContext(ctx, npm, "ci", "--no-audit", "--no-fund") //nolint:gosec // what package-lock.json pins
	cmd.Dir = dir
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("npm ci: %w: %.300s", err, output)
	}
	if _, err := os.Stat(node); err != nil {
		return fmt.Errorf("npm's package node brought no binary: %w", err)
	}
	return nil
}

func nodeCommand(b *Bench, name string, args ...string) stage.Command {
	dir := filepath.Join(b.Stage.Root(), "bench", "node")
	return stage.Command{
		Name: name, Dir: dir, Path: filepath.Join(dir, "node_modules", "node", "bin", "node"),
		Args: append([]string{name + ".mjs"}, args...), Env: stage.Env{"NODE_ENV": "production"},
	}
}

// spawn starts so many of a command on a database.
func (b *Bench) spawn(ctx context.Context, database string, n int, command stage.Command) ([]*stage.Process, error) {
	env := stage.Env{"DATABASE_URL": b.Stage.URL(database)}
	for name, value := range command.Env {
		env[name] = value
	}
	command.Env = env
	var started []*stage.Process
	for range n {
		process, err := b.Stage.Spawn(ctx, command)
		if err != nil {
			return started, err
		}
		started = append(started, process)
	}
	return started, nil
}

// runToEnd runs a command that ends by itself.
func (b *Bench) runToEnd(ctx context.Context, database string, command stage.Command) error {
	started, err := b.spawn(ctx, database, 1, command)
	if err != nil {
		return err
	}
	return waitEnd(ctx, started[0])
}
