package dev

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"billonce/cmd/billctl/dev/proc"
	"billonce/pkg/billing"
	"billonce/pkg/client"
)

const (
	demoTimeout = 2 * time.Minute
	demoPoll    = 200 * time.Millisecond
	logTail     = 8
)

// Demo brings a stack up on a fresh database, has it carry a set of tasks out, and proves from the simulator's ledger that
// each had exactly the effect that it reports. It removes everything it made. An error means that something does not hold.
func Demo(ctx context.Context, opts Options) (err error) {
	ctx, cancel := context.WithTimeout(ctx, demoTimeout)
	defer cancel()
	where, err := findPlace()
	if err != nil {
		return err
	}
	if where.dir, err = os.MkdirTemp("", "billonce-demo-*"); err != nil {
		return fmt.Errorf("make a folder for the demo: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(where.dir)) }()
	if err := where.make(); err != nil {
		return err
	}
	db, err := freshDatabase(ctx, opts.DatabaseURL, opts.Err)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop(ctx, db.close)) }()
	s, err := up(ctx, where, db, opts)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop(ctx, s.down)) }()
	if err := s.demonstrate(ctx); err != nil {
		s.tellLogs()
		return err
	}
	return nil
}

// demonstrate plays the script.
func (s *stack) demonstrate(ctx context.Context) error {
	merchants, err := s.ensureMerchants(ctx, demoMerchants())
	if err != nil {
		return err
	}
	mark := runMark()
	for account, objects := range demoFixtures(mark) {
		if err := s.addFixtures(ctx, account, objects); err != nil {
			return err
		}
	}
	samples := demoSamples(mark)
	tasks, err := s.schedule(ctx, mark, merchants, samples)
	if err != nil {
		return err
	}
	s.notef("while this runs, the console is at %s/", s.apiServer.url)
	s.notef("%d tasks scheduled for %d merchants, %d workers", len(tasks), len(merchants), s.opts.Workers)
	again, err := s.schedule(ctx, mark, merchants, samples)
	if err != nil {
		return fmt.Errorf("the same batch once more: %w", err)
	}
	for i := range tasks {
		if tasks[i].ID != again[i].ID {
			return fmt.Errorf("the same batch once more made new tasks: %s became %s", tasks[i].ID, again[i].ID)
		}
	}
	s.notef("the same batch sent once more: the same %d tasks", len(again))
	if tasks, err = s.awaitAll(ctx, tasks); err != nil {
		return err
	}
	effects, err := s.ledger(ctx)
	if err != nil {
		return err
	}
	s.compareTable(tasks, effects, merchants)
	if err := judge(samples, tasks, effects); err != nil {
		return err
	}
	return s.showSealed(ctx)
}

// awaitAll returns the tasks as they are when each has settled.
func (s *stack) awaitAll(ctx context.Context, tasks []client.Task) ([]client.Task, error) {
	poll := time.NewTicker(demoPoll)
	defer poll.Stop()
	last := -1
	for {
		finished := 0
		for i := range tasks {
			if !settled(tasks[i]) {
				now, err := s.api.GetTask(ctx, tasks[i].ID)
				if err != nil {
					return nil, fmt.Errorf("look at a task: %w", err)
				}
				tasks[i] = now
			}
			if settled(tasks[i]) {
				finished++
			}
		}
		if finished != last {
			s.notef("%d of %d tasks finished", finished, len(tasks))
			last = finished
		}
		if finished == len(tasks) {
			return tasks, nil
		}
		select {
		case <-poll.C:
		case which := <-s.ended:
			return nil, died(which)
		case <-s.databaseDone():
			return nil, s.databaseDied()
		case <-ctx.Done():
			return nil, fmt.Errorf("%d of %d tasks finished: %w", finished, len(tasks), ctx.Err())
		}
	}
}

// compareTable prints each task beside what the simulator's ledger has under its key.
func (s *stack) compareTable(tasks []client.Task, effects []Effect, merchants map[string]client.Merchant) {
	names := map[string]string{}
	for _, merchant := range merchants {
		names[merchant.ID] = merchant.Name
	}
	byKey := map[string][]Effect{}
	for _, effect := range effects {
		byKey[effect.IdempotencyKey] = append(byKey[effect.IdempotencyKey], effect)
	}
	writer := tabwriter.NewWriter(s.opts.Out, 0, 8, 2, ' ', 0)
	_, _ = fmt.Fprintln(writer, "\nTASK\tMERCHANT\tKIND\tSTATUS\tSTRIPE SAID\tEFFECTS\tIN THE LEDGER")
	for _, task := range tasks {
		lines := make([]string, 0, 1)
		for _, effect := range byKey[task.IdempotencyKey] {
			line := fmt.Sprintf("#%d %s %s", effect.Seq, effect.Op, effect.Object)
			if effect.Amount != 0 {
				line += fmt.Sprintf(" %d", effect.Amount)
			}
			lines = append(lines, line)
		}
		_, _ = fmt.Fprintf(writer, "…%s\t%s\t%s\t%s\t%s\t%d\t%s\n", task.ID[max(0, len(task.ID)-12):], names[task.MerchantID],
			task.Kind, task.Status, said(task), len(lines), strings.Join(lines, "; "))
	}
	_ = writer.Flush() // an error of standard output has nowhere to go
	_, _ = fmt.Fprintln(s.opts.Out)
}

