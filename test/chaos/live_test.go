package chaos_test

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"billonce/internal/programtest"
)

const (
	tasksPerSecond = 40
	leastRage      = 6 * time.Second
	jump           = 26 * time.Hour // past every key's life and past the proof of absence
	lookLease      = time.Minute    // a look whose worker was killed is made again after it: twice the worker's timeout for a look
)

// live plays the world's whole story: work under blows, then calm, then as many days as it takes until nothing is open, and a
// person who decides what nobody else can.
func (w *world) live(tasks int) {
	w.t.Helper()
	rage := max(leastRage, time.Duration(tasks)*time.Second/tasksPerSecond)
	w.ready()
	later := tasks / 3 // more, when calm has come
	w.stock(tasks, later, rage)
	defer w.follow()()
	w.misfortune()
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	var crew sync.WaitGroup
	var posting sync.WaitGroup
	posting.Go(func() { w.post(ctx, w.wares.orders[:tasks]) })
	meddling, enough := context.WithCancel(ctx)
	defer enough()
	posting.Go(func() { w.meddle(meddling) })
	crew.Go(func() { w.mend(ctx) })
	w.rage(rage)
	w.calm()
	enough()
	w.ready()
	w.eventually("every order is answered", func() bool { return len(w.unanswered(tasks)) == 0 })
	posting.Wait()
	w.settle()
	w.compare("after the storm")
	w.post(ctx, w.wares.orders[tasks:])
	w.settle()
	w.compare("after calm work")
	w.pass()
	stop()
	crew.Wait()
	w.judge()
	w.settle()
	w.compare("in the end")
}

// pass lets as many days pass as it takes until nothing is left to be done.
func (w *world) pass() {
	w.t.Helper()
	w.clear()
	for range 10 { // a declined task's last follower may be tried after a week of looks and pauses
		w.jump()
		w.settle()
		w.compare("a day later")
		if w.ahead() == 0 {
			return
		}
	}
}

// unanswered are those of the first orders that nothing is known of yet.
func (w *world) unanswered(first int) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var keys []string
	for _, one := range w.wares.orders[:first] {
		if len(one.ids) == 0 && !one.refused {
			keys = append(keys, one.key)
		}
	}
	return keys
}

// misfortune draws what goes wrong at Stripe.
func (w *world) misfortune() {
	w.t.Helper()
	rates, kinds := map[string]float64{}, []string{
		"refuse", "hang", "edge_before", "redirect", "drop_before", "reject", "reject_auth", "stall", "lock_timeout", "decline",
		"external", "error_rolled_back", "error_kept", "edge_after", "drop_after", "half_body", "garbage", "slow_headers",
		"close_idle", "revoke_before", "revoke_after",
	}
	for _, kind := range kinds {
		most := 0.05
		if kind == "revoke_before" || kind == "revoke_after" || kind == "reject_auth" {
			most = 0.005 // each stops a merchant for a while
		}
		if w.random.IntN(3) > 0 {
			rates[kind] = most * w.random.Float64()
		}
	}
	w.control("POST", "plan", object{
		"seed": w.seed, "rates": rates, "delay": (stripeTimeout * 3 / 2).String(), "events_lag": "1h",
	})
	maybe := func() bool { return w.random.IntN(2) == 0 }
	switches := object{
		"seed": w.seed, "store_lock_timeouts": maybe(), "store_invalid": maybe(), "mismatch_first": maybe(),
		"bare_delete_events": maybe(), "no_keep_alive": maybe(), "event_duplicates": 0.1, "event_disorder": 0.2, "event_lag": "1s",
		"prune_late": []string{"0s", "24h"}[w.random.IntN(2)],
	}
	if w.random.IntN(4) == 0 {
		switches["event_drops"] = 0.05
	}
	w.control("POST", "switches", switches)
	w.control("POST", "latency", object{"fixed": "10ms", "jitter": strconv.Itoa(w.random.IntN(150)) + "ms"})
}

// rage deals one blow after the other for a while.
func (w *world) rage(lasting time.Duration) {
	w.t.Helper()
	end := time.NewTimer(lasting)
	defer end.Stop()
	jumpAt := 3 + w.random.IntN(12)
	leaveAt := 5 + w.random.IntN(10)
	stepAt := 2 + w.random.IntN(15)
	for n := 0; ; n++ {
		select {
		case <-end.C:
			return
		case <-time.After(time.Duration(100+w.random.IntN(300)) * time.Millisecond):
		}
		switch {
		case n == jumpAt && w.random.IntN(2) == 0:
			w.jump()
		case n == leaveAt:
			w.leave()
		case n == stepAt && w.random.IntN(2) == 0:
			w.stepBack(time.Duration(1+w.random.IntN(5*60)) * time.Minute)
		default:
			w.blow()
		}
	}
}

