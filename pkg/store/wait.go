package store

import (
	"context"
	"fmt"

	"github.com/jmoiron/sqlx"
)

// object names what at most one task at a time acts on.
type object struct {
	MerchantID string `db:"merchant_id"`
	Target     string `db:"target"`
}

// firstWaiting finds, for a row s, the task that waits for its object and is to go first. Another transaction that holds it is
// about to judge or change it anyway.
const firstWaiting = `
	SELECT w.id FROM scheduled_tasks AS w
	WHERE w.target = s.target AND w.merchant_id = s.merchant_id AND w.waiting_since IS NOT NULL
	ORDER BY w.scheduled_for, w.id
	LIMIT 1
	FOR UPDATE SKIP LOCKED`

// freeWaiting brings back the task that waits first for an object, and returns how many that was.
func freeWaiting(ctx context.Context, tx *transaction, taken object) (int, error) {
	if taken.Target == "" {
		return 0, nil
	}
	freed, err := tx.ExecContext(ctx, `
		UPDATE scheduled_tasks AS t SET run_at = now(), updated_at = now()
		FROM (SELECT $1::text AS target, $2::uuid AS merchant_id) AS s CROSS JOIN LATERAL (`+firstWaiting+`) AS waiting
		WHERE t.id = waiting.id AND (t.waiting_since IS NOT NULL) IS TRUE`, taken.Target, taken.MerchantID)
	if err != nil {
		return 0, fmt.Errorf("free what waits for the object: %w", err)
	}
	n, err := freed.RowsAffected()
	return int(n), err
}

// FreeWaiting brings back the tasks that wait first for an object that is free, and returns how many. Whatever frees an object
// frees the next task too, unless the two statements cross, or the task that was let go first is called off or given back;
// workers repeat it for that.
func (s *Store) FreeWaiting(ctx context.Context) (int, error) {
	var freed int64
	err := s.db.onConn(ctx, "free waiting tasks", func(conn *sqlx.Conn) error {
		result, err := conn.ExecContext(ctx, `
			WITH first AS MATERIALIZED (
				SELECT DISTINCT ON (w.target, w.merchant_id) w.id, w.target, w.merchant_id
				FROM scheduled_tasks AS w
				WHERE w.waiting_since IS NOT NULL
				ORDER BY w.target, w.merchant_id, w.scheduled_for, w.id
			), back AS MATERIALIZED (
				SELECT t.id
				FROM first JOIN scheduled_tasks AS t ON t.id = first.id
				WHERE t.waiting_since IS NOT NULL AND t.held_at IS NULL AND t.run_at > now() AND NOT EXISTS (
					SELECT 1 FROM scheduled_tasks AS o
					WHERE o.target = first.target AND o.merchant_id = first.merchant_id
						AND o.target <> '' AND o.first_sent_at IS NOT NULL AND o.finished_at IS NULL)
				FOR UPDATE OF t SKIP LOCKED
			)
			UPDATE scheduled_tasks AS t SET run_at = now(), updated_at = now()
			FROM back
			WHERE t.id = back.id AND (t.waiting_since IS NOT NULL) IS TRUE`)
		if err != nil {
			return err
		}
		freed, err = result.RowsAffected()
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("free waiting tasks: %w", err)
	}
	if freed > 0 {
		s.Wake()
	}
	return int(freed), nil
}
