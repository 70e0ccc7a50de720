package leaks_test

import (
	"net/url"
	"strings"
	"syscall"
	"time"

	"billonce/internal/programtest"
	"billonce/pkg/billing"
)

// command is one run of a program to its end.
type command struct {
	place string
	code  int
	run   *programtest.Process
}

// finish waits for all and notes what they wrote, as pieces of it.
func (w *world) finish(commands []command, take func(place, output string) []piece) {
	w.t.Helper()
	for _, one := range commands {
		if code := one.run.Exit(); code != one.code {
			w.t.Errorf("%s ended with %d, want %d", one.place, code, one.code)
		}
		w.said = append(w.said, take(one.place, one.run.Output())...)
	}
}

// misconfigure starts the services with faults in everything that they are told. Values may be secrets whatever they are in.
func (w *world) misconfigure() {
	w.t.Helper()
	bad, password := w.c.text("value in a bad configuration"), w.c.text("password in a bad url")
	faulty := map[string]string{"ADMIN_API_KEY": bad[:13]}
	for _, name := range []string{
		"APP_ENV", "ENCRYPTION_KEY", "ENCRYPTION_KEYS_PREVIOUS", "LOG_LEVEL", "LOG_FORMAT", "API_ADDR", "OPS_ADDR", "SHUTDOWN_DELAY",
		"SHUTDOWN_TIMEOUT", "STRIPE_TIMEOUT", "STRIPE_IDEMPOTENCY_WINDOW", "WORKER_CONCURRENCY", "WORKER_LEASE", "RETRY_BASE", "RETRY_MAX",
		"RECONCILE_DELAYS", "TASK_RETENTION", "MERCHANT_RATE", "MERCHANT_CONCURRENCY", "ALLOW_PAYOUTS", "API_REQUIRE_IDEMPOTENCY_KEY",
		"LOG_TASKS", "OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_TRACES_EXPORTER", "OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG", "OTEL_SDK_DISABLED",
	} {
		faulty[name] = bad
	}
	faulty["DATABASE_URL"] = "postgres://user:" + password + "@127.0.0.1:port/x"
	faulty["STRIPE_API_URL"] = "http://user:" + password + "@127.0.0.1:1"
	faulty["OTEL_EXPORTER_OTLP_ENDPOINT"] = "http://user:" + password + "@127.0.0.1:1"
	faulty["STRIPE_SECRET_KEY_FILE"] = "/nonexistent/" + password
	wrongKey := w.with("ENCRYPTION_KEY", w.c.text("previous encryption key"), "ENCRYPTION_KEYS_PREVIOUS", "")
	var commands []command
	for _, program := range []string{"api", "worker"} {
		start := func(place string, code int, env map[string]string) {
			commands = append(commands, command{program + " " + place, code, w.spawn(program, env)})
		}
		start("with everything wrong", 78, faulty)
		start("with another password in the url", 78, w.with("DATABASE_URL", "user="+password+" password="+password+" host="+password+" sslmode="+password))
		start("with another encryption key", 78, wrongKey)
		start("with half a key", 78, w.with("ENCRYPTION_KEY", w.c.text("encryption key")[:40]))
		start("with a key in both forms", 78, w.with("ENCRYPTION_KEY_FILE", "/nonexistent/"+bad))
		start("with a key for an address", 1, w.with("OPS_ADDR", w.c.text("token in a bad request")+":80"))
		commands = append(commands, command{program + " with an argument", 2, w.spawn(program, w.env, bad)})
	}
	waiting := w.waitInVain()
	w.finish(commands, func(place, output string) []piece { return []piece{{place, output}} })
	for _, one := range waiting {
		one.run.Line("waiting for the database")
		one.run.Signal(syscall.SIGTERM)
	}
	w.finish(waiting, func(place, output string) []piece { return []piece{{place, output}} })
}

// waitInVain starts services whose database does not let them in, or is not there.
func (w *world) waitInVain() []command {
	w.t.Helper()
	var commands []command
	for place, change := range map[string]func(*url.URL){
		"with the wrong password": func(u *url.URL) {
			u.User = url.UserPassword(u.User.Username(), w.c.text("wrong database password"))
		},
		"with a database that is not there": func(u *url.URL) { u.Path = "/not_there" },
		"with nobody at the port":           func(u *url.URL) { u.Host = "127.0.0.1:1" },
	} {
		address, err := url.Parse(w.env["DATABASE_URL"])
		if err != nil {
			w.t.Fatal("the URL cannot be read")
		}
		change(address)
		env := w.with("DATABASE_URL", address.String())
		commands = append(commands, command{"api " + place, 0, w.spawn("api", env)})
	}
	return commands
}