// blow does one thing to one part of the world.
func (w *world) blow() {
	w.t.Helper()
	n := w.nodes[apis+w.random.IntN(workers)]
	if w.random.IntN(5) == 0 {
		n = w.nodes[w.random.IntN(apis)]
	}
	lull := time.Duration(200+w.random.IntN(2500)) * time.Millisecond
	blows := map[string]func(){
		"killed":      func() { w.end(n, syscall.SIGKILL); w.start(n) },
		"killed ":     func() { w.end(n, syscall.SIGKILL); w.start(n) }, // twice as likely
		"drained":     func() { w.end(n, syscall.SIGTERM); w.start(n) },
		"frozen":      func() { w.freeze(n, lease+lull/2) },
		"frozen ":     func() { w.freeze(n, lease+lull/2) },
		"cut":         func() { n.proxy.Cut() },
		"reset":       func() { n.proxy.Reset() },
		"refused":     func() { n.proxy.Refuse(true); w.later(lull, func() { n.proxy.Refuse(false) }) },
		"black hole":  func() { n.proxy.BlackHole(true); w.later(lull, func() { n.proxy.BlackHole(false) }) },
		"deaf":        func() { n.proxy.BlackHoleAnswers(true); w.later(lull, func() { n.proxy.BlackHoleAnswers(false) }) },
		"lost commit": func() { n.proxy.CutAfterCommit(1 + w.random.IntN(3)) },
		"slow":        func() { n.proxy.Delay(lull / 20); w.later(lull, func() { n.proxy.Delay(0) }) },
	}
	if w.random.IntN(12) == 0 {
		w.restartPostgres()
		return
	}
	names := slices.Sorted(maps.Keys(blows))
	name := names[w.random.IntN(len(names))]
	w.count(n.program + " " + name)
	blows[name]()
}

// later does something after a while, and at the latest when calm comes.
func (w *world) later(after time.Duration, do func()) {
	w.timers = append(w.timers, time.AfterFunc(after, do))
}

// freeze stops a process for longer than its lease: when it goes on, its tasks are others'.
func (w *world) freeze(n *node, lasting time.Duration) {
	process := n.process
	if process.TrySignal(syscall.SIGSTOP) == nil {
		w.later(lasting, func() { _ = process.TrySignal(syscall.SIGCONT) })
	}
}

// restartPostgres ends the server as a power cut would, and starts it again.
func (w *world) restartPostgres() {
	w.t.Helper()
	w.count("postgres restarted")
	if err := syscall.Kill(w.server.now.PID(), syscall.SIGQUIT); err != nil {
		w.t.Fatal(err)
	}
	<-w.server.now.Done()
	w.server.stop()
	w.server.start()
}

// leave disconnects a merchant and notes when that was acknowledged.
func (w *world) leave() {
	m := w.wares.merchants[leaver]
	for _, client := range w.clients() {
		if answer, err := client.Try("DELETE", "/v1/merchants/"+m.id, nil); err == nil && answer.Status == 200 {
			w.mu.Lock()
			m.left = w.simNow()
			w.mu.Unlock()
			return
		}
	}
}

// calm ends everything that goes wrong, and starts what has ended.
func (w *world) calm() {
	w.t.Helper()
	for _, timer := range w.timers {
		timer.Stop()
	}
	w.timers = nil
	w.control("DELETE", "plan", nil)
	for _, n := range w.nodes {
		n.proxy.Heal()
		_ = n.process.TrySignal(syscall.SIGCONT)
		select {
		case <-n.process.Done():
			w.t.Errorf("%s has ended by itself:\n%s", n.name, tail(n.process.Output()))
			w.keepOutput(n)
			w.start(n)
		default:
		}
	}
}

// ready waits until both apis serve.
func (w *world) ready() {
	w.t.Helper()
	w.eventually("both apis are ready", func() bool {
		return !slices.ContainsFunc(w.clients(), func(c *programtest.Client) bool {
			answer, err := c.Try("GET", "/readyz", nil)
			return err != nil || answer.Status != 200
		})
	})
}

