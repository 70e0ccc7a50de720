package store

import (
	"context"
	"time"

	"billonce/pkg/billing"
)

// Overview says whether money moves: everywhere, or for one merchant, whose tasks are looked at as [Store.CountTasks] does. Every part
// of it reads a bounded piece of an index.
func (s *Store) Overview(ctx context.Context, merchant billing.MerchantID) (billing.Overview, error) {
	tasks, err := s.CountTasks(ctx, billing.TaskFilter{MerchantID: merchant})
	if err != nil {
		return billing.Overview{}, err
	}
	row := struct {
		Now        time.Time  `db:"now"`
		Due        int        `db:"due"`
		DueSeen    int        `db:"due_seen"`
		OldestDue  *time.Time `db:"oldest_due"`
		Late       int        `db:"late"`
		LateSeen   int        `db:"late_seen"`
		PausedSeen int        `db:"paused"`
	}{}
	query, args := standingQuery(merchant)
	if err := s.db.sqlx.GetContext(ctx, &row, query, args...); err != nil {
		return billing.Overview{}, translate("see how the queue stands", err)
	}
	most := mostCounted
	if merchant != "" {
		most = mostLooked
	}
	overview := billing.Overview{
		Now: row.Now.UTC(), Tasks: tasks, OldestDue: utc(row.OldestDue),
		Due: counted(row.Due, row.DueSeen > most), Overdue: counted(row.Late, row.LateSeen > mostLooked), Paused: counted(row.PausedSeen, false),
	}
	if merchant != "" {
		return overview, nil
	}
	if overview.Outcomes, err = s.outcomes(ctx); err != nil {
		return billing.Overview{}, err
	}
	if overview.Workers, overview.Keys, err = s.workerTotals(ctx); err != nil {
		return billing.Overview{}, err
	}
	for _, count := range tasks {
		if count.Status == billing.Running {
			overview.Workers.Busy = count.N
		}
	}
	return overview, nil
}

// counted is a count that was cut off where it is higher than anybody counts.
func counted(n int, capped bool) billing.Count {
	return billing.Count{N: min(n, mostCounted), Capped: capped || n > mostCounted}
}

// standingQuery looks at what is due, what has been due for too long, and the merchants that are paused.
func standingQuery(merchant billing.MerchantID) (query string, args []any) {
	c := conditions{}
	mine, own, most := "true", "", mostCounted
	if merchant != "" {
		placeholder := c.arg(merchant)
		mine, own, most = "merchant_id = "+placeholder, " AND id = "+placeholder, mostLooked
	}
	query = `
		SELECT now() AS now, due.n AS due, due.seen AS due_seen, due.oldest AS oldest_due, late.n AS late, late.seen AS late_seen, paused.n AS paused
		FROM (
			SELECT count(*) AS seen, count(*) FILTER (WHERE fits) AS n, min(run_at) FILTER (WHERE fits) AS oldest FROM (
				SELECT run_at, ` + mine + ` AS fits FROM scheduled_tasks WHERE status = 'pending' AND run_at <= now()
				ORDER BY run_at LIMIT ` + c.arg(most+1) + `
			) AS looked
		) AS due, (
			SELECT count(*) AS seen, count(*) FILTER (WHERE fits) AS n FROM (
				SELECT ` + mine + ` AND ` + unheld + ` AS fits
				FROM scheduled_tasks WHERE status = 'pending' AND run_at < ` + overdueSince + `
				ORDER BY run_at LIMIT ` + c.arg(mostLooked+1) + `
			) AS looked
		) AS late, (
			SELECT count(*) AS n FROM (
				SELECT FROM merchants WHERE paused_at IS NOT NULL AND disconnected_at IS NULL` + own + ` LIMIT ` + c.arg(mostCounted+1) + `
			) AS looked
		) AS paused`
	return query, c.args
}

