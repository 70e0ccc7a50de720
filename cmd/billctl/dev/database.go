package dev

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path/filepath"

	"github.com/lib/pq"

	"billonce/cmd/billctl/dev/postgres"
	"billonce/cmd/billctl/roles"
	"billonce/cmd/billctl/schema"
	"billonce/pkg/secret"
	"billonce/pkg/store"
)

const databaseName = "billonce"

// database is the stack's database, and how to be rid of it.
type database struct {
	url    secret.Text
	server *postgres.Server           // nil: somebody else's
	roles  map[store.Role]secret.Text // URLs; none for somebody else's
	drop   func(context.Context) error
}

// lastingDatabase returns the given database, or that of a private server whose data stays.
func lastingDatabase(ctx context.Context, where place, given secret.Text, progress io.Writer) (*database, error) {
	return privateDatabase(ctx, where, given, progress, false)
}

// emptyDatabase returns the given database as it is, or that of the private server, emptied: what an earlier life's tasks did at
// the simulator, the simulator has forgotten.
func emptyDatabase(ctx context.Context, where place, given secret.Text, progress io.Writer) (*database, error) {
	return privateDatabase(ctx, where, given, progress, true)
}

func privateDatabase(ctx context.Context, where place, given secret.Text, progress io.Writer, empty bool) (*database, error) {
	if !given.Empty() {
		return &database{url: given}, nil
	}
	server, err := postgres.Start(ctx, postgres.Options{Folder: filepath.Join(where.dir, "postgres"), Progress: progress})
	if err != nil {
		return nil, err
	}
	d := &database{url: server.URL(databaseName), server: server}
	if empty {
		err = server.DropDatabase(ctx, databaseName)
	}
	if err == nil {
		err = server.CreateDatabase(ctx, databaseName)
	}
	if err != nil {
		return nil, errors.Join(err, d.close(context.WithoutCancel(ctx)))
	}
	return d, nil
}

// freshDatabase returns an empty database that close removes: on the given server, else on a throw-away one.
func freshDatabase(ctx context.Context, given secret.Text, progress io.Writer) (*database, error) {
	if !given.Empty() {
		return databaseOn(ctx, given)
	}
	server, err := postgres.Start(ctx, postgres.Options{Progress: progress})
	if err != nil {
		return nil, err
	}
	d := &database{url: server.URL(databaseName), server: server}
	if err := server.CreateDatabase(ctx, databaseName); err != nil {
		return nil, errors.Join(err, d.close(context.WithoutCancel(ctx)))
	}
	return d, nil
}

// databaseOn makes a new database on the server of a URL.
func databaseOn(ctx context.Context, server secret.Text) (*database, error) {
	address, err := url.Parse(server.Reveal())
	if err != nil || address.Host == "" && address.Query().Get("host") == "" {
		return nil, errors.New("make a fresh database: DATABASE_URL must be a postgres:// URL here")
	}
	random := make([]byte, 6)
	_, _ = rand.Read(random) // never fails since Go 1.24
	name := "billonce_demo_" + hex.EncodeToString(random)
	if err := execute(ctx, server, `CREATE DATABASE `+pq.QuoteIdentifier(name)); err != nil {
		return nil, fmt.Errorf("make a fresh database: %w", err)
	}
	address.Path = "/" + name
	return &database{url: secret.New(address.String()), drop: func(ctx context.Context) error {
		return execute(ctx, server, `DROP DATABASE IF EXISTS `+pq.QuoteIdentifier(name)+` WITH (FORCE)`)
	}}, nil
}

func execute(ctx context.Context, server secret.Text, statement string) error {
	db, err := sql.Open("postgres", server.Reveal())
	if err != nil {
		return errors.New("DATABASE_URL cannot be read") // the cause would show it
	}
	defer func() { _ = db.Close() }()
	_, err = db.ExecContext(ctx, statement)
	return err
}

// migrate brings the schema up to date and returns how many migrations that took.
func (d *database) migrate(ctx context.Context) (int, error) {
	migrator, err := schema.Open(d.url)
	if err != nil {
		return 0, err
	}
	steps, err := migrator.Up(ctx)
	return len(steps), errors.Join(err, migrator.Close())
}

// separate makes the roles of a private server, each with a password that lasts as long as this process.
func (d *database) separate(ctx context.Context) (err error) {
	if d.server == nil {
		return nil
	}
	db, err := roles.Open(d.url)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := db.ApplyRoles(ctx); err != nil {
		return err
	}
	d.roles = make(map[store.Role]secret.Text)
	for _, role := range []store.Role{store.RoleAPI, store.RoleWorker} {
		address, password, err := roles.As(d.url, role)
		if err != nil {
			return err
		}
		if err := db.LetIn(ctx, role, password); err != nil {
			return err
		}
		d.roles[role] = address
	}
	return nil
}

// as returns the URL for a role: on somebody else's server the one that was given.
func (d *database) as(role store.Role) secret.Text {
	if address, ok := d.roles[role]; ok {
		return address
	}
	return d.url
}

// close drops a fresh database and stops a private server.
func (d *database) close(ctx context.Context) error {
	var err error
	if d.drop != nil {
		err = d.drop(ctx)
	}
	if d.server != nil {
		err = errors.Join(err, d.server.Stop(ctx))
	}
	return err
}
