// Package schema brings a database's schema to the version that this build needs, and back.
//
// It promises that any number of processes may call Up at once: each migration is applied by one of them, and all return
// when none is left, and that what was applied or rolled back is in the audit log afterwards, where the schema has one. It never
// changes other rows otherwise than the migrations in db/migrations do.
package schema

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pressly/goose/v3"

	"billonce/cmd/billctl/operator"
	"billonce/db/migrations"
	"billonce/pkg/billing"
	"billonce/pkg/secret"
	"billonce/pkg/store"
)

// Required is the version that this build's services need.
const Required = int64(migrations.Required)

const waitPoll = 200 * time.Millisecond

// Step is one migration that was applied or rolled back.
type Step struct {
	Version int64
	Name    string
	Took    time.Duration
}

// State is one migration and whether the database has it.
type State struct {
	Version   int64
	Name      string
	Applied   bool
	AppliedAt time.Time // zero unless Applied
}

// Migrator moves one database's schema.
type Migrator struct {
	db       *store.DB
	provider *goose.Provider
}

// Open prepares a migrator; it does not connect. loseAuditLog lets it roll the migration back that made the audit log while the log has
// entries. The error never holds the URL.
func Open(url secret.Text, loseAuditLog bool) (*Migrator, error) {
	options := store.Options{URL: url, MaxConns: 2, Name: "billctl migrate", Patience: -1}
	if loseAuditLog {
		options.Settings = map[string]string{"billonce.lose_audit_log": "yes"}
	}
	db, err := store.Open(options)
	if err != nil {
		return nil, fmt.Errorf("open the database: %w", err)
	}
	provider, err := db.Migrations()
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &Migrator{db: db, provider: provider}, nil
}

// Close gives the connections up.
func (m *Migrator) Close() error { return m.provider.Close() }

// Wait returns when the database answers, and with its last error when it has not within the given time.
func (m *Migrator) Wait(ctx context.Context, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	poll := time.NewTicker(waitPoll)
	defer poll.Stop()
	var last error
	for {
		err := m.db.Ping(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() == nil || last == nil {
			last = err // the one that the end of the wait causes says nothing of the database
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
			return fmt.Errorf("wait %s for the database: %w", patience, last)
		}
	}
}

// Up applies every migration that the database lacks and returns those that this call applied.
func (m *Migrator) Up(ctx context.Context) ([]Step, error) {
	results, err := m.provider.Up(ctx)
	if partial := (*goose.PartialError)(nil); errors.As(err, &partial) {
		results = partial.Applied
	}
	steps := make([]Step, len(results))
	for i, result := range results {
		steps[i] = step(result)
	}
	if err != nil {
		err = fmt.Errorf("migrate up: %w", err)
	}
	return steps, errors.Join(err, m.note(ctx, billing.ActionSchemaUp, steps...))
}

// RenewGrants renews what the roles may do, where there are roles. It reports false when there are and it could not.
func (m *Migrator) RenewGrants(ctx context.Context) (bool, error) {
	renewed, err := m.db.RenewGrants(ctx)
	if err != nil || renewed {
		return renewed, err
	}
	found, err := m.db.HasRoles(ctx)
	return !found, err
}

// Down rolls the last migration back. false means that there was none.
func (m *Migrator) Down(ctx context.Context) (Step, bool, error) {
	result, err := m.provider.Down(ctx)
	switch {
	case errors.Is(err, goose.ErrNoNextVersion):
		return Step{}, false, nil
	case err != nil:
		return Step{}, false, fmt.Errorf("migrate down: %w", err)
	default:
		return step(result), true, m.note(ctx, billing.ActionSchemaDown, step(result))
	}
}

// Status returns every migration of this build, oldest first.
func (m *Migrator) Status(ctx context.Context) ([]State, error) {
	list, err := m.provider.Status(ctx)
	if err != nil {
		return nil, fmt.Errorf("migration status: %w", err)
	}
	states := make([]State, len(list))
	for i, one := range list {
		states[i] = State{
			Version: one.Source.Version, Name: one.Source.Path,
			Applied: one.State == goose.StateApplied, AppliedAt: one.AppliedAt,
		}
	}
	return states, nil
}

// note leaves an entry in the audit log, if the schema has one now.
func (m *Migrator) note(ctx context.Context, action billing.Action, steps ...Step) error {
	if len(steps) == 0 {
		return nil
	}
	versions := make([]int64, len(steps))
	for i, one := range steps {
		versions[i] = one.Version
	}
	if err := m.db.NoteSchema(billing.WithActor(ctx, operator.Actor()), action, versions); err != nil {
		return fmt.Errorf("record the migration: %w", err)
	}
	return nil
}

func step(result *goose.MigrationResult) Step {
	return Step{Version: result.Source.Version, Name: result.Source.Path, Took: result.Duration}
}