// operate runs billctl as operators do, well and badly. What it prints for people is taken apart by the first word of each
// line; what it prints as JSON, by its members.
func (w *world) operate() {
	w.t.Helper()
	key := map[string]string{"BILLONCE_API_KEY": w.c.text("admin key")}
	database := map[string]string{"DATABASE_URL": w.env["DATABASE_URL"]}
	odd, token := w.c.text("password in a bad url"), w.c.text("token in a bad request")
	var forPeople, forPrograms []command
	people := func(code int, env map[string]string, args ...string) {
		place := "billctl " + strings.Join(args[:2], " ")
		forPeople = append(forPeople, command{place, code, w.spawn("billctl", env, args...)})
	}
	api := []string{"--url", w.through}
	with := func(args ...string) []string { return append(args, api...) }
	people(0, key, with("tasks", "list")...)
	people(0, key, with("tasks", "show", w.tasks["laden"])...)
	people(0, key, with("tasks", "show", w.tasks["garbage"])...)
	people(0, key, with("tasks", "show", w.tasks["look"])...)
	people(0, key, with("merchants", "list")...)
	people(0, key, with("merchants", "show", w.merchants["main"])...)
	people(0, key, with("merchants", "show", w.merchants["refused"])...)
	people(1, key, with("tasks", "cancel", w.tasks["laden"])...)
	people(1, map[string]string{"BILLONCE_API_KEY": w.c.text("wrong admin key")}, with("tasks", "list")...)
	people(1, key, with("tasks", "show", token)...)
	people(2, key, "tasks", "list", "--url", "http://user:"+odd+"@127.0.0.1:1")
	people(1, key, "tasks", "list", "--url", "http://127.0.0.1:1")
	people(2, key, "tasks", "cancle", token)
	people(78, map[string]string{"BILLONCE_API_KEY": odd, "BILLONCE_API_KEY_FILE": odd}, "tasks", "list")
	people(0, database, "migrate", "status")
	people(1, map[string]string{"DATABASE_URL": "postgres://user:" + odd + "@127.0.0.1:1/x"}, "migrate", "status", "--wait", "100ms")
	people(1, nil, "healthcheck", "http://user:"+odd+"@127.0.0.1:1/"+token)
	people(1, nil, "healthcheck", strings.Replace(w.api.base, "://", "://user:"+odd+"@", 1)+"/v1/"+token)
	for place, run := range map[string]*programtest.Process{
		"billctl tasks show --json": w.spawn("billctl", key, with("tasks", "show", "--json", w.tasks["laden"])...),
		"export":                    w.spawn("billctl", database, "tasks", "export", "--quiet"),
	} {
		forPrograms = append(forPrograms, command{place, 0, run})
	}
	forPrograms = append(forPrograms, command{
		"billctl tasks show --json", 0, w.spawn("billctl", key, with("tasks", "show", "--json", w.tasks["garbage"])...),
	})
	w.finish(forPeople, byLine)
	w.finish(forPrograms, document)
}

// byLine makes a piece of each line; its place is named after the line's first word.
func byLine(place, output string) []piece {
	var pieces []piece
	for line := range strings.Lines(output) {
		at := place
		if words := strings.Fields(line); len(words) > 0 && strings.HasSuffix(place, " show") {
			at += ": " + words[0]
		}
		pieces = append(pieces, piece{at, line})
	}
	return pieces
}

// cutOff takes the database away while the api is asked and the workers have something to do.
func (w *world) cutOff() {
	w.t.Helper()
	w.wire.Refuse(true)
	w.wire.Reset()
	token := w.c.text("token while the database is away")
	for line, body := range map[string]string{
		"POST /v1/merchants":                                `{"name":"A","stripe_connect_id":"acct_away","access_token":"` + token + `","refresh_token":"` + token + `"}`,
		"PATCH /v1/merchants/" + w.merchants["main"]:        `{"access_token":"` + token + `"}`,
		"POST /v1/tasks":                                    `{"merchant_id":"` + w.merchants["main"] + `","kind":"invoice.pay","target":"in_1","metadata":{"a":"` + token + `"}}`,
		"GET /v1/tasks/" + w.tasks["laden"]:                 "",
		"POST /v1/tasks/" + w.tasks["look"] + "/resolve":    `{"outcome":"failed","note":"` + token + `"}`,
		"GET /v1/merchants?stripe_connect_id=acct_" + token: "",
	} {
		method, path, _ := strings.Cut(line, " ")
		if status, _ := w.api.send(method, path, body); status != 503 {
			w.t.Errorf("%s without a database is answered %d", method, status)
		}
	}
	w.eventually("the api is not ready", func() bool {
		status, _ := w.api.send("GET", "/readyz", "")
		return status == 503
	})
	w.watch()
	w.wire.Heal()
	w.eventually("the api is ready again", func() bool {
		status, _ := w.api.send("GET", "/readyz", "")
		return status == 200
	})
}

// archive moves what has succeeded to where old tasks are kept; what has failed stays where it is, so that both are searched.
func (w *world) archive() {
	w.t.Helper()
	moved, err := w.db.Store.MoveFinished(w.t.Context(), billing.Succeeded, time.Time{}, 0, 1000)
	if err != nil || moved.Tasks == 0 {
		w.t.Errorf("nothing is archived: %v", err)
	}
}
