package store

import (
	"net"
	"path/filepath"
	"strings"

	"github.com/lib/pq"

	"billonce/pkg/billing"
	"billonce/pkg/secret"
)

// MayGoInClear reports whether connections by this URL may leave the machine without TLS. An sslmode that is not named counts as none:
// this driver would insist on TLS, but goose and psql, given the same URL, would not.
func MayGoInClear(url secret.Text) (bool, error) {
	conf, err := pq.NewConfig(url.Reveal())
	if err != nil {
		return false, &billing.Error{Code: billing.CodeInvalid, Message: "the database URL cannot be read"}
	}
	switch conf.SSLMode {
	case pq.SSLModeRequire, pq.SSLModeVerifyCA, pq.SSLModeVerifyFull:
		return false, nil
	case pq.SSLModeDisable, pq.SSLModeAllow, pq.SSLModePrefer: // the first is also what a socket in front makes of any other
	}
	hosts := append([]pq.ConfigMultihost{{Host: conf.Host, Hostaddr: conf.Hostaddr}}, conf.Multi...)
	for _, host := range hosts {
		if !staysHere(host) {
			return true, nil
		}
	}
	return false, nil
}

// staysHere reports whether a server is reached by a socket or on loopback.
func staysHere(host pq.ConfigMultihost) bool {
	if host.Hostaddr.IsValid() {
		return host.Hostaddr.IsLoopback()
	}
	if host.Host == "" || host.Host == "localhost" || filepath.IsAbs(host.Host) || strings.HasPrefix(host.Host, "@") {
		return true
	}
	ip := net.ParseIP(strings.Trim(host.Host, "[]"))
	return ip != nil && ip.IsLoopback()
}
