package cli_test

import (
	"strings"
	"testing"

	"billonce/pkg/store"
	"billonce/pkg/vault"
)

// TestKeysRotateBindsNothingOnceBindingsWereDemanded, from a shell that says nothing of bindings: what lost its binding since then may
// have been moved. It takes a flag of its own, which the log keeps.
func TestKeysRotateBindsNothingOnceBindingsWereDemanded(t *testing.T) {
	t.Parallel()
	r := newRing(t)
	victim, rich := r.db.Merchant(t), r.db.Merchant(t)
	if err := r.db.DB.DemandBindings(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.db.SQL.MustExec(`UPDATE merchants SET access_token = (SELECT access_token FROM merchants WHERE id = $2), access_token_key_id = NULL,
		access_token_binding = NULL WHERE id = $1`, victim.ID, rich.ID)
	for _, command := range []string{"verify", "rotate", "verify", "rotate"} {
		got := run(t, r.env, "keys", command, "--json", "--quiet")
		found := read[rotated](t, got.out).Refused
		if got.code != 3 || len(found) != 1 || found[0].MerchantID != string(victim.ID) || found[0].Fault != "unbound" {
			t.Errorf("%s: %+v", command, got)
		}
	}
	sealer, err := vault.New(r.key)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.New(r.db.DB, sealer).GetMerchant(t.Context(), victim.ID); err == nil {
		t.Error("another merchant's token opens as its own")
	}
	strict := r.with(map[string]string{"ENCRYPTION_BINDING": "required"})
	if got := run(t, strict, "keys", "rotate", "--bind-unbound", "--quiet"); got.code != 0 {
		t.Errorf("%+v", got)
	}
	if got := run(t, strict, "keys", "verify", "--quiet"); got.code != 0 {
		t.Errorf("%+v", got)
	}
	if n := query[int](t, r.db.URL, `SELECT count(*) FROM audit_log WHERE action = 'encryption_key.rotate' AND detail->>'bind_unbound' = 'true'`); n != 1 {
		t.Errorf("%d entries say so", n)
	}
}

// TestKeysReinstate: the end of a rotation retires the old key, and this takes it back.
func TestKeysReinstate(t *testing.T) {
	t.Parallel()
	r := newRing(t)
	r.db.Merchant(t)
	if got := run(t, r.env, "keys", "rotate", "--quiet"); got.code != 0 {
		t.Fatalf("%+v", got)
	}
	if got := run(t, r.env, "keys", "status"); !strings.Contains(got.out, r.db.Key.ID()+"  opens  retired  0") {
		t.Errorf("%+v", got)
	}
	if got := run(t, r.env, "keys", "reinstate", "0123456789abcdef"); got.code != 1 || !strings.Contains(got.err, "no encryption key has this id") {
		t.Errorf("%+v", got)
	}
	if got := run(t, r.env, "keys", "reinstate", r.db.Key.ID()); got.code != 0 || !strings.Contains(got.out, "may seal again") {
		t.Errorf("%+v", got)
	}
	if got := run(t, r.env, "keys", "status"); !strings.Contains(got.out, r.db.Key.ID()+"  opens  no      0") {
		t.Errorf("%+v", got)
	}
}
