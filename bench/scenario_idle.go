package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"billonce/bench/report"
	"billonce/bench/stage"
)

const (
	idleName     = "idle"
	idleDatabase = "idle"
	idleTasks    = 1000
	idleMany     = 20
)

func idleScenario() Scenario {
	return Scenario{
		Name: idleName, Title: "one worker, and twenty, with 1,000 tasks in the table of which none is due today",
		Run: func(ctx context.Context, b *Bench) error { return (&idleRun{Bench: b}).run(ctx) },
	}
}

// idleRun is one run of the scenario.
type idleRun struct{ *Bench }

func (i *idleRun) run(ctx context.Context) error {
	settle, measure, counts := 5*time.Second, 20*time.Second, []int{1, idleMany}
	if i.Quick { // a worker's slower habits come every ten seconds: shorter would miss them, and 20 see each twice
		settle, measure, counts = time.Second, 10*time.Second, []int{idleMany}
	}
	for _, workers := range counts {
		i.bar("queries", workers, 2)
		i.bar("worker CPU", workers, 1)
	}
	if !i.Wants("billonce") {
		i.Report.Missing(idleName, "billonce", idleMetric("queries", counts[0]), "left out by -contenders")
		return nil
	}
	if err := i.load(ctx); err != nil {
		return err
	}
	for range i.Repeats {
		for _, workers := range counts {
			if err := i.try(ctx, workers, settle, measure); err != nil {
				return err
			}
		}
	}
	return i.Stage.Drop(ctx, idleDatabase)
}

func (i *idleRun) bar(what string, workers int, limit float64) {
	metric := idleMetric(what, workers)
	i.Report.AddBar(report.Bar{
		Name: "(g) idle: " + metric, Direction: report.AtMost, Limit: limit,
		Of: report.Key{Scenario: idleName, Contender: "billonce", Metric: metric},
	})
}

func idleMetric(what string, workers int) string {
	if workers == 1 {
		return what + " of one worker"
	}
	return fmt.Sprintf("%s of each of %d", what, workers)
}

// load makes the table, and has the server write every statement in this database to its log: that counts them exactly, those
// inside a transaction too, and asks nothing of the database meanwhile.
func (i *idleRun) load(ctx context.Context) error {
	if err := i.Stage.Migrate(ctx, idleDatabase); err != nil {
		return err
	}
	api, err := i.Stage.StartAPI(ctx, idleDatabase, nil)
	if err != nil {
		return err
	}
	merchants, err := api.CreateMerchants(ctx, "idle", 1)
	if err != nil {
		return err
	}
	tomorrow := time.Now().Add(24 * time.Hour)
	err = api.Schedule(ctx, idleTasks, func(n int) stage.Task {
		at := tomorrow.Add(time.Duration(n) * time.Second)
		return stage.Task{MerchantID: merchants[0], Kind: "payment_intent.create", Params: stage.PaymentParams(n), RunAt: &at}
	})
	if err != nil {
		return err
	}
	if err := api.Stop(ctx); err != nil {
		return err
	}
	return i.Stage.Exec(ctx, idleDatabase, `VACUUM (ANALYZE)`, `ALTER DATABASE `+idleDatabase+` SET log_statement = 'all'`)
}

func (i *idleRun) try(ctx context.Context, workers int, settle, measure time.Duration) (err error) {
	running, err := startBillonce(ctx, i.Bench, idleDatabase, workers, nil)
	defer func() { err = errors.Join(err, stopAll(context.WithoutCancel(ctx), running)) }()
	if err != nil {
		return err
	}
	if err := pause(ctx, settle); err != nil {
		return err
	}
	log := filepath.Join(i.Stage.Dir(), "pg", "postgres.log")
	from, err := os.Stat(log)
	if err != nil {
		return fmt.Errorf("find the server's log: %w", err)
	}
	before, began, err := i.usage(running)
	if err != nil {
		return err
	}
	if err := pause(ctx, measure); err != nil {
		return err
	}
	after, ended, err := i.usage(running)
	if err != nil {
		return err
	}
	statements, err := statementsIn(log, from.Size())
	if err != nil {
		return err
	}
	i.note(workers, statements, after.Sub(before), ended.Sub(began))
	return nil
}

func (i *idleRun) usage(workers []*stage.Process) (total stage.Usage, at time.Time, err error) {
	for _, worker := range workers {
		one, err := worker.Usage()
		if err != nil {
			return total, at, err
		}
		total = total.Add(one)
	}
	return total, time.Now(), nil
}

func (i *idleRun) note(workers int, statements map[string]int, used stage.Usage, took time.Duration) {
	count := 0
	for _, n := range statements {
		count += n
	}
	each := took.Seconds() * float64(workers)
	i.Logf("idle: %d workers, %d statements in %.1f s", workers, count, took.Seconds())
	for _, text := range slices.SortedFunc(maps.Keys(statements), func(a, b string) int { return statements[b] - statements[a] }) {
		i.Logf("idle:   %6.2f/s  %s", float64(statements[text])/each, text)
	}
	add := func(what, unit string, value float64) {
		i.Report.Add(idleName, "billonce", idleMetric(what, workers), unit, value)
	}
	add("queries", "per second", float64(count)/each)
	add("worker CPU", "% of a core", 100*used.CPU.Seconds()/each)
	add("worker RSS", "MiB", mebibytes(used.RSS)/float64(workers))
	i.Report.Note(idleName, "billonce", idleMetric("queries", workers),
		"every statement in the server's log (log_statement), over "+took.Round(time.Second).String())
}

// statementsIn counts the statements that the server's log tells of behind the offset, by their first words.
func statementsIn(path string, offset int64) (map[string]int, error) {
	file, err := os.Open(path) //nolint:gosec // the stage's own
	if err != nil {
		return nil, fmt.Errorf("read the server's log: %w", err)
	}
	defer func() { _ = file.Close() }()
	if _, err := file.Seek(offset, io.SeekStart); err != nil {
		return nil, fmt.Errorf("read the server's log: %w", err)
	}
	counts := map[string]int{}
	var last []string // lines of a statement, which may go on
	keep := func() {
		if last != nil {
			counts[headOf(strings.Join(last, " "))]++
		}
		last = nil
	}
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		if strings.HasPrefix(line, "\t") && last != nil {
			last = append(last, line)
			continue
		}
		keep()
		if text, ok := statementIn(line); ok {
			last = []string{text}
		}
	}
	keep()
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read the server's log: %w", err)
	}
	if len(counts) == 0 { // a living worker renews its lease
		return nil, errors.New("read the server's log: it tells of no statement")
	}
	return counts, nil
}

// statementIn returns the statement that begins in a line of the log.
func statementIn(line string) (string, bool) {
	if _, text, ok := strings.Cut(line, " LOG:  statement: "); ok {
		return text, true
	}
	_, text, ok := strings.Cut(line, " LOG:  execute ")
	_, text, _ = strings.Cut(text, ":") // behind the name of a prepared statement
	return text, ok
}

// headOf is what tells a statement from others.
func headOf(text string) string {
	const most = 80
	if text = strings.Join(strings.Fields(text), " "); text == "" {
		return "(nothing, as a ping)"
	}
	if len(text) > most {
		text = text[:most] + "…"
	}
	return text
}
