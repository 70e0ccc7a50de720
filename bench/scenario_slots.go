package main

import (
	"context"
	"fmt"
	"syscall"
	"time"

	"billonce/bench/report"
	"billonce/bench/stage"
)

const (
	slotsName     = "slots"
	slotsLatency  = 300 * time.Millisecond
	slotsTemplate = "slots_template"
	slotsDatabase = "slots"
	slotsAccounts = 50
	slotsBar      = 1000 // slots at which the rate is judged
	slotsBarRSS   = 4000 // slots at which memory is judged
	simulatorName = "simulator"
	minimalName   = "minimal answerer"
	slowName      = "minimal answerer of 3 s"
	slowH2Name    = "HTTP/2 answerer of 3 s"
	slowLatency   = 3 * time.Second // fills many slots however few calls a second the machine can make
)

func slotsScenario() Scenario {
	return Scenario{
		Name: slotsName, Title: "slots used while Stripe takes 300 ms for each call, one worker, no limits of merchants",
		Run: func(ctx context.Context, b *Bench) error { return (&slotsRun{Bench: b}).run(ctx) },
	}
}

// slotsRun is one run of the scenario.
type slotsRun struct {
	*Bench
	loaded int // due tasks in the template
}

// slotsStripe is what stands in for Stripe in one trial.
type slotsStripe struct {
	name    string
	latency time.Duration
	url     string
	roots   string                      // a file with the certificate to trust, for https
	used    func() (stage.Usage, error) // so far
	end     func() error
}

// slotsTrial says what to measure.
type slotsTrial struct {
	slots         int
	warm, measure time.Duration
	start         func(ctx context.Context) (*slotsStripe, error)
}

// slotsSeen is what one trial measured.
type slotsSeen struct {
	rate, busy, call float64 // tasks/s, tasks in flight on average, seconds of one call
	worker, stripe   stage.Usage
	server           stage.Usage
	machine          time.Duration // CPU time of everything on it
	took             time.Duration
}

func (s *slotsRun) run(ctx context.Context) error {
	// Slots that were filled at once get their answers at once, wave after wave: each trial measures about whole waves of 300 ms, and
	// the last ones, with many slots, of 3 s too.
	some := slotsTrial{slots: slotsBar, warm: 2 * time.Second, measure: 4500 * time.Millisecond}
	few, many := some, slotsTrial{slots: slotsBarRSS, warm: 4 * time.Second, measure: 6 * time.Second}
	few.slots = 100
	trials := []slotsTrial{few, some, many}
	if s.Quick {
		some.measure = 2400 * time.Millisecond
		trials = []slotsTrial{some}
	}
	s.bars()
	if s.Wants("billonce") {
		if err := s.load(ctx, trials[len(trials)-1].enough()); err != nil {
			return err
		}
	}
	river := s.Wants(riverScenarioName)
	if river {
		if err := s.prepareRiver(ctx, some.enough()); err != nil {
			s.Report.Missing(slotsName, riverScenarioName, slotsMetric("rate", slotsBar, minimalName), err.Error())
			river = false
		}
	}
	for range s.Repeats {
		if s.Wants("billonce") {
			if err := s.tryAll(ctx, trials); err != nil {
				return err
			}
		}
		if river {
			if err := s.tryRiver(ctx, some); err != nil {
				return err
			}
		}
	}
	return s.dropAll(ctx, slotsTemplate, slotsDatabase, riverTemplate, riverDatabase)
}

// enough is so many tasks that slots never run out of them.
func (t slotsTrial) enough() int {
	return int(float64(t.slots)/slotsLatency.Seconds()*(t.warm+t.measure).Seconds()) + 2*t.slots
}

func (s *slotsRun) tryAll(ctx context.Context, trials []slotsTrial) error {
	for _, trial := range trials {
		stripes := []func(context.Context) (*slotsStripe, error){s.simulator, s.answerer}
		if trial.slots == slotsBarRSS {
			stripes = append(stripes, s.slowAnswerer, s.slowH2Answerer)
		}
		for _, trial.start = range stripes {
			if err := s.try(ctx, trial); err != nil {
				return err
			}
		}
	}
	return nil
}

func slotsMetric(what string, slots int, stripe string) string {
	return fmt.Sprintf("%s, %d slots, %s", what, slots, stripe)
}

