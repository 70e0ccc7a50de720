package app_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"
)

const (
	merchantRate  = 40 // calls a second that the workers would make for each merchant
	toleratedRate = 8  // that Stripe answers for the busy one; a quarter of the merchant's rate is still too much, an eighth is not
	busyAccount   = "acct_busy"
	calmAccount   = "acct_calm"
	muchSlower    = 6 // the slowdown after three seconds with 429s is nearly eight
)

// limitRig is a fleet at work for two merchants, of whom Stripe holds one back.
type limitRig struct {
	*stack
	c          *client
	db         *sqlx.DB
	busy, calm string
	ids        []string // of every task
}

func newLimitRig(t *testing.T) *limitRig {
	t.Helper()
	r := &limitRig{stack: newStack(t)}
	_, r.c = r.api()
	r.db = sqlx.MustConnect("postgres", r.url)
	t.Cleanup(func() { _ = r.db.Close() })
	connect := func(account string) string {
		return idOf(r.c.Must(201, "POST", "/v1/merchants", map[string]any{
			"name": account, "stripe_connect_id": account, "access_token": "sk_test_" + account,
		}))
	}
	r.busy, r.calm = connect(busyAccount), connect(calmAccount)
	r.limitAt(toleratedRate)
	return r
}

// limitAt sets what the simulator tolerates of the busy merchant; 0: anything.
func (r *limitRig) limitAt(rate int) {
	r.t.Helper()
	r.simulator().Must(200, "POST", "/_sim/switches", map[string]any{"rate_limit": rate, "rate_limit_for": busyAccount})
}

// schedule schedules n tasks that are due, and returns their idempotency keys at Stripe.
func (r *limitRig) schedule(merchant string, n int) map[string]bool {
	r.t.Helper()
	batch := make([]map[string]any, n)
	for i := range batch {
		batch[i] = map[string]any{
			"merchant_id": merchant, "kind": "invoice_item.create", "idempotency_key": fmt.Sprint("limits-", len(r.ids)+i),
			"params": map[string]any{"customer": "cus_ok", "amount": 100, "currency": "usd"},
		}
	}
	data, _ := r.c.Must(201, "POST", "/v1/tasks/batch", map[string]any{"tasks": batch})["data"].([]any)
	keys := map[string]bool{}
	for _, task := range data {
		fields, _ := task.(map[string]any)
		r.ids = append(r.ids, idOf(fields))
		keys["task_"+idOf(fields)] = true
	}
	if len(keys) != n {
		r.t.Fatalf("%d tasks were scheduled, want %d", len(keys), n)
	}
	return keys
}

func (r *limitRig) awaitDone(merchant string) {
	r.t.Helper()
	eventually(r.t, "every task of the merchant has succeeded", func() bool {
		var open int
		err := r.db.Get(&open, `SELECT count(*) FROM scheduled_tasks WHERE merchant_id = $1 AND status <> 'succeeded'`, merchant)
		return err == nil && open == 0
	})
}

// awaitSlower waits until the merchant has been made as slow as it should be, and the second is over in which that was too late.
func (r *limitRig) awaitSlower(merchant string, by float64) {
	r.t.Helper()
	eventually(r.t, "the merchant is slower", func() bool {
		var slower bool
		err := r.db.Get(&slower, `SELECT slowdown > $2 AND slowed_at < now() - interval '1 second' FROM merchant_pace WHERE merchant_id = $1`, merchant, by)
		return err == nil && slower
	})
}

func (r *limitRig) slowdown(merchant string) (by float64) {
	r.t.Helper()
	if err := r.db.Get(&by, `SELECT slowdown FROM merchant_pace WHERE merchant_id = $1`, merchant); err != nil {
		r.t.Fatal(err)
	}
	return by
}

// passes makes the busy merchant's last 429 lie longer ago.
func (r *limitRig) passes(d time.Duration) {
	r.t.Helper()
	r.db.MustExec(`UPDATE merchant_pace SET slowed_at = slowed_at - make_interval(secs => $2) WHERE merchant_id = $1`, r.busy, d.Seconds())
}

// phase is a stretch of time: from the first call of some tasks of the calm merchant to the last. It needs no clock but the
// simulator's, and is as long as those calls take.
type phase struct {
	calm, busy float64 // calls a second
	calls      int     // of the busy merchant
	refused    int     // of those
}

// share is how fast the busy merchant's calls come, in parts of the calm one's.
func (p phase) share() float64 { return p.busy / p.calm }

