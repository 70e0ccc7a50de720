package gateway

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"billonce/pkg/billing"
)

// Carefully returns a Freezer that writes nothing plainly.
func (f Freezer) Carefully() Freezer {
	f.operations = maps.Clone(f.operations)
	for kind, operation := range f.operations {
		operation.plain = nil
		f.operations[kind] = operation
	}
	return f
}

// WritesPlainly reports whether parameters are taken for plain.
func (f Freezer) WritesPlainly(id billing.TaskID, kind billing.Kind, params string) bool {
	_, plain := f.encodePlainly(id, kind, f.operations[kind], []byte(params))
	return plain
}

// Whole returns an object with all parameters that a kind has down to a depth, and each of them in an object of its own.
func (f Freezer) Whole(kind billing.Kind, depth int) (whole string, single []string) {
	return wholeOf(f.operations[kind].plain, depth)
}

func wholeOf(fields plainFields, depth int) (whole string, single []string) {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		field := fields[name]
		inner := ""
		if field.inner != nil && depth > 1 {
			inner, _ = wholeOf(field.inner, depth-1)
		}
		values := map[plainShape]string{
			plainText: `"ü ~&=%+[]/"`, plainBool: "false", plainWhole: "-12", plainDecimal: `"12.5"`, plainTexts: `["a b", "c"]`,
			plainNotes: `{"z-1": "<", "b": "c"}`, plainObject: inner, plainObjects: "[" + inner + ", " + inner + "]",
		}
		if value := values[field.shape]; value != "" && (field.inner == nil || inner != "") {
			all = append(all, strconv.Quote(name)+": "+value)
			single = append(single, "{"+all[len(all)-1]+"}")
		}
	}
	if len(all) == 0 {
		return "", nil
	}
	slices.Reverse(all) // against the order in which they are written
	return "{" + strings.Join(all, ", ") + "}", single
}

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

// Patience is how long calls are to wait for others that look for a connection: the eldest for one of them, and each in all.
func Patience(gate *Gateway, patience, limit time.Duration) {
	gate.keyed.patience, gate.keyed.limit = patience, limit
}

// Dialing makes a gateway that has not called yet dial by other means.
func Dialing(t *testing.T, gate *Gateway, dial func(ctx context.Context, network, address string) (net.Conn, error)) {
	t.Helper()
	for _, each := range gate.keyed.lanes {
		transport, ok := each.RoundTripper.(*http.Transport)
		if !ok {
			t.Fatalf("a transport of type %T", each.RoundTripper)
		}
		transport.DialContext = dial
	}
}

// Lanes says how many there are.
func Lanes(gate *Gateway) int { return len(gate.keyed.lanes) }
