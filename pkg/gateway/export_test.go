package gateway

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"testing"
)

// Trust makes a gateway that has not called yet accept a test server's certificate.
func Trust(t *testing.T, gate *Gateway, certificate *x509.Certificate) {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(certificate)
	for _, each := range gate.keyed.lanes {
		transport, ok := each.RoundTripper.(*http.Transport)
		if !ok {
			t.Fatalf("a transport of type %T", each.RoundTripper)
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	}
}
