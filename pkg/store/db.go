package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"maps"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"billonce/pkg/billing"
	"billonce/pkg/secret"
)

// Connections are renewed after a while so that a failover or a change of credentials reaches every process.
const (
	connMaxLifetime = 5 * time.Minute
	connMaxIdleTime = time.Minute
	connectTimeout  = 10 * time.Second
	wirePatience    = 15 * time.Second // more than any statement of this package may take
)

// Options configure [Open].
type Options struct {
	URL      secret.Text // postgres URL or key=value DSN
	MaxConns int         // open connections at most; 0 means 10
	Name     string      // application_name, seen in pg_stat_activity
	// Patience is how long one read or write on a connection may take: a statement that takes longer ends with an error, and so
	// does the connection. 0 means 15 s; less than 0 means without end, for migrations.
	Patience time.Duration
	Settings map[string]string // of PostgreSQL, for each connection
}

// DB is a pool of connections to one billonce database.
type DB struct {
	sqlx *sqlx.DB
	url  secret.Text
	kept []interface{ close() } // in the order in which they are to be closed

	audited func(billing.Action) // nil: nobody counts
}

// Open prepares a pool; it does not connect. The error never holds the URL, which may hold a password.
func Open(opts Options) (*DB, error) {
	conf, err := pq.NewConfig(opts.URL.Reveal())
	if err != nil {
		return nil, &billing.Error{Code: billing.CodeInvalid, Message: "the database URL cannot be read"}
	}
	conf.BinaryParameters = true // one round trip per statement instead of two
	if conf.ApplicationName == "" {
		conf.ApplicationName = opts.Name
	}
	if conf.Runtime == nil {
		conf.Runtime = map[string]string{}
	}
	maps.Copy(conf.Runtime, opts.Settings)
	if conf.ConnectTimeout == 0 {
		conf.ConnectTimeout = connectTimeout
	}
	connector, err := pq.NewConnectorConfig(conf)
	if err != nil {
		return nil, &billing.Error{Code: billing.CodeInvalid, Message: "the database URL cannot be used"}
	}
	if opts.Patience == 0 {
		opts.Patience = wirePatience
	}
	if opts.Patience > 0 {
		connector.Dialer(newWire(opts.Patience))
	}
	pool := sql.OpenDB(steady{connector})
	maxConns := opts.MaxConns
	if maxConns == 0 {
		maxConns = 10
	}
	pool.SetMaxOpenConns(maxConns)
	pool.SetMaxIdleConns(maxConns)
	pool.SetConnMaxLifetime(connMaxLifetime)
	pool.SetConnMaxIdleTime(connMaxIdleTime)
	return &DB{sqlx: sqlx.NewDb(pool, "postgres"), url: opts.URL}, nil
}

// settings keep plans from depending on statistics and costs. They also end, at the server, what a process holds that was frozen or
// lost in the middle of a transaction or of an answer: its locks would keep others waiting. And they write times into documents in
// UTC, whatever the zone of the database is.
const settings = `SET enable_bitmapscan = off; SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off;
	SET jit = off; SET plan_cache_mode = force_generic_plan;
	SET idle_in_transaction_session_timeout = '5s'; SET tcp_user_timeout = '5s'; SET timezone = 'UTC'`

// steady prepares each new connection so that plans do not depend on statistics: on a table that has never been analyzed
// the planner would read every due task and sort them to claim a few. Every statement of this package has an index to go by.
// A small table without one still gets its sequential scan, at a cost that looks enormous; without jit = off PostgreSQL would
// compile such a statement, a heartbeat for example, for a tenth of a second and more, each time.
type steady struct{ driver.Connector }

// Connect implements driver.Connector.
func (s steady) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := s.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	whole, ok := conn.(driverConn)
	if !ok {
		_ = conn.Close()
		return nil, fmt.Errorf("the driver gave a connection of type %T", conn)
	}
	if _, err := whole.ExecContext(ctx, settings, nil); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return &guarded{driverConn: whole}, nil
}

// Pool returns the underlying pool, for migrations and statistics.
func (db *DB) Pool() *sql.DB { return db.sqlx.DB }

// Ping reports whether the database answers; the error has code [billing.CodeUnavailable] when it does not.
func (db *DB) Ping(ctx context.Context) error {
	if err := db.sqlx.PingContext(ctx); err != nil {
		return unconnected("ping the database", err)
	}
	return nil
}

// Close closes every connection.
func (db *DB) Close() error {
	for _, one := range db.kept {
		one.close()
	}
	return db.sqlx.Close()
}

// prepare returns a statement that keeps up to so many connections of its own until Close.
func (db *DB) prepare(query string, most int) *prepared {
	statement := &prepared{db: db, query: query, most: most}
	db.kept = append(db.kept, statement)
	return statement
}

// inTx runs fn in one transaction and commits if it returns nil.
func (db *DB) inTx(ctx context.Context, operation string, fn func(*transaction) error) error {
	begun, err := db.sqlx.BeginTxx(ctx, nil)
	if err != nil {
		return unconnected(operation, err)
	}
	tx := &transaction{Tx: begun}
	defer func() { _ = tx.Rollback() }() // a no-op after Commit
	if err := fn(tx); err != nil {
		return translate(operation, err)
	}
	if err := tx.Commit(); err != nil {
		return translate(operation, fmt.Errorf("commit: %w", err))
	}
	if db.audited != nil {
		for _, action := range tx.noted {
			db.audited(action)
		}
	}
	return nil
}

// onConn runs fn on one pinned connection, where database/sql cannot repeat a statement by itself.
func (db *DB) onConn(ctx context.Context, operation string, fn func(*sqlx.Conn) error) error {
	conn, err := db.sqlx.Connx(ctx)
	if err != nil {
		return unconnected(operation, err)
	}
	defer func() { _ = conn.Close() }() // gives it back to the pool
	if err := fn(conn); err != nil {
		return translate(operation, err)
	}
	return nil
}

// Store reads and writes merchants and tasks.
type Store struct {
	db     *DB
	cipher Cipher
	wake   chan struct{}
	claims [claimWays]*prepared
	ends   *prepared
	plain  *prepared // scheduleQuery, for batches
	events *prepared // readEventsQuery
	single gatherer
	marked watermark
	pacer  pacer
	alarm  Alarm
	sealed sealings
	traced bool // see ReadTraces

	bindUnbound bool // see BindUnbound

	merchants keptMerchants
	watching  watching
}

// New returns a Store over db that seals tokens with cipher.
func New(db *DB, cipher Cipher) *Store {
	// One process has one claimer and one settler, and works on a few batches at once.
	s := &Store{db: db, cipher: cipher, wake: make(chan struct{}, 1), sealed: sealings{turn: make(chan struct{}, 1)}}
	db.kept = append(db.kept, &s.single)
	s.single.prepared = db.prepare(scheduleQuery, gatherFlights)
	s.plain, s.ends = db.prepare(scheduleQuery, plainBatches), db.prepare(finishQuery, 1)
	s.events = db.prepare(readEventsQuery, 1)
	s.prepareClaims(going)
	return s
}

func (s *Store) prepareClaims(end string) {
	for way, query := range claimQueries(end) {
		s.claims[way] = s.db.prepare(query, 1)
	}
}

// ReadTraces makes claims tell which requests scheduled the tasks, as far as that is stored. It is called before the first claim.
func (s *Store) ReadTraces() {
	s.traced = true
	s.prepareClaims(goingTraced)
}
