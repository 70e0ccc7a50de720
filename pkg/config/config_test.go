package config_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"billonce/pkg/config"
	"billonce/pkg/secret"
)

// anything lets every key and every URL pass.
func anything() config.Checks {
	return config.Checks{
		Key:      func(secret.Text, config.Environment) error { return nil },
		Database: func(secret.Text, bool) error { return nil },
	}
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	api, err := config.LoadAPI([]string{"DATABASE_URL=postgres://localhost/b"}, anything())
	if err != nil {
		t.Fatal(err)
	}
	worker, err := config.LoadWorker([]string{"DATABASE_URL=postgres://localhost/b"}, anything())
	if err != nil {
		t.Fatal(err)
	}
	for name, pair := range map[string][2]any{
		"APP_ENV":                     {api.Env, config.Development},
		"LOG_FORMAT":                  {api.LogFormat, "json"},
		"API_ADDR":                    {api.Addr, ":8080"},
		"OPS_ADDR of the api":         {api.OpsAddr, "127.0.0.1:9090"},
		"OPS_ADDR of the worker":      {worker.OpsAddr, "127.0.0.1:9091"},
		"API_REQUIRE_IDEMPOTENCY_KEY": {api.RequireKey, false},
		"API_TRUSTED_PROXIES":         {len(api.TrustedProxies), 0},
		"SHUTDOWN_DELAY":              {api.ShutdownDelay, time.Duration(0)},
		"SHUTDOWN_TIMEOUT":            {api.ShutdownTimeout, 30 * time.Second},
		"STRIPE_API_URL":              {worker.APIURL, "https://api.stripe.com"},
		"STRIPE_TIMEOUT":              {worker.Timeout, 80 * time.Second},
		"STRIPE_IDEMPOTENCY_WINDOW":   {worker.Window, 23 * time.Hour},
		"WORKER_CONCURRENCY":          {worker.Concurrency, 100},
		"WORKER_POLL_INTERVAL":        {worker.PollInterval, time.Second},
		"WORKER_LEASE":                {worker.Lease, 30 * time.Second},
		"RETRY_BASE":                  {worker.RetryBase, 2 * time.Second},
		"RETRY_MAX":                   {worker.RetryMax, 15 * time.Minute},
		"RECONCILE_DELAYS":            {fmt.Sprint(worker.ReconcileDelays), "[1m0s 5m0s 30m0s 2h0m0s 8h0m0s 24h0m0s]"},
		"TASK_RETENTION":              {worker.Retention, config.Age(400 * 24 * time.Hour)},
		"MERCHANT_RATE":               {worker.MerchantRate, 20.0},
		"MERCHANT_CONCURRENCY":        {worker.MerchantConcurrency, 10},
		"ALLOW_PAYOUTS":               {api.AllowPayouts, false},
		"ENCRYPTION_BINDING":          {api.Binding, config.BindingOptional},
		"ENCRYPTION_BINDING's effect": {worker.RequiresBinding(), false},
		"DATABASE_ALLOW_PLAINTEXT":    {api.AllowPlaintext, false},
		"LOG_TASKS":                   {worker.LogTasks, config.LogAllTasks},
		"where spans go":              {api.SpansURL(), ""},
		"OTEL_TRACES_SAMPLER":         {worker.Sampler, "parentbased_always_on"},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s: got %v, want %v", name, pair[0], pair[1])
		}
	}
}

// bad refuses what begins so.
func bad(text secret.Text) error {
	if strings.HasPrefix(text.Reveal(), "bad") {
		return errors.New("is bad")
	}
	return nil
}

