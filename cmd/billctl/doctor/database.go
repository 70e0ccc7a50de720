package doctor

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"billonce/pkg/billing"
	"billonce/pkg/store"
)

// Database is what is looked at of a database; [store.Checkup] is one.
type Database interface {
	Ping(ctx context.Context) error
	Server(ctx context.Context) (store.Server, error)
	Schema(ctx context.Context) (version, required int64, err error)
	Grants(ctx context.Context) (wrong []string, roles bool, err error)
	KeyUses(ctx context.Context) ([]store.KeyUse, error)
	UnsealedTokens(ctx context.Context) (int, error)
	Clock(ctx context.Context) (store.ClockState, error)
	Now(ctx context.Context) (time.Time, error)
	Workers(ctx context.Context) ([]store.SeenWorker, error)
	Backlog(ctx context.Context, overdue time.Duration) (store.Backlog, error)
	OldestFinished(ctx context.Context) (time.Duration, error)
	Tables(ctx context.Context) ([]store.Table, error)
	LongTransactions(ctx context.Context, longer time.Duration) (found []store.LongTransaction, hidden int, err error)
}

// oldestServer is the oldest version that works.
const oldestServer = 140000

// database looks at everything in the database, as far as it answers and its schema is known.
func (e *examination) database(ctx context.Context, stripe *reading) {
	var server store.Server
	there := false
	e.make(ctx, "database", func(ctx context.Context) { server, there = e.server(ctx) }) // the others need it
	if !there {
		return
	}
	e.run(ctx, "settings", func(context.Context) { e.settings(server.Settings) })
	known := true
	e.run(ctx, "schema", func(ctx context.Context) { known = e.schema(ctx) })
	if !known {
		return
	}
	e.run(ctx, "roles", e.roles)
	e.run(ctx, "keys", e.keys)
	e.run(ctx, "clock", func(ctx context.Context) { e.clock(ctx, stripe) })
	e.run(ctx, "workers", e.workers)
	e.run(ctx, "tasks", e.tasks)
	e.run(ctx, "archive", e.archive)
	e.run(ctx, "tables", e.tables)
	e.run(ctx, "transactions", func(ctx context.Context) { e.transactions(ctx, server.XIDAge) })
}

func (e *examination) server(ctx context.Context) (store.Server, bool) {
	what := advice{do: "see that PostgreSQL runs, can be reached from here and takes this user; DATABASE_URL says where", page: "docs/runbook.md#postgresql-is-away"}
	began := e.Now()
	if err := e.Database.Ping(ctx); err != nil {
		e.fail(what, "it does not answer: %v", err)
		return store.Server{}, false
	}
	took := e.Now().Sub(began)
	server, err := e.Database.Server(ctx)
	switch {
	case err != nil:
		e.fail(what, "it does not say what it is: %v", err)
		return server, false
	case server.Version < oldestServer:
		e.fail(advice{do: "upgrade the server"}, "PostgreSQL %s is older than 14, which billonce needs", server.Name)
	case server.InRecovery:
		e.fail(advice{do: "let DATABASE_URL name the primary"}, "this PostgreSQL %s is a standby: nothing can be written", server.Name)
	default:
		e.ok("PostgreSQL %s answers within %s, as user %s", server.Name, took.Round(time.Millisecond), server.User)
	}
	return server, true
}

func (e *examination) settings(settings map[string]string) {
	right := true
	for _, one := range []struct {
		name, wrong string
		level       Level
		because     string
	}{
		{"fsync", "off", Fail, "a crash of the machine loses what was committed, that something was sent to Stripe included"},
		{"synchronous_commit", "off", Fail, "a crash loses the last commits, that something was sent to Stripe included"},
		{"full_page_writes", "off", Fail, "a crash of the machine may tear pages apart"},
		{"autovacuum", "off", Fail, "the tables of tasks grow, and claims get slower and slower"},
		{"track_counts", "off", Fail, "autovacuum sees nothing to do"},
	} {
		if settings[one.name] == one.wrong {
			right = false
			e.found(one.level, advice{do: "set " + one.name + " = on, for the server, the database and the services' roles", page: "docs/billctl.md#settings"},
				"%s is %s: %s", []any{one.name, one.wrong, one.because})
		}
	}
	if right {
		e.ok("fsync %s, synchronous_commit %s, full_page_writes %s, autovacuum %s; jit %s, which billonce turns off for itself",
			settings["fsync"], settings["synchronous_commit"], settings["full_page_writes"], settings["autovacuum"], settings["jit"])
	}
}

// schema reports whether the database has what the other checks look at.
func (e *examination) schema(ctx context.Context) bool {
	version, required, err := e.Database.Schema(ctx)
	switch {
	case err != nil:
		e.blind(err)
		return false
	case version < required:
		e.fail(advice{do: "run billctl migrate up", page: "docs/runbook.md#the-services-are-not-ready-schema"},
			"the schema is at version %d and this build needs version %d", version, required)
		return false
	case version > required:
		e.warn(advice{do: "use the billctl of the services' release"}, "the schema is at version %d, newer than this build, which knows version %d", version, required)
	default:
		e.ok("the schema is at version %d, as this build needs it", version)
	}
	return true
}

