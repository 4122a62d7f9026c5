package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/internal/certtest"
	"github.com/resonhost/resonhost/server"
	"github.com/resonhost/resonhost/server/auth"
)

// cmd runs a command in this process.
func cmd(args ...string) (code int, stdout, stderr string) {
	var out, err bytes.Buffer
	code = run(context.Background(), append([]string{"resonhost"}, args...), strings.NewReader(""), &out, &err)
	return code, out.String(), err.String()
}

// newTokens makes tokens in a directory: a file NAME for each, and the file tokens.
func newTokens(t *testing.T, dir string, scopes map[string]string) (file string) {
	t.Helper()
	file = filepath.Join(dir, "tokens")
	for name, s := range scopes {
		code, token, stderr := cmd("token", "new", "--name", name, "--scopes", s, "--tokens", file)
		if code != api.ExitOK {
			t.Fatal(stderr)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(token), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return file
}

// TestTokens serves on the loopback interface with tokens, which hold there, too.
func TestTokens(t *testing.T) {
	t.Cleanup(func() { goleak.VerifyNone(t) }) // after the others
	dir := t.TempDir()
	file := newTokens(t, dir, map[string]string{"ci": "call", "ops": "read,admin", "watch": "read"})
	audit := filepath.Join(dir, "audit")
	d := startRun(t, "--mode", "inline", "--tokens", file, "--audit", audit)
	at := "http://" + d.addr
	if code, body := d.get(t, "/metrics"); code != http.StatusUnauthorized || !strings.Contains(body, `"kind":"unauthorized"`) {
		t.Errorf("/metrics: %d %s", code, body)
	}
	if code, body := d.get(t, "/readyz"); code != http.StatusOK {
		t.Errorf("/readyz: %d %s", code, body)
	}
	if code, _, stderr := cmd("plugins", "ls", "--url", "https://"+d.addr); code != api.ExitFailed || stderr != "resonhost: the host at "+d.addr+" speaks HTTP without TLS: --url http://"+d.addr+"\n" {
		t.Errorf("exit code %d, %s", code, stderr)
	}
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"plugins", "ls"}, api.ExitFailed, "resonhost: a token is needed: send the header Authorization: Bearer TOKEN; --token-file FILE or RESONHOST_TOKEN has one\n"},
		{[]string{"plugins", "ls", "--token-file", filepath.Join(dir, "ci")}, api.ExitFailed, "resonhost: ci lacks the scope read\n"},
		{[]string{"plugins", "ls", "--token-file", filepath.Join(dir, "ops")}, api.ExitOK, ""},
		{[]string{"plugins", "pause", "cascade", "--token-file", filepath.Join(dir, "ci")}, api.ExitFailed, "resonhost: ci lacks the scope admin\n"},
		{[]string{"plugins", "pause", "cascade", "--token-file", filepath.Join(dir, "ops")}, api.ExitFailed, "resonhost: the host's plugins are fixed: ModeInline has none to load\n"},
		{[]string{"top", "--once"}, api.ExitFailed, "resonhost: a token is needed: send the header Authorization: Bearer TOKEN; --token-file FILE or RESONHOST_TOKEN has one\n"},
		{[]string{"top", "--once", "--token-file", filepath.Join(dir, "ci")}, api.ExitFailed, "resonhost: ci lacks the scope read\n"},
		{[]string{"top", "--once", "--token-file", filepath.Join(dir, "ops")}, api.ExitOK, ""},
		{[]string{"logs", "cascade", "--token-file", filepath.Join(dir, "ci")}, api.ExitFailed, "resonhost: ci lacks the scope read\n"},
		{[]string{"logs", "cascade", "--token-file", filepath.Join(dir, "watch")}, api.ExitFailed, "resonhost: watch lacks the scope admin\n"},
		{[]string{"logs", "cascade", "--token-file", filepath.Join(dir, "ops")}, api.ExitOK, ""},
		{[]string{"whoami"}, api.ExitFailed, "resonhost: a token is needed: send the header Authorization: Bearer TOKEN; --token-file FILE or RESONHOST_TOKEN has one\n"},
	} {
		if code, _, stderr := cmd(append(c.args, "--url", at)...); code != c.code || stderr != c.want {
			t.Errorf("%v: exit code %d, %q, want %q", c.args, code, stderr, c.want)
		}
	}
	const ci = "name        ci\nscopes      call\ntenant      ci\ntransforms  *\npriorities  normal,bulk\nrate        no limit\n"
	if code, out, stderr := cmd("whoami", "--url", at, "--token-file", filepath.Join(dir, "ci")); code != api.ExitOK || out != ci {
		t.Errorf("whoami: exit code %d, %s%s", code, out, stderr)
	}
	token, err := os.ReadFile(filepath.Join(dir, "ops"))
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("RESONHOST_TOKEN", string(token))
	if code, _, stderr := cmd("plugins", "ls", "--url", at); code != api.ExitOK || stderr != "" {
		t.Errorf("exit code %d, %s", code, stderr)
	}
	if code, _, stderr := cmd("token", "rm", "ops", "--tokens", file); code != api.ExitOK {
		t.Error(stderr)
	}
	d.await(t, "msg=audit .*audit.outcome=done")
	if code, _, stderr := cmd("plugins", "ls", "--url", at); code != api.ExitFailed || !strings.HasPrefix(stderr, "resonhost: the token is not known") {
		t.Errorf("exit code %d, %s", code, stderr)
	}
	http.DefaultClient.CloseIdleConnections()
	log, code := d.rest(t)
	if code != api.ExitOK || strings.Contains(log, strings.TrimSpace(string(token))) {
		t.Errorf("exit code %d, log\n%s", code, log)
	}
	b, err := os.ReadFile(audit)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"who":"ops","from":"127.0.0.1:`, `"action":"pause","target":"cascade","outcome":"failed","detail":"the host's plugins are fixed`,
		`"who":"file","action":"reload tokens","target":"` + file + `","outcome":"done","detail":"names: 2"`,
	} {
		if !strings.Contains(string(b), want) {
			t.Errorf("the audit file lacks %s:\n%s", want, b)
		}
	}
}