// open is what the workers can do today.
const open = `
	SELECT t.id, t.kind, t.status, t.target, t.attempt, t.worker_id, t.waiting_since IS NOT NULL AS waits,
		extract(epoch FROM coalesce(t.look_at, t.run_at) - now()) AS due_in
	FROM scheduled_tasks AS t JOIN merchants AS m ON m.id = t.merchant_id
	WHERE t.status = 'running' OR m.disconnected_at IS NULL AND (
		t.parked_at IS NOT NULL AND t.scheduled_for <= now()
		OR t.status = 'pending' AND t.run_at < now() + interval '1 minute' AND NOT EXISTS (
			SELECT 1 FROM scheduled_tasks AS o
			WHERE o.status = 'in_doubt' AND o.target = t.target AND o.merchant_id = t.merchant_id AND t.target <> '')
		OR t.status = 'in_doubt' AND t.look_at < now() + interval '1 minute')`

// settle waits until nothing is left that the workers can do today, for as long as it becomes less.
func (w *world) settle() {
	w.t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	least, since := -1, time.Now()
	for {
		var n int
		if err := w.db.Get(&n, `SELECT count(*) FROM (`+open+`) AS open`); err == nil {
			if n == 0 {
				return
			}
			if least < 0 || n < least {
				least, since = n, time.Now()
			}
		}
		if time.Since(since) > lookLease+programtest.Patience {
			w.stuck()
			w.t.Fatalf("%d tasks do not come to their end", least)
		}
		<-tick.C
	}
}

// ahead counts what is to be done on another day.
func (w *world) ahead() int {
	w.t.Helper()
	var n int
	if err := w.db.Get(&n, `
		SELECT count(*) FROM scheduled_tasks AS t JOIN merchants AS m ON m.id = t.merchant_id
		WHERE m.disconnected_at IS NULL AND (t.status = 'pending' AND t.run_at >= now() + interval '1 minute' OR t.look_at IS NOT NULL)`); err != nil {
		w.t.Fatal(err)
	}
	return n
}

// jump lets more than a day pass: with no worker alive, and no call under way at Stripe, the database's rows grow older and
// the simulator's clock goes ahead.
func (w *world) jump() {
	w.t.Helper()
	w.count("days that passed")
	// A clock that was set back, and nobody alive to note it before a day has passed, has left no trace: decision 45.
	w.eventually("a heartbeat has noted that the clock was set back", func() bool {
		var noted bool
		err := w.db.Get(&noted, `SELECT high_water <= now() + interval '1 minute' FROM clock`)
		return err == nil && noted
	})
	for _, n := range w.workers() {
		w.end(n, syscall.SIGKILL)
	}
	idle := 0
	w.eventually("nothing is under way at Stripe", func() bool {
		if idle++; w.control("GET", "active", nil)["active"] != 0.0 {
			idle = 0
		}
		return idle >= 3 // a request may still have lain in a socket
	})
	for _, table := range w.timeColumns() {
		if len(w.calmResets) > 0 && table.ofEvents() { // whoever watches through all those days is told everything: no reset may hide what is not
			continue
		}
		w.eventually("the rows have grown older", func() bool {
			_, err := w.db.Exec(table.shift(jump))
			return err == nil
		})
	}
	w.control("POST", "clock", object{"advance": jump.String()})
	for _, n := range w.workers() {
		w.start(n)
	}
}

// stepBack sets the database's clock back: what was written is from the future now, and what is written next seems older than it.
func (w *world) stepBack(by time.Duration) {
	w.t.Helper()
	w.count("clock set back")
	tables := w.timeColumns()
	w.eventually("the rows are from the future", func() bool {
		tx, err := w.db.Begin()
		if err != nil {
			return false
		}
		defer func() { _ = tx.Rollback() }()
		// A clock goes back in one moment: whoever reads the time does so before it, or sees what was written then.
		if _, err := tx.Exec(`LOCK TABLE clock IN ACCESS EXCLUSIVE MODE`); err != nil {
			return false
		}
		for _, table := range tables {
			if _, err := tx.Exec(table.shift(-by)); err != nil {
				return false
			}
		}
		return tx.Commit() == nil
	})
}

// clear ends the debits that are under way, half of them in vain.
func (w *world) clear() {
	w.t.Helper()
	for _, one := range w.wares.orders {
		target := text(one.body["target"])
		if target == "" || one.body["kind"] != "invoice.pay" {
			continue
		}
		decline := []string{"", "insufficient_funds"}[w.random.IntN(2)]
		answer, err := w.sim.Try("POST", "/_sim/clear", object{"account": w.wares.merchants[one.merchant].account, "id": target, "decline": decline})
		if err == nil && answer.Status == 200 {
			w.count("debit cleared")
		}
	}
}

func (w *world) simNow() time.Time {
	w.t.Helper()
	text, _ := w.control("GET", "clock", nil)["now"].(string)
	now, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		w.t.Fatal(err)
	}
	return now
}

// tail is the end of a long text.
func tail(text string) string { return text[max(0, len(text)-8000):] }