// judge says whether the books agree and each task ended as it had to.
func judge(samples []sample, tasks []client.Task, effects []Effect) error {
	faults := audit(tasks, effects)
	for i, task := range tasks {
		if task.Status != samples[i].want {
			faults = append(faults, fmt.Sprintf("task %s (%s) had to be %s and is %s: %s",
				task.ID, task.Kind, samples[i].want, task.Status, said(task)))
		}
	}
	if len(faults) > 0 {
		return fmt.Errorf("the books do not agree:\n  %s", strings.Join(faults, "\n  "))
	}
	return nil
}

// showSealed shows what a reader of the database sees of the tokens, and says how it all went.
func (s *stack) showSealed(ctx context.Context) error {
	var tokens []string
	want := 0
	for _, merchant := range demoMerchants() {
		tokens = append(tokens, accessToken(merchant.account), refreshToken(merchant.account))
		if merchant.token {
			want += 2
		}
	}
	sealed, err := sealedTokens(ctx, s.database.url, tokens)
	if err != nil {
		return err
	}
	if len(sealed) != want {
		return fmt.Errorf("the database holds %d tokens, not %d", len(sealed), want)
	}
	writer := tabwriter.NewWriter(s.opts.Out, 0, 8, 2, ' ', 0)
	_, _ = fmt.Fprintln(writer, "MERCHANT\tCOLUMN\tAS STORED (iv:authTag:encryptedContent)")
	for _, one := range sealed {
		_, _ = fmt.Fprintf(writer, "%s\t%s\t%s…\n", one.merchant, one.column, one.stored[:36])
	}
	_ = writer.Flush() // an error of standard output has nowhere to go
	_, _ = fmt.Fprintf(s.opts.Out, "\nEvery succeeded task has exactly one effect, every failed one none, and no token is in clear.\n")
	return nil
}

// tellLogs prints the last lines of each service, before their files are removed.
func (s *stack) tellLogs() {
	logs, _ := filepath.Glob(s.place.log("*")) // the pattern is well formed
	for _, path := range logs {
		_, _ = fmt.Fprintf(s.opts.Err, "\n%s ends with:\n", filepath.Base(path))
		for _, line := range proc.Tail(path, logTail) {
			_, _ = fmt.Fprintln(s.opts.Err, "  "+line)
		}
	}
}

func demoMerchants() []sampleMerchant {
	return []sampleMerchant{
		{name: "Alma's Bakery", account: "acct_alma", token: true},
		{name: "Borough Books", account: "acct_borough"},
		{name: "Corner Cycles", account: "acct_corner", token: true},
	}
}

// demoFixtures are the objects that the demo's tasks act on, by account.
func demoFixtures(mark string) map[string][]fixture {
	byAccount := map[string][]fixture{}
	for i, merchant := range demoMerchants() {
		n := 10 * (i + 1)
		byAccount[merchant.account] = append(extras(mark, n),
			invoice(mark, n, "cus_ok", 2000), invoice(mark, n+1, "cus_declined", 1250), charge(mark, n, 3500))
	}
	return byAccount
}

// demoSamples is a mix that ends in every way a task can end by itself.
func demoSamples(mark string) []sample {
	var samples []sample
	for i, merchant := range demoMerchants() {
		n := 10 * (i + 1)
		add := func(kind billing.Kind, target string, params map[string]any, want billing.Status) {
			samples = append(samples, sample{account: merchant.account, kind: kind, target: target, params: params, want: want})
		}
		add(billing.SubscriptionCreate, "", subscription(), billing.Succeeded)
		add(billing.SubscriptionUpdate, subscriptionID(mark, n), metadata("seen by", "the demo"), billing.Succeeded)
		add(billing.SubscriptionCancel, subscriptionID(mark, n+1), nil, billing.Succeeded)
		add(billing.InvoicePay, invoiceID(mark, n), nil, billing.Succeeded)
		add(billing.InvoicePay, invoiceID(mark, n+1), nil, billing.Failed)           // the card is declined
		add(billing.InvoicePay, "in_missing_"+merchant.account, nil, billing.Failed) // there is no such invoice
		add(billing.InvoiceFinalize, invoiceID(mark, n+2), nil, billing.Succeeded)
		add(billing.InvoiceVoid, invoiceID(mark, n+3), nil, billing.Succeeded)
		add(billing.InvoiceMarkUncollectible, invoiceID(mark, n+4), nil, billing.Succeeded)
		add(billing.InvoiceItemCreate, "", with(money(250), "customer", "cus_ok"), billing.Succeeded)
		add(billing.PaymentIntentCreate, "", with(money(1500), "customer", "cus_ok"), billing.Succeeded)
		add(billing.PaymentIntentCapture, intentID(mark, n), nil, billing.Succeeded)
		add(billing.PaymentIntentCapture, intentID(mark, n+1), nil, billing.Failed) // there is nothing to capture
		add(billing.ChargeCapture, chargeID(mark, n+1), nil, billing.Succeeded)
		add(billing.RefundCreate, "", map[string]any{"charge": chargeID(mark, n), "amount": 500}, billing.Succeeded)
		add(billing.RefundCreate, "", map[string]any{"charge": chargeID(mark, n), "amount": 99_000}, billing.Failed) // too much
		add(billing.CustomerUpdate, "cus_ok", map[string]any{"description": "seen by the demo"}, billing.Succeeded)
	}
	return samples
}

func money(amount int) map[string]any { return map[string]any{"amount": amount, "currency": "usd"} }

func metadata(name, value string) map[string]any {
	return map[string]any{"metadata": map[string]any{name: value}}
}

func with(params map[string]any, name string, value any) map[string]any {
	params[name] = value
	return params
}