func (e *examination) roles(ctx context.Context) {
	const page = "docs/runbook.md#roles-of-the-database"
	wrong, roles, err := e.Database.Grants(ctx)
	switch {
	case err != nil:
		e.blind(err)
	case !roles:
		e.warn(advice{do: "separate them with billctl roles apply", page: page}, "there are no roles: the api can read tokens, and a worker can schedule")
	case len(wrong) > 0:
		e.fail(advice{do: "run billctl roles apply", page: page}, "%s", strings.Join(wrong, "; "))
	default:
		e.ok("the roles have the rights that they need, as far as is looked at, and not those that they must not have")
	}
}

func (e *examination) clock(ctx context.Context, stripe *reading) {
	if _, err := e.Database.Now(ctx); err != nil { // which also opens the connection, whose time must not count
		e.blind(err)
		return
	}
	before := e.Now()
	shown, err := e.Database.Now(ctx)
	database := reading{before: before, after: e.Now(), shown: shown}
	if err != nil {
		e.blind(err)
		return
	}
	distance, doubt := database.ahead()
	e.compare("the database's clock", "this machine's", distance, doubt, clockAdvice)
	if stripe != nil {
		itsDistance, itsDoubt := stripe.ahead()
		e.compare("the database's clock", "Stripe's", distance-itsDistance, doubt+itsDoubt, clockAdvice)
	}
	state, err := e.Database.Clock(ctx)
	switch {
	case err != nil:
		e.blind(err)
	case state.Steps > 0 && state.LastStep != nil:
		e.warn(clockAdvice, "the database's clock was stepped back %d times within a week, by %s at most, last at %s", state.Steps,
			seconds(state.StepsBack), state.LastStep.UTC().Format(time.RFC3339))
	}
}

func (e *examination) workers(ctx context.Context) {
	workers, err := e.Database.Workers(ctx)
	if err != nil {
		e.blind(err)
		return
	}
	alive, slots := 0, 0
	versions := map[string]int{}
	var silent []string
	for _, worker := range workers {
		if !worker.Alive {
			silent = append(silent, fmt.Sprintf("%s (for %s)", worker.Host, seconds(worker.Silent)))
			continue
		}
		alive, slots = alive+1, slots+worker.Slots
		versions[worker.Version]++
	}
	e.workersSeen(alive, slots, versions, silent)
}

// workersSeen says how the workers stand, whoever has seen them.
func (e *examination) workersSeen(alive, slots int, versions map[string]int, silent []string) {
	const page = "docs/runbook.md#workers-fall-silent"
	if alive == 0 {
		e.fail(advice{do: "start workers; what is due waits for them", page: page}, "no worker is alive")
	} else {
		e.ok("workers alive: %d, with %d slots", alive, slots)
	}
	if len(versions) > 1 {
		e.warn(advice{do: "end the upgrade that is under way", page: "docs/runbook.md#going-back-to-an-older-version"},
			"workers of %d versions are alive: %s", len(versions), listed(versions))
	}
	if len(silent) > 0 {
		e.warn(advice{do: "look at those machines; a worker that is alive takes their tasks over", page: page}, "silent: %s", strings.Join(silent, ", "))
	}
}

func (e *examination) tasks(ctx context.Context) {
	found, err := e.Database.Backlog(ctx, billing.OverdueAfter)
	if err != nil {
		e.blind(err)
		return
	}
	more := ""
	if found.Capped {
		more = " or more"
	}
	if found.Overdue > 0 {
		e.fail(advice{do: "see whether workers are alive and have free slots; billctl tasks list --attention shows them", page: "docs/runbook.md#workers-fall-silent"},
			"%d%s tasks have been due for over %s, the first for %s", found.Overdue, more, billing.OverdueAfter, seconds(found.OldestDue))
	}
	if found.Orphaned > 0 {
		e.warn(advice{do: "look again in a minute: a worker that is alive takes them over", page: "docs/runbook.md#workers-fall-silent"},
			"%d%s tasks run on workers that have lost their lease", found.Orphaned, more)
	}
	if found.Left > 0 {
		e.warn(advice{do: "decide about each: billctl tasks list --status in_doubt, billctl tasks resolve", page: "docs/runbook.md#a-task-is-in-doubt"},
			"%d%s tasks are in doubt and wait for a person", found.Left, more)
	}
	if looked := found.InDoubt - found.Left; looked > 0 {
		e.warn(advice{do: "nothing yet: Stripe is looked at again", page: "docs/runbook.md#a-task-is-in-doubt"}, "%d%s tasks are in doubt and are looked at", looked, more)
	}
	if found.Overdue+found.Orphaned+found.InDoubt == 0 {
		e.ok("no task is overdue, left behind or in doubt")
	}
}

func (e *examination) archive(ctx context.Context) {
	if e.Retention == 0 {
		e.ok("finished tasks stay where they are: TASK_RETENTION is 0")
		return
	}
	oldest, err := e.Database.OldestFinished(ctx)
	switch {
	case err != nil:
		e.blind(err)
	case oldest > e.Retention+2*24*time.Hour:
		e.warn(advice{
			do:   "see the workers' log for `no finished tasks archived`; set TASK_RETENTION here as the workers have it",
			page: "docs/runbook.md#the-archive-does-not-keep-up",
		}, "the oldest finished task is %d days old, and %d are kept", days(oldest), days(e.Retention))
	default:
		e.ok("finished tasks are archived in time: the oldest is %d days old, %d are kept", days(oldest), days(e.Retention))
	}
}

func days(d time.Duration) int { return int(d / (24 * time.Hour)) }

func seconds(n float64) time.Duration {
	return time.Duration(n * float64(time.Second)).Round(time.Second)
}

// denied reports whether the user may not see what was asked for.
func denied(err error) bool { return errors.Is(err, billing.ErrDenied) }
