package cli_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"syscall"
	"testing"

	"billonce/pkg/billing"
	"billonce/pkg/secret"
	"billonce/pkg/store"
	"billonce/pkg/store/storetest"
	"billonce/pkg/vault"
)

// ring is a database with merchants whose tokens the old key has sealed, and the environment of a process that has been given a new
// one, which the services seal with.
type ring struct {
	db  *storetest.DB
	key vault.Key
	env map[string]string
}

func newRing(t *testing.T) *ring {
	t.Helper()
	db := storetest.Open(t)
	key, err := vault.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	r := &ring{db: db, key: key, env: map[string]string{
		"DATABASE_URL": db.URL, "ENCRYPTION_KEY": key.Encode().Reveal(), "ENCRYPTION_KEYS_PREVIOUS": db.Key.Encode().Reveal(),
	}}
	r.adopt(t)
	return r
}

// adopt does what a service does at its start.
func (r *ring) adopt(t *testing.T) {
	t.Helper()
	record := func(key vault.Key) store.KeyRecord {
		return store.KeyRecord{ID: key.ID(), CheckValue: key.CheckValue()}
	}
	v, err := vault.New(r.key, r.db.Key)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.db.DB.AdoptKey(t.Context(), v, record(r.key), record(r.db.Key)); err != nil {
		t.Fatal(err)
	}
}

// old stores n merchants as the release before key ids did, by one statement.
func (r *ring) old(t *testing.T, n int) {
	t.Helper()
	text, err := r.db.Vault.Encrypt("sk_test_of_old")
	if err != nil {
		t.Fatal(err)
	}
	r.db.SQL.MustExec(`INSERT INTO merchants (id, name, stripe_connect_id, access_token, refresh_token)
		SELECT gen_random_uuid(), 'M', 'acct_' || n, $1, $1 FROM generate_series(1, $2::int) AS n`, text, n)
}

func (r *ring) with(changes map[string]string) map[string]string {
	env := map[string]string{}
	for name, value := range r.env {
		env[name] = value
	}
	for name, value := range changes {
		env[name] = value
	}
	return env
}

func (r *ring) environ() (pairs []string) {
	for name, value := range r.env {
		pairs = append(pairs, name+"="+value)
	}
	return pairs
}

func read[T any](t *testing.T, text string) (value T) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return value
}

type rotated struct {
	KeyID    string  `json:"key_id"`
	Resealed int     `json:"merchants_resealed"`
	Left     int     `json:"merchants_left"`
	Seconds  float64 `json:"seconds"`
	Refused  []struct {
		MerchantID string  `json:"merchant_id"`
		Column     string  `json:"column"`
		KeyID      *string `json:"key_id"`
		Fault      string  `json:"fault"`
	} `json:"refused"`
}

// TestKeysRotate: from tokens of an older release to tokens that the new key alone opens.
func TestKeysRotate(t *testing.T) {
	t.Parallel()
	r := newRing(t)
	r.old(t, 1200)
	merchant := r.db.Merchant(t)
	if got := run(t, r.env, "keys", "status"); got.code != 0 || !strings.Contains(got.out, "Of 2402 stored tokens, 2402 are not sealed by the active key and 2400 are bound to no place") {
		t.Errorf("%+v", got)
	}
	want := result{out: "sealed the tokens of 1201 merchants with key " + r.key.ID() + "\n", err: "sealing the tokens of about 1201 merchants\n"}
	if got := run(t, r.env, "keys", "rotate"); got != want {
		t.Errorf("%+v", got)
	}
	if entry := query[string](t, r.env["DATABASE_URL"], `SELECT actor || ' ' || action || ' ' || object FROM audit_log
		WHERE action <> 'encryption_key.retire'`); entry != "billctl encryption_key.rotate "+r.key.ID() {
		t.Errorf("recorded as %s", entry)
	}
	if got := read[rotated](t, run(t, r.env, "keys", "rotate", "--json", "--quiet").out); got.Resealed != 0 || got.Left != 0 || got.KeyID != r.key.ID() {
		t.Errorf("%+v", got)
	}
	alone := r.with(map[string]string{"ENCRYPTION_KEYS_PREVIOUS": "", "ENCRYPTION_BINDING": "required"})
	if got := run(t, alone, "keys", "verify", "--quiet"); got != (result{out: "2402 of 2402 tokens of 1201 merchants open\n"}) {
		t.Errorf("%+v", got)
	}
	status := run(t, alone, "keys", "status")
	if status.code != 0 || !strings.Contains(status.out, "Every stored token, 2402 in all, is sealed by the active key and bound to its place.") ||
		!strings.Contains(status.out, r.key.ID()+"  seals  yes      2402") {
		t.Errorf("%+v", status)
	}
	for _, text := range []string{status.out, status.err} {
		if strings.Contains(text, r.env["ENCRYPTION_KEY"]) || strings.Contains(text, merchant.StripeConnectID) {
			t.Error("a secret is shown")
		}
	}
}

