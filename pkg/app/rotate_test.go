package app_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"billonce/internal/programtest"
	"billonce/pkg/billing"
	"billonce/pkg/secret"
	"billonce/pkg/store/storetest"
	"billonce/pkg/vault"
)

func parseKey(t *testing.T, text string) vault.Key {
	t.Helper()
	key, err := vault.ParseKey(secret.New(text))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// fleet is an api and a worker that are replaced one at a time, as a deployment does it.
type fleet struct {
	*stack
	mu     sync.RWMutex // held for reading by whoever calls the api
	api    *programtest.Process
	worker *programtest.Process
	c      *client
}

// roll starts an api and a worker with these keys, and ends those before them.
func (f *fleet) roll(primary, previous string) {
	f.t.Helper()
	f.env["ENCRYPTION_KEY"], f.env["ENCRYPTION_KEYS_PREVIOUS"] = primary, previous
	api, c := f.stack.api()
	worker := f.stack.worker()
	f.mu.Lock() // a balancer waits for its calls before it takes a server away
	api, f.api = f.api, api
	worker, f.worker = f.worker, worker
	f.c = c
	f.mu.Unlock()
	for _, old := range []*programtest.Process{api, worker} {
		if old == nil {
			continue
		}
		old.Signal(syscall.SIGTERM)
		if code := old.Exit(); code != 0 {
			f.t.Errorf("%s ended with %d", old.Name, code)
		}
	}
}

func (f *fleet) try(method, path string, body any, headers ...string) (programtest.Answer, error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.c.Try(method, path, body, headers...)
}

// rotate runs billctl keys rotate to its end, with the keys of the fleet, and says how long it took.
func (f *fleet) rotate(rate string) (done rotated) {
	f.t.Helper()
	p := spawn(f.t, "billctl", f.env, "keys", "rotate", "--rate", rate, "--json", "--quiet")
	if code := p.ExitWithin(rotatePatience); code != 0 {
		f.t.Fatalf("exit code %d: %s", code, p.Output())
	}
	if err := json.Unmarshal([]byte(p.Output()), &done); err != nil {
		f.t.Fatalf("%v: %s", err, p.Output())
	}
	f.t.Logf("%d merchants in %.1f s, %.0f a second", done.Resealed, done.Seconds, float64(done.Resealed)/done.Seconds)
	p = spawn(f.t, "billctl", f.env, "keys", "verify", "--quiet")
	if code := p.ExitWithin(rotatePatience); code != 0 {
		f.t.Fatalf("exit code %d: %s", code, p.Output())
	}
	return done
}

// rotated is what billctl keys rotate says.
type rotated struct {
	Resealed int     `json:"merchants_resealed"`
	Seconds  float64 `json:"seconds"`
}

const (
	fewMerchants   = 3000             // that rotate in every run of the tests
	rotatePatience = 10 * time.Minute // for however many make rotation wants
	wantedRate     = 200_000 / 60.0   // merchants a second, where it is measured
)

// rotation says how many merchants of an older release rotate, how fast they may, and whether it is measured: by make rotation.
func rotation(t *testing.T) (merchants int, rate string, measured bool) {
	t.Helper()
	text := os.Getenv("ROTATION_MERCHANTS")
	if text == "" {
		return fewMerchants, "1500", false // slow enough for much to happen beside it
	}
	merchants, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("ROTATION_MERCHANTS: %v", err)
	}
	return merchants, "0", true
}

// customer is whoever uses the api while keys rotate: it connects merchants, refreshes their tokens and orders payments.
type customer struct {
	name    string
	tokens  map[billing.MerchantID][2]string // what was acknowledged last: access and refresh token
	tasks   []string
	refused []string // every answer that is not the one hoped for
	calls   int
	slowest time.Duration // of the api's answers
}

