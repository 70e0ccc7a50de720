package store

import (
	"context"
	"database/sql"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"billonce/pkg/billing"
)

// entry is one line of the audit log that is to be written. detail holds no secret: names of fields, never their content.
type entry struct {
	action   billing.Action
	object   string
	merchant billing.MerchantID // "": none is concerned
	detail   map[string]any
}

// note records a change within the transaction that makes it. Where no actor is known nobody asked for the change, but a worker
// made it by itself, and nothing is recorded.
func note(ctx context.Context, tx *transaction, of entry) error {
	actor, asked := billing.ActorOf(ctx)
	if !asked {
		return nil
	}
	id, err := uuid.NewV7()
	if err != nil {
		return fmt.Errorf("make the id of an audit entry: %w", err)
	}
	if actor.Reason != "" {
		said := map[string]any{"reason": actor.Reason}
		maps.Copy(said, of.detail)
		of.detail = said
	}
	detail := []byte(`{}`)
	if len(of.detail) > 0 {
		if detail, err = json.Marshal(of.detail); err != nil {
			return fmt.Errorf("encode an audit entry: %w", err)
		}
	}
	_, err = tx.ExecContext(ctx, `
		INSERT INTO audit_log (id, actor, actor_name, action, object, merchant_id, address, request_id, detail)
		VALUES ($1, $2, $3, $4, $5, nullif($6, '')::uuid, $7, $8, $9::jsonb)`,
		id.String(), actor.ID, actor.Name, string(of.action), of.object, string(of.merchant), actor.Address, actor.RequestID, string(detail))
	if err == nil {
		tx.noted = append(tx.noted, of.action)
	}
	return err
}

// NoteSchema records that migrations were applied or rolled back, after the fact: goose commits each by itself. A schema without
// the log is left without an entry.
func (db *DB) NoteSchema(ctx context.Context, action billing.Action, versions []int64) error {
	version, err := db.SchemaVersion(ctx)
	if err != nil {
		return err
	}
	err = db.inTx(ctx, "record the migration", func(tx *transaction) error {
		return note(ctx, tx, entry{action: action, object: fmt.Sprint(version), detail: map[string]any{"versions": versions}})
	})
	if hasState(err, stateUndefinedTable) {
		return nil
	}
	return err
}

// NoteRotation records that all tokens are about to be sealed with a key. It comes first: a rotation that is stopped has changed tokens
// as well. bindUnbound says that it also binds what has lost its binding.
func (db *DB) NoteRotation(ctx context.Context, keyID string, bindUnbound bool) error {
	of := entry{action: billing.ActionEncryptionKeyRotate, object: keyID}
	if bindUnbound {
		of.detail = map[string]any{"bind_unbound": true}
	}
	return db.inTx(ctx, "record the rotation", func(tx *transaction) error {
		return note(ctx, tx, of)
	})
}

type auditRow struct {
	ID         string         `db:"id"`
	At         time.Time      `db:"at"`
	Actor      string         `db:"actor"`
	ActorName  string         `db:"actor_name"`
	Action     string         `db:"action"`
	Object     string         `db:"object"`
	MerchantID sql.NullString `db:"merchant_id"`
	Address    string         `db:"address"`
	RequestID  string         `db:"request_id"`
	Detail     string         `db:"detail"`
}

func (row auditRow) entry() billing.AuditEntry {
	return billing.AuditEntry{
		ID: row.ID, At: row.At.UTC(), Action: billing.Action(row.Action), Object: row.Object,
		MerchantID: billing.MerchantID(row.MerchantID.String), Detail: json.RawMessage(row.Detail),
		Actor: billing.Actor{ID: row.Actor, Name: row.ActorName, Address: row.Address, RequestID: row.RequestID},
	}
}

// ListAudit returns up to limit entries, newest first, beginning after the given one. Creations of tasks are read from the tasks, where
// the filter names one task or asks for creations; their order is that of the tasks' ids.
func (s *Store) ListAudit(ctx context.Context, filter billing.AuditFilter, limit int, after billing.AuditMark) ([]billing.AuditEntry, error) {
	if filter.Action == billing.ActionTaskCreate {
		return s.listCreations(ctx, filter, limit, after)
	}
	where := conditions{}
	if filter.Object != "" {
		where.add("object = $%d", filter.Object)
	}
	if filter.Actor != "" {
		where.add("actor = $%d", filter.Actor)
	}
	if filter.Action != "" {
		where.add("action = $%d", filter.Action)
	}
	if !filter.From.IsZero() {
		where.add("at >= $%d", filter.From)
	}
	if !filter.To.IsZero() {
		where.add("at < $%d", filter.To)
	}
	if after.ID != "" {
		where.terms = append(where.terms, fmt.Sprintf("(at, id) < (%s::timestamptz, %s::uuid)", where.arg(after.At), where.arg(after.ID)))
	}
	rows := []auditRow{}
	query := `SELECT id, at, actor, actor_name, action, object, merchant_id, address, request_id, detail FROM audit_log` + where.sql() +
		` ORDER BY at DESC, id DESC LIMIT ` + where.arg(limit)
	if err := s.db.sqlx.SelectContext(ctx, &rows, query, where.args...); err != nil {
		return nil, translate("list audit log", err)
	}
	entries := make([]billing.AuditEntry, 0, len(rows)+1)
	for _, row := range rows {
		entries = append(entries, row.entry())
	}
	if _, err := billing.ParseTaskID(filter.Object); err == nil && filter.Action == "" {
		return s.withCreation(ctx, entries, filter, limit, after)
	}
	return entries, nil
}