func (s *slotsRun) bars() {
	for _, stripe := range []string{simulatorName, minimalName} {
		s.Report.AddBar(report.Bar{
			Name: fmt.Sprintf("(d) slots used at %d, %s", slotsBar, stripe), Direction: report.AtLeast, Limit: 0.95,
			Of: report.Key{Scenario: slotsName, Contender: "billonce", Metric: slotsMetric("share of ideal", slotsBar, stripe)},
		})
	}
	if s.Quick {
		return
	}
	for _, stripe := range []string{simulatorName, minimalName, slowName, slowH2Name} {
		s.Report.AddBar(report.Bar{
			Name: fmt.Sprintf("(d) worker's memory at %d slots, %s", slotsBarRSS, stripe), Direction: report.AtMost, Limit: 120,
			Of: report.Key{Scenario: slotsName, Contender: "billonce", Metric: slotsMetric("worker peak RSS", slotsBarRSS, stripe)},
		})
	}
}

// load fills the template with n due tasks of several merchants, through the API.
func (s *slotsRun) load(ctx context.Context, n int) error {
	s.Logf("slots: scheduling %d tasks", n)
	if err := s.Stage.Migrate(ctx, slotsTemplate); err != nil {
		return err
	}
	api, err := s.Stage.StartAPI(ctx, slotsTemplate, nil)
	if err != nil {
		return err
	}
	merchants, err := api.CreateMerchants(ctx, "slots", slotsAccounts)
	if err == nil {
		err = api.Schedule(ctx, n, func(i int) stage.Task {
			return stage.Task{MerchantID: merchants[i%len(merchants)], Kind: "payment_intent.create", Params: stage.PaymentParams(i)}
		})
	}
	if err != nil {
		return err
	}
	s.loaded = n
	if err := api.Stop(ctx); err != nil {
		return err
	}
	return s.Stage.Exec(ctx, slotsTemplate, `VACUUM (ANALYZE)`)
}

func (s *slotsRun) simulator(ctx context.Context) (*slotsStripe, error) {
	process, err := s.Stage.StartSimulator(ctx, slotsLatency)
	if err != nil {
		return nil, err
	}
	return &slotsStripe{
		name: simulatorName, latency: slotsLatency, url: process.URL, used: process.Usage,
		end: func() error { return process.Stop(ctx) },
	}, nil
}

func (s *slotsRun) answerer(ctx context.Context) (*slotsStripe, error) {
	return startMinimal(ctx, minimalName, slotsLatency)
}

func (s *slotsRun) slowAnswerer(ctx context.Context) (*slotsStripe, error) {
	return startMinimal(ctx, slowName, slowLatency)
}

// startMinimal stands in this process, so that its CPU time is this process's.
func startMinimal(ctx context.Context, name string, latency time.Duration) (*slotsStripe, error) {
	minimal, err := startAnswerer(ctx, latency)
	if err != nil {
		return nil, err
	}
	return &slotsStripe{name: name, latency: latency, url: minimal.URL(), used: ownUsage, end: minimal.Close}, nil
}

// ownUsage is the CPU time of this process.
func ownUsage() (stage.Usage, error) {
	var self syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &self); err != nil {
		return stage.Usage{}, fmt.Errorf("read this process's times: %w", err)
	}
	return stage.Usage{CPU: time.Duration(self.Utime.Nano() + self.Stime.Nano())}, nil
}

func (s *slotsRun) try(ctx context.Context, trial slotsTrial) (err error) {
	if err := s.Stage.Clone(ctx, slotsTemplate, slotsDatabase); err != nil {
		return err
	}
	if err := s.Stage.Checkpoint(ctx); err != nil {
		return err
	}
	stripe, err := trial.start(ctx)
	if err != nil {
		return err
	}
	defer func() {
		if ended := stripe.end(); err == nil {
			err = ended
		}
	}()
	worker, err := s.Stage.StartWorker(ctx, slotsDatabase, stage.Env{
		"BENCH_STRIPE": "", "STRIPE_API_URL": stripe.url, "SSL_CERT_FILE": stripe.roots, "WORKER_CONCURRENCY": fmt.Sprint(trial.slots),
	})
	if err != nil {
		return err
	}
	seen, err := s.watch(ctx, trial, stripe, worker)
	if err != nil {
		_ = worker.Stop(ctx)
		return err
	}
	s.note(trial, stripe, seen)
	return worker.Stop(ctx)
}

const (
	metricBusy      = "billonce_worker_busy"
	metricAttempts  = "billonce_task_attempts_total"
	metricCallSum   = "billonce_task_attempt_duration_seconds_sum"
	metricCallCount = "billonce_task_attempt_duration_seconds_count"
	slotsPoll       = 500 * time.Millisecond // each look at the gauges asks the database too
)

