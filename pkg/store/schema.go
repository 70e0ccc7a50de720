package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"billonce/db/migrations"
	"billonce/pkg/billing"
)

// lockRetrySeconds and lockRetries bound how long a migration waits for another one: a second apart, five minutes in all.
const (
	lockRetrySeconds = 1
	lockRetries      = 300
)

// Migrations returns a goose provider over the embedded migrations. It holds a session lock while it applies them, so that
// any number of processes may start at once and each migration is applied by one of them. The caller closes it, which
// closes the pool as well.
func (db *DB) Migrations() (*goose.Provider, error) {
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(lockRetrySeconds, lockRetries))
	if err != nil {
		return nil, fmt.Errorf("prepare the migration lock: %w", err)
	}
	provider, err := goose.NewProvider(goose.DialectPostgres, db.sqlx.DB, migrations.Files, goose.WithSessionLocker(locker))
	if err != nil {
		return nil, fmt.Errorf("read the migrations: %w", err)
	}
	return provider, nil
}

// SchemaVersion returns the version of the last migration applied, 0 when there is none.
func (db *DB) SchemaVersion(ctx context.Context) (int64, error) {
	var version sql.NullInt64
	err := db.sqlx.GetContext(ctx, &version,
		`SELECT max(version_id) FROM (
			SELECT DISTINCT ON (version_id) version_id, is_applied FROM goose_db_version ORDER BY version_id, id DESC
		) AS latest WHERE is_applied`)
	if hasState(err, stateUndefinedTable) || errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	if err != nil {
		return 0, translate("read the schema version", err)
	}
	return version.Int64, nil
}

// RequireSchema returns an error with code [billing.CodeUnavailable], naming both versions, when the database's schema is
// older than this build needs. A newer one is fine: migrations are made to be safe beside the previous release.
func (db *DB) RequireSchema(ctx context.Context) error {
	version, err := db.SchemaVersion(ctx)
	if err != nil {
		return err
	}
	if version < migrations.Required {
		return &billing.Error{Code: billing.CodeUnavailable, Message: fmt.Sprintf(
			"the database schema is at version %d and this build needs version %d: run billctl migrate up",
			version, migrations.Required)}
	}
	return nil
}
