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
	"billonce/cmd/billctl/schema"
	"billonce/pkg/secret"
)

const databaseName = "billonce"

// database is the stack's database, and how to be rid of it.
type database struct {
	url    secret.Text
	server *postgres.Server // nil: somebody else's
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
