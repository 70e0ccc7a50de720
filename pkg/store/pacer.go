package store

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"billonce/pkg/billing"
)

// The ways of claiming.
const (
	claimDue        = iota // due tasks, without merchant limits
	claimWithLimits        // due tasks; what is beyond the limits of its merchant is parked
	claimPassingBy         // the same, passing over merchants that have a lane
	claimFromLanes         // parked tasks, as the limits allow
	claimWays
)

const (
	// parkingBatch is how many tasks a claim looks at while a backlog is being parked: lanes wait for it to end, and a lane that is
	// late by more than the tolerance has lost that time.
	parkingBatch = 60
	// parkingTurns is how many claims in a row may spend themselves on parking before one passes by the merchants whose tasks are
	// parked, which costs some ten milliseconds where the backlog is long.
	parkingTurns = 12
)

// pacer chooses the way of each claim. It only decides about the order of work: that limits hold is the statements' doing.
type pacer struct {
	limits billing.Limits // set before the first claim

	mu      sync.Mutex
	laneAt  time.Time // when a lane may go on, as far as is known; zero: no lane is known
	parking int       // claims in a row that mostly parked
	lanes   bool      // the last claim was from the lanes
	backlog bool      // the last claim from the queue mostly parked
}

// choose lets lanes go on as soon as they may, in turn with the queue. It says how to claim, and how much at most.
func (p *pacer) choose(limit int) (way, most int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.limits.None():
		return claimDue, limit
	case !p.lanes && !p.laneAt.IsZero() && !time.Now().Before(p.laneAt): //nolint:forbidigo // the pace of claims
		return claimFromLanes, limit
	case p.parking >= parkingTurns:
		return claimPassingBy, limit
	case p.backlog:
		return claimWithLimits, min(limit, parkingBatch)
	}
	return claimWithLimits, limit
}

// learn takes from the first row of a claim what the next one should know, and fills in what the batch says besides its claims.
func (p *pacer) learn(way int, head claimRow, limit int, batch *billing.Batch) {
	p.mu.Lock()
	defer p.mu.Unlock()
	batch.At, batch.Seen, batch.Parked = head.claimedAt.Time.UTC(), head.attempt, head.released
	batch.More = head.attempt >= limit
	if head.lag.Valid {
		batch.NextDue, batch.Foreseen = seconds(head.lag.Float64), true
	}
	if p.limits.None() {
		return
	}
	p.laneAt = time.Time{}
	if head.sinceSent.Valid {
		lane := max(seconds(head.sinceSent.Float64), 0)
		p.laneAt = time.Now().Add(lane) //nolint:forbidigo // the pace of claims
		if !batch.Foreseen || lane < batch.NextDue {
			batch.NextDue, batch.Foreseen = lane, !batch.More
		}
	}
	switch {
	case way == claimFromLanes:
		batch.More = true // the queue has its turn
	case way == claimWithLimits && batch.Parked > batch.Seen/2 && batch.More:
		p.parking++
	case way == claimPassingBy && batch.More:
		// small merchants have a backlog themselves: go on in turn
		p.parking = 0
	default:
		p.parking = 0
	}
	if way == claimPassingBy {
		batch.More = true // what was passed over may be due
	}
	p.lanes = way == claimFromLanes
	if way == claimWithLimits {
		p.backlog = p.parking > 0
	}
}

// Limit sets how fast each merchant's tasks may go, by the whole fleet. It is called before the first claim, and all workers
// must agree.
func (s *Store) Limit(limits billing.Limits) {
	s.pacer.limits = limits
	s.ends = s.db.prepare(finishLimited, 1)
	if limits.None() {
		s.ends = s.db.prepare(finishQuery, 1)
	}
}

