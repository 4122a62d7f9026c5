package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/internal/filewatch"
	"github.com/resonhost/resonhost/internal/value"
	"github.com/resonhost/resonhost/server/auth"
)

// remote is a running host, and how its commands reach it.
type remote struct {
	url, tokenFile, ca, cert, key string
}

// tokenVariable has a token. There is no flag for one, which others on the machine could read.
const tokenVariable = envPrefix + "TOKEN"

func (r *remote) settings() []setting {
	return []setting{
		{"url", "the host is at `URL`, or at an address such as 127.0.0.1:8080", r.url, value.Text(&r.url)},
		{"token-file", "show the host the token of `FILE`, or of the variable " + tokenVariable, "", value.Text(&r.tokenFile)},
		{"ca", "trust a host whose certificate an authority of `FILE` has signed, in PEM", "those of the system", value.Text(&r.ca)},
		{"client-cert", "show the host the client certificate of `FILE`, in PEM", "", value.Text(&r.cert)},
		{"client-key", "`FILE` has the key of --client-cert", "", value.Text(&r.key)},
	}
}

// flags are the settings as flags. The first has a second name, for what run calls an address.
func (r *remote) flags() []cli.Flag {
	all := flags(r.settings())
	if f, ok := all[0].(*cli.GenericFlag); ok {
		f.Aliases = []string{"addr"}
	}
	return all
}

// base is the URL of the host.
func (r *remote) base() (*url.URL, error) {
	text := r.url
	if _, _, err := net.SplitHostPort(text); err == nil && !strings.Contains(text, "://") {
		text = "http://" + text
	}
	base, err := url.Parse(text)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return nil, usagef("--url %s: must be a URL such as http://127.0.0.1:8080, or an address such as 127.0.0.1:8080", r.url)
	}
	return base, nil
}

// overTLS returns an error for a flag that is about TLS where the host is asked without it.
func (r *remote) overTLS(g given) error {
	base, err := r.base()
	if err != nil || base.Scheme == "https" {
		return nil //nolint:nilerr // who asks tells it
	}
	if words := g.words(byFlag, "ca", "client-cert", "client-key"); len(words) > 0 {
		return usagef("%s: needs https, and --url is %s", words[0], base)
	}
	return nil
}

// client asks a host.
type client struct {
	base  *url.URL
	http  *http.Client
	token string // "" for none
}

