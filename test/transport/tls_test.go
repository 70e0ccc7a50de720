package transport_test

import (
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"
	_ "github.com/lib/pq" // the driver

	"billonce/internal/programtest"
	"billonce/pkg/billing"
	"billonce/pkg/secret"
	"billonce/pkg/store"
	"billonce/pkg/store/storetest"
)

const (
	host          = "database.test" // the name in the server's certificate
	adminKey      = "bo_admin_0123456789abcdef"
	encryptionKey = "7f4a1c9be2d3560817a5c4f2e9b0d36a8c5e1f7094b2d8a6c3e5f01927b4d86e"
)

func TestMain(m *testing.M) {
	code := m.Run()
	programtest.Remove()
	os.Exit(code)
}

// reached is the server's URL with other ways to reach it.
func (s *server) reached(changes ...string) string {
	s.t.Helper()
	address, err := url.Parse(s.url)
	if err != nil {
		s.t.Fatal(err)
	}
	query := url.Values{
		"host": {host}, "hostaddr": {"127.0.0.1"}, "port": {address.Port()}, "sslmode": {"verify-full"}, "sslrootcert": {s.ca},
	}
	for i := 0; i < len(changes); i += 2 {
		query.Set(changes[i], changes[i+1])
		if changes[i+1] == "" {
			query.Del(changes[i])
		}
	}
	address.Host, address.RawQuery = "", query.Encode()
	return address.String()
}

// ping connects and says whether TLS was used.
func ping(t *testing.T, address string) (encrypted bool, err error) {
	t.Helper()
	db, err := store.Open(store.Options{URL: secret.New(address)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if err := db.Ping(t.Context()); err != nil {
		return false, err
	}
	err = db.Pool().QueryRowContext(t.Context(), `SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()`).Scan(&encrypted)
	return encrypted, err
}

func TestTLS(t *testing.T) {
	s := newServer(t)
	port := strconv.Itoa(s.port)
	for name, tc := range map[string]struct {
		address string
		ok      bool
	}{
		"TheRightNameAndAuthority":  {s.reached(), true},
		"AnotherAuthority":          {s.reached("sslrootcert", s.otherCA), false},
		"TheSystemsAuthorities":     {s.reached("sslrootcert", "system"), false},
		"AnotherName":               {s.reached("host", "localhost"), false},
		"AnotherNameIsNotVerified":  {s.reached("host", "localhost", "sslmode", "verify-ca"), true},
		"AnotherAuthorityVerifyCA":  {s.reached("sslmode", "verify-ca", "sslrootcert", s.otherCA), false},
		"NoAuthorityIsAskedFor":     {s.reached("sslmode", "require", "sslrootcert", ""), true},
		"TheSecondOfTwoHosts":       {s.reached("host", "other.test,"+host, "hostaddr", "127.0.0.1,127.0.0.1", "port", port+","+port), true},
		"NeitherOfTwoHosts":         {s.reached("host", "other.test,third.test", "hostaddr", "127.0.0.1,127.0.0.1", "port", port+","+port), false},
		"TheFirstOfTwoIsNotRunning": {s.reached("host", host+","+host, "hostaddr", "127.0.0.1,127.0.0.1", "port", "1,"+port), true},
	} {
		t.Run(name, func(t *testing.T) {
			encrypted, err := ping(t, tc.address)
			switch {
			case tc.ok && (err != nil || !encrypted):
				t.Errorf("encrypted: %t, %v", encrypted, err)
			case !tc.ok && billing.CodeOf(err) != billing.CodeUnavailable:
				t.Errorf("%v, want that the database cannot be had", err)
			}
		})
	}
}

// TestServicesOverTLS runs both services in production: every connection of theirs, the one that listens too, is encrypted.
func TestServicesOverTLS(t *testing.T) {
	s := newServer(t)
	sim := programtest.Spawn(t, "stripesim", map[string]string{"STRIPESIM_ADDR": "127.0.0.1:0"})
	env := map[string]string{
		"APP_ENV": "production", "DATABASE_URL": s.reached(), "ENCRYPTION_KEY": encryptionKey, "ADMIN_API_KEY": adminKey,
		"API_ADDR": "127.0.0.1:0", "OPS_ADDR": "127.0.0.1:0", "STRIPE_API_URL": "http://" + sim.Attr("listening", "addr"),
		"STRIPE_CONNECT_URL": "http://127.0.0.1:1", "STRIPE_SECRET_KEY": "sk_test_platform",
	}
	start := func(program string, env map[string]string) *programtest.Process {
		return programtest.Spawn(t, program, storetest.EnvironOf(t, program, env))
	}
	api, worker := start("api", env), start("worker", env)
	api.Line(`"msg":"api listening"`)
	worker.Line(`"msg":"worker registered"`)
	db := sqlx.MustConnect("postgres", s.url)
	defer func() { _ = db.Close() }()
	seen := struct {
		Encrypted int `db:"encrypted"`
		Plain     int `db:"plain"`
		Roles     int `db:"roles"`
		Listening int `db:"listening"`
	}{}
	deadline, tick := time.After(programtest.Patience), time.NewTicker(20*time.Millisecond)
	defer tick.Stop()
	for seen.Listening == 0 {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("nobody listens: %+v", seen)
		}
		if err := db.Get(&seen, `
			SELECT count(*) FILTER (WHERE s.ssl) AS encrypted, count(*) FILTER (WHERE NOT s.ssl) AS plain,
				count(DISTINCT a.usename) AS roles, count(*) FILTER (WHERE a.query LIKE 'LISTEN%') AS listening
			FROM pg_stat_activity AS a JOIN pg_stat_ssl AS s ON s.pid = a.pid
			WHERE a.usename IN ('billonce_api', 'billonce_worker')`); err != nil {
			t.Fatal(err)
		}
	}
	if seen.Plain > 0 || seen.Roles != 2 {
		t.Errorf("%+v", seen)
	}
}

// TestProductionRefusesPlainConnections and says so beside whatever else is wrong.
func TestProductionRefusesPlainConnections(t *testing.T) {
	t.Parallel()
	for _, address := range []string{
		"postgres://u:canary@database.test/b?sslmode=disable", "postgres://u:canary@database.test/b",
		"postgres://u:canary@localhost,database.test/b?sslmode=prefer", "host=10.0.0.7 password=canary sslmode=allow",
	} {
		for _, program := range []string{"api", "worker"} {
			p := programtest.Spawn(t, program, map[string]string{"APP_ENV": "production", "DATABASE_URL": address, "STRIPE_TIMEOUT": "never"})
			if code := p.Exit(); code != 78 {
				t.Errorf("%s %s: exit code %d, want 78", program, address, code)
			}
			for _, part := range []string{"DATABASE_URL must name sslmode=verify-full", "ENCRYPTION_KEY is required", "STRIPE_TIMEOUT"} {
				if !strings.Contains(p.Output(), part) {
					t.Errorf("%s %s: no %q in %s", program, address, part, p.Output())
				}
			}
			if strings.Contains(p.Output(), "canary") {
				t.Errorf("%s shows the password: %s", program, p.Output())
			}
		}
		p := programtest.Spawn(t, "billctl", map[string]string{"APP_ENV": "production", "DATABASE_URL": address}, "migrate", "status")
		if code := p.Exit(); code != 78 || !strings.Contains(p.Output(), "DATABASE_ALLOW_PLAINTEXT") || strings.Contains(p.Output(), "canary") {
			t.Errorf("billctl %s: exit code %d: %s", address, code, p.Output())
		}
	}
}
