package workload

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Target is a server that is attacked.
type Target struct {
	// Addr is where it listens.
	Addr string
	// Token is that of hostile clients, who may call and read, and GoodToken that of the others, who are
	// another tenant.
	Token, GoodToken string
}

// attack is a kind of hostile clients.
type attack struct {
	name, does string
	clients    int
	// every is how long a client waits before its next connection. Without it some kinds would be
	// nothing but a flood, which takes the server's processors whatever it is of.
	every time.Duration
	// client does one connection's worth, and again and again. It returns when its connection ends.
	client func(ctx context.Context, a *attacker, c net.Conn) error
}

// attacks are all kinds.
var attacks = []attack{
	{"idle", "connect and send nothing", 2000, 0, func(ctx context.Context, _ *attacker, c net.Conn) error { return untilClosed(ctx, c) }},
	{"slow headers", "send a byte of a header each second", 2000, 0, slowHeaders},
	{"slow bodies", "send a byte of a body each second", 500, 0, slowBody},
	{"stalled readers", "ask for large answers and take none", 500, 0, stalledReader},
	{"half-closed", "close their side once they have sent a task", 16, 0, halfClosed},
	{"gone", "go as soon as they have sent a task", 16, 25 * time.Millisecond, gone},
	{"truncated bodies", "close in the middle of a body", 16, 25 * time.Millisecond, truncated},
	{"oversized bodies", "send bodies without an end", 8, 0, oversized},
	{"bombs", "send packed bodies that unpack to gigabytes", 8, 0, bomb},
	{"garbage", "send what is no HTTP", 16, 25 * time.Millisecond, garbage},
	{"wrong tokens", "send wrong tokens as fast as they are refused", 16, 0, wrongTokens},
	{"event streams", "open streams of events and read none", 2000, 5 * time.Second, eventStream},
}

// Attacks returns the names of all kinds of hostile clients.
func Attacks() (names []string) {
	for _, a := range attacks {
		names = append(names, a.name)
	}
	return names
}

// attacker runs the clients of an attack.
type attacker struct {
	target   Target
	requests atomic.Int64
	refused  atomic.Int64 // connections that were not made
}

// Attacked is what hostile clients have done.
type Attacked struct {
	// Requests is how many requests, or beginnings of one, they have sent, and Refused how many of
	// their connections were not made.
	Requests int64 `json:"requests"`
	Refused  int64 `json:"refused"`
}

// Attack has hostile clients of a kind at a server until ctx ends.
func Attack(ctx context.Context, name string, target Target) (Attacked, error) {
	i := slices.IndexFunc(attacks, func(a attack) bool { return a.name == name })
	if i < 0 {
		return Attacked{}, fmt.Errorf("there are no clients of the kind %q", name)
	}
	a := &attacker{target: target}
	var all sync.WaitGroup
	for range attacks[i].clients {
		all.Go(func() {
			for ctx.Err() == nil {
				a.once(ctx, attacks[i].client)
				_ = sleep(ctx, attacks[i].every)
			}
		})
	}
	all.Wait()
	return Attacked{a.requests.Load(), a.refused.Load()}, nil
}

// once has a connection.
func (a *attacker) once(ctx context.Context, do func(context.Context, *attacker, net.Conn) error) {
	dialer := net.Dialer{Timeout: 10 * time.Second}
	c, err := dialer.DialContext(ctx, "tcp", a.target.Addr)
	if err != nil {
		a.refused.Add(1)
		_ = sleep(ctx, 100*time.Millisecond) // for the next, which a refusal must not have spin
		return
	}
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()
	defer func() { _ = c.Close() }()
	a.requests.Add(1)
	_ = do(ctx, a, c) // however it ends
}

// head is the beginning of a request, up to the headers that differ.
func (a *attacker) head(method, path, token string) string {
	return method + " " + path + " HTTP/1.1\r\nHost: " + a.target.Addr + "\r\nAuthorization: Bearer " + token + "\r\n"
}

func (a *attacker) task(rest string) string {
	return a.head("POST", "/v1/transforms/cascade", a.target.Token) + "Content-Type: application/json\r\n" + rest
}

// untilClosed waits for the server to close, and takes nothing of what it sends but that.
func untilClosed(_ context.Context, c net.Conn) error {
	_, err := io.Copy(io.Discard, c)
	return err
}

// trickle sends a byte each second until the server closes.
func trickle(ctx context.Context, c net.Conn, text string) error {
	for i := 0; ; i++ {
		if err := sleep(ctx, time.Second); err != nil {
			return err
		}
		if _, err := c.Write([]byte{text[i%len(text)]}); err != nil {
			return err
		}
	}
}