// TestKeysVerifyFindsWhatDoesNotOpen: every row, by exit code 3; a rotation leaves them as they are and says so too.
func TestKeysVerifyFindsWhatDoesNotOpen(t *testing.T) {
	t.Parallel()
	r := newRing(t)
	r.old(t, 700)
	swapped, changed, kept := r.db.Merchant(t), r.db.Merchant(t), r.db.Merchant(t)
	r.db.SQL.MustExec(`UPDATE merchants SET access_token = (SELECT access_token FROM merchants WHERE id = $2) WHERE id = $1`, swapped.ID, kept.ID)
	r.db.SQL.MustExec(`UPDATE merchants SET refresh_token = overlay(refresh_token PLACING 'ffffffff' FROM 60), refresh_token_binding = NULL,
		refresh_token_key_id = NULL WHERE id = $1`, changed.ID)
	for _, command := range []string{"verify", "rotate", "verify"} {
		got := run(t, r.env, "keys", command, "--json", "--quiet")
		found := read[rotated](t, got.out).Refused
		if got.code != 3 || len(found) != 2 || found[0].MerchantID != string(swapped.ID) || found[0].Fault != "misplaced" ||
			*found[0].KeyID != r.db.Key.ID() || found[1].MerchantID != string(changed.ID) || found[1].Column != "refresh_token" ||
			found[1].Fault != "unreadable" || found[1].KeyID != nil {
			t.Errorf("%s: %+v", command, got)
		}
	}
	got := run(t, r.env, "keys", "verify", "--quiet")
	if got.code != 3 || !strings.Contains(got.out, string(swapped.ID)+"  access_token   "+r.db.Key.ID()+"  it was not stored here under this key") ||
		!strings.Contains(got.out, "1404 of 1406 tokens of 703 merchants open") || !strings.Contains(got.err, "2 tokens do not open") {
		t.Errorf("%+v", got)
	}
	r.db.SQL.MustExec(`UPDATE merchants SET access_token_binding = NULL WHERE id = $1`, kept.ID)
	strict := r.with(map[string]string{"ENCRYPTION_BINDING": "required"})
	if got := run(t, strict, "keys", "verify", "--quiet"); got.code != 3 || !strings.Contains(got.out, string(kept.ID)) || !strings.Contains(got.out, "bound to no place") {
		t.Errorf("%+v", got)
	}
	without := r.with(map[string]string{"ENCRYPTION_KEYS_PREVIOUS": ""})
	if got := run(t, without, "keys", "verify", "--quiet"); got.code != 3 || !strings.Contains(got.out, "its key is not among those given") {
		t.Errorf("%+v", got)
	}
}

// TestKeysRotateIsKilledAndGoesOn: SIGKILL in the middle loses nothing, and the next run does the rest.
func TestKeysRotateIsKilledAndGoesOn(t *testing.T) {
	t.Parallel()
	const many = 20_000
	r := newRing(t)
	r.old(t, many)
	sealed := func() (n int) {
		if err := r.db.SQL.Get(&n, `SELECT count(*) FROM merchants WHERE access_token_key_id = $1`, r.key.ID()); err != nil {
			t.Fatal(err)
		}
		return n
	}
	command := billctl(t, r.environ(), "keys", "rotate", "--rate", "2000")
	pipe, err := command.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(pipe).ReadString('\n'); err != nil || line != "sealing the tokens of about 20000 merchants\n" {
		t.Fatalf("%q, %v", line, err)
	}
	for sealed() == 0 { // it has begun, and at its rate is far from its end
		if t.Context().Err() != nil {
			t.Fatal(t.Context().Err())
		}
	}
	if err := command.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = command.Wait()
	first := sealed()
	if first == 0 || first == many || first%500 != 0 {
		t.Fatalf("%d of %d were sealed when it was killed", first, many)
	}
	if got := run(t, r.env, "keys", "verify", "--quiet"); got.code != 0 {
		t.Errorf("between two keys: %+v", got)
	}
	got := run(t, r.env, "keys", "rotate", "--json", "--quiet")
	if second := read[rotated](t, got.out); got.code != 0 || second.Resealed != many-first || second.Left != 0 {
		t.Errorf("%+v, want %d", got, many-first)
	}
	alone := r.with(map[string]string{"ENCRYPTION_KEYS_PREVIOUS": "", "ENCRYPTION_BINDING": "required"})
	if got := run(t, alone, "keys", "verify", "--quiet"); got != (result{out: "40000 of 40000 tokens of 20000 merchants open\n"}) {
		t.Errorf("%+v", got)
	}
}

// TestKeysRotateIsInterrupted: it ends after the page that it is at, and says how to go on.
func TestKeysRotateIsInterrupted(t *testing.T) {
	t.Parallel()
	r := newRing(t)
	r.old(t, 1500)
	command := billctl(t, r.environ(), "keys", "rotate", "--rate", "100")
	pipe, err := command.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(pipe)
	if _, err := lines.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	if err := command.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	said, err := io.ReadAll(lines)
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Wait(); err == nil || !bytes.Contains(said, []byte("interrupted")) || !bytes.Contains(said, []byte("run it again to go on")) {
		t.Errorf("%v, %s", err, said)
	}
}