func (c *customer) work(f *fleet, stop <-chan struct{}) {
	call := func(status int, method, path string, body any, headers ...string) string {
		began := time.Now()
		a, err := f.try(method, path, body, headers...)
		c.calls, c.slowest = c.calls+1, max(c.slowest, time.Since(began))
		if err != nil || a.Status != status {
			c.refused = append(c.refused, fmt.Sprintf("%s %s: %d %v %v", method, path, a.Status, a.Body, err))
			return ""
		}
		return idOf(a.Body)
	}
	var id billing.MerchantID
	for n := 0; len(c.refused) == 0; n++ {
		select {
		case <-stop:
			return
		default:
		}
		account := fmt.Sprintf("acct_%s%d", c.name, n/10)
		access, refresh := fmt.Sprintf("sk_test_%s_%d", account, n), fmt.Sprintf("rt_%s_%d", account, n)
		a, err := f.simulator().Try("POST", "/_sim/accounts", map[string]any{"token": access, "account": account})
		if err != nil || a.Status != 200 {
			c.refused = append(c.refused, fmt.Sprintf("the simulator: %d, %v", a.Status, err))
			return
		}
		if n%10 == 0 {
			id = billing.MerchantID(call(201, "POST", "/v1/merchants", map[string]any{
				"name": account, "stripe_connect_id": account, "access_token": access, "refresh_token": refresh,
			}))
		} else {
			call(200, "PATCH", "/v1/merchants/"+string(id), map[string]any{"access_token": access, "refresh_token": refresh})
		}
		if len(c.refused) > 0 {
			return
		}
		c.tokens[id] = [2]string{access, refresh}
		c.tasks = append(c.tasks, call(201, "POST", "/v1/tasks", map[string]any{
			"merchant_id": id, "kind": "invoice_item.create", "params": map[string]any{"customer": "cus_ok", "amount": 100, "currency": "usd"},
		}, "Idempotency-Key", fmt.Sprintf("%s-%d", c.name, n)))
	}
}

// TestKeysRotateUnderLoad: twice, in two phases each, while merchants are connected, tokens refreshed and payments made. Nobody sees an
// error, every token is the one that was stored last, and every task is done once.
func TestKeysRotateUnderLoad(t *testing.T) {
	merchants, rate, measured := rotation(t)
	t.Parallel()
	f := &fleet{stack: newStack(t)}
	first, second, third := f.env["ENCRYPTION_KEY"], otherKey, strings.Repeat("5a0f", 16)
	f.roll(first, "")
	sealer, err := vault.New(parseKey(t, first))
	if err != nil {
		t.Fatal(err)
	}
	text, err := sealer.Encrypt("sk_test_of_old")
	if err != nil {
		t.Fatal(err)
	}
	db := sqlx.MustConnect("postgres", f.url)
	defer func() { _ = db.Close() }()
	db.MustExec(`INSERT INTO merchants (id, name, stripe_connect_id, access_token, refresh_token)
		SELECT gen_random_uuid(), 'M', 'acct_old' || n, $1, $1 FROM generate_series(1, $2::int) AS n`, text, merchants)

	stop := make(chan struct{})
	customers, busy := make([]*customer, 3), sync.WaitGroup{}
	for i := range customers {
		customers[i] = &customer{name: fmt.Sprintf("rotating%d", i), tokens: map[billing.MerchantID][2]string{}}
		busy.Go(func() { customers[i].work(f, stop) })
	}
	f.roll(first, second)
	f.roll(second, first)
	rotations := []rotated{f.rotate(rate)}
	f.roll(second, third) // nothing needs the first one any more
	f.roll(third, second)
	rotations = append(rotations, f.rotate(rate))
	f.roll(third, "")
	close(stop)
	busy.Wait()

	for _, one := range rotations {
		if one.Resealed < merchants || measured && float64(one.Resealed) < wantedRate*one.Seconds {
			t.Errorf("%d of %d merchants in %.1f s", one.Resealed, merchants, one.Seconds)
		}
	}
	left := storetest.OpenURL(t, f.url, parseKey(t, third))
	left.Vault.RequireBinding()
	for _, one := range customers {
		if len(one.refused) > 0 || len(one.tasks) < 10 {
			t.Fatalf("%s after %d tasks: %v", one.name, len(one.tasks), one.refused)
		}
		t.Logf("%s: no error in %d calls; the slowest took %s", one.name, one.calls, one.slowest.Round(time.Millisecond))
		for id, want := range one.tokens {
			got, err := left.Store.GetMerchant(t.Context(), id)
			if err != nil || got.AccessToken.Reveal() != want[0] || got.RefreshToken.Reveal() != want[1] || got.Status != billing.MerchantActive {
				t.Errorf("merchant %s: a token is not the one stored last: %v, %s", id, err, got.Status)
			}
		}
		f.c.Await(one.tasks[len(one.tasks)-1], "succeeded")
	}
	await(t, db, `SELECT count(*) = 0 FROM scheduled_tasks WHERE status <> 'succeeded'`)
	effects := f.effects()
	for _, one := range customers {
		for _, id := range one.tasks {
			if effects["task_"+id] != 1 {
				t.Errorf("task %s has %d effects", id, effects["task_"+id])
			}
		}
	}
}

// await polls until the query says true.
func await(t *testing.T, db *sqlx.DB, query string) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(patience); ; {
		var done bool
		if err := db.GetContext(t.Context(), &done, query); err != nil {
			t.Fatal(err)
		}
		if done {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("never: %s", query)
		}
	}
}

