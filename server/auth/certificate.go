package auth

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"sync/atomic"
	"time"
)

// certificate is what a server shows its clients, which can be replaced.
type certificate struct {
	config  atomic.Pointer[tls.Config]
	expires atomic.Int64 // in seconds since 1970
}

// set takes over a certificate with its chain and its key, in PEM, and the certificates of who signs
// those of clients, if there is such a file. Without an error it returns when the certificate expires.
func (c *certificate) set(chain, key, clients []byte) (time.Time, error) {
	pair, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return time.Time{}, err
	}
	config := &tls.Config{
		Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"},
	}
	if clients != nil {
		config.ClientCAs = x509.NewCertPool()
		if !config.ClientCAs.AppendCertsFromPEM(clients) {
			return time.Time{}, errNoCertificate
		}
		// A client without a certificate can ask whether the server is ready, or have a token.
		config.ClientAuth = tls.VerifyClientCertIfGiven
		// A session that is resumed would go by what was verified when it began, perhaps with other
		// authorities.
		config.SessionTicketsDisabled = true
	}
	expires := pair.Leaf.NotAfter
	c.expires.Store(expires.Unix())
	c.config.Store(config)
	return expires, nil
}

var errNoCertificate = errors.New("has no certificate in PEM")

// isCertificate reports whether a chain in PEM begins with a certificate, so that it is the key that does not fit.
func isCertificate(chain []byte) bool {
	for block, rest := pem.Decode(chain); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			_, err := x509.ParseCertificate(block.Bytes)
			return err == nil
		}
	}
	return false
}

// serve returns the configuration of a server that shows the certificate as it is when a client
// comes.
func (c *certificate) serve() *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		NextProtos:         []string{"h2", "http/1.1"},
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return c.config.Load(), nil },
	}
}