// TestEachFaultIsNamed gives one bad value at a time and wants exactly that variable named, and never the value.
func TestEachFaultIsNamed(t *testing.T) {
	t.Parallel()
	for variable, values := range map[string][]string{
		"APP_ENV": {"canary"}, "LOG_LEVEL": {"canary"}, "LOG_FORMAT": {"canary"}, "OPS_ADDR": {"canary"},
		"SHUTDOWN_DELAY": {"canary", "-1s", "30s"}, "SHUTDOWN_TIMEOUT": {"canary", "0s"},
		"STRIPE_API_URL":     {"canary", "ftp://canary", "https://user:canary@api.stripe.com", "http://api.stripe.com", "https://canary/path"},
		"STRIPE_CONNECT_URL": {"://canary"}, "STRIPE_TIMEOUT": {"canary", "0s"},
		"STRIPE_IDEMPOTENCY_WINDOW": {"canary", "24h", "1s"},
		"WORKER_CONCURRENCY":        {"canary", "0", "100000"}, "WORKER_POLL_INTERVAL": {"canary", "1ms"}, "WORKER_LEASE": {"canary", "10ms"},
		"RETRY_BASE": {"canary", "0s"}, "RETRY_MAX": {"canary", "1s"}, "RECONCILE_DELAYS": {"canary", "1m,canary", "0s", ","}, "TASK_RETENTION": {"canary", "-1h", "-1d", "1.5d", "d", "99999d", "1ms", "400"}, "MERCHANT_RATE": {"canary", "-1"}, "MERCHANT_CONCURRENCY": {"canary", "-1"},
		"ALLOW_PAYOUTS": {"canary"}, "DATABASE_ALLOW_PLAINTEXT": {"canary"}, "ENCRYPTION_KEY_FILE": {"/canary/nowhere"}, "ENCRYPTION_KEY": {"bad canary"},
		"ENCRYPTION_KEYS_PREVIOUS": {"canary"}, "ENCRYPTION_BINDING": {"canary", "Required", "true"}, "DATABASE_URL": {"bad canary"},
		"LOG_TASKS": {"canary", "none"}, "OTEL_SDK_DISABLED": {"canary"}, "OTEL_EXPORTER_OTLP_TIMEOUT": {"canary", "10s"}, "OTEL_EXPORTER_OTLP_HEADERS_FILE": {"/canary/nowhere"},
		"OTEL_EXPORTER_OTLP_ENDPOINT":        {"canary", "ftp://canary", "http://", "https://user:canary@h", "http://h?canary", "http://h#canary", ":canary"},
		"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": {"canary", "https://user:canary@h"},
	} {
		for _, value := range values {
			_, err := config.LoadWorker([]string{"DATABASE_URL=postgres://localhost/b", variable + "=" + value}, config.Checks{
				Key:      func(key secret.Text, _ config.Environment) error { return bad(key) },
				Database: func(url secret.Text, _ bool) error { return bad(url) },
			})
			var faults *config.Error
			if !errors.As(err, &faults) || len(faults.Faults) != 1 || !strings.HasPrefix(faults.Faults[0], variable+" ") {
				t.Errorf("%s=%s: got %v", variable, value, err)
				continue
			}
			if strings.Contains(err.Error(), "canary") {
				t.Errorf("%s: the value is shown: %v", variable, err)
			}
		}
	}
}

// TestFaultsOfTracing are told only where spans go somewhere: the variables may be meant for others.
func TestFaultsOfTracing(t *testing.T) {
	t.Parallel()
	for variable, value := range map[string]string{
		"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/json", "OTEL_TRACES_EXPORTER": "canary",
		"OTEL_EXPORTER_OTLP_COMPRESSION": "zstd", "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION": "zstd", "OTEL_EXPORTER_OTLP_TIMEOUT": "0", "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT": "-1",
		"OTEL_TRACES_SAMPLER": "jaeger_remote", "OTEL_TRACES_SAMPLER_ARG": "1.5",
	} {
		for endpoint, want := range map[string]bool{"": false, "http://127.0.0.1:4318": true} {
			_, err := config.LoadAPI([]string{"DATABASE_URL=postgres://localhost/b", "OTEL_EXPORTER_OTLP_ENDPOINT=" + endpoint, variable + "=" + value}, anything())
			if named := err != nil && strings.Contains(err.Error(), "\n  "+variable+" "); named != want || !want && err != nil {
				t.Errorf("%s=%s with the endpoint %q: %v", variable, value, endpoint, err)
			}
		}
	}
}

