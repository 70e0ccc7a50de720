package config_test

import (
	"fmt"
	"strings"
	"testing"

	"billonce/pkg/config"
)

func TestTrustedProxies(t *testing.T) {
	t.Parallel()
	load := func(value string) (config.API, error) {
		return config.LoadAPI([]string{"DATABASE_URL=postgres://localhost/b", "API_TRUSTED_PROXIES=" + value}, anything())
	}
	api, err := load("10.0.0.7, 192.168.1.9/16,fd00::1/8,::1")
	if err != nil || fmt.Sprint(api.TrustedProxies) != "[10.0.0.7/32 192.168.0.0/16 fd00::/8 ::1/128]" {
		t.Errorf("%v, %v", api.TrustedProxies, err)
	}
	for _, bad := range []string{"canary", "10.0.0.0/33", "10.0.0.1,,10.0.0.2", "10.0.0.1:80", "proxy.canary"} {
		if _, err := load(bad); err == nil || !strings.Contains(err.Error(), "API_TRUSTED_PROXIES cannot be read as a list of addresses") || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}
