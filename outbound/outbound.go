// Package outbound sends HTTP requests for plugins, as a host's Config.Fetch:
//
//	client := outbound.New(outbound.Config{})
//	defer client.Close()
//	h, err := host.New(host.Config{Fetch: client.Fetch, …})
//
// A plugin reaches the hosts that its own list allows, by http and https, and none by default. An
// allowed name is not enough: the address that it leads to must be one of the public internet, so
// that no plugin reaches what the machine itself reaches. A plugin's list cannot change that, since
// whoever made the plugin may have written it. Config.Private can, which is the operator's. Names are
// resolved here and the address that was checked is the one that is dialled, for redirects too.
package outbound

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/resonhost/resonhost/host"
)

// Config is how requests are sent. The zero value is the default of each.
type Config struct {
	// Timeout bounds a request with its redirects and its response; default 10 s. The task's own
	// timeout ends it as well.
	Timeout time.Duration
	// MaxBytes bounds the body of a response, in bytes, where the plugin has no lower bound;
	// default 8 MiB.
	MaxBytes int64
	// MaxHeaders bounds how many headers a request and a response have each, and MaxHeaderBytes
	// those of a response together, in bytes; defaults 100 and 64 KiB.
	MaxHeaders     int
	MaxHeaderBytes int64
	// MaxRedirects bounds how many redirects are followed; default 10. Below zero none is followed,
	// and the plugin gets the redirect as its response.
	MaxRedirects int
	// MaxConns bounds connections to one host; default 16. Further requests wait.
	MaxConns int
	// Private are patterns of names of hosts that may have addresses that are not of the public
	// internet, of the form of AllowedHosts. A plugin's own list has to allow them too. Default none.
	Private []string
	// Wrap, if set, is given what sends each request, those of redirects included, and returns what is used
	// instead, such as one that traces them. It sees no request that is not allowed.
	Wrap func(http.RoundTripper) http.RoundTripper
	// Resolve returns the addresses of a name; default is Go's resolver.
	Resolve func(ctx context.Context, name string) ([]netip.Addr, error)
}

// Client sends requests. Its methods may be called concurrently.
type Client struct {
	cfg Config
	// public dials public addresses alone, and private any, for hosts of Config.Private. They share
	// no connections.
	public, private *http.Transport
	// sendPublic and sendPrivate are these as Config.Wrap has them.
	sendPublic, sendPrivate http.RoundTripper
}

// New returns a client. The caller closes it.
func New(cfg Config) *Client {
	cfg.Timeout = cmp.Or(cfg.Timeout, 10*time.Second)
	cfg.MaxBytes = cmp.Or(cfg.MaxBytes, 8<<20)
	cfg.MaxHeaders = cmp.Or(cfg.MaxHeaders, 100)
	cfg.MaxHeaderBytes = cmp.Or(cfg.MaxHeaderBytes, 64<<10)
	cfg.MaxRedirects = cmp.Or(cfg.MaxRedirects, 10)
	cfg.MaxConns = cmp.Or(cfg.MaxConns, 16)
	if cfg.Resolve == nil {
		cfg.Resolve = func(ctx context.Context, name string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", name)
		}
	}
	cfg.Private = slices.Clone(cfg.Private)
	c := &Client{cfg: cfg}
	c.public, c.private = c.transport(false), c.transport(true)
	c.sendPublic, c.sendPrivate = c.public, c.private
	if cfg.Wrap != nil {
		c.sendPublic, c.sendPrivate = cfg.Wrap(c.public), cfg.Wrap(c.private)
	}
	return c
}

// transport returns one that dials any address, or public ones alone. It takes no proxy from the
// environment, which would dial in its stead.
func (c *Client) transport(private bool) *http.Transport {
	d := &dialer{resolve: c.cfg.Resolve, private: private, net: net.Dialer{Timeout: c.cfg.Timeout}}
	return &http.Transport{
		DialContext: d.dial, ForceAttemptHTTP2: true,
		TLSHandshakeTimeout: c.cfg.Timeout, IdleConnTimeout: time.Minute,
		MaxIdleConns: 100, MaxIdleConnsPerHost: c.cfg.MaxConns, MaxConnsPerHost: c.cfg.MaxConns,
		MaxResponseHeaderBytes: c.cfg.MaxHeaderBytes,
	}
}

// Close closes idle connections.
func (c *Client) Close() {
	c.public.CloseIdleConnections()
	c.private.CloseIdleConnections()
}

// ErrNotAllowed is wrapped by the error of a request, or of a redirect, to what the plugin may not
// reach.
var ErrNotAllowed = errors.New("is not allowed")

// ErrTooLarge is wrapped by the error of a request or response that is larger than it may be.
var ErrTooLarge = errors.New("is too large")

// Fetch sends a request and returns the response, whatever its status. It is of the type of
// [host.Config]'s Fetch.
func (c *Client) Fetch(ctx context.Context, r host.FetchRequest) (host.FetchResponse, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, c.cfg.Timeout, fmt.Errorf("takes longer than %v: %w", c.cfg.Timeout, context.DeadlineExceeded))
	defer cancel()
	got, err := c.fetch(ctx, &r)
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = cause
	}
	if err != nil {
		return host.FetchResponse{}, fmt.Errorf("%.200s %.200q: %w", r.Method, r.URL, shortened(err))
	}
	return got, nil
}

