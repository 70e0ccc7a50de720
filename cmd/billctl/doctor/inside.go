package doctor

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"billonce/pkg/billing"
	"billonce/pkg/store"
)

const (
	keysPage     = "docs/runbook.md#rotate-the-encryption-key"
	unsealedPage = "docs/runbook.md#a-stored-token-does-not-open"
)

// keys looks at what the stored tokens were sealed with.
func (e *examination) keys(ctx context.Context) {
	uses, err := e.Database.KeyUses(ctx)
	switch {
	case denied(err):
		e.warn(advice{do: "use the DATABASE_URL of billonce_rotate, or look through the API with a key that has the scope admin"},
			"could not be looked at: this user may not see tokens, not even sealed ones")
		return
	case err != nil:
		e.blind(err)
		return
	}
	bad := false
	tell := func(level Level, what advice, format string, args ...any) {
		bad = true
		e.found(level, what, format, args)
	}
	tokens := 0
	active := ""
	for _, use := range uses {
		tokens += use.Tokens
		if use.Active {
			active = use.ID
		}
		e.keyUse(use, tell)
	}
	e.givenKeys(active, uses, tell)
	switch n, err := e.Database.UnsealedTokens(ctx); {
	case err != nil:
		bad = true
		e.blind(err)
	case n > 0:
		tell(Fail, advice{do: "find out who wrote them, replace them at Stripe, store new ones over the API", page: unsealedPage},
			"%d stored tokens are not sealed: somebody wrote them by hand", n)
	}
	if !bad {
		e.ok("%d stored tokens, all sealed with the present key and bound to their places", tokens)
	}
}

// keyUse says what is wrong with one key's use.
func (e *examination) keyUse(use store.KeyUse, tell func(Level, advice, string, ...any)) {
	rotate := advice{do: "run billctl keys rotate", page: keysPage}
	switch {
	case use.ID == "" && use.Tokens > 0:
		tell(Warn, rotate, "%d tokens name no key: older releases sealed them", use.Tokens)
	case use.Retired && use.Tokens > 0:
		tell(Fail, rotate, "%d tokens are sealed with key %s, which is retired", use.Tokens, use.ID)
	case !use.Active && use.Tokens > 0:
		tell(Warn, rotate, "%d tokens are still sealed with key %s: its rotation has not ended", use.Tokens, use.ID)
	case use.Active && use.Sealings >= billing.SealingsMany:
		tell(Warn, advice{do: "rotate it", page: keysPage}, "key %s has sealed %d times, and may do so %d times", use.ID, use.Sealings, billing.SealingsMost)
	}
	if use.ID != "" && use.Unbound > 0 {
		tell(Warn, rotate, "%d tokens of key %s are bound to no place", use.Unbound, use.ID)
	}
}

// givenKeys compares the keys that the services are given with those that they need.
func (e *examination) givenKeys(active string, uses []store.KeyUse, tell func(Level, advice, string, ...any)) {
	if len(e.Keys) == 0 {
		return
	}
	give := advice{do: "give the services that key, in ENCRYPTION_KEY or ENCRYPTION_KEYS_PREVIOUS", page: "docs/runbook.md#a-service-exits-with-78"}
	for _, use := range uses {
		switch held := slices.Contains(e.Keys, use.ID); {
		case use.ID == "":
		case use.Active && !held:
			tell(Fail, give, "the database is sealed with key %s, and given are %s", use.ID, strings.Join(e.Keys, ", "))
		case !held && use.Tokens > 0:
			tell(Fail, give, "%d tokens are sealed with key %s, which is not given", use.Tokens, use.ID)
		case use.Retired && use.ID == e.Keys[0]:
			tell(Fail, advice{do: "make " + active + " ENCRYPTION_KEY", page: "docs/runbook.md#a-service-exits-with-78"},
				"ENCRYPTION_KEY is %s, which is retired: no service starts with it", use.ID)
		}
	}
}

// What a table may look like before somebody should know.
const (
	deadRows   = 200_000
	bloatBytes = 512 << 20
	bloatTimes = 5.0 // what a table takes of what its rows need; fillfactor 70 alone makes 1.4
)

func (e *examination) tables(ctx context.Context) {
	tables, err := e.Database.Tables(ctx)
	if err != nil {
		e.blind(err)
		return
	}
	what := advice{do: "see that autovacuum runs and nothing holds it up (transactions, above or below); then VACUUM the table, or pg_repack it", page: "docs/billctl.md#tables"}
	right := true
	var largest store.Table
	for _, table := range tables {
		if table.Bytes > largest.Bytes {
			largest = table
		}
		if table.Dead > deadRows && table.Dead > table.Live/2 {
			right = false
			e.warn(what, "%s has %d dead rows beside %d live ones, and was vacuumed %s", table.Name, table.Dead, table.Live, ago(table.Vacuumed))
		}
		if table.Need > 0 && table.Bytes > bloatBytes && float64(table.Bytes) > bloatTimes*table.Need {
			right = false
			e.warn(what, "%s takes %d MiB, and its rows need about %.0f", table.Name, table.Bytes>>20, table.Need/(1<<20))
		}
	}
	if right {
		e.ok("no table is bloated; the largest is %s with %d MiB", largest.Name, largest.Bytes>>20)
	}
}

func ago(n float64) string {
	if n < 0 {
		return "never"
	}
	return seconds(n).String() + " ago"
}

// How long a transaction may be open, and how old a row may be, before somebody should know.
const (
	longTransaction = 5 * time.Minute
	tooLong         = time.Hour
	oldRows         = 1_000_000_000
	tooOldRows      = 1_500_000_000
)

func (e *examination) transactions(ctx context.Context, xidAge int64) {
	what := advice{do: "end it where it was begun, or with pg_terminate_backend; a prepared one with ROLLBACK PREPARED", page: "docs/billctl.md#transactions"}
	found, hidden, err := e.Database.LongTransactions(ctx, longTransaction)
	if err != nil {
		e.blind(err)
		return
	}
	for _, one := range found {
		level := Warn
		if seconds(one.Age) > tooLong {
			level = Fail
		}
		who := fmt.Sprintf("process %d of %s (%s, %s)", one.PID, one.User, one.Application, one.State)
		if one.PID == 0 {
			who = "a prepared transaction of " + one.User
		}
		e.found(level, what, "%s has been open for %s: what is deleted meanwhile cannot be taken away", []any{who, seconds(one.Age)})
	}
	freeze := advice{do: "let autovacuum run, or VACUUM the oldest tables: at two thousand million the server stops writing", page: "docs/billctl.md#transactions"}
	switch {
	case xidAge > tooOldRows:
		e.fail(freeze, "the oldest row is %d million transactions old", xidAge/1e6)
	case xidAge > oldRows:
		e.warn(freeze, "the oldest row is %d million transactions old", xidAge/1e6)
	}
	switch {
	case hidden > 0:
		e.warn(advice{do: "GRANT pg_read_all_stats to the user of this DATABASE_URL"}, "what %d sessions of other users do could not be looked at", hidden)
	case len(found) == 0:
		e.ok("no transaction has been open for over %s", longTransaction)
	}
}

// listed shows what there is how often, in one order.
func listed(counts map[string]int) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf("%s (%d)", name, counts[name]))
	}
	return strings.Join(parts, ", ")
}
