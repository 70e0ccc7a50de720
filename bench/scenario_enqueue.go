package main

import (
	"context"
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

// shape is one way to schedule.
type shape struct{ clients, size int }

func (s shape) String() string {
	if s.size == 1 {
		return fmt.Sprintf("single, %d clients", s.clients)
	}
	return fmt.Sprintf("batches of %d, %d clients", s.size, s.clients)
}

// judged reports whether there is a bar for the shape. What a key costs is measured for these only.
func (s shape) judged() bool {
	return s.size == 1 && s.clients == enqueueBarClients || s.size == enqueueBarBatch
}

// enqueueRun is one run of the scenario.
type enqueueRun struct {
	*Bench
	shapes    []shape
	each      time.Duration // of one trial
	merchants []string
	serial    int // tasks and keys made so far; clients take ranges of it
}

func (e *enqueueRun) run(ctx context.Context) error {
	clients, batches := []int{1, 8, enqueueBarClients}, []int{100, enqueueBarBatch, enqueueBatchMost}
	e.each = 2 * time.Second
	if e.Quick {
		clients, batches, e.each = []int{enqueueBarClients}, []int{enqueueBarBatch, enqueueBatchMost}, time.Second
	}
	for _, n := range clients {
		e.shapes = append(e.shapes, shape{clients: n, size: 1})
	}
	for _, n := range batches {
		e.shapes = append(e.shapes, shape{clients: enqueueBatchClients, size: n})
	}
	e.bar("single POST, 32 clients, against the bare insert", shape{clients: enqueueBarClients, size: 1}, 0.5)
	e.bar("batch of 1000 against the bare unnest insert", shape{clients: enqueueBatchClients, size: enqueueBarBatch}, 0.4)
	if err := e.prepare(ctx); err != nil {
		return err
	}
	contenders := e.contenders(ctx)
	for range e.Repeats {
		for _, one := range e.shapes { // the contenders of one shape meet the same minute of the machine
			for _, contender := range contenders {
				if err := contender(ctx, one); err != nil {
					return fmt.Errorf("%s: %w", one, err)
				}
			}
		}
	}
	return e.dropAll(ctx, enqueueTemplate, enqueueDatabase, enqueueFloor, riverTemplate, riverDatabase)
}

// A contender beside billonce: billonce without keys.
const keyless = "billonce without keys"

func (e *enqueueRun) bar(name string, of shape, limit float64) {
	e.Report.AddBar(report.Bar{
		Name: "(e) " + name, Direction: report.AtLeast, Limit: limit,
		Of:      report.Key{Scenario: enqueueName, Contender: "billonce", Metric: of.String()},
		Against: report.Key{Scenario: enqueueName, Contender: "floor", Metric: of.String()},
	})
}

// contenders are those that are wanted and can run.
func (e *enqueueRun) contenders(ctx context.Context) []func(context.Context, shape) error {
	var list []func(context.Context, shape) error
	if e.Wants("floor") {
		list = append(list, e.bare)
	}
	if e.Wants("billonce") {
		list = append(list, func(ctx context.Context, of shape) error { return e.billonce(ctx, of, true) },
			func(ctx context.Context, of shape) error {
				if !of.judged() {
					return nil
				}
				return e.billonce(ctx, of, false)
			})
	}
	if e.Wants(riverScenarioName) {
		if err := e.prepareRiver(ctx, 0); err != nil {
			e.Report.Missing(enqueueName, riverScenarioName, e.shapes[0].String(), err.Error())
		} else {
			list = append(list, e.river)
		}
	}
	return list
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

// bare measures the insert alone, into a table that has just been made.
func (e *enqueueRun) bare(ctx context.Context, of shape) error {
	if err := e.Stage.Create(ctx, enqueueFloor); err != nil {
		return err
	}
	if err := e.Stage.Exec(ctx, enqueueFloor, floor.Schema); err != nil {
		return err
	}
	db, err := e.Stage.Open(enqueueFloor)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	var rate float64
	if of.size == 1 {
		rate, err = floor.Singles(ctx, db, of.clients, e.each)
	} else {
		rate, err = floor.Batches(ctx, db, of.clients, of.size, e.each)
	}
	if err != nil {
		return err
	}
	e.add("floor", of, rate)
	return nil
}

// river measures River's Insert and InsertMany, called in the process that inserts.
func (e *enqueueRun) river(ctx context.Context, of shape) error {
	rate, err := e.riverInserts(ctx, of.clients, of.size, e.each)
	if err != nil {
		return err
	}
	e.add(riverScenarioName, of, rate)
	e.Report.Note(enqueueName, riverScenarioName, of.String(), "a library's call, no server between")
	return nil
}

// billonce measures the API, with a key for each task or without.
func (e *enqueueRun) billonce(ctx context.Context, of shape, keyed bool) error {
	contender := "billonce"
	if !keyed {
		contender = keyless
	}
	load := sender{clients: of.clients, keyed: keyed, path: "/v1/tasks", per: 1, body: e.single}
	if of.size > 1 {
		load = sender{clients: of.clients, path: "/v1/tasks/batch", per: of.size, body: e.batch(of.size, keyed)}
	}
	return e.through(ctx, contender, of, load)
}

// through measures one shape with an api and a database of its own, so that its memory is this shape's alone.
func (e *enqueueRun) through(ctx context.Context, contender string, of shape, load sender) (err error) {
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
		return err
	}
	used, err := api.Usage()
	if err != nil {
		return err
	}
	e.add(contender, of, rate)
	if of.clients == enqueueBarClients || of.size == enqueueBatchMost {
		e.Report.Add(enqueueName, contender, "api CPU a task, "+of.String(), "µs", float64(used.CPU.Microseconds())/float64(max(sent, 1)))
		e.Report.Add(enqueueName, contender, "api peak RSS, "+of.String(), "MiB", mebibytes(used.PeakRSS))
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

func (e *enqueueRun) add(contender string, of shape, rate float64) {
	e.Logf("enqueue: %s, %s: %.0f tasks/s", contender, of, rate)
	e.Report.Add(enqueueName, contender, of.String(), "tasks/s", rate)
}