// shortened leaves out what net/http says of the request: the caller knows it.
func shortened(err error) error {
	if u := (*url.Error)(nil); errors.As(err, &u) {
		return u.Err
	}
	return err
}

func (c *Client) fetch(ctx context.Context, r *host.FetchRequest) (host.FetchResponse, error) {
	req, err := c.request(ctx, r)
	if err != nil {
		return host.FetchResponse{}, err
	}
	follows := http.Client{
		Transport: chooser{c, r.AllowedHosts},
		CheckRedirect: func(req *http.Request, via []*http.Request) error {
			if c.cfg.MaxRedirects < 0 {
				return http.ErrUseLastResponse
			}
			if len(via) > c.cfg.MaxRedirects {
				return fmt.Errorf("is redirected more than %d times", c.cfg.MaxRedirects)
			}
			return allowed(req.URL, r.AllowedHosts) // before it is followed; the transport looks as well
		},
	}
	resp, err := follows.Do(req)
	if err != nil {
		return host.FetchResponse{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	return c.response(resp, r)
}

// request makes a request of a plugin's.
func (c *Client) request(ctx context.Context, r *host.FetchRequest) (*http.Request, error) {
	method := strings.ToUpper(r.Method)
	if method == http.MethodConnect {
		return nil, fmt.Errorf("the method %w", ErrNotAllowed)
	}
	if len(r.Header) > c.cfg.MaxHeaders {
		return nil, fmt.Errorf("its number of headers %w: %d, the limit is %d", ErrTooLarge, len(r.Header), c.cfg.MaxHeaders)
	}
	req, err := http.NewRequestWithContext(ctx, method, r.URL, bytes.NewReader(r.Body))
	if err != nil {
		return nil, err
	}
	if err := allowed(req.URL, r.AllowedHosts); err != nil {
		return nil, err
	}
	for name, value := range r.Header {
		if !ours(name) {
			req.Header.Set(name, value)
		}
	}
	return req, nil
}

// ours reports whether a header is of the connection, and so not the plugin's.
func ours(name string) bool {
	name = http.CanonicalHeaderKey(name)
	return strings.HasPrefix(name, "Proxy-") || slices.Contains([]string{
		"Connection", "Content-Length", "Expect", "Host", "Keep-Alive", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
	}, name)
}

// response reads what a plugin is told of a response.
func (c *Client) response(resp *http.Response, r *host.FetchRequest) (host.FetchResponse, error) {
	if len(resp.Header) > c.cfg.MaxHeaders {
		return host.FetchResponse{}, fmt.Errorf("the number of the response's headers %w: %d, the limit is %d", ErrTooLarge, len(resp.Header), c.cfg.MaxHeaders)
	}
	limit := c.cfg.MaxBytes
	if r.MaxBytes > 0 {
		limit = min(limit, r.MaxBytes)
	}
	limit = min(limit, math.MaxInt64-1)
	body, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return host.FetchResponse{}, err
	}
	if int64(len(body)) > limit {
		return host.FetchResponse{}, fmt.Errorf("the response %w: more than %d bytes", ErrTooLarge, limit)
	}
	header := make(map[string]string, len(resp.Header))
	for name, values := range resp.Header {
		header[strings.ToLower(name)] = strings.Join(values, ",")
	}
	return host.FetchResponse{Status: resp.StatusCode, Header: header, Body: body}, nil
}

// chooser sends a request by the transport that its host may use. It looks at each request, those
// of redirects among them.
type chooser struct {
	c     *Client
	hosts []string
}

// RoundTrip implements [http.RoundTripper].
func (ch chooser) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := allowed(req.URL, ch.hosts); err != nil {
		return nil, err
	}
	if matches(ch.c.cfg.Private, plain(req.URL.Hostname())) {
		return ch.c.sendPrivate.RoundTrip(req)
	}
	return ch.c.sendPublic.RoundTrip(req)
}

// allowed returns an [ErrNotAllowed] for what no pattern allows.
func allowed(u *url.URL, patterns []string) error {
	name := plain(u.Hostname())
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("the scheme %.20q %w: only http and https are", u.Scheme, ErrNotAllowed)
	case name == "":
		return errors.New("it names no host")
	case strings.ContainsAny(name, `*?[]\`): // a pattern would match itself
		return fmt.Errorf("%.200q is no name of a host", name)
	case matches(patterns, name):
		return nil
	}
	named, more := patterns[:min(len(patterns), maxNamed)], ""
	if n := len(patterns) - len(named); n > 0 {
		more = fmt.Sprintf(" and %d more", n)
	}
	return fmt.Errorf("the host %.200q %w: the plugin's allowed hosts are %.100q%s", name, ErrNotAllowed, named, more)
}

// maxNamed is how many patterns an error names.
const maxNamed = 5

// matches reports whether a name is of one of the patterns. Those that are not valid match nothing.
func matches(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		ok, err := path.Match(plain(pattern), name)
		return ok && err == nil
	})
}

// plain is a host's name in lower case, without the dot that it may end in.
func plain(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }
