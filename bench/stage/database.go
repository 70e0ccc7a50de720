package stage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os/exec"
	"strings"
	"sync"

	"github.com/lib/pq"
)

// URL is the superuser's URL of a database.
func (s *Stage) URL(database string) string { return s.server.URL(database).Reveal() }

// Open opens a pool on a database, with one round trip a statement (binary_parameters).
func (s *Stage) Open(database string) (*sql.DB, error) {
	address, err := url.Parse(s.URL(database))
	if err != nil {
		return nil, fmt.Errorf("open the database %s: %w", database, err)
	}
	query := address.Query()
	query.Set("binary_parameters", "yes")
	address.RawQuery = query.Encode()
	db, err := sql.Open("postgres", address.String())
	if err != nil {
		return nil, fmt.Errorf("open the database %s: %w", database, err)
	}
	return db, nil
}

// Create makes an empty database, in place of an earlier one of the name.
func (s *Stage) Create(ctx context.Context, name string) error {
	return s.admin(ctx, "create the database "+name,
		`DROP DATABASE IF EXISTS `+pq.QuoteIdentifier(name)+` WITH (FORCE)`, `CREATE DATABASE `+pq.QuoteIdentifier(name))
}

// Clone makes a database a copy of another one, to which nobody may be connected. Its files are copied as they are, so that
// every repeat begins with the same pages; the copy has no statistics of activity.
func (s *Stage) Clone(ctx context.Context, template, name string) error {
	strategy := ` STRATEGY file_copy`
	if major, _, _ := strings.Cut(s.version, "."); major == "14" {
		strategy = "" // the only way that it knows
	}
	return s.admin(ctx, "copy the database "+template,
		`DROP DATABASE IF EXISTS `+pq.QuoteIdentifier(name)+` WITH (FORCE)`,
		`CREATE DATABASE `+pq.QuoteIdentifier(name)+` TEMPLATE `+pq.QuoteIdentifier(template)+strategy)
}

// Drop removes a database, whoever is connected to it.
func (s *Stage) Drop(ctx context.Context, name string) error {
	return s.admin(ctx, "drop the database "+name, `DROP DATABASE IF EXISTS `+pq.QuoteIdentifier(name)+` WITH (FORCE)`)
}

// Checkpoint writes everything out, so that no measurement pays for what was loaded before it.
func (s *Stage) Checkpoint(ctx context.Context) error {
	return s.admin(ctx, "checkpoint", `CHECKPOINT`)
}

// Exec runs statements in a database, one after the other.
func (s *Stage) Exec(ctx context.Context, database string, statements ...string) error {
	db, err := s.Open(database)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	for _, statement := range statements {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("run %.60q in %s: %w", strings.Join(strings.Fields(statement), " "), database, err)
		}
	}
	return nil
}

func (s *Stage) admin(ctx context.Context, operation string, statements ...string) error {
	if err := s.Exec(ctx, "postgres", statements...); err != nil {
		return fmt.Errorf("%s: %w", operation, err)
	}
	return nil
}

// Migrate makes a fresh database with billonce's schema.
func (s *Stage) Migrate(ctx context.Context, name string) error {
	if err := s.Create(ctx, name); err != nil {
		return err
	}
	return s.MigrateUp(ctx, name)
}

// MigrateUp brings billonce's schema of a database up to date.
func (s *Stage) MigrateUp(ctx context.Context, name string) error {
	billctl, err := s.Binary(ctx, "billctl")
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, billctl, "migrate", "up") //nolint:gosec // built a moment ago
	cmd.Env = environ(map[string]string{"DATABASE_URL": s.URL(name)})
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("migrate %s: %w\n%s", name, err, output)
	}
	return nil
}

// Hold opens a REPEATABLE READ transaction that has read, as a pg_dump would hold, and returns what ends it.
func (s *Stage) Hold(ctx context.Context, database string) (release func() error, err error) {
	db, err := s.Open(database)
	if err != nil {
		return nil, err
	}
	tx, err := db.BeginTx(context.WithoutCancel(ctx), &sql.TxOptions{Isolation: sql.LevelRepeatableRead})
	if err == nil {
		var tables int
		err = tx.QueryRowContext(ctx, `SELECT count(*) FROM pg_class`).Scan(&tables)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("hold a snapshot: %w", err), db.Close())
	}
	return sync.OnceValue(func() error { return errors.Join(tx.Rollback(), db.Close()) }), nil
}
