package dev

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"billonce/cmd/billctl/dev/postgres"
	"billonce/pkg/billing"
	"billonce/pkg/client"
)

// Database runs the private PostgreSQL of the checkout alone, prints its URL and stays until ctx ends.
func Database(ctx context.Context, opts Options) (err error) {
	where, err := findPlace()
	if err != nil {
		return err
	}
	if err := where.make(); err != nil {
		return err
	}
	db, err := lastingDatabase(ctx, where, opts.DatabaseURL, opts.Err)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop(ctx, db.close)) }()
	_, _ = fmt.Fprintln(opts.Out, db.url.Reveal())
	select {
	case <-ctx.Done():
		return nil
	case <-serverDone(db.server):
		return errors.New("PostgreSQL ended by itself")
	}
}

func serverDone(server *postgres.Server) <-chan struct{} {
	if server == nil {
		return nil
	}
	return server.Done()
}

// Run brings the stack up, loads the samples and stays until ctx ends, which is no error, or until a part of it dies.
func Run(ctx context.Context, opts Options) (err error) {
	where, err := findPlace()
	if err != nil {
		return err
	}
	if err := where.make(); err != nil {
		return err
	}
	db, err := emptyDatabase(ctx, where, opts.DatabaseURL, opts.Err)
	if err != nil {
		return interrupted(ctx, err)
	}
	defer func() { err = errors.Join(err, stop(ctx, db.close)) }()
	s, err := up(ctx, where, db, opts)
	if err != nil {
		return interrupted(ctx, err)
	}
	defer func() { err = errors.Join(err, s.stopped(ctx)) }()
	return interrupted(ctx, s.serve(ctx))
}

// stopped takes the stack down and says so.
func (s *stack) stopped(ctx context.Context) error {
	s.notef("\nstopping: API, workers, simulator, database")
	return stop(ctx, s.down)
}

// interrupted forgives an error that came after the person wanted all of it to end: what was being started or asked then
// fails in many ways.
func interrupted(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil //nolint:nilerr // it is the interrupt's doing
	}
	return err
}

// serve loads the samples, tells of finished tasks and waits for the end.
func (s *stack) serve(ctx context.Context) error {
	merchants, err := s.ensureMerchants(ctx, sampleMerchants())
	if err != nil {
		return err
	}
	s.greet(merchants)
	tasks, err := s.newFeed(ctx, merchants)
	if err != nil {
		return err
	}
	if err := s.loadSamples(ctx, merchants); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	var telling sync.WaitGroup
	defer telling.Wait()
	defer cancel()
	telling.Go(func() { tasks.run(ctx) })
	select {
	case <-ctx.Done():
		return nil
	case which := <-s.ended:
		return died(which)
	case <-s.databaseDone():
		return s.databaseDied()
	}
}

func sampleMerchants() []sampleMerchant {
	return []sampleMerchant{
		{name: "Alma's Bakery", account: "acct_alma", token: true},
		{name: "Borough Books", account: "acct_borough"},
	}
}

// loadSamples schedules a handful of tasks that show what there is.
func (s *stack) loadSamples(ctx context.Context, merchants map[string]client.Merchant) error {
	mark := runMark()
	alma, borough := "acct_alma", "acct_borough"
	if err := s.addFixtures(ctx, alma, []fixture{invoice(mark, 1, "cus_ok", 2000), charge(mark, 1, 3500)}); err != nil {
		return err
	}
	if err := s.addFixtures(ctx, borough, []fixture{invoice(mark, 2, "cus_declined", 1250)}); err != nil {
		return err
	}
	tasks, err := s.schedule(ctx, mark, merchants, []sample{
		{account: alma, kind: billing.SubscriptionCreate, params: subscription()},
		{account: alma, kind: billing.InvoicePay, target: invoiceID(mark, 1)},
		{account: alma, kind: billing.RefundCreate, params: map[string]any{"charge": chargeID(mark, 1), "amount": 500}},
		{account: borough, kind: billing.SubscriptionCreate, params: subscription(), delay: 5 * time.Second},
		{account: borough, kind: billing.InvoicePay, target: invoiceID(mark, 2)},
		{account: alma, kind: billing.SubscriptionCreate, params: subscription(), delay: 10 * time.Minute},
	})
	if err != nil {
		return err
	}
	s.notef("%d sample tasks scheduled: one is declined, one waits 5 seconds, one 10 minutes. As they finish:\n", len(tasks))
	return nil
}

// greet says what runs where and how to speak to it.
func (s *stack) greet(merchants map[string]client.Merchant) {
	key := s.adminKey.Reveal()
	_, _ = fmt.Fprintf(s.opts.Out, `
billonce runs, with the simulator in place of Stripe. Ctrl-C stops all of it; the next run begins afresh.

The console, for a browser on this machine; sign in with the KEY below:

CONSOLE=%[1]s/

For another terminal, and for the README's session:

API=%[2]s
KEY=%[3]s
SIM=%[4]s
export BILLONCE_URL=$API BILLONCE_API_KEY=$KEY STRIPE_API_URL=$SIM

Then:

  curl -sS "$API/v1/tasks" -H "Authorization: Bearer $KEY" -H 'Content-Type: application/json' \
    -d '{"merchant_id": "%[5]s", "kind": "subscription.create",
         "params": {"customer": "cus_ok", "items": [{"price": "price_basic"}]}}'
  %[6]s tasks list
  %[6]s doctor
  curl -sS "$SIM/_sim/ledger"

Logs are in %[7]s.
`, s.apiServer.url, s.apiServer.url, key, s.simulator.url, merchants["acct_alma"].ID, ownPath(), s.place.log("*"))
	if s.database.server == nil {
		s.notef("DATABASE_URL's database stays as it is; the simulator has forgotten what earlier tasks did.")
	}
}

// ownPath is how the person at this terminal can call this program.
func ownPath() string {
	self, err := os.Executable()
	if err != nil {
		return "billctl"
	}
	if here, err := os.Getwd(); err == nil {
		if short, err := filepath.Rel(here, self); err == nil && !strings.HasPrefix(short, "..") {
			return short
		}
	}
	return self
}
