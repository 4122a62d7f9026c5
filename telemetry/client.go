package telemetry

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// client posts to a collector.
type client struct {
	http     *http.Client
	endpoint string
	header   map[string]string
	timeout  time.Duration
	compress bool
}

func newClient(o *Options) *client {
	return &client{
		endpoint: strings.TrimSuffix(o.Endpoint, "/"), header: o.Header, timeout: o.Timeout, compress: o.Compress,
		http: &http.Client{
			Transport: &http.Transport{
				Proxy: http.ProxyFromEnvironment, TLSClientConfig: o.TLS, ForceAttemptHTTP2: true,
				MaxIdleConns: 2, IdleConnTimeout: 90 * time.Second, MaxResponseHeaderBytes: maxAnswer,
			},
			// Another host would get the header, and a POST become a GET.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// Paths of the collector, behind its endpoint.
const (
	tracesPath  = "/v1/traces"
	metricsPath = "/v1/metrics"
)

// maxAnswer bounds what is read of an answer, in bytes.
const maxAnswer = 64 << 10

func (c *client) close() { c.http.CloseIdleConnections() }

// refusal is an answer that is none of success.
type refusal struct {
	status int
	after  time.Duration // when to come again; 0 if it does not say
	why    string
}

func (r *refusal) Error() string { return r.why }

// again reports whether the same request may be taken later, and when at the earliest. That is so of
// the statuses that the protocol names, and where there was no answer.
func again(err error) (after time.Duration, ok bool) {
	r := (*refusal)(nil)
	if !errors.As(err, &r) {
		return 0, true
	}
	switch r.status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return r.after, true
	}
	return 0, false
}

// post sends a request, and returns what of it the collector rejects.
func (c *client) post(ctx context.Context, path string, body []byte) (rejected, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, c.timeout, fmt.Errorf("no answer within %v", c.timeout))
	defer cancel()
	var sent bytes.Buffer
	if c.compress {
		z := gzip.NewWriter(&sent)
		_, err := z.Write(body)
		if err := errors.Join(err, z.Close()); err != nil {
			return rejected{}, err
		}
		body = sent.Bytes()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.endpoint+path, bytes.NewReader(body))
	if err != nil {
		return rejected{}, err
	}
	for name, value := range c.header {
		req.Header.Set(name, value)
	}
	req.Header.Set("Content-Type", protobuf)
	if c.compress {
		req.Header.Set("Content-Encoding", "gzip")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return rejected{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return rejected{}, err
	}
	return c.judge(resp, answer)
}

const protobuf = "application/x-protobuf"

// judge says what an answer means.
func (c *client) judge(resp *http.Response, answer []byte) (rejected, error) {
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	switch {
	case resp.StatusCode/100 != 2:
		r := &refusal{status: resp.StatusCode, why: "it answers " + resp.Status}
		if s, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && s > 0 {
			r.after = time.Duration(min(s, int(maxDelay/time.Second))) * time.Second
		}
		return rejected{}, r
	case len(answer) > 0 && kind != protobuf:
		return rejected{}, &refusal{status: resp.StatusCode, why: fmt.Sprintf("it answers %s with %.60q, which is not OTLP over HTTP with protobuf", resp.Status, kind)}
	}
	return readRejected(answer), nil
}

// rejected is what a collector did not take of a request that it took.
type rejected struct {
	count   uint64
	message string
}

// readRejected reads an ExportTraceServiceResponse, or what is the same of metrics: the field 1 has the
// fields 1, how many were rejected, and 2, why. What is not of that form rejects nothing: the request was
// taken. The generated types would bring in gRPC.
func readRejected(answer []byte) (r rejected) {
	partial, ok := fieldOf(answer, 1)
	if !ok || partial.bytes == nil {
		return r
	}
	if n, ok := fieldOf(partial.bytes, 1); ok && int64(n.varint) > 0 {
		r.count = n.varint
	}
	if m, ok := fieldOf(partial.bytes, 2); ok {
		r.message = strings.ToValidUTF8(string(m.bytes[:min(len(m.bytes), 200)]), "\uFFFD")
	}
	return r
}

type field struct {
	varint uint64
	bytes  []byte
}

// fieldOf returns the first field of that number of a message.
func fieldOf(message []byte, number protowire.Number) (f field, ok bool) {
	for len(message) > 0 {
		num, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return f, false
		}
		message = message[n:]
		size := protowire.ConsumeFieldValue(num, kind, message)
		if size < 0 {
			return f, false
		}
		if num == number {
			switch kind {
			case protowire.VarintType:
				f.varint, _ = protowire.ConsumeVarint(message)
			case protowire.BytesType:
				f.bytes, _ = protowire.ConsumeBytes(message)
			default:
				return f, false
			}
			return f, true
		}
		message = message[size:]
	}
	return f, false
}
