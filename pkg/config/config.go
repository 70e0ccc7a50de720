// Package config reads the environment once and judges it whole.
//
// It promises that every fault is reported at once, each naming its variable, and that no message ever shows a value: a
// mistyped secret must not end in a log. A secret X may come as a file named by X_FILE.
//
// It never reads the process's environment itself, never connects anywhere, and holds no business rule.
package config

import (
	"fmt"
	"log/slog"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"

	"billonce/pkg/secret"
)

// Environment says where the process runs.
type Environment string

// The environments.
const (
	Development Environment = "development"
	Production  Environment = "production"
)

// Common is what both services need.
type Common struct {
	Env             Environment   `env:"APP_ENV" envDefault:"development"`
	DatabaseURL     secret.Text   `env:"DATABASE_URL"`
	Key             secret.Text   `env:"ENCRYPTION_KEY"`
	PreviousKeys    secret.Text   `env:"ENCRYPTION_KEYS_PREVIOUS"` // comma list
	Binding         string        `env:"ENCRYPTION_BINDING" envDefault:"optional"`
	LogLevel        slog.Level    `env:"LOG_LEVEL" envDefault:"info"`
	LogFormat       string        `env:"LOG_FORMAT" envDefault:"json"`
	OpsAddr         string        `env:"OPS_ADDR"`
	ShutdownDelay   time.Duration `env:"SHUTDOWN_DELAY" envDefault:"0s"`
	ShutdownTimeout time.Duration `env:"SHUTDOWN_TIMEOUT" envDefault:"30s"`
	AllowPayouts    bool          `env:"ALLOW_PAYOUTS" envDefault:"false"`
	AllowPlaintext  bool          `env:"DATABASE_ALLOW_PLAINTEXT" envDefault:"false"` // to PostgreSQL on another machine, in production

	MerchantRate        float64 `env:"MERCHANT_RATE" envDefault:"20"`        // calls per second, 0: no limit
	MerchantConcurrency int     `env:"MERCHANT_CONCURRENCY" envDefault:"10"` // calls at once, 0: no limit

	Tracing
}

// The values of ENCRYPTION_BINDING.
const (
	BindingOptional = "optional" // tokens that an older release stored, bound to no place, are accepted
	BindingRequired = "required"
)

// RequiresBinding reports whether a stored token that is bound to no place is refused.
func (c Common) RequiresBinding() bool { return c.Binding == BindingRequired }

// Stripe is how Stripe is reached.
type Stripe struct {
	APIURL        string        `env:"STRIPE_API_URL" envDefault:"https://api.stripe.com"`
	ConnectURL    string        `env:"STRIPE_CONNECT_URL" envDefault:"https://connect.stripe.com"`
	SecretKey     secret.Text   `env:"STRIPE_SECRET_KEY"`
	ClientID      string        `env:"STRIPE_CLIENT_ID"`
	WebhookSecret secret.Text   `env:"STRIPE_WEBHOOK_SECRET"`
	Timeout       time.Duration `env:"STRIPE_TIMEOUT" envDefault:"80s"`
	Window        time.Duration `env:"STRIPE_IDEMPOTENCY_WINDOW" envDefault:"23h"`
}

// API configures cmd/api.
type API struct {
	Common
	Stripe
	Addr       string      `env:"API_ADDR" envDefault:":8080"`
	AdminKey   secret.Text `env:"ADMIN_API_KEY"`
	RequireKey bool        `env:"API_REQUIRE_IDEMPOTENCY_KEY" envDefault:"false"`
	// TrustedProxies may say in X-Forwarded-For who their client is; nobody else may.
	TrustedProxies Networks `env:"API_TRUSTED_PROXIES"`
}

// Worker configures cmd/worker.
type Worker struct {
	Common
	Stripe
	Concurrency  int           `env:"WORKER_CONCURRENCY" envDefault:"100"`
	PollInterval time.Duration `env:"WORKER_POLL_INTERVAL" envDefault:"1s"`
	Lease        time.Duration `env:"WORKER_LEASE" envDefault:"30s"`
	RetryBase    time.Duration `env:"RETRY_BASE" envDefault:"2s"`
	RetryMax     time.Duration `env:"RETRY_MAX" envDefault:"15m"`
	// ReconcileDelays are the pauses before the first look at a task in doubt and between the looks; after the last look a
	// person decides. However short they are, the last look is made no earlier than a day after the first send.
	ReconcileDelays []time.Duration `env:"RECONCILE_DELAYS" envDefault:"1m,5m,30m,2h,8h,24h"`
	Retention       Age             `env:"TASK_RETENTION" envDefault:"400d"` // of finished tasks; 0: for ever
	LogTasks        string          `env:"LOG_TASKS" envDefault:"all"`
}

