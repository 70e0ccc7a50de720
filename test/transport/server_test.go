package transport_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"billonce/cmd/billctl/dev/postgres"
	"billonce/internal/programtest"
	"billonce/pkg/store/storetest"
)

// server is a PostgreSQL that offers TLS, with a migrated database.
type server struct {
	t           *testing.T
	url         string // the superuser's, without TLS
	port        int
	ca, otherCA string // files: who signed the server's certificate, and who did not
}

func newServer(t *testing.T) *server {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	private, err := postgres.Start(ctx, postgres.Options{Folder: t.TempDir() + "/postgres"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := private.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	if err := private.CreateDatabase(ctx, "billonce"); err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, url: private.URL("billonce").Reveal()}
	address, err := url.Parse(s.url)
	if err != nil {
		t.Fatal(err)
	}
	if s.port, err = strconv.Atoi(address.Port()); err != nil {
		t.Fatal(err)
	}
	storetest.Build(t, s.url)
	ours, others := newAuthority(t), newAuthority(t)
	s.ca, s.otherCA = ours.file, others.file
	s.encrypt(private, ours)
	return s
}

// encrypt gives the server a certificate, and returns when it offers TLS.
func (s *server) encrypt(private *postgres.Server, by authority) {
	s.t.Helper()
	folder := filepath.Join(private.Folder(), "data") // of the user as whom the server runs
	info, err := os.Stat(folder)
	if err != nil {
		s.t.Fatal(err)
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		s.t.Fatal("nobody owns the server's folder")
	}
	certificate, key := by.issue(s.t, host)
	db := sqlx.MustConnect("postgres", s.url)
	defer func() { _ = db.Close() }()
	for setting, content := range map[string][]byte{"ssl_cert_file": certificate, "ssl_key_file": key} {
		path := filepath.Join(folder, setting+".pem")
		if err := os.WriteFile(path, content, 0o600); err != nil {
			s.t.Fatal(err)
		}
		if err := os.Chown(path, int(owner.Uid), int(owner.Gid)); err != nil { // the server may be another user's
			s.t.Fatal(err)
		}
		db.MustExec(`ALTER SYSTEM SET ` + setting + ` = '` + path + `'`)
	}
	db.MustExec(`ALTER SYSTEM SET ssl = on`)
	db.MustExec(`SELECT pg_reload_conf()`)
	deadline, tick := time.After(programtest.Patience), time.NewTicker(20*time.Millisecond)
	defer tick.Stop()
	for {
		encrypted, err := ping(s.t, s.reached("sslmode", "require", "sslrootcert", ""))
		if err == nil && encrypted {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			s.t.Fatalf("the server offers no TLS: %v\n%s", err, strings.Join(private.Tail(), "\n"))
		}
	}
}

// authority signs certificates.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	file        string
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	key := newKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority of a test"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	signed, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(signed)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: signed}), 0o600); err != nil {
		t.Fatal(err)
	}
	return authority{certificate: certificate, key: key, file: file}
}

// issue returns a certificate for a host, and its key.
func (a authority) issue(t *testing.T, host string) (certificate, key []byte) {
	t.Helper()
	private := newKey(t)
	signed, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, a.certificate, &private.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: signed}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded})
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}