// landing is the part of a statement that takes tasks out of the hands of a worker: their merchants have fewer calls in flight, and a
// lane that waited for that may go on. Stripe's 429s make the merchant slower, once a second at most. It reads the part tally:
// merchant_id, landing and refused, which count tasks and 429s. Paces are locked in the order of merchants, after the tasks.
const landing = `, paces AS MATERIALIZED (
	SELECT p.merchant_id
	FROM merchant_pace AS p
	WHERE p.merchant_id IN (SELECT merchant_id FROM tally)
	ORDER BY p.merchant_id
	FOR UPDATE
), landed AS (
	UPDATE merchant_pace AS p
	SET in_flight = greatest(p.in_flight - l.landing, 0),
		slowdown = CASE WHEN l.refused > 0 AND p.slowed_at < now() - interval '1 second' THEN least(64, 2 + 2 * (p.slowdown - 1)
			* CASE WHEN p.slowed_at = '-infinity' THEN 0 ELSE exp(least(date_part('epoch', p.slowed_at - now()), 0) / 60) END) ELSE p.slowdown END,
		slowed_at = CASE WHEN l.refused > 0 AND p.slowed_at < now() - interval '1 second' THEN now() ELSE p.slowed_at END,
		ready_at = CASE WHEN p.parked_at IS NOT NULL THEN least(p.ready_at, greatest(p.next_at - ` + lead + `, now())) END
	FROM tally AS l
	WHERE p.merchant_id = l.merchant_id AND p.merchant_id IN (SELECT merchant_id FROM paces) AND (p.in_flight > 0 OR l.refused > 0)
	RETURNING p.parked_at IS NOT NULL AS lane
)`

// MendPaces counts anew how many calls of each merchant are in flight, and brings back what is parked though there are no limits any
// more. Statements keep the count right by themselves; workers that were started with other limits do not. It returns how many
// tasks it brought back.
func (s *Store) MendPaces(ctx context.Context) (int, error) {
	if s.pacer.limits.None() {
		return s.freeParked(ctx)
	}
	err := s.db.inTx(ctx, "mend the paces of merchants", func(tx *transaction) error {
		busy := []string{}
		if err := tx.SelectContext(ctx, &busy, `
			SELECT merchant_id FROM merchant_pace WHERE in_flight > 0 ORDER BY merchant_id FOR UPDATE SKIP LOCKED`); err != nil {
			return fmt.Errorf("lock the paces: %w", err)
		}
		// While the paces are locked, no claim and no settlement of these merchants commits.
		_, err := tx.ExecContext(ctx, `
			WITH running AS MATERIALIZED (
				SELECT merchant_id, count(*) AS n FROM scheduled_tasks WHERE status = 'running' GROUP BY merchant_id
			)
			UPDATE merchant_pace AS p
			SET in_flight = coalesce((SELECT n FROM running WHERE running.merchant_id = p.merchant_id), 0)
			WHERE p.merchant_id = ANY($1::uuid[])
				AND p.in_flight <> coalesce((SELECT n FROM running WHERE running.merchant_id = p.merchant_id), 0)`, pq.Array(busy))
		return err
	})
	return 0, err
}

// MendLanes lets lanes go on that wait for a time further ahead than any limit puts it: the clock was set back meanwhile.
func (s *Store) MendLanes(ctx context.Context) error {
	const slowest = 64 // times the time between two calls; see slowdown
	patience := time.Minute.Seconds()
	if s.pacer.limits.Rate > 0 {
		patience += 2 * slowest / s.pacer.limits.Rate
	}
	return s.db.onConn(ctx, "mend lanes", func(conn *sqlx.Conn) error {
		_, err := conn.ExecContext(ctx, `
			WITH stuck AS MATERIALIZED (
				SELECT merchant_id
				FROM merchant_pace
				WHERE parked_at IS NOT NULL AND ready_at > now() + make_interval(secs => $1)
				ORDER BY merchant_id
				FOR UPDATE SKIP LOCKED
			)
			UPDATE merchant_pace AS p
			SET next_at = least(p.next_at, now()), ready_at = now(), parked_at = least(p.parked_at, now()), slowed_at = least(p.slowed_at, now())
			FROM stuck
			WHERE p.merchant_id = stuck.merchant_id AND p.parked_at IS NOT NULL`, patience)
		return err
	})
}

func (s *Store) freeParked(ctx context.Context) (int, error) {
	var freed int
	err := s.db.onConn(ctx, "free parked tasks", func(conn *sqlx.Conn) error {
		return conn.GetContext(ctx, &freed, `
			WITH parked AS MATERIALIZED (
				SELECT id FROM scheduled_tasks WHERE parked_at IS NOT NULL LIMIT 1000 FOR UPDATE SKIP LOCKED
			), freed AS (
				UPDATE scheduled_tasks AS t SET parked_at = NULL, run_at = now(), updated_at = now()
				FROM parked
				WHERE t.id = parked.id AND (t.status = 'pending') IS TRUE
				RETURNING t.id
			), emptied AS (
				UPDATE merchant_pace SET parked_at = NULL, ready_at = NULL, in_flight = 0 WHERE parked_at IS NOT NULL
			)
			SELECT count(*) FROM freed`)
	})
	return freed, err
}
