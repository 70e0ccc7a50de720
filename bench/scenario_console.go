package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"billonce/bench/report"
	"billonce/bench/stage"
)

const (
	consoleName     = "console"
	consoleDatabase = "console"
	consoleWatched  = "billonce, 20 people at the console"
	consolePeople   = 20
	consoleBefore   = 100_000 // tasks that are there already, for the pages to show
	consoleShare    = 0.9     // of its rate that the api must keep
)

func consoleScenario() Scenario {
	return Scenario{
		Name: consoleName, Apart: true,
		Title: fmt.Sprintf("scheduling through the API while %d people have the console open, against the same while nobody does", consolePeople),
		Run:   func(ctx context.Context, b *Bench) error { return (&consoleRun{Bench: b}).run(ctx) },
	}
}

// consoleRun is one run of the scenario. One api and one database serve all rounds; in each round both contenders send for as long, in
// turns that change, so that a table that grows and a machine that slows down meet both alike.
type consoleRun struct {
	*Bench
	enqueue enqueueRun // for its bodies
	each    time.Duration
	shapes  []shape
}

func (c *consoleRun) run(ctx context.Context) (err error) {
	c.each, c.shapes = 4*time.Second, []shape{{clients: enqueueBarClients, size: 1}, {clients: enqueueBatchClients, size: 100}}
	if c.Quick {
		c.each = 2 * time.Second
	}
	for _, of := range c.shapes {
		c.Report.AddBar(report.Bar{
			Name: "console: what is left of the rate, " + of.String(), Direction: report.AtLeast, Limit: consoleShare,
			Of:      report.Key{Scenario: consoleName, Contender: consoleWatched, Metric: of.String()},
			Against: report.Key{Scenario: consoleName, Contender: "billonce", Metric: of.String()},
		})
	}
	if err := c.Stage.Migrate(ctx, consoleDatabase); err != nil {
		return err
	}
	api, err := c.Stage.StartAPI(ctx, consoleDatabase, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, api.Stop(ctx), c.Stage.Drop(ctx, consoleDatabase)) }()
	worker, err := c.Stage.StartWorker(ctx, consoleDatabase, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, worker.Stop(ctx)) }()
	if err := c.fill(ctx, api); err != nil {
		return err
	}
	if err := c.alone(ctx, api); err != nil {
		return err
	}
	for round := range c.Repeats {
		for _, of := range c.shapes {
			for turn := range 2 {
				if err := c.measure(ctx, api, of, (round+turn)%2 == 1); err != nil {
					return fmt.Errorf("%s: %w", of, err)
				}
			}
		}
	}
	return nil
}

// fill connects merchants and schedules what the pages show: some for now, which the worker does, the most for later.
func (c *consoleRun) fill(ctx context.Context, api *stage.API) error {
	c.Logf("console: scheduling %d tasks", consoleBefore)
	var err error
	if c.enqueue.merchants, err = api.CreateMerchants(ctx, consoleName, 100); err != nil {
		return err
	}
	tomorrow := time.Now().Add(24 * time.Hour)
	err = api.Schedule(ctx, consoleBefore, func(i int) stage.Task {
		task := stage.Task{MerchantID: c.enqueue.merchants[i%100], Kind: "payment_intent.create", Params: stage.PaymentParams(i)}
		if i%10 > 0 {
			task.RunAt = &tomorrow
		}
		return task
	})
	if err != nil {
		return err
	}
	if err := c.Stage.Exec(ctx, consoleDatabase, `VACUUM (ANALYZE)`); err != nil {
		return err
	}
	return c.Stage.Checkpoint(ctx)
}

// alone has people look while nothing is sent, and counts what that costs: it does not depend on what else the machine does, as rates do.
func (c *consoleRun) alone(ctx context.Context, api *stage.API) error {
	crowd, err := enterConsole(ctx, api, consolePeople)
	if err != nil {
		return err
	}
	var before, after [2]stage.Usage
	read := func(into *[2]stage.Usage) error {
		var err, fault error
		into[0], err = api.Usage()
		into[1], fault = c.Stage.ServerUsage()
		return errors.Join(err, fault)
	}
	began := time.Now()
	err = read(&before)
	watching := time.NewTimer(2 * c.each)
	select {
	case <-watching.C:
	case <-ctx.Done():
		watching.Stop()
	}
	shown := crowd.shown.Load()
	err = errors.Join(err, read(&after))
	took := time.Since(began)
	if _, ended := crowd.leave(); err != nil || ended != nil {
		return errors.Join(err, ended)
	}
	for i, name := range []string{"api", "server"} {
		used := after[i].Sub(before[i]).CPU
		c.Logf("console: people alone: %s uses %.3f of a core for %.1f pages/s", name, used.Seconds()/took.Seconds(), float64(shown)/took.Seconds())
		c.Report.Add(consoleName, consoleWatched, name+" CPU for the people alone", "cores", used.Seconds()/took.Seconds())
	}
	return nil
}

// measure sends tasks, while people look at the console or while none does.
func (c *consoleRun) measure(ctx context.Context, api *stage.API, of shape, watched bool) (err error) {
	load := sender{clients: of.clients, path: "/v1/tasks", per: 1, body: c.enqueue.single}
	if of.size > 1 {
		load = sender{clients: of.clients, path: "/v1/tasks/batch", per: of.size, body: c.enqueue.batch(of.size, false)}
	}
	contender := "billonce"
	if watched {
		contender = consoleWatched
		crowd, refused := enterConsole(ctx, api, consolePeople)
		if refused != nil {
			return refused
		}
		defer func() {
			pages, ended := crowd.leave()
			c.Report.Add(consoleName, contender, "pages and parts of pages a second, "+of.String(), "pages/s", float64(pages)/c.each.Seconds())
			err = errors.Join(err, ended)
		}()
	}
	_, rate, err := load.run(ctx, api, c.each)
	if err != nil {
		return err
	}
	c.Logf("console: %s, %s: %.0f tasks/s", contender, of, rate)
	c.Report.Add(consoleName, contender, of.String(), "tasks/s", rate)
	return nil
}