// The values of LOG_TASKS.
const (
	LogAllTasks     = "all"
	LogTaskProblems = "problems" // no line for a task that succeeds
)

// secrets may come as files.
var secrets = []string{
	"DATABASE_URL", "ENCRYPTION_KEY", "ENCRYPTION_KEYS_PREVIOUS", "ADMIN_API_KEY", "STRIPE_SECRET_KEY", "STRIPE_WEBHOOK_SECRET",
	"OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
}

// Error is a configuration that cannot be used, with every fault that was found.
type Error struct{ Faults []string }

// Error lists the faults, one to a line.
func (e *Error) Error() string {
	return "the configuration cannot be used:\n  " + strings.Join(e.Faults, "\n  ")
}

// Checks judge what only other rooms can read. Each returns why a value cannot be used, or nil, and never shows the value.
type Checks struct {
	Key      func(key secret.Text, environment Environment) error
	Database func(url secret.Text, encrypted bool) error // encrypted: connections to other machines must be
}

// LoadAPI reads the api's configuration from "NAME=value" pairs. The error is an [*Error].
func LoadAPI(environ []string, checks Checks) (API, error) {
	conf := API{Common: Common{OpsAddr: "127.0.0.1:9090"}}
	faults := read(environ, &conf)
	faults.common(conf.Common, checks)
	faults.stripe(conf.Env, conf.Stripe)
	faults.address("API_ADDR", conf.Addr)
	if !conf.AdminKey.Empty() && len(conf.AdminKey.Reveal()) < minAdminKey {
		faults.add("ADMIN_API_KEY", fmt.Sprintf("must have at least %d characters", minAdminKey))
	}
	return conf, faults.err()
}

// LoadWorker reads the worker's configuration from "NAME=value" pairs. The error is an [*Error].
func LoadWorker(environ []string, checks Checks) (Worker, error) {
	conf := Worker{Common: Common{OpsAddr: "127.0.0.1:9091"}}
	faults := read(environ, &conf)
	faults.common(conf.Common, checks)
	faults.stripe(conf.Env, conf.Stripe)
	faults.between("WORKER_CONCURRENCY", conf.Concurrency, 1, 10_000)
	faults.atLeast("WORKER_POLL_INTERVAL", conf.PollInterval, 10*time.Millisecond)
	faults.atLeast("WORKER_LEASE", conf.Lease, time.Second)
	faults.atLeast("RETRY_BASE", conf.RetryBase, time.Millisecond)
	if conf.RetryMax < conf.RetryBase {
		faults.add("RETRY_MAX", "must not be less than RETRY_BASE")
	}
	faults.between("RECONCILE_DELAYS", len(conf.ReconcileDelays), 1, 50)
	for _, delay := range conf.ReconcileDelays {
		faults.atLeast("RECONCILE_DELAYS", delay, 10*time.Millisecond)
	}
	faults.retention(conf.Env, conf.Retention)
	if conf.LogTasks != LogAllTasks && conf.LogTasks != LogTaskProblems {
		faults.add("LOG_TASKS", "must be all or problems")
	}
	return conf, faults.err()
}

// Lookup returns one variable of "NAME=value" pairs, the last one winning, as a process would see it.
func Lookup(environ []string, name string) string {
	return variables(environ)[name]
}

func variables(environ []string) map[string]string {
	values := make(map[string]string, len(environ))
	for _, pair := range environ {
		if name, value, ok := strings.Cut(pair, "="); ok {
			values[name] = value
		}
	}
	return values
}

