package store_test

import (
	"testing"

	"billonce/pkg/billing"
	"billonce/pkg/secret"
	"billonce/pkg/store"
)

func TestMayGoInClear(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]bool{
		"postgres://db.internal/b?sslmode=verify-full":                false,
		"postgres://db.internal/b?sslmode=verify-ca":                  false,
		"postgres://db.internal/b?sslmode=require":                    false,
		"postgres://db.internal/b?sslrootcert=system":                 false, // which means verify-full
		"postgres://db.internal/b?sslmode=prefer":                     true,
		"postgres://db.internal/b?sslmode=allow":                      true,
		"postgres://db.internal/b?sslmode=disable":                    true,
		"postgres://db.internal/b":                                    true,
		"host=db.internal":                                            true,
		"postgres://10.0.0.7/b?sslmode=disable":                       true,
		"postgres://127.0.0.1.example/b?sslmode=disable":              true,
		"postgres://[fe80::1]/b?sslmode=disable":                      true,
		"postgres://localhost/b?sslmode=disable":                      false,
		"postgres://127.0.0.1:6543/b?sslmode=disable":                 false,
		"postgres://[::1]/b?sslmode=disable":                          false,
		"postgres://127.8.9.1/b":                                      false,
		"host=/run/postgresql sslmode=disable":                        false,
		"host=@abstract":                                              false,
		"sslmode=disable":                                             false, // localhost
		"host=localhost hostaddr=10.0.0.7 sslmode=disable":            true,
		"host=db.internal hostaddr=127.0.0.1 sslmode=disable":         false,
		"postgres://localhost,127.0.0.1/b?sslmode=disable":            false,
		"postgres://localhost,db.internal/b?sslmode=disable":          true,
		"postgres://db1.internal,db2.internal/b?sslmode=verify-full":  false,
		"host=/run/postgresql,db.internal sslmode=verify-full":        true, // the driver takes the socket's mode for both
		"postgres://db.internal,localhost/b?sslmode=disable&port=1,2": true,
	} {
		if got, err := store.MayGoInClear(secret.New(address)); err != nil || got != want {
			t.Errorf("%s: %t, %v, want %t", address, got, err, want)
		}
	}
	_, err := store.MayGoInClear(secret.New("nonsense"))
	wantCode(t, err, billing.CodeInvalid)
}
