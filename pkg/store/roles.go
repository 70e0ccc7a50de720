package store

import (
	"context"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"billonce/db/migrations"
	"billonce/deploy"
	"billonce/pkg/billing"
	"billonce/pkg/secret"
)

// Role is one of the roles that deploy/roles.sql makes.
type Role string

// The roles; deploy/roles.sql says what each may do.
const (
	RoleMigrate Role = "billonce_migrate"
	RoleAPI     Role = "billonce_api"
	RoleWorker  Role = "billonce_worker"
	RoleRead    Role = "billonce_read"
	RoleRotate  Role = "billonce_rotate"
)

// Roles returns all roles.
func Roles() []Role { return []Role{RoleMigrate, RoleAPI, RoleWorker, RoleRead, RoleRotate} }

// ApplyRoles runs deploy/roles.sql, whole or not at all. The first run on a database takes a superuser, or one who owns the database
// and may create roles. It refuses a schema newer than this build, whose grants would take away what newer services need.
func (db *DB) ApplyRoles(ctx context.Context) error {
	version, err := db.SchemaVersion(ctx)
	if err != nil {
		return err
	}
	if version > migrations.Required {
		return &billing.Error{Code: billing.CodeUnavailable, Message: fmt.Sprintf(
			"the database schema is at version %d and this build knows the roles of version %d: run billctl roles apply of a newer build",
			version, migrations.Required)}
	}
	return db.onConn(ctx, "apply the roles", func(conn *sqlx.Conn) error {
		_, err := conn.ExecContext(ctx, deploy.Roles)
		if err != nil { // the script has begun a transaction
			_, rollbackErr := conn.ExecContext(context.WithoutCancel(ctx), `ROLLBACK`)
			if hasState(err, stateLockNotAvailable) {
				err = &billing.Error{
					Code: billing.CodeUnavailable, Err: err,
					Message: "somebody is using the tables for long, nothing was changed: run it again, not beside an export or a dump",
				}
			}
			return errors.Join(err, rollbackErr)
		}
		return nil
	})
}

// RenewGrants does what [DB.ApplyRoles] does where somebody has done it before, and reports whether that is so. It does nothing
// while the schema is not exactly that of this build, whose grants know no other.
func (db *DB) RenewGrants(ctx context.Context) (bool, error) {
	version, err := db.SchemaVersion(ctx)
	if err != nil || version != migrations.Required {
		return false, err
	}
	var owned bool
	err = db.sqlx.GetContext(ctx, &owned, `
		SELECT pg_get_userbyid(relowner) = $1 AND pg_has_role(relowner, 'USAGE') FROM pg_class WHERE oid = 'goose_db_version'::regclass`,
		string(RoleMigrate))
	if err != nil {
		return false, translate("find the owner of the schema", err)
	}
	if !owned {
		return false, nil
	}
	return true, db.ApplyRoles(ctx)
}

// HasRoles reports whether somebody has run deploy/roles.sql on this database.
func (db *DB) HasRoles(ctx context.Context) (found bool, err error) {
	err = db.sqlx.GetContext(ctx, &found, `
		SELECT EXISTS (
			SELECT FROM pg_shdepend AS d JOIN pg_database AS here ON here.datname = current_database()
			WHERE d.refclassid = 'pg_authid'::regclass AND d.refobjid IN (SELECT oid FROM pg_roles WHERE rolname = ANY ($1))
				AND (d.dbid = here.oid OR d.classid = 'pg_database'::regclass AND d.objid = here.oid))`, pq.Array(Roles()))
	if err != nil {
		return false, translate("look for the roles", err)
	}
	return found, nil
}

// RequireSuccession returns an error with code [billing.CodeUnavailable], saying what to do, when the user may not schedule what follows
// a decline, as a worker must.
func (db *DB) RequireSuccession(ctx context.Context) error {
	var found struct {
		User string `db:"name"`
		May  bool   `db:"may"`
	}
	err := db.sqlx.GetContext(ctx, &found, `
		SELECT current_user AS name, coalesce(has_function_privilege(
			to_regprocedure('schedule_after_decline(uuid,uuid,bytea,double precision)'), 'EXECUTE'), false) AS may`)
	if err != nil {
		return translate("find out what the user may do", err)
	}
	if !found.May {
		return &billing.Error{Code: billing.CodeUnavailable, Message: fmt.Sprintf(
			"the database's user %s may not call schedule_after_decline: run billctl roles apply and let the worker log in as %s, or "+
				"GRANT EXECUTE ON FUNCTION schedule_after_decline TO %[1]s", pq.QuoteIdentifier(found.User), RoleWorker)}
	}
	return nil
}

// RequireRecording returns an error with code [billing.CodeUnavailable], saying what to do, when the user may not write what every
// statement that changes tasks writes since version 15 of the schema: where roles.sql was not run again after a migration, nothing would
// be scheduled, claimed or settled.
func (db *DB) RequireRecording(ctx context.Context) error {
	var found struct {
		User string `db:"name"`
		May  bool   `db:"may"`
	}
	err := db.sqlx.GetContext(ctx, &found, `
		SELECT current_user AS name, has_table_privilege('event_watch', 'SELECT') AND has_column_privilege('task_events', 'tasks', 'INSERT')
			AND (has_column_privilege('scheduled_tasks', 'trace_context', 'INSERT') OR NOT has_column_privilege('scheduled_tasks', 'params', 'INSERT')) AS may`)
	if err != nil {
		return translate("find out what the user may do", err)
	}
	if !found.May {
		return &billing.Error{Code: billing.CodeUnavailable, Message: fmt.Sprintf(
			"the database's user %s may not write into tables of this schema's version: run billctl roles apply, or deploy/roles.sql, again",
			pq.QuoteIdentifier(found.User))}
	}
	return nil
}

// LetIn lets a role log in with a password, and with no other. The server gets to know a hash of it alone, which its log may show.
func (db *DB) LetIn(ctx context.Context, role Role, password secret.Text) error {
	verifier, err := scramVerifier(password)
	if err != nil {
		return fmt.Errorf("let role %s in: %w", role, err)
	}
	return db.onConn(ctx, "let role "+string(role)+" in", func(conn *sqlx.Conn) error {
		_, err := conn.ExecContext(ctx, `ALTER ROLE `+pq.QuoteIdentifier(string(role))+` LOGIN PASSWORD `+pq.QuoteLiteral(verifier))
		return err
	})
}

const (
	scramRounds = 4096 // as PostgreSQL has it
	scramSalt   = 16   // bytes
)

// scramVerifier is what PostgreSQL keeps of a password for SCRAM-SHA-256 (RFC 5803).
func scramVerifier(password secret.Text) (string, error) {
	text := password.Reveal()
	if text == "" || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", &billing.Error{Code: billing.CodeInvalid, Message: "a password of printable ASCII is needed"} // what SASLprep leaves alone
	}
	salt := make([]byte, scramSalt)
	_, _ = rand.Read(salt) // never fails since Go 1.24
	salted, err := pbkdf2.Key(sha256.New, text, salt, scramRounds, sha256.Size)
	if err != nil {
		return "", err
	}
	derive := func(what string) []byte {
		mac := hmac.New(sha256.New, salted)
		_, _ = mac.Write([]byte(what)) // never fails
		return mac.Sum(nil)
	}
	stored := sha256.Sum256(derive("Client Key"))
	encode := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("SCRAM-SHA-256$%d:%s$%s:%s", scramRounds, encode(salt), encode(stored[:]), encode(derive("Server Key"))), nil
}