// outcomesQuery sums up the minutes of each step, the present one last. Parameters: the step and the span before the last step, in seconds.
const outcomesQuery = `
	SELECT step.at, coalesce(sum(m.succeeded), 0) AS succeeded, coalesce(sum(m.failed), 0) AS failed,
		coalesce(sum(m.in_doubt), 0) AS in_doubt, coalesce(sum(m.retried), 0) AS retried
	FROM generate_series(
			date_bin(make_interval(secs => $1), now(), '2000-01-01 00:00:00+00') - make_interval(secs => $2),
			date_bin(make_interval(secs => $1), now(), '2000-01-01 00:00:00+00'), make_interval(secs => $1)) AS step (at)
		LEFT JOIN outcome_minutes AS m ON m.minute >= step.at AND m.minute < step.at + make_interval(secs => $1)
	GROUP BY step.at
	ORDER BY step.at`

func (s *Store) outcomes(ctx context.Context) ([]billing.OutcomesAt, error) {
	rows := []struct {
		At        time.Time `db:"at"`
		Succeeded int       `db:"succeeded"`
		Failed    int       `db:"failed"`
		InDoubt   int       `db:"in_doubt"`
		Retried   int       `db:"retried"`
	}{}
	before := billing.OutcomeSpan - billing.OutcomeStep
	if err := s.db.sqlx.SelectContext(ctx, &rows, outcomesQuery, billing.OutcomeStep.Seconds(), before.Seconds()); err != nil {
		return nil, translate("read outcomes", err)
	}
	steps := make([]billing.OutcomesAt, len(rows))
	for i, row := range rows {
		steps[i] = billing.OutcomesAt{At: row.At.UTC(), OutcomeCounts: billing.OutcomeCounts{
			Succeeded: row.Succeeded, Failed: row.Failed, InDoubt: row.InDoubt, Retried: row.Retried,
		}}
	}
	return steps, nil
}

func (s *Store) workerTotals(ctx context.Context) (*billing.WorkerTotals, *billing.KeyState, error) {
	row := struct {
		Alive    int    `db:"alive"`
		Silent   int    `db:"silent"`
		Slots    int    `db:"slots"`
		WriteKey string `db:"write_key"`
		Rotating bool   `db:"rotating"`
	}{}
	err := s.db.sqlx.GetContext(ctx, &row, `
		SELECT count(*) FILTER (WHERE w.alive) AS alive, count(*) FILTER (WHERE NOT w.alive) AS silent,
			coalesce(sum(w.concurrency) FILTER (WHERE w.alive), 0) AS slots,
			coalesce((SELECT key_id FROM encryption_keys WHERE active LIMIT 1), '') AS write_key,
			EXISTS (SELECT FROM encryption_keys WHERE NOT active AND retired_at IS NULL) AS rotating
		FROM (SELECT concurrency, `+isAlive+` AS alive FROM workers) AS w`)
	if err != nil {
		return nil, nil, translate("sum up the workers", err)
	}
	return &billing.WorkerTotals{Alive: row.Alive, Silent: row.Silent, Slots: row.Slots},
		&billing.KeyState{WriteKey: row.WriteKey, Rotating: row.Rotating && row.WriteKey != ""}, nil
}

// EncryptionKeys returns every key that is recorded or that a token names, the oldest first. It reads the tokens' columns of all
// merchants, and opens nothing.
func (s *Store) EncryptionKeys(ctx context.Context) ([]billing.EncryptionKey, error) {
	uses, err := s.db.KeyUses(ctx)
	if err != nil {
		return nil, err
	}
	keys := make([]billing.EncryptionKey, len(uses))
	for i, use := range uses {
		keys[i] = billing.EncryptionKey{
			ID: use.ID, Active: use.Active, Known: use.Known, Tokens: use.Tokens, Unbound: use.Unbound, Sealings: use.Sealings,
			CreatedAt: use.CreatedAt.UTC(), RetiredAt: utc(use.RetiredAt),
		}
	}
	return keys, nil
}
