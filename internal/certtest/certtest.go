// Package certtest makes certificates for tests.
package certtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Authority signs certificates.
type Authority struct {
	// PEM is its own certificate.
	PEM  []byte
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// Pair is a certificate with its key, in PEM.
type Pair struct{ Chain, Key []byte }

// New returns an authority.
func New(tb testing.TB) *Authority {
	tb.Helper()
	a := &Authority{}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: "an authority of a test"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign,
	}
	pair := a.sign(tb, template)
	a.PEM = pair.Chain
	return a
}

// Server returns a certificate for the loopback interface, by which the name serial shows too.
func (a *Authority) Server(tb testing.TB, serial string) Pair {
	tb.Helper()
	return a.sign(tb, &x509.Certificate{
		Subject: pkix.Name{CommonName: serial}, DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, KeyUsage: x509.KeyUsageDigitalSignature,
	})
}

// Client returns a certificate of a client.
func (a *Authority) Client(tb testing.TB, name string) Pair {
	tb.Helper()
	return a.sign(tb, &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, KeyUsage: x509.KeyUsageDigitalSignature,
	})
}

// TLS returns the pair for a configuration.
func (p Pair) TLS(tb testing.TB) tls.Certificate {
	tb.Helper()
	c, err := tls.X509KeyPair(p.Chain, p.Key)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// Pool returns a pool of the authority alone.
func (a *Authority) Pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.cert)
	return p
}

// sign signs a certificate, the authority's own if there is none yet.
func (a *Authority) sign(tb testing.TB, template *x509.Certificate) Pair {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, big.NewInt(1<<62)); err != nil {
		tb.Fatal(err)
	}
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		tb.Fatal(err)
	}
	if a.cert == nil {
		if a.cert, err = x509.ParseCertificate(der); err != nil {
			tb.Fatal(err)
		}
		a.key = key
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		tb.Fatal(err)
	}
	return Pair{
		Chain: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		Key:   pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}),
	}
}

// Write writes files into a directory, each a name and its content. Each replaces what is there at
// once.
func Write(tb testing.TB, dir string, files map[string][]byte) {
	tb.Helper()
	for name, content := range files {
		at := filepath.Join(dir, name)
		if err := os.WriteFile(at+".new", content, 0o600); err != nil {
			tb.Fatal(err)
		}
		if err := os.Rename(at+".new", at); err != nil {
			tb.Fatal(err)
		}
	}
}