// watch measures the steady middle of the run.
func (s *slotsRun) watch(ctx context.Context, trial slotsTrial, stripe *slotsStripe, worker *stage.Process) (slotsSeen, error) {
	if err := pause(ctx, trial.warm); err != nil {
		return slotsSeen{}, err
	}
	before, err := s.read(ctx, stripe, worker)
	if err != nil {
		return slotsSeen{}, err
	}
	busy, looks := 0.0, 0
	for deadline := before.at.Add(trial.measure); time.Now().Before(deadline); looks++ {
		if err := pause(ctx, slotsPoll); err != nil {
			return slotsSeen{}, err
		}
		now, err := scrape(ctx, worker.URL, metricBusy)
		if err != nil {
			return slotsSeen{}, err
		}
		busy += now[metricBusy]
	}
	after, err := s.read(ctx, stripe, worker)
	if err != nil {
		return slotsSeen{}, err
	}
	if done := int(after.values[metricAttempts]); done+trial.slots > s.loaded {
		return slotsSeen{}, fmt.Errorf("measure %d slots: %d of %d tasks were done, nothing was left to fill the slots", trial.slots, done, s.loaded)
	}
	took := after.at.Sub(before.at)
	change := func(name string) float64 { return after.values[name] - before.values[name] }
	return slotsSeen{
		rate: change(metricAttempts) / took.Seconds(), busy: busy / float64(looks), call: change(metricCallSum) / max(change(metricCallCount), 1),
		worker: after.worker.Sub(before.worker), stripe: after.stripe.Sub(before.stripe), server: after.server.Sub(before.server),
		machine: after.machine - before.machine, took: took,
	}, nil
}

// slotsReading is everything that counts, at one moment.
type slotsReading struct {
	at                     time.Time
	values                 gauges
	worker, stripe, server stage.Usage
	machine                time.Duration
}

func (s *slotsRun) read(ctx context.Context, stripe *slotsStripe, worker *stage.Process) (slotsReading, error) {
	var reading slotsReading
	var err error
	if reading.worker, err = worker.Usage(); err != nil {
		return reading, err
	}
	if reading.stripe, err = stripe.used(); err != nil {
		return reading, err
	}
	if reading.server, err = s.Stage.ServerUsage(); err != nil {
		return reading, err
	}
	if reading.machine, err = machineBusy(); err != nil {
		return reading, err
	}
	reading.at = time.Now()
	reading.values, err = scrape(ctx, worker.URL, metricAttempts, metricCallSum, metricCallCount)
	return reading, err
}

func (s *slotsRun) note(trial slotsTrial, stripe *slotsStripe, seen slotsSeen) {
	ideal := float64(trial.slots) / stripe.latency.Seconds()
	s.Logf("slots: %d slots, %s: %.0f tasks/s of %.0f, %.0f busy, %.1f ms a call", trial.slots, stripe.name, seen.rate, ideal,
		seen.busy, 1000*seen.call)
	add := func(what, unit string, value float64) {
		s.Report.Add(slotsName, "billonce", slotsMetric(what, trial.slots, stripe.name), unit, value)
	}
	add("rate", "tasks/s", seen.rate)
	add("share of ideal", "", seen.rate/ideal)
	add("slots busy", "slots", seen.busy)
	add("one call", "ms", 1000*seen.call)
	add("worker CPU", "cores", seen.worker.CPU.Seconds()/seen.took.Seconds())
	add("worker CPU a task", "µs", float64(seen.worker.CPU.Microseconds())/max(seen.rate*seen.took.Seconds(), 1))
	add("Stripe CPU", "cores", seen.stripe.CPU.Seconds()/seen.took.Seconds())
	add("PostgreSQL CPU", "cores", seen.server.CPU.Seconds()/seen.took.Seconds())
	others := seen.machine - seen.worker.CPU - seen.stripe.CPU - seen.server.CPU
	add("CPU of everything else", "cores", max(others.Seconds()/seen.took.Seconds(), 0))
	add("worker peak RSS", "MiB", mebibytes(seen.worker.PeakRSS))
	s.Report.Note(slotsName, "billonce", slotsMetric("share of ideal", trial.slots, stripe.name),
		fmt.Sprintf("ideal is %.0f tasks/s; worker, PostgreSQL and the %s share the machine", ideal, stripe.name))
}