// TestWhereSpansGo: as OpenTelemetry has it.
func TestWhereSpansGo(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"OTEL_EXPORTER_OTLP_ENDPOINT=http://h:4318":                                           "http://h:4318/v1/traces",
		"OTEL_EXPORTER_OTLP_ENDPOINT=http://h:4318/base/":                                     "http://h:4318/base/v1/traces",
		"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://t/in OTEL_EXPORTER_OTLP_ENDPOINT=http://h": "http://t/in",
		"OTEL_EXPORTER_OTLP_ENDPOINT=http://h OTEL_SDK_DISABLED=true":                         "",
		"OTEL_EXPORTER_OTLP_ENDPOINT=http://h OTEL_TRACES_EXPORTER=none":                      "",
	} {
		worker, err := config.LoadWorker(append(strings.Fields(given), "DATABASE_URL=postgres://localhost/b"), anything())
		if err != nil || worker.SpansURL() != want {
			t.Errorf("%s: %q, %v", given, worker.SpansURL(), err)
		}
	}
	api, err := config.LoadAPI([]string{
		"DATABASE_URL=postgres://localhost/b", "OTEL_EXPORTER_OTLP_HEADERS=a=b", "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT=500", "OTEL_EXPORTER_OTLP_COMPRESSION=gzip",
	}, anything())
	if err != nil || api.SpansHeaders().Reveal() != "a=b" || api.SpansTimeout() != 500*time.Millisecond || !api.SpansPacked() {
		t.Errorf("%q, %s, %t, %v", api.SpansHeaders().Reveal(), api.SpansTimeout(), api.SpansPacked(), err)
	}
}

func TestAllFaultsAtOnce(t *testing.T) {
	t.Parallel()
	_, err := config.LoadAPI([]string{"APP_ENV=production", "ADMIN_API_KEY=short", "LOG_LEVEL=x", "STRIPE_API_URL=https://example.com", "API_ADDR=x"}, anything())
	for _, variable := range []string{"DATABASE_URL", "ENCRYPTION_KEY", "ADMIN_API_KEY", "LOG_LEVEL", "STRIPE_API_URL", "API_ADDR"} {
		if err == nil || !strings.Contains(err.Error(), "\n  "+variable+" ") {
			t.Errorf("%s is not named: %v", variable, err)
		}
	}
}

func TestSecretsFromFiles(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "url")
	if err := os.WriteFile(path, []byte("postgres://localhost/file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	api, err := config.LoadAPI([]string{"DATABASE_URL_FILE=" + path}, anything())
	if err != nil || api.DatabaseURL.Reveal() != "postgres://localhost/file" {
		t.Errorf("got %q, %v", api.DatabaseURL.Reveal(), err)
	}
	if _, err := config.LoadAPI([]string{"DATABASE_URL_FILE=" + path, "DATABASE_URL=postgres://canary/b"}, anything()); err == nil ||
		!strings.Contains(err.Error(), "DATABASE_URL is set as well as DATABASE_URL_FILE") || strings.Contains(err.Error(), "canary") {
		t.Errorf("both set: %v", err)
	}
}

func TestStripeHosts(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		env, address string
		ok           bool
	}{
		{"production", "https://api.stripe.com", true},
		{"production", "http://127.0.0.1:12111", true},
		{"production", "http://localhost:12111", true},
		{"production", "http://[::1]:12111", true},
		{"production", "https://api.stripe.com.evil.example", false},
		{"production", "http://10.0.0.1", false},
		{"development", "http://stripesim:12111", true},
		{"development", "http://api.stripe.com", false},
	} {
		_, err := config.LoadWorker([]string{"DATABASE_URL=postgres://localhost/b", "ENCRYPTION_KEY=k", "APP_ENV=" + tc.env, "STRIPE_API_URL=" + tc.address}, anything())
		if (err == nil) != tc.ok {
			t.Errorf("%s %s: %v", tc.env, tc.address, err)
		}
	}
}