func slowHeaders(ctx context.Context, a *attacker, c net.Conn) error {
	if _, err := io.WriteString(c, a.task("X-Slow: ")); err != nil {
		return err
	}
	return trickle(ctx, c, "a")
}

func slowBody(ctx context.Context, a *attacker, c net.Conn) error {
	if _, err := io.WriteString(c, a.task("Content-Length: 100000\r\n\r\n")); err != nil {
		return err
	}
	return trickle(ctx, c, " ")
}

func stalledReader(ctx context.Context, a *attacker, c net.Conn) error {
	_ = c.(*net.TCPConn).SetReadBuffer(4 << 10) // what is not set holds some more
	lines := strings.Repeat("{}\n", 1000)
	if _, err := io.WriteString(c, strings.Replace(a.task(fmt.Sprintf("Content-Length: %d\r\n\r\n", len(lines))), "application/json", "application/x-ndjson", 1)+lines); err != nil {
		return err
	}
	<-ctx.Done()
	return ctx.Err()
}

func halfClosed(ctx context.Context, a *attacker, c net.Conn) error {
	if _, err := io.WriteString(c, a.task("Content-Length: 2\r\n\r\n{}")); err != nil {
		return err
	}
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		return err
	}
	return untilClosed(ctx, c)
}

func gone(_ context.Context, a *attacker, c net.Conn) error {
	_, err := io.WriteString(c, a.task("Content-Length: 2\r\n\r\n{}"))
	return err
}

func truncated(_ context.Context, a *attacker, c net.Conn) error {
	_, err := io.WriteString(c, a.task("Content-Length: 1000\r\n\r\n{"))
	return err
}

func oversized(ctx context.Context, a *attacker, c net.Conn) error {
	if _, err := io.WriteString(c, a.task("Transfer-Encoding: chunked\r\n\r\n")); err != nil {
		return err
	}
	chunk := []byte("10000\r\n" + strings.Repeat(" ", 1<<16) + "\r\n")
	for ctx.Err() == nil {
		if _, err := c.Write(chunk); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// packedSpaces is a gigabyte of spaces, packed.
var packedSpaces = sync.OnceValue(func() []byte {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	if err != nil {
		panic(err) // the level is one
	}
	_, _ = w.Write(bytes.Repeat([]byte{' '}, 64<<20)) // to memory
	_ = w.Close()
	return bytes.Repeat(b.Bytes(), 16) // the format has several of them in a row
})

func bomb(ctx context.Context, a *attacker, c net.Conn) error {
	b := packedSpaces()
	if _, err := io.WriteString(c, a.task(fmt.Sprintf("Content-Encoding: gzip\r\nContent-Length: %d\r\nConnection: close\r\n\r\n", len(b)))); err != nil {
		return err
	}
	if _, err := c.Write(b); err != nil {
		return err
	}
	return untilClosed(ctx, c)
}

func garbage(ctx context.Context, _ *attacker, c net.Conn) error {
	b := make([]byte, 512)
	_, _ = rand.Read(b) // which never fails
	copy(b[len(b)-4:], "\r\n\r\n")
	if _, err := c.Write(b); err != nil {
		return err
	}
	return untilClosed(ctx, c)
}

// wrongTokens keeps its connection, and does not wait for an answer before it sends again.
func wrongTokens(ctx context.Context, a *attacker, c net.Conn) error {
	go func() { _ = untilClosed(ctx, c) }() // until c is closed
	token := make([]byte, 36)
	for ctx.Err() == nil {
		_, _ = rand.Read(token)
		if _, err := io.WriteString(c, a.head("GET", "/v1/plugins", "rht_"+base64.RawURLEncoding.EncodeToString(token))+"\r\n"); err != nil {
			return err
		}
		a.requests.Add(1)
	}
	return ctx.Err()
}

func eventStream(ctx context.Context, a *attacker, c net.Conn) error {
	if _, err := io.WriteString(c, a.head("GET", "/v1/events?kinds=task.completed&outputs=true", a.target.Token)+"\r\n"); err != nil {
		return err
	}
	b := make([]byte, 512)
	n, err := c.Read(b)
	if err != nil || !bytes.HasPrefix(b[:n], []byte("HTTP/1.1 200")) {
		return errors.Join(err, errors.New("refused"))
	}
	<-ctx.Done()
	return ctx.Err()
}
