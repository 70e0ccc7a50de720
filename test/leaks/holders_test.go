package leaks_test

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"fmt"
	"log/slog"
	"testing"

	"billonce/pkg/billing"
	"billonce/pkg/config"
	"billonce/pkg/gateway"
	"billonce/pkg/httpapi"
	"billonce/pkg/secret"
	"billonce/pkg/store"
	"billonce/pkg/telemetry"
	"billonce/pkg/vault"
)

// TestNothingThatHoldsASecretPrintsIt prints, encodes and logs every type of the product that has a secret somewhere inside.
func TestNothingThatHoldsASecretPrintsIt(t *testing.T) {
	t.Parallel()
	c := newCanaries(t)
	held := func(name string) secret.Text { return secret.New(c.text(name)) }
	key, err := vault.ParseKey(held("encryption key"))
	if err != nil {
		t.Fatal(err)
	}
	previous, err := vault.ParseKey(held("previous encryption key"))
	if err != nil {
		t.Fatal(err)
	}
	sealer, err := vault.New(key, previous)
	if err != nil {
		t.Fatal(err)
	}
	database := secret.New("postgres://u:" + c.text("password in a bad url") + "@127.0.0.1:1/x?sslmode=disable")
	db, err := store.Open(store.Options{URL: database})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	gate, err := gateway.New(gateway.Config{PlatformKey: held("platform key")})
	if err != nil {
		t.Fatal(err)
	}
	common := config.Common{DatabaseURL: database, Key: held("encryption key"), PreviousKeys: held("previous encryption key")}
	stripe := config.Stripe{SecretKey: held("platform key"), WebhookSecret: held("webhook secret")}
	token, books := held("access token"), store.New(db, sealer)
	deps := httpapi.Deps{
		Merchants: books, Tasks: books, Standing: books, Keys: books, Audit: books, Events: books,
		Freezer: gateway.NewFreezer(false), Health: telemetry.NewHealth(), AdminKey: held("admin key"),
	}
	holders := map[string]any{
		"the api's configuration":    config.API{Common: common, Stripe: stripe, AdminKey: held("admin key")},
		"the worker's configuration": config.Worker{Common: common, Stripe: stripe},
		"a merchant":                 billing.Merchant{AccessToken: token, RefreshToken: held("refresh token")},
		"a new merchant":             billing.NewMerchant{AccessToken: token, RefreshToken: held("refresh token")},
		"a change of a merchant":     billing.MerchantChange{AccessToken: &token, RefreshToken: &token},
		"a credential":               billing.Credential{Token: token},
		"a key":                      key, "a vault": sealer, "a database": db, "a store": books, "options of a database": store.Options{URL: database},
		"a gateway": gate, "a gateway's configuration": gateway.Config{PlatformKey: held("platform key")},
		"what a server depends on": deps, "a server": httpapi.New(deps, httpapi.Config{}),
		"a claim's credential in an error": fmt.Errorf("send as %v: %+v", billing.Credential{Token: token}, token),
	}
	look := newPatterns(c.all)
	for name, value := range holders {
		for way, text := range printed(name, value) {
			for _, found := range look.in(piece{name + " by " + way, text}) {
				t.Error(found)
			}
		}
	}
}

// printed is what becomes of a value in every way of printing it that the standard library has. What a way refuses, it
// refuses with an error, which is a text as well.
func printed(name string, value any) map[string]string {
	all := map[string]string{}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%p"} {
		all[verb] = fmt.Sprintf(verb, value)
		all[verb+" in a slice"] = fmt.Sprintf(verb, []any{value, &value})
		all[verb+" in a map"] = fmt.Sprintf(verb, map[string]any{name: value})
		all[verb+" in an error"] = fmt.Errorf("it was "+verb, value).Error()
	}
	encoded, err := json.Marshal(value)
	all["JSON"] = string(encoded) + fmt.Sprint(err)
	var out bytes.Buffer
	err = gob.NewEncoder(&out).Encode(value)
	all["gob"] = out.String() + fmt.Sprint(err)
	for _, format := range []string{"json", "text"} {
		var log bytes.Buffer
		for _, logger := range []*slog.Logger{
			telemetry.NewLogger(&log, slog.LevelDebug, format, "s", "v"), slog.New(slog.NewJSONHandler(&log, nil)), slog.New(slog.NewTextHandler(&log, nil)),
		} {
			logger.With(slog.Any("with", value)).Info(fmt.Sprint(value), slog.Any("value", value), slog.Group("g", slog.Any("value", &value)))
		}
		all["slog, "+format] = log.String()
	}
	return all
}