func TestRetention(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		env, value string
		want       time.Duration
		ok         bool
	}{
		{"production", "0", 0, true},
		{"production", "1d", 24 * time.Hour, true},
		{"production", "720h", 30 * 24 * time.Hour, true},
		{"production", "23h", 0, false},
		{"development", "1s", time.Second, true},
		{"development", "0d", 0, true},
	} {
		worker, err := config.LoadWorker([]string{"DATABASE_URL=postgres://localhost/b", "ENCRYPTION_KEY=k", "APP_ENV=" + tc.env, "TASK_RETENTION=" + tc.value}, anything())
		if (err == nil) != tc.ok || tc.ok && time.Duration(worker.Retention) != tc.want {
			t.Errorf("%s %s: %v, %v", tc.env, tc.value, worker.Retention, err)
		}
	}
}

// TestProductionAsksForEncryptedConnections unless it is told otherwise.
func TestProductionAsksForEncryptedConnections(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		env, allow string
		want       bool
	}{
		{"production", "", true},
		{"production", "false", true},
		{"production", "true", false},
		{"production", "1", false},
		{"production", "0", true},
		{"development", "", false},
	} {
		asked := !tc.want
		checks := anything()
		checks.Database = func(_ secret.Text, encrypted bool) error {
			asked = encrypted
			return nil
		}
		if _, err := config.LoadAPI([]string{
			"DATABASE_URL=postgres://db/b", "ENCRYPTION_KEY=k", "APP_ENV=" + tc.env, "DATABASE_ALLOW_PLAINTEXT=" + tc.allow,
		}, checks); err != nil || asked != tc.want {
			t.Errorf("%+v: %t, %v", tc, asked, err)
		}
	}
}

func TestPreviousKeys(t *testing.T) {
	t.Parallel()
	worker, err := config.LoadWorker([]string{"DATABASE_URL=postgres://localhost/b", "ENCRYPTION_KEY=k", "ENCRYPTION_KEYS_PREVIOUS= a, ,b,"}, anything())
	if err != nil {
		t.Fatal(err)
	}
	keys := worker.Previous()
	if len(keys) != 2 || keys[0].Reveal() != "a" || keys[1].Reveal() != "b" {
		t.Errorf("%d keys", len(keys))
	}
}

// TestFieldNamesAreUnique guards the naming of faults: a message must not name the variable of another embedded struct.
func TestFieldNamesAreUnique(t *testing.T) {
	t.Parallel()
	for _, of := range []reflect.Type{reflect.TypeFor[config.API](), reflect.TypeFor[config.Worker]()} {
		seen := map[string]bool{}
		for _, field := range reflect.VisibleFields(of) {
			if !field.Anonymous && seen[field.Name] {
				t.Errorf("%s has two fields named %s", of, field.Name)
			}
			seen[field.Name] = true
		}
	}
}

func TestConfigurationsShowNoSecret(t *testing.T) {
	t.Parallel()
	api, err := config.LoadAPI([]string{
		"DATABASE_URL=postgres://u:canary@localhost/b", "ENCRYPTION_KEY=canary", "ENCRYPTION_KEYS_PREVIOUS=canary", "ADMIN_API_KEY=canary-canary-canary",
		"STRIPE_SECRET_KEY=canary", "STRIPE_WEBHOOK_SECRET=canary", "OTEL_EXPORTER_OTLP_HEADERS=key=canary", "OTEL_EXPORTER_OTLP_TRACES_HEADERS=key=canary",
	}, anything())
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{reflect.ValueOf(api).String(), strings.Join(strings.Fields(sprint(api)), " ")} {
		if strings.Contains(text, "canary") {
			t.Errorf("a secret is shown: %s", text)
		}
	}
}

func sprint(v any) string { return fmt.Sprintf("%v %+v %#v", v, v, v) }