// TestTLS serves HTTPS, to clients with certificates of which a file of tokens has one.
func TestTLS(t *testing.T) {
	t.Cleanup(func() { goleak.VerifyNone(t) }) // after the others
	dir := t.TempDir()
	a := certtest.New(t)
	pair := a.Server(t, "x")
	at := func(name string) string { return filepath.Join(dir, name) }
	certtest.Write(t, dir, map[string][]byte{"cert": pair.Chain, "key": pair.Key, "ca": a.PEM})
	if code, _, stderr := cmd("token", "new", "--name", "ann", "--cert", "--scopes", "call,read", "--tokens", at("tokens")); code != api.ExitOK {
		t.Fatal(stderr)
	}
	d := startRun(t, "--mode", "inline", "--tokens", at("tokens"), "--tls-cert", at("cert"), "--tls-key", at("key"), "--tls-client-ca", at("ca"))
	pairOfAnn := a.Client(t, "ann")
	ann, bob := pairOfAnn.TLS(t), a.Client(t, "bob").TLS(t)
	as := func(c *tls.Certificate, http2 bool) *http.Client {
		config := &tls.Config{RootCAs: a.Pool()}
		if c != nil {
			config.Certificates = []tls.Certificate{*c}
		}
		return &http.Client{Transport: &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: http2}}
	}
	lines := strings.Repeat(`{"awarenessLevel": 0.5, "detail": "summary"}`+"\n", 50)
	for name, c := range map[string]struct {
		client *http.Client
		status int
		proto  string
	}{
		"HTTP/2":          {as(&ann, true), http.StatusOK, "HTTP/2.0"},
		"HTTP/1.1":        {as(&ann, false), http.StatusOK, "HTTP/1.1"},
		"without a line":  {as(&bob, true), http.StatusUnauthorized, "HTTP/2.0"},
		"no certificate":  {as(nil, false), http.StatusUnauthorized, "HTTP/1.1"},
		"none and HTTP/2": {as(nil, true), http.StatusUnauthorized, "HTTP/2.0"},
	} {
		// More than once: a connection goes on after a request that was refused before its body.
		for range 3 {
			resp, err := c.client.Post("https://"+d.addr+"/v1/transforms/cascade", server.MediaTypeLines, strings.NewReader(lines))
			if err != nil {
				t.Errorf("%s: %v", name, err)
				break
			}
			status, body := read(t, resp)
			if status != c.status || resp.Proto != c.proto || status == http.StatusOK && strings.Count(body, `"harmonicScore"`) != 50 {
				t.Errorf("%s: %s %d %.200s", name, resp.Proto, status, body)
			}
		}
		c.client.CloseIdleConnections()
	}
	if code, _, stderr := cmd("plugins", "ls", "--url", "https://"+d.addr); code != api.ExitFailed || !strings.Contains(stderr, "is not trusted: ") || !strings.Contains(stderr, "; --ca names who signs its certificate") {
		t.Errorf("exit code %d, %s", code, stderr)
	}
	if code, _, stderr := cmd("plugins", "ls", "--url", "https://"+d.addr, "--ca", at("ca")); code != api.ExitFailed || !strings.Contains(stderr, "a token is needed") {
		t.Errorf("exit code %d, %s", code, stderr)
	}
	if code, _, stderr := cmd("plugins", "ls", "--url", "http://"+d.addr); code != api.ExitFailed || stderr != "resonhost: the host at "+d.addr+" speaks HTTPS: --url https://"+d.addr+"\n" {
		t.Errorf("exit code %d, %s", code, stderr)
	}
	if code, _, stderr := cmd("ready", "--url", "https://"+d.addr); code != api.ExitFailed || !strings.Contains(stderr, "; --ca names who signs its certificate") {
		t.Errorf("exit code %d, %s", code, stderr)
	}
	if code, out, stderr := cmd("ready", "--url", "https://"+d.addr, "--ca", at("ca")); code != api.ExitOK || out != "ready\n" {
		t.Errorf("exit code %d, %q, %s", code, out, stderr)
	}
	certtest.Write(t, dir, map[string][]byte{"ann": pairOfAnn.Chain, "ann.key": pairOfAnn.Key})
	if code, out, stderr := cmd("plugins", "ls", "--url", "https://"+d.addr, "--ca", at("ca"), "--client-cert", at("ann"), "--client-key", at("ann.key")); code != api.ExitOK || !strings.Contains(out, "cascade") {
		t.Errorf("exit code %d, %s", code, stderr)
	}
	if code, out, stderr := cmd("top", "--once", "--url", "https://"+d.addr, "--ca", at("ca"), "--client-cert", at("ann"), "--client-key", at("ann.key")); code != api.ExitOK || !strings.Contains(out, "cascade") {
		t.Errorf("exit code %d, %s", code, stderr)
	}
	if text, code := d.rest(t); code != api.ExitOK || !strings.Contains(text, "msg=drained") {
		t.Errorf("exit code %d, log\n%s", code, text)
	}
}