// during lets n tasks of the calm merchant be done, and tells what the simulator received meanwhile.
func (r *limitRig) during(what string, n int) phase {
	r.t.Helper()
	keys := r.schedule(r.calm, n)
	r.awaitDone(r.calm)
	calls := r.received()
	var first, last time.Time
	for _, one := range calls {
		if keys[one.key] {
			if first.IsZero() {
				first = one.at
			}
			last = one.at
		}
	}
	p, took := phase{}, last.Sub(first).Seconds()
	for _, one := range calls {
		switch {
		case one.account == calmAccount && one.status != 200:
			r.t.Errorf("a call of the calm merchant was answered with %d", one.status)
		case one.account == busyAccount && !one.at.Before(first) && !one.at.After(last):
			p.calls++
			if one.status == 429 {
				p.refused++
			}
		}
	}
	p.calm, p.busy = float64(n-1)/took, float64(p.calls)/took
	r.t.Logf("%s: %.1f calls a second of the calm merchant, %.1f of the busy one, %d of %d refused", what, p.calm, p.busy, p.refused, p.calls)
	return p
}

type received struct {
	at           time.Time
	account, key string
	status       int
}

// received are all calls so far, in the order of their arrival.
func (r *limitRig) received() (calls []received) {
	r.t.Helper()
	data, _ := r.simulator().Must(200, "GET", "/_sim/requests", nil)["data"].([]any)
	for _, entry := range data {
		fields, _ := entry.(map[string]any)
		text, _ := fields["at"].(string)
		at, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			r.t.Fatal(err)
		}
		one := received{at: at}
		one.account, _ = fields["account"].(string)
		one.key, _ = fields["idempotency_key"].(string)
		status, _ := fields["status"].(float64)
		one.status = int(status)
		calls = append(calls, one)
	}
	return calls
}

// TestStripesLimiterSlowsOneMerchantForAWhile: two workers call for two merchants at the same rate. Stripe tolerates less of one:
// that one falls below it and comes back when the 429s have ended, the other one does not notice, and every task is done once.
func TestStripesLimiterSlowsOneMerchantForAWhile(t *testing.T) {
	t.Parallel()
	r := newLimitRig(t)
	r.schedule(r.busy, 160)
	for range 2 {
		r.worker("MERCHANT_RATE", fmt.Sprint(merchantRate))
	}

	beginning := r.during("at the beginning", 100)
	r.awaitSlower(r.busy, muchSlower)
	slow := r.during("slowed down", 60)
	r.limitAt(0)
	r.passes(time.Minute)
	better := r.during("a minute after the last 429", 60)
	r.passes(10 * time.Minute)
	recovered := r.during("ten minutes later", 60)
	r.awaitDone(r.busy)

	if beginning.refused == 0 {
		t.Error("nothing was refused: the test has shown nothing")
	}
	if slow.busy >= toleratedRate || slow.refused > slow.calls/5 {
		t.Errorf("slowed down there are %.1f calls a second, %d are tolerated; %d of %d were refused", slow.busy, toleratedRate, slow.refused, slow.calls)
	}
	if by := r.slowdown(r.calm); by != 1 || min(beginning.calm, slow.calm) < recovered.calm/2 {
		t.Errorf("the calm merchant was slowed by %.1f: %.1f and %.1f calls a second, %.1f later", by, beginning.calm, slow.calm, recovered.calm)
	}
	if slow.share() > 0.35 || better.share() < 1.3*slow.share() || recovered.share() < 1.5*better.share() || recovered.share() < 0.6 {
		t.Errorf("the busy merchant's calls to the calm one's: %.2f when slowed down, %.2f after a minute, %.2f in the end",
			slow.share(), better.share(), recovered.share())
	}
	r.auditOnce()
}

// auditOnce holds every task against the ledger: one effect each, and no other.
func (r *limitRig) auditOnce() {
	r.t.Helper()
	effects := r.effects()
	for _, id := range r.ids {
		if n := effects["task_"+id]; n != 1 {
			r.t.Errorf("task %s has %d effects", id, n)
		}
	}
	if len(effects) != len(r.ids) {
		r.t.Errorf("effects under %d keys, for %d tasks", len(effects), len(r.ids))
	}
	var refused, others int
	if err := r.db.QueryRow(`
		SELECT count(*) FILTER (WHERE t.merchant_id = $1), count(*) FILTER (WHERE t.merchant_id <> $1)
		FROM attempts AS a JOIN scheduled_tasks AS t ON t.id = a.task_id
		WHERE a.reason = 'rate_limited'`, r.busy).Scan(&refused, &others); err != nil || refused == 0 || others != 0 {
		r.t.Errorf("%d attempts of the busy merchant's tasks were refused, %d of the other's, %v", refused, others, err)
	}
}