// read fills conf and returns what cannot be read. An empty variable counts as absent.
func read(environ []string, conf any) *faultList {
	faults := &faultList{judged: map[string]bool{}}
	values := variables(environ)
	for name, value := range values {
		if value == "" {
			delete(values, name)
		}
	}
	for _, name := range secrets {
		faults.resolveFile(values, name)
	}
	err := env.ParseWithOptions(conf, env.Options{Environment: values, FuncMap: map[reflect.Type]env.ParserFunc{
		reflect.TypeFor[bool]():        func(value string) (any, error) { return ParseSwitch(value) },
		reflect.TypeFor[secret.Text](): func(value string) (any, error) { return secret.New(value), nil },
		reflect.TypeFor[Networks]():    func(value string) (any, error) { return parseNetworks(value) },
		reflect.TypeFor[Age]():         func(value string) (any, error) { return parseAge(value) },
	}})
	if err != nil {
		names := variableNames(reflect.TypeOf(conf).Elem())
		for _, field := range fieldsOf(err) {
			faults.add(names[field], "cannot be read as "+meaning[names[field]])
		}
	}
	return faults
}

// ParseSwitch reads a variable that says yes or no, for programs that read only some; an empty one says no.
func ParseSwitch(value string) (bool, error) {
	if value == "" {
		return false, nil
	}
	return strconv.ParseBool(value)
}

// meaning says what a variable that did not parse should have been.
var meaning = map[string]string{
	"LOG_LEVEL": "debug, info, warn or error", "SHUTDOWN_DELAY": duration, "SHUTDOWN_TIMEOUT": duration,
	"STRIPE_TIMEOUT": duration, "STRIPE_IDEMPOTENCY_WINDOW": duration, "WORKER_POLL_INTERVAL": duration, "WORKER_LEASE": duration,
	"RETRY_BASE": duration, "RETRY_MAX": duration, "RECONCILE_DELAYS": "a list of durations such as 1m,5m,1h", "TASK_RETENTION": "a number of days such as 400d, a duration such as 36h, or 0", "ALLOW_PAYOUTS": boolean, "DATABASE_ALLOW_PLAINTEXT": boolean, "API_REQUIRE_IDEMPOTENCY_KEY": boolean,
	"API_TRUSTED_PROXIES": "a list of addresses and networks such as 10.0.0.7,192.168.0.0/16",
	"MERCHANT_RATE":       "a number", "MERCHANT_CONCURRENCY": "a whole number", "WORKER_CONCURRENCY": "a whole number",
	"OTEL_SDK_DISABLED": boolean, "OTEL_TRACES_SAMPLER_ARG": "a number between 0 and 1",
	"OTEL_EXPORTER_OTLP_TIMEOUT": "a whole number of milliseconds", "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT": "a whole number of milliseconds",
}

const (
	duration = "a duration such as 30s or 15m"
	boolean  = "true or false"
)

// fieldsOf returns the names of the struct fields that env could not parse. Its own messages show values.
func fieldsOf(err error) []string {
	var fields []string
	all, ok := err.(env.AggregateError) //nolint:errorlint // what ParseWithOptions documents
	if !ok {
		return nil
	}
	for _, one := range all.Errors {
		if parse, ok := one.(env.ParseError); ok { //nolint:errorlint // as above
			fields = append(fields, parse.Name)
		}
	}
	return fields
}

// variableNames maps the fields of a configuration, those of embedded structs too, to their variables. Field names that two
// embedded structs share are avoided by a test.
func variableNames(of reflect.Type) map[string]string {
	names := map[string]string{}
	for i := range of.NumField() {
		field := of.Field(i)
		if field.Anonymous {
			for name, variable := range variableNames(field.Type) {
				names[name] = variable
			}
			continue
		}
		names[field.Name], _, _ = strings.Cut(field.Tag.Get("env"), ",")
	}
	return names
}

func (f *faultList) resolveFile(values map[string]string, name string) {
	path, given := values[name+"_FILE"]
	if !given {
		return
	}
	if _, both := values[name]; both {
		f.add(name, "is set as well as "+name+"_FILE; set one of them")
		return
	}
	content, err := os.ReadFile(path) //nolint:gosec // naming a file is the operator's right
	if err != nil {
		f.add(name+"_FILE", "names a file that cannot be read")
		return
	}
	text := strings.TrimSuffix(strings.TrimSuffix(string(content), "\n"), "\r")
	if text == "" {
		f.add(name+"_FILE", "names an empty file")
		return
	}
	values[name] = text
}

// Previous returns the keys of ENCRYPTION_KEYS_PREVIOUS, one by one.
func (c Common) Previous() []secret.Text {
	var keys []secret.Text
	for _, key := range strings.Split(c.PreviousKeys.Reveal(), ",") {
		if key = strings.TrimSpace(key); key != "" {
			keys = append(keys, secret.New(key))
		}
	}
	return slices.Clip(keys)
}