// open returns what asks the host, and reads the files that it needs. Warnings go to stderr.
func (r *remote) open(stderr io.Writer) (*client, error) {
	base, err := r.base()
	if err != nil {
		return nil, err
	}
	c := &client{base: base}
	if c.token, err = r.token(stderr); err != nil {
		return nil, err
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if r.ca != "" {
		b, err := filewatch.Read([]string{r.ca}, auth.MaxFile)
		if err != nil {
			return nil, usagef("--ca %s: %w", r.ca, reason(err))
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(b[0]) {
			return nil, usagef("--ca %s: has no certificate in PEM", r.ca)
		}
	}
	switch {
	case (r.cert == "") != (r.key == ""):
		return nil, usagef("--client-cert and --client-key: must be set together")
	case r.cert != "":
		pair, err := tls.LoadX509KeyPair(r.cert, r.key)
		if err != nil {
			return nil, usagef("--client-cert %s: %w", r.cert, reason(err))
		}
		config.Certificates = []tls.Certificate{pair}
	}
	if c.token != "" && base.Scheme == "http" && !namesThisMachine(base.Hostname()) {
		fmt.Fprintf(stderr, "resonhost: warning: the token crosses the network to %s unencrypted; https is for that\n", printable(base.Host))
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = config
	// A host leads nowhere else, and who does is not to have the token.
	c.http = &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return c, nil
}

func namesThisMachine(name string) bool {
	ip := net.ParseIP(name)
	return strings.EqualFold(name, "localhost") || ip != nil && ip.IsLoopback()
}

// maxTokenFile bounds a file that has a token alone, in bytes.
const maxTokenFile = 4 << 10

// token returns the token of the file, or else of the environment, "" without either. Its errors have
// no part of it.
func (r *remote) token(stderr io.Writer) (string, error) {
	from, token := tokenVariable, os.Getenv(tokenVariable)
	if r.tokenFile != "" {
		from = "--token-file " + r.tokenFile
		b, err := filewatch.Read([]string{r.tokenFile}, maxTokenFile)
		if err != nil {
			return "", usagef("%s: %w", from, reason(err))
		}
		token = string(b[0])
		if info, err := os.Stat(r.tokenFile); err == nil && info.Mode().Perm()&0o077 != 0 && os.PathSeparator == '/' {
			fmt.Fprintf(stderr, "resonhost: warning: others can read %s, which has a token; chmod 600 keeps them out\n", printable(r.tokenFile))
		}
	} else if token == "" {
		return "", nil
	}
	token = strings.TrimSpace(token)
	if err := auth.CheckToken(token); err != nil {
		return "", usagef("%s: %w", from, err)
	}
	return token, nil
}

// close ends connections that lie idle.
func (c *client) close() { c.http.CloseIdleConnections() }

// maxAnswer bounds what is read of a host's answer, in bytes.
const maxAnswer = 16 << 20

// request returns a request without a body, which shows the token.
func (c *client) request(ctx context.Context, method string, at *url.URL) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, method, at.String(), http.NoBody)
	if err != nil {
		return nil, usagef("--url: %w", err)
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	return req, nil
}

// ask asks a host and decodes its answer. Its error is what the host says is wrong.
func (c *client) ask(ctx context.Context, method string, at *url.URL, answer any) error {
	req, err := c.request(ctx, method, at)
	if err != nil {
		return err
	}
	res, err := c.http.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return &exit{api.ExitInterrupted, errInterrupted}
		}
		return noAnswer(at, err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return &exit{api.ExitFailed, fmt.Errorf("the host at %s: %w", at.Host, err)}
	}
	if res.StatusCode != http.StatusOK {
		return refusal(res, body)
	}
	if err := json.Unmarshal(body, answer); err != nil {
		return &exit{api.ExitFailed, fmt.Errorf("what answers at %s is no host: %w", at.Host, err)}
	}
	return nil
}

// noAnswer is that nothing answers, or nothing that is trusted.
func noAnswer(at *url.URL, err error) error {
	if e := (*url.Error)(nil); errors.As(err, &e) {
		err = e.Err
	}
	if e := (*tls.CertificateVerificationError)(nil); errors.As(err, &e) {
		return &exit{api.ExitFailed, fmt.Errorf("the host at %s is not trusted: %w; --ca names who signs its certificate", at.Host, e.Err)}
	}
	if errors.Is(err, http.ErrSchemeMismatch) {
		return &exit{api.ExitFailed, fmt.Errorf("the host at %s speaks HTTP without TLS: --url http://%s", at.Host, at.Host)}
	}
	return &exit{api.ExitFailed, fmt.Errorf("no host answers at %s: %w; resonhost run serves one, --url says where", at.Host, err)}
}

// refusal is what a host says is wrong, in terms of the command.
func refusal(res *http.Response, body []byte) *exit {
	var problem api.Error
	if json.Unmarshal(body, &problem) != nil || problem.Detail == "" {
		problem.Detail = res.Status
		if res.TLS == nil && bytes.Contains(body, []byte("HTTP request to an HTTPS server")) { // as Go's servers say
			problem.Detail = fmt.Sprintf("the host at %s speaks HTTPS: --url https://%s", res.Request.URL.Host, res.Request.URL.Host)
		}
	}
	detail := strings.ReplaceAll(problem.Detail, "?state_rule=reset", "--state-rule reset")
	if problem.Kind == api.KindUnauthorized {
		detail += "; --token-file FILE or " + tokenVariable + " has one"
	}
	return &exit{api.RuleOf(problem.Kind).Exit, errors.New(detail)}
}