// TestTLSDrains ends the command while lines are under way over TLS, which are answered.
func TestTLSDrains(t *testing.T) {
	t.Cleanup(func() { goleak.VerifyNone(t) }) // after the others
	dir := t.TempDir()
	a := certtest.New(t)
	pair := a.Server(t, "x")
	certtest.Write(t, dir, map[string][]byte{"cert": pair.Chain, "key": pair.Key})
	d := startRun(t, "--mode", "inline", "--tls-cert", filepath.Join(dir, "cert"), "--tls-key", filepath.Join(dir, "key"))
	var pending []func()
	for _, protocol := range []string{"http/1.1", "h2"} {
		pending = append(pending, underWayTLS(t, d.addr, &tls.Config{RootCAs: a.Pool(), NextProtos: []string{protocol}}))
	}
	d.end()
	for _, check := range pending {
		check()
	}
	d.await(t, "msg=draining")
}

// underWayTLS begins a request with lines, of which one is answered. Check awaits what says that the
// server drains.
func underWayTLS(t *testing.T, addr string, config *tls.Config) (check func()) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: config.NextProtos[0] == "h2"}}
	in, out := io.Pipe()
	resp, err := client.Post("https://"+addr+"/v1/transforms/cascade", server.MediaTypeLines, in) //nolint:bodyclose // check closes it
	if err != nil {
		t.Fatal(err)
	}
	answers := bufio.NewScanner(resp.Body)
	if _, err := io.WriteString(out, `{"detail": "summary"}`+"\n"); err != nil {
		t.Fatal(err)
	}
	if !answers.Scan() || !strings.Contains(answers.Text(), `"harmonicScore"`) {
		t.Fatalf("%v: %s, err %v", config.NextProtos, answers.Text(), answers.Err())
	}
	return func() {
		t.Helper()
		if !answers.Scan() || !strings.Contains(answers.Text(), `"detail":"draining: further lines were not read"`) {
			t.Errorf("%v: %s, err %v", config.NextProtos, answers.Text(), answers.Err())
		}
		out.Close()
		resp.Body.Close()
		client.CloseIdleConnections()
	}
}

