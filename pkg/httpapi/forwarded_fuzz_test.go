package httpapi_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"billonce/pkg/httpapi"
)

// FuzzForwarded: whatever a trusted proxy or a stranger says in X-Forwarded-For, the peer is an address, and the stranger's own.
func FuzzForwarded(f *testing.F) {
	for _, seed := range []string{"", "1.2.3.4", "1.2.3.4, 10.0.0.7", "10.0.0.7", "unknown", "\"quoted\"", "[::1]:80", "1.2.3.4:80", "fe80::1%eth0", ",,", " 1.2.3.4 ", "::ffff:1.2.3.4", "canary, 1.2.3.4", "1.2.3.4, canary"} {
		f.Add(seed, seed)
	}
	f.Fuzz(func(t *testing.T, first, second string) {
		for peer, trusted := range map[string]bool{"10.0.0.7": true, "192.0.2.9": false} {
			a := newAPI(func(_ *httpapi.Deps, config *httpapi.Config) {
				config.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
			})
			request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v1/tasks", nil)
			request.RemoteAddr = peer + ":4711"
			request.Header["X-Forwarded-For"] = []string{first, second}
			request.Header["Authorization"] = []string{"Bearer " + adminKey}
			got := httptest.NewRecorder()
			a.Handler().ServeHTTP(got, request)
			wantStatus(t, got, http.StatusOK)
			var line struct{ Peer string }
			if err := json.Unmarshal([]byte(a.log.String()), &line); err != nil {
				t.Fatalf("%v: %s", err, a.log)
			}
			if _, err := netip.ParseAddr(line.Peer); err != nil || !trusted && line.Peer != peer {
				t.Fatalf("%q, %q from %s is known as %q", first, second, peer, line.Peer)
			}
		}
	})
}
