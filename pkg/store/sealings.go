package store

import (
	"context"
	"errors"

	"github.com/jmoiron/sqlx"
)

// sealingsAhead is how many sealings a process counts at once. A process that ends has counted up to so many too many, never one too
// few.
const sealingsAhead = 256

// sealings are those that have been counted in the database and not been used yet.
type sealings struct {
	turn chan struct{} // held by whoever counts
	left int64
}

// countSealings counts n sealings with the present key before they are made.
func (s *Store) countSealings(ctx context.Context, n int64) error {
	select {
	case s.sealed.turn <- struct{}{}:
		defer func() { <-s.sealed.turn }()
	case <-ctx.Done():
		return translate("count sealings", ctx.Err())
	}
	if s.sealed.left >= n {
		s.sealed.left -= n
		return nil
	}
	taken := max(n, sealingsAhead)
	id, checkValue := s.cipher.SealingKey()
	var total []int64
	err := s.db.onConn(ctx, "count sealings", func(conn *sqlx.Conn) error {
		return conn.SelectContext(ctx, &total, `
			INSERT INTO encryption_keys (key_id, check_value, active, sealings) VALUES ($1, $2, false, $3)
			ON CONFLICT (key_id) DO UPDATE SET sealings = encryption_keys.sealings + excluded.sealings
			WHERE encryption_keys.check_value = excluded.check_value
			RETURNING sealings`, id, checkValue, taken)
	})
	if err != nil {
		return err
	}
	if len(total) != 1 {
		return translate("count sealings", errors.New("the database knows another key by the id "+id))
	}
	s.sealed.left += taken - n
	if s.alarm != nil {
		s.alarm.SealingsCounted(ctx, id, total[0])
	}
	return nil
}
