package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"billonce/bench/floor"
	"billonce/bench/report"
	"billonce/bench/stage"
)

const (
	enqueueName         = "enqueue"
	enqueueTemplate     = "enqueue_template"
	enqueueDatabase     = "enqueue"
	enqueueFloor        = "enqueue_floor"
	enqueueBatchClients = 2 // the api works on so many batches at once
	enqueueBatchMost    = 10_000
	enqueueBarClients   = 32
	enqueueBarBatch     = 1000
)

func enqueueScenario() Scenario {
	return Scenario{
		Name: enqueueName, Title: "scheduling through the API, for tomorrow, against the bare insert of as many rows",
		Run: func(ctx context.Context, b *Bench) error { return (&enqueueRun{Bench: b}).run(ctx) },
	}
}

// enqueueRun is one run of the scenario.
type enqueueRun struct {
	*Bench
	clients, batches []int
	each             time.Duration // of one trial
	merchants        []string
	serial           int // tasks and keys made so far; clients take ranges of it
}

func (e *enqueueRun) run(ctx context.Context) error {
	e.clients, e.batches, e.each = []int{1, 8, enqueueBarClients}, []int{100, enqueueBarBatch, enqueueBatchMost}, 4*time.Second
	if e.Quick {
		e.clients, e.each = []int{1, enqueueBarClients}, time.Second
	}
	e.bars()
	if err := e.prepare(ctx); err != nil {
		return err
	}
	for range e.Repeats {
		if e.Wants("floor") {
			if err := e.bare(ctx); err != nil {
				return err
			}
		}
		if e.Wants("billonce") {
			if err := e.billonce(ctx); err != nil {
				return err
			}
		}
	}
	return errors.Join(e.Stage.Drop(ctx, enqueueTemplate), e.Stage.Drop(ctx, enqueueDatabase), e.Stage.Drop(ctx, enqueueFloor))
}

func enqueueSingles(clients int) string { return fmt.Sprintf("single, %d clients", clients) }

func enqueueBatches(size int) string {
	return fmt.Sprintf("batches of %d, %d clients", size, enqueueBatchClients)
}

// Contenders beside billonce: the same without keys, and the bare insert.
const keyless = "billonce without keys"

func (e *enqueueRun) bars() {
	bar := func(name, metric string, limit float64) {
		e.Report.AddBar(report.Bar{
			Name: name, Direction: report.AtLeast, Limit: limit,
			Of:      report.Key{Scenario: enqueueName, Contender: "billonce", Metric: metric},
			Against: report.Key{Scenario: enqueueName, Contender: "floor", Metric: metric},
		})
	}
	bar(fmt.Sprintf("(e) single POST, %d clients, against the bare insert", enqueueBarClients), enqueueSingles(enqueueBarClients), 0.5)
	bar(fmt.Sprintf("(e) batch of %d against the bare unnest insert", enqueueBarBatch), enqueueBatches(enqueueBarBatch), 0.4)
}

// prepare makes the template, with the merchants whose tasks are scheduled.
func (e *enqueueRun) prepare(ctx context.Context) error {
	if err := e.Stage.Migrate(ctx, enqueueTemplate); err != nil {
		return err
	}
	api, err := e.Stage.StartAPI(ctx, enqueueTemplate, nil)
	if err != nil {
		return err
	}
	if e.merchants, err = api.CreateMerchants(ctx, "enqueue", 100); err != nil {
		return err
	}
	return api.Stop(ctx)
}

// bare measures the inserts alone, each shape in a table that has just been made.
func (e *enqueueRun) bare(ctx context.Context) error {
	fresh := func(measure func(db *sql.DB) (float64, error)) (float64, error) {
		if err := e.Stage.Create(ctx, enqueueFloor); err != nil {
			return 0, err
		}
		if err := e.Stage.Exec(ctx, enqueueFloor, floor.Schema); err != nil {
			return 0, err
		}
		db, err := e.Stage.Open(enqueueFloor)
		if err != nil {
			return 0, err
		}
		defer func() { _ = db.Close() }()
		return measure(db)
	}
	for _, clients := range e.clients {
		rate, err := fresh(func(db *sql.DB) (float64, error) { return floor.Singles(ctx, db, clients, e.each) })
		if err != nil {
			return err
		}
		e.add("floor", enqueueSingles(clients), rate)
	}
	for _, size := range e.batches {
		rate, err := fresh(func(db *sql.DB) (float64, error) {
			return floor.Batches(ctx, db, enqueueBatchClients, size, e.each)
		})
		if err != nil {
			return err
		}
		e.add("floor", enqueueBatches(size), rate)
	}
	return nil
}

// billonce measures the API with and without keys.
func (e *enqueueRun) billonce(ctx context.Context) error {
	for _, keyed := range []bool{true, false} {
		contender := "billonce"
		if !keyed {
			contender = keyless
		}
		for _, clients := range e.clients {
			sender := sender{clients: clients, keyed: keyed, path: "/v1/tasks", per: 1, body: e.single}
			if err := e.through(ctx, contender, enqueueSingles(clients), sender); err != nil {
				return err
			}
		}
		for _, size := range e.batches {
			sender := sender{clients: enqueueBatchClients, path: "/v1/tasks/batch", per: size, body: e.batch(size, keyed)}
			if err := e.through(ctx, contender, enqueueBatches(size), sender); err != nil {
				return err
			}
		}
	}
	return nil
}

// through measures one shape with an api and a database of its own, so that its memory is this shape's alone.
func (e *enqueueRun) through(ctx context.Context, contender, metric string, load sender) (err error) {
	if err := e.Stage.Clone(ctx, enqueueTemplate, enqueueDatabase); err != nil {
		return err
	}
	api, err := e.Stage.StartAPI(ctx, enqueueDatabase, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, api.Stop(ctx)) }()
	load.from = e.serial
	sent, rate, err := load.run(ctx, api, e.each)
	e.serial += sent
	if err != nil {
		return fmt.Errorf("%s: %w", metric, err)
	}
	used, err := api.Usage()
	if err != nil {
		return err
	}
	e.add(contender, metric, rate)
	if load.per == 1 && load.clients == enqueueBarClients || load.per == enqueueBatchMost {
		e.Report.Add(enqueueName, contender, "api CPU a task, "+metric, "µs", float64(used.CPU.Microseconds())/float64(max(sent, 1)))
		e.Report.Add(enqueueName, contender, "api peak RSS, "+metric, "MiB", mebibytes(used.PeakRSS))
	}
	return e.check(ctx, sent)
}

// check finds every task that was answered for in the table.
func (e *enqueueRun) check(ctx context.Context, sent int) error {
	db, err := e.Stage.Open(enqueueDatabase)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	found, err := stage.Count(ctx, db, `SELECT count(*) FROM scheduled_tasks`)
	if err == nil && found != int64(sent) {
		err = fmt.Errorf("check what was scheduled: %d tasks were answered for and %d are there", sent, found)
	}
	return err
}

func (e *enqueueRun) add(contender, metric string, rate float64) {
	e.Logf("enqueue: %s, %s: %.0f tasks/s", contender, metric, rate)
	e.Report.Add(enqueueName, contender, metric, "tasks/s", rate)
}