// TestKeysVerifyIsInterrupted says that, and not what became of the statement that it was at.
func TestKeysVerifyIsInterrupted(t *testing.T) {
	t.Parallel()
	r := newRing(t)
	r.old(t, 1)
	lock, err := r.db.SQL.Beginx()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = lock.Rollback() }()
	lock.MustExec(`LOCK TABLE merchants`)
	command := billctl(t, r.environ(), "keys", "verify")
	var said bytes.Buffer
	command.Stderr = &said
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	for waiting := 0; waiting == 0; {
		if err := r.db.SQL.GetContext(t.Context(), &waiting, `SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'merchants'::regclass`); err != nil {
			t.Fatal(err)
		}
	}
	if err := command.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := command.Wait(); err == nil || !strings.HasSuffix(said.String(), "verify: interrupted\n") {
		t.Errorf("%v, %q", err, said.String())
	}
}

func TestKeysStatusWarnsOfManySealings(t *testing.T) {
	t.Parallel()
	r := newRing(t)
	r.db.SQL.MustExec(`UPDATE encryption_keys SET sealings = $1 WHERE active`, billing.SealingsMany-1)
	if got := run(t, r.env, "keys", "status"); got.code != 0 || got.err != "" {
		t.Errorf("%+v", got)
	}
	sealing, err := vault.New(r.key)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.New(r.db.DB, sealing).CreateMerchant(t.Context(), billing.NewMerchant{
		ID: billing.MerchantID(storetest.NewID(t)), Name: "M", StripeConnectID: "acct_m", AccessToken: secret.New("sk_test_m"),
	}); err != nil {
		t.Fatal(err)
	}
	if got := run(t, r.env, "keys", "status"); got.code != 0 || !strings.HasPrefix(got.err, "warning: key "+r.key.ID()+" has sealed more than 1073741824 times") {
		t.Errorf("%+v", got)
	}
	status := read[struct {
		Keys []struct {
			KeyID    string `json:"key_id"`
			Held     string `json:"held"`
			Active   bool   `json:"active"`
			Tokens   int    `json:"tokens"`
			Sealings int64  `json:"sealings"`
		} `json:"keys"`
		Many []string `json:"sealed_many_times"`
	}](t, run(t, r.env, "keys", "status", "--json").out)
	if len(status.Keys) != 2 || len(status.Many) != 1 || status.Keys[0].Held != "seals" || !status.Keys[0].Active ||
		status.Keys[0].Tokens != 1 || status.Keys[0].Sealings != billing.SealingsMany+255 || status.Keys[1].Held != "opens" {
		t.Errorf("%+v", status)
	}
}

func TestKeysCommandsRefuse(t *testing.T) {
	t.Parallel()
	r := newRing(t)
	r.db.Merchant(t)
	for name, tc := range map[string]struct {
		args []string
		env  map[string]string
		code int
		says []string
	}{
		"AKeyThatNoServiceSealsWith": {
			[]string{"rotate"},
			r.with(map[string]string{"ENCRYPTION_KEY": r.env["ENCRYPTION_KEYS_PREVIOUS"], "ENCRYPTION_KEYS_PREVIOUS": r.env["ENCRYPTION_KEY"]}),
			78,
			[]string{r.key.ID(), r.db.Key.ID()},
		},
		"ARateBelowNothing":   {[]string{"rotate", "--rate", "-1"}, r.env, 2, []string{"--rate"}},
		"ARateThatIsNoNumber": {[]string{"rotate", "--rate", "NaN"}, r.env, 2, []string{"--rate"}},
		"EverythingAtOnce": {
			[]string{"verify"},
			map[string]string{"ENCRYPTION_KEYS_PREVIOUS": "canary," + r.env["ENCRYPTION_KEY"] + ",canary", "ENCRYPTION_BINDING": "canary"},
			78,
			[]string{"DATABASE_URL", "ENCRYPTION_KEY is not set", "item 1", "item 3", "ENCRYPTION_BINDING"},
		},
		"NoKeyBesidePreviousOnes": {
			[]string{"status"},
			map[string]string{"DATABASE_URL": r.db.URL, "ENCRYPTION_KEYS_PREVIOUS": r.env["ENCRYPTION_KEY"]},
			78,
			[]string{"needs ENCRYPTION_KEY"},
		},
		"NoSchema": {[]string{"status"}, map[string]string{"DATABASE_URL": storetest.Create(t, "")}, 1, []string{"billctl migrate up"}},
		"NoServer": {[]string{"verify"}, r.with(map[string]string{"DATABASE_URL": "postgres://127.0.0.1:1/none?sslmode=disable"}), 1, []string{"connect"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := run(t, tc.env, append([]string{"keys"}, tc.args...)...)
			if got.code != tc.code || got.out != "" || strings.Contains(got.err, "canary") || strings.Contains(got.err, r.env["ENCRYPTION_KEY"]) {
				t.Errorf("%+v", got)
			}
			for _, text := range tc.says {
				if !strings.Contains(got.err, text) {
					t.Errorf("%q is not said: %s", text, got.err)
				}
			}
		})
	}
}
