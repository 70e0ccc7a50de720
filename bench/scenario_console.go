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
	c.each, c.shapes = 3*time.Second, []shape{{clients: enqueueBarClients, size: 1}, {clients: enqueueBatchClients, size: 100}}
	if c.Quick {
		c.each = 2 * time.Second
	}
	for _, of := range c.shapes {
		c.Report.AddBar(report.Bar{
			Name: "console: what is left of the rate, " + of.String(), Direction: report.AtLeast, Limit: consoleShare,
			Of: report.Key{Scenario: consoleName, Contender: consoleWatched, Metric: kept(of)},
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
			if err := c.pair(ctx, api, of, round%2 == 1); err != nil {
				return fmt.Errorf("%s: %w", of, err)
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

// alone has people look while nothing is sent, and counts what that costs beyond what an idle service uses. It depends less on what else
// the machine does than rates do.
func (c *consoleRun) alone(ctx context.Context, api *stage.API) error {
	idle, err := c.cores(ctx, api)
	if err != nil {
		return err
	}
	crowd, err := enterConsole(ctx, api, consolePeople)
	if err != nil {
		return err
	}
	busy, err := c.cores(ctx, api)
	shown, ended := crowd.leave()
	if err := errors.Join(err, ended); err != nil {
		return err
	}
	for i, name := range []string{"api", "server"} {
		c.Logf("console: people alone: %s uses %.3f of a core for %.0f pages", name, busy[i]-idle[i], float64(shown))
		c.Report.Add(consoleName, consoleWatched, name+" CPU for the people alone", "cores", busy[i]-idle[i])
	}
	return nil
}

// cores is how many processors the api and the database's server use, over some seconds.
func (c *consoleRun) cores(ctx context.Context, api *stage.API) (used [2]float64, err error) {
	read := func() (usage [2]stage.Usage, err error) {
		var fault error
		usage[0], err = api.Usage()
		usage[1], fault = c.Stage.ServerUsage()
		return usage, errors.Join(err, fault)
	}
	began := time.Now()
	before, err := read()
	if err != nil {
		return used, err
	}
	watching := time.NewTimer(2 * c.each)
	defer watching.Stop()
	select {
	case <-watching.C:
	case <-ctx.Done():
		return used, ctx.Err()
	}
	after, err := read()
	for i := range used {
		used[i] = after[i].Sub(before[i]).CPU.Seconds() / time.Since(began).Seconds()
	}
	return used, err
}

// kept names what is left of the rate. It is taken of each pair of neighbours in time: over a whole run the table grows and the machine
// slows down by more than people cost.
func kept(of shape) string { return "share of the rate that is left, " + of.String() }

// pair measures with people and without, one right after the other.
func (c *consoleRun) pair(ctx context.Context, api *stage.API, of shape, watchedFirst bool) (err error) {
	var with, without float64
	for _, watched := range []bool{watchedFirst, !watchedFirst} {
		rate, err := c.measure(ctx, api, of, watched)
		if err != nil {
			return err
		}
		if watched {
			with = rate
		} else {
			without = rate
		}
	}
	c.Report.Add(consoleName, consoleWatched, kept(of), "", with/without)
	return nil
}

// measure sends tasks, while people look at the console or while none does, and returns how many a second were taken.
func (c *consoleRun) measure(ctx context.Context, api *stage.API, of shape, watched bool) (rate float64, err error) {
	load := sender{clients: of.clients, path: "/v1/tasks", per: 1, body: c.enqueue.single}
	if of.size > 1 {
		load = sender{clients: of.clients, path: "/v1/tasks/batch", per: of.size, body: c.enqueue.batch(of.size, false)}
	}
	contender := "billonce"
	if watched {
		contender = consoleWatched
		crowd, refused := enterConsole(ctx, api, consolePeople)
		if refused != nil {
			return 0, refused
		}
		defer func() {
			pages, ended := crowd.leave()
			c.Report.Add(consoleName, contender, "pages and parts of pages a second, "+of.String(), "pages/s", float64(pages)/c.each.Seconds())
			err = errors.Join(err, ended)
		}()
	}
	_, rate, err = load.run(ctx, api, c.each)
	if err != nil {
		return 0, err
	}
	c.Logf("console: %s, %s: %.0f tasks/s", contender, of, rate)
	c.Report.Add(consoleName, contender, of.String(), "tasks/s", rate)
	return rate, nil
}