// withCreation puts the creation of the task that the filter names, if it is one, to its place among the task's other entries.
func (s *Store) withCreation(ctx context.Context, entries []billing.AuditEntry, filter billing.AuditFilter, limit int, after billing.AuditMark) ([]billing.AuditEntry, error) {
	created, err := s.listCreations(ctx, filter, 1, billing.AuditMark{})
	if err != nil {
		return nil, err
	}
	for _, one := range created {
		mark := billing.AuditEntry{ID: after.ID, At: after.At}
		if after.ID == "" || newestFirst(mark, one) < 0 {
			entries = append(entries, one)
		}
	}
	slices.SortStableFunc(entries, newestFirst)
	return entries[:min(len(entries), limit)], nil
}

func newestFirst(a, b billing.AuditEntry) int {
	if order := b.At.Compare(a.At); order != 0 {
		return order
	}
	switch {
	case a.ID > b.ID:
		return -1
	case a.ID < b.ID:
		return 1
	}
	return 0
}

// clocksApart is how far the clock that made a task's id may be from the database's. Only between such bounds are tasks looked at.
const clocksApart = 24 * time.Hour

// firstID is the least UUIDv7 of a moment.
func firstID(at time.Time) string {
	var id uuid.UUID
	binary.BigEndian.PutUint64(id[:], uint64(min(max(at.UnixMilli(), 0), 1<<48-1))<<16)
	return id.String()
}

// creationsQuery asks for the tasks that the filter names and somebody scheduled, newest first. Ids begin with the time, so that a
// span of time is a span of both tables' keys.
func creationsQuery(filter billing.AuditFilter, limit int, after billing.AuditMark) (query string, args []any) {
	where := conditions{terms: []string{"created_by IS NOT NULL"}}
	if filter.Object != "" {
		where.add("id = $%d", filter.Object)
	}
	if filter.Actor != "" {
		where.add("split_part(created_by, ' ', 1) = $%d", filter.Actor)
	}
	if !filter.From.IsZero() {
		where.add("created_at >= $%d", filter.From)
		where.add("id >= $%d", firstID(filter.From.Add(-clocksApart)))
	}
	if !filter.To.IsZero() {
		where.add("created_at < $%d", filter.To)
		where.add("id < $%d", firstID(filter.To.Add(clocksApart)))
	}
	if after.ID != "" {
		where.add("id < $%d", after.ID)
	}
	most := where.arg(limit)
	page := where.sql() + ` ORDER BY id DESC LIMIT ` + most + `)`
	return `
		SELECT c.id, c.merchant_id, c.created_at, c.created_by, coalesce(k.name, '') AS name
		FROM ((SELECT id, merchant_id, created_at, created_by FROM scheduled_tasks` + page + `
			UNION ALL
			(SELECT id, merchant_id, created_at, created_by
			FROM (SELECT id, merchant_id, created_at, document->'task'->>'created_by' AS created_by FROM archived_tasks) AS a` + page + `) AS c
		LEFT JOIN api_keys AS k ON k.id::text = split_part(c.created_by, ' ', 1)
		ORDER BY c.id DESC LIMIT ` + most, where.args
}

// listCreations reads from the tasks who scheduled them.
func (s *Store) listCreations(ctx context.Context, filter billing.AuditFilter, limit int, after billing.AuditMark) ([]billing.AuditEntry, error) {
	if filter.Object != "" {
		id, err := billing.ParseTaskID(filter.Object)
		if err != nil {
			return nil, nil //nolint:nilerr // no task has been created under such an id
		}
		filter.Object = string(id)
	}
	rows := []struct {
		ID         string    `db:"id"`
		MerchantID string    `db:"merchant_id"`
		CreatedAt  time.Time `db:"created_at"`
		CreatedBy  string    `db:"created_by"`
		Name       string    `db:"name"`
	}{}
	query, args := creationsQuery(filter, limit, after)
	if err := s.db.sqlx.SelectContext(ctx, &rows, query, args...); err != nil {
		return nil, translate("list creations of tasks", err)
	}
	entries := make([]billing.AuditEntry, len(rows))
	for i, row := range rows {
		actor := billing.ParseActor(row.CreatedBy)
		actor.Name = row.Name
		entries[i] = billing.AuditEntry{
			ID: row.ID, At: row.CreatedAt.UTC(), Actor: actor, Action: billing.ActionTaskCreate, Object: row.ID,
			MerchantID: billing.MerchantID(row.MerchantID), Detail: json.RawMessage(`{}`),
		}
	}
	return entries, nil
}