// metrics reads the operators' metrics of a process.
func metrics(t *testing.T, p *programtest.Process) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+p.Attr("ops listening", "addr")+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := (&http.Client{}).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestAMovedTokenRaisesAnAlarm: the merchant is paused and nothing is sent, the log says it at ERROR, and a metric counts it.
func TestAMovedTokenRaisesAnAlarm(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	_, c := s.api()
	worker := s.worker()
	victim := c.merchant()
	rich := idOf(c.Must(201, "POST", "/v1/merchants", map[string]any{
		"name": "Rich", "stripe_connect_id": "acct_rich", "access_token": "sk_test_acct_rich",
	}))
	db := sqlx.MustConnect("postgres", s.url)
	defer func() { _ = db.Close() }()
	db.MustExec(`UPDATE merchants SET (access_token, access_token_key_id, access_token_binding) =
		(SELECT access_token, access_token_key_id, access_token_binding FROM merchants WHERE id = $1) WHERE id = $2`, rich, victim)
	c.Must(201, "POST", "/v1/tasks", map[string]any{"merchant_id": victim, "kind": "invoice.pay", "target": s.invoice("in_moved")})
	said := worker.Line(`"level":"ERROR"`, "stored credentials refused")
	if !strings.Contains(said, victim) || !strings.Contains(said, `"fault":"misplaced"`) || !strings.Contains(said, `"column":"access_token"`) {
		t.Errorf("%s", said)
	}
	worker.Line("merchant paused", victim)
	if got := c.Must(200, "GET", "/v1/merchants/"+victim, nil); got["status"] != "paused" {
		t.Errorf("%v", got)
	}
	if text := metrics(t, worker); !strings.Contains(text, `billonce_tokens_refused_total{fault="misplaced"} 1`) {
		t.Errorf("%s", text)
	}
	if effects := s.effects(); len(effects) != 0 {
		t.Errorf("%v", effects)
	}
}

// TestBindingIsRequiredOnlyWhenItIsThere: a process that demands bindings does not start while tokens have none, and refuses one without
// afterwards.
func TestBindingIsRequiredOnlyWhenItIsThere(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	_, c := s.api()
	merchant := c.merchant()
	db := sqlx.MustConnect("postgres", s.url)
	defer func() { _ = db.Close() }()
	strip := `UPDATE merchants SET access_token_key_id = NULL, access_token_binding = NULL`
	db.MustExec(strip)
	lenient := s.worker()
	s.pay(c, merchant)
	if text := metrics(t, lenient); !strings.Contains(text, "\nbillonce_tokens_opened_unbound_total 1\n") {
		t.Errorf("%s", text)
	}
	lenient.Kill()
	for _, name := range []string{"api", "worker"} {
		p := spawn(t, name, s.with("ENCRYPTION_BINDING", "required"))
		if code := p.Exit(); code != 78 || !strings.Contains(p.Output(), "ENCRYPTION_BINDING cannot be required yet: 1 tokens are bound to no place") {
			t.Errorf("%s: exit code %d: %s", name, code, p.Output())
		}
	}
	if code := spawn(t, "billctl", s.env, "keys", "rotate").Exit(); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	worker := s.worker("ENCRYPTION_BINDING", "required")
	db.MustExec(strip)
	task := c.Must(201, "POST", "/v1/tasks", map[string]any{"merchant_id": merchant, "kind": "invoice.pay", "target": s.invoice("in_stripped")})
	if !strings.Contains(worker.Line(`"level":"ERROR"`, "stored credentials refused"), `"fault":"unbound"`) {
		t.Error("it is not said why")
	}
	worker.Line("merchant paused", merchant)
	c.Await(idOf(task), "pending") // given back
	worker.Kill()
	worker = s.worker() // which says nothing of bindings
	worker.Line(`"level":"WARN"`, "bindings have been required of this database before")
	c.Must(200, "POST", "/v1/merchants/"+merchant+"/resume", nil)
	if !strings.Contains(worker.Line(`"level":"ERROR"`, "stored credentials refused"), `"fault":"unbound"`) {
		t.Error("it is not said why")
	}
	worker.Line("merchant paused", merchant)
	c.Await(idOf(task), "pending")
	if n := s.effects()["task_"+idOf(task)]; n != 0 {
		t.Errorf("the task has %d effects", n)
	}
}

// TestManySealingsAreWarnedOf: at the start of each process, by log and metric.
func TestManySealingsAreWarnedOf(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	api, _ := s.api()
	api.Kill()
	db := sqlx.MustConnect("postgres", s.url)
	defer func() { _ = db.Close() }()
	db.MustExec(`UPDATE encryption_keys SET sealings = $1`, billing.SealingsMany)
	worker := s.worker()
	worker.Line(`"level":"WARN"`, "has sealed many times", "1073741824")
	if text := metrics(t, worker); !strings.Contains(text, "billonce_encryption_key_sealings 1.073741824e+09") {
		t.Errorf("%s", text)
	}
}
