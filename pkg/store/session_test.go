package store_test

import (
	"context"
	"crypto/sha256"
	"testing"
	"time"

	"billonce/pkg/billing"
	"billonce/pkg/store/storetest"
)

// TestSessions are found while they and their keys last, and are written to once a minute at most, by use alone.
func TestSessions(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	ctx := billing.WithActor(t.Context(), billing.Actor{ID: billing.ActorAdmin})
	key := newAPIKey(t, "")
	if _, err := db.Store.CreateAPIKey(ctx, key); err != nil {
		t.Fatal(err)
	}
	ofKey, ofAdmin := sha256.Sum256([]byte("1")), sha256.Sum256([]byte("2"))
	if err := db.Store.OpenSession(ctx, ofKey, billing.Session{KeyID: key.ID}); err != nil {
		t.Fatal(err)
	}
	if err := db.Store.OpenSession(ctx, ofAdmin, billing.Session{Check: []byte("check")}); err != nil {
		t.Fatal(err)
	}
	found, err := db.Store.FindSession(ctx, ofKey)
	if err != nil || found.KeyID != key.ID || found.KeyHash != key.Hash || len(found.Check) != 0 || found.Actor() != string(key.ID) {
		t.Errorf("%+v, %v", found, err)
	}
	found, err = db.Store.FindSession(ctx, ofAdmin)
	if err != nil || found.KeyID != "" || string(found.Check) != "check" || found.Actor() != billing.ActorAdmin {
		t.Errorf("%+v, %v", found, err)
	}
	_, err = db.Store.FindSession(ctx, sha256.Sum256(nil))
	wantCode(t, err, billing.CodeNotFound)

	seen := func() (at time.Time) {
		t.Helper()
		if err := db.SQL.Get(&at, `SELECT last_seen_at FROM console_sessions WHERE token_hash = $1`, ofKey[:]); err != nil {
			t.Fatal(err)
		}
		return at
	}
	first := seen()
	if _, err := db.Store.UseSession(ctx, ofKey); err != nil || !seen().Equal(first) {
		t.Errorf("written again at once: %v", err)
	}
	db.SQL.MustExec(`UPDATE console_sessions SET last_seen_at = now() - interval '59 minutes'`)
	idle := seen()
	if _, err := db.Store.FindSession(ctx, ofKey); err != nil || !seen().Equal(idle) {
		t.Errorf("to look at it is to use it: %v", err)
	}
	if used, err := db.Store.UseSession(ctx, ofKey); err != nil || seen().Before(first) || used.KeyID != key.ID || used.KeyHash != key.Hash {
		t.Errorf("not written after a minute: %+v, %v", used, err)
	}

	for _, end := range []string{
		`UPDATE console_sessions SET last_seen_at = now() - interval '60 minutes' WHERE api_key_id IS NOT NULL`,
		`UPDATE console_sessions SET last_seen_at = now(), expires_at = now() WHERE api_key_id IS NOT NULL`,
		`UPDATE console_sessions SET expires_at = now() + interval '1 hour'; UPDATE api_keys SET expires_at = now()`,
		`UPDATE api_keys SET expires_at = NULL, revoked_at = now()`,
	} {
		db.SQL.MustExec(end)
		for _, find := range []func(context.Context, [billing.SessionHashBytes]byte) (billing.Session, error){db.Store.FindSession, db.Store.UseSession} {
			_, err = find(ctx, ofKey)
			wantCode(t, err, billing.CodeNotFound)
		}
	}
	for range 2 { // twice is no error
		if err := db.Store.CloseSession(ctx, ofAdmin); err != nil {
			t.Fatal(err)
		}
	}
	_, err = db.Store.FindSession(ctx, ofAdmin)
	wantCode(t, err, billing.CodeNotFound)
	if err := db.Store.OpenSession(ctx, ofAdmin, billing.Session{Check: []byte("check")}); err != nil {
		t.Fatal(err)
	}
	var left, noted int
	if err := db.SQL.Get(&left, `SELECT count(*) FROM console_sessions`); err != nil || left != 1 {
		t.Errorf("%d sessions are left, %v", left, err)
	}
	if err := db.SQL.Get(&noted, `SELECT count(*) FROM audit_log WHERE action LIKE 'session.%'`); err != nil || noted != 4 {
		t.Errorf("%d entries, %v", noted, err)
	}
	// One session is of one key, or of the admin key: the database holds that as well.
	for _, odd := range []string{
		`INSERT INTO console_sessions (token_hash, expires_at) VALUES (sha256('3'), now())`,
		`INSERT INTO console_sessions (token_hash, admin_check, expires_at) VALUES ('short', 'x', now())`,
	} {
		if _, err := db.SQL.Exec(odd); err == nil {
			t.Errorf("%s goes in", odd)
		}
	}
}