// TestExposed listens for others, and the log says what that means.
func TestExposed(t *testing.T) {
	for _, c := range []struct {
		access access
		listen string
		want   string // of the log
	}{
		{access{}, "localhost:0", ""},
		{access{}, "[::ffff:127.0.0.1]:0", ""},
		{access{insecure: true}, "0.0.0.0:0", "anybody who can reach this address can run tasks and change plugins (--insecure)"},
		{access{files: auth.Files{Tokens: "x"}}, ":0", "tokens and tasks cross the network unencrypted"},
		{access{files: auth.Files{Tokens: "x", Certificate: "x", Key: "x"}}, "[::]:0", ""},
	} {
		var log bytes.Buffer
		l, err := net.Listen("tcp", c.listen)
		if err != nil {
			t.Errorf("%s: %v", c.listen, err)
			continue
		}
		if err := c.access.guard(l.Addr(), c.listen, slog.New(slog.NewTextHandler(&log, nil))); err != nil {
			t.Error(err)
		}
		l.Close()
		if got := log.String(); (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %s, want %s", c.listen, got, c.want)
		}
	}
}

// TestQuiet has clients fail at handshakes, of which the log has some and counts the others.
func TestQuiet(t *testing.T) {
	var text bytes.Buffer
	log := slog.NewLogLogger(newQuiet(slog.NewTextHandler(&text, nil)), slog.LevelWarn)
	for n := range 1000 {
		log.Printf("http: TLS handshake error from 192.0.2.1:%d: EOF", n)
	}
	log.Print("http: Accept error: too many open files")
	if n := strings.Count(text.String(), "handshake"); n < 10 || n > 30 {
		t.Errorf("%d lines", n)
	}
	if !strings.Contains(text.String(), "Accept error") {
		t.Error("it lacks what is no handshake")
	}
}

// TestHandshakes has hostile clients come to a server with TLS. Others are served beside them.
func TestHandshakes(t *testing.T) {
	dir := t.TempDir()
	a := certtest.New(t)
	pair := a.Server(t, "x")
	certtest.Write(t, dir, map[string][]byte{"cert": pair.Chain, "key": pair.Key})
	d := startRun(t, "--mode", "inline", "--tls-cert", filepath.Join(dir, "cert"), "--tls-key", filepath.Join(dir, "key"))
	for n := range 200 {
		conn, err := net.Dial("tcp", d.addr)
		if err != nil {
			t.Fatal(err)
		}
		switch n % 3 {
		case 0: // it goes
			conn.Close()
		case 1: // it does not speak TLS
			fmt.Fprintf(conn, "%s", strings.Repeat("x", 10_000))
			conn.Close()
		default: // it says nothing
			t.Cleanup(func() { conn.Close() })
		}
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: a.Pool()}}}
	defer client.CloseIdleConnections()
	resp, err := client.Get("https://" + d.addr + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	if code, body := read(t, resp); code != http.StatusOK {
		t.Errorf("%d %s", code, body)
	}
	client.CloseIdleConnections()
	text, code := d.rest(t)
	if n := strings.Count(text, "TLS handshake error"); n > 60 || code != api.ExitOK {
		t.Errorf("exit code %d, %d lines of handshakes", code, n)
	}
}
