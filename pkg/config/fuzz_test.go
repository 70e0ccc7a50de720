package config_test

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"billonce/pkg/config"
)

// FuzzLoad: whatever a variable is set to, it is read or refused by its name, and no fault shows the value.
func FuzzLoad(f *testing.F) {
	names := variablesOf(reflect.TypeFor[config.API]())
	for _, name := range variablesOf(reflect.TypeFor[config.Worker]()) {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	for i := range names {
		for _, value := range []string{"", "x", "0", "-1", "1e309", "30s", "400d", "36501d", "1m,5m", "true", "production", "debug", "postgres://u:p@h/d", "https://api.stripe.com", "http://[::1]:1", "127.0.0.1:9", "99999999999999999999", "\x00", "\xff", "NaN"} {
			f.Add(uint8(i), value, "development")
		}
	}
	f.Add(uint8(0), "0.5", "production")
	f.Fuzz(func(t *testing.T, which uint8, value, environment string) {
		name := names[int(which)%len(names)]
		environ := []string{"DATABASE_URL=postgres://localhost/b", "APP_ENV=" + environment, "ENCRYPTION_KEY=k", name + "=" + value}
		api, errAPI := config.LoadAPI(environ, anything())
		worker, errWorker := config.LoadWorker(environ, anything())
		for _, err := range []error{errAPI, errWorker} {
			var fault *config.Error
			if err == nil {
				continue
			}
			if !errors.As(err, &fault) || len(fault.Faults) == 0 {
				t.Fatalf("%s=%q: %v", name, value, err)
			}
			for _, one := range fault.Faults {
				if variable, _, _ := strings.Cut(one, " "); !slices.Contains(append(names, "APP_ENV"), strings.TrimSuffix(variable, "_FILE")) {
					t.Fatalf("%s=%q: the fault %q names no variable", name, value, one)
				}
			}
		}
		// A fault is one of a few sentences: with another value that is as wrong it is the same one.
		if errAPI != nil && len(value) > 12 && strings.Contains(errAPI.Error(), value) {
			t.Fatalf("%s: a fault shows the value: %v", name, errAPI)
		}
		if errWorker != nil && len(value) > 12 && strings.Contains(errWorker.Error(), value) {
			t.Fatalf("%s: a fault shows the value: %v", name, errWorker)
		}
		if errAPI == nil && (api.ShutdownTimeout < time.Second || api.ShutdownDelay >= api.ShutdownTimeout || api.Env != config.Production && api.Env != config.Development) {
			t.Fatalf("%s=%q is accepted: %+v", name, value, api)
		}
		if errWorker == nil && (worker.Lease < time.Second || worker.RetryMax < worker.RetryBase || worker.Window > 23*time.Hour || worker.Concurrency < 1 ||
			!(worker.MerchantRate >= 0 && worker.MerchantRate <= 10_000)) {
			t.Fatalf("%s=%q is accepted: %+v", name, value, worker)
		}
	})
}

// variablesOf lists the variables of a configuration.
func variablesOf(of reflect.Type) []string {
	var names []string
	for i := range of.NumField() {
		field := of.Field(i)
		if field.Anonymous {
			names = append(names, variablesOf(field.Type)...)
			continue
		}
		if name, _, _ := strings.Cut(field.Tag.Get("env"), ","); name != "" {
			names = append(names, name)
		}
	}
	return names
}
