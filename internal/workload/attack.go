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

	"golang.org/x/time/rate"

	"github.com/resonhost/resonhost/internal/wait"
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
	// behaved is a client that does the same without hostility: what hostile ones cost beyond these is
	// what their hostility adds. It is nil where there is no such client.
	behaved func(ctx context.Context, a *attacker, c net.Conn) error
}

// attacks are all kinds.
var attacks = []attack{
	{"idle", "connect and send nothing", 2000, 0, idle, nil},
	{"slow headers", "send a byte of a header each second", 2000, 0, slowHeaders, nil},
	{"slow bodies", "send a byte of a body each second", 500, 0, slowBody, wholeBody},
	{"stalled readers", "ask for large answers and take none", 500, 0, stalledReader, taker},
	{"half-closed", "close their side once they have sent a task", 16, 25 * time.Millisecond, halfClosed, oneTask},
	{"gone", "go as soon as they have sent a task", 16, 25 * time.Millisecond, gone, oneTask},
	{"truncated bodies", "close in the middle of a body", 16, 25 * time.Millisecond, truncated, shortBody},
	{"oversized bodies", "send bodies without an end", 8, 0, oversized, longBody},
	{"bombs", "send packed bodies that unpack to gigabytes", 8, 0, bomb, packedBody},
	{"garbage", "send what is no HTTP", 16, 25 * time.Millisecond, garbage, health},
	{"wrong tokens", "send wrong tokens as fast as they are refused", 16, 0, wrongTokens, rightTokens},
	{"event streams", "open streams of events and read none", 2000, 5 * time.Second, eventStream, eventReader},
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
	pace     *rate.Limiter // of requests; nil for as fast as they go
	requests atomic.Int64
	refused  atomic.Int64 // connections that were not made
}

// Attacked is what hostile clients have done.
type Attacked struct {
	// Requests is how many requests, or beginnings of one, they have sent, and Refused how many of
	// their connections were not made.
	Requests int64 `json:"requests"`
	Refused  int64 `json:"refused"`
	// Computed is how much of a processor's time they took, for each second.
	Computed float64 `json:"computed"`
	// Rate is how many of the requests came in a second.
	Rate float64 `json:"rate"`
}

// Attack has hostile clients of a kind at a server until ctx ends; or, if atMost is more than 0, such that
// behave well and send atMost requests a second together. It must be the only work of its process.
func Attack(ctx context.Context, name string, target Target, atMost float64) (Attacked, error) {
	i := slices.IndexFunc(attacks, func(a attack) bool { return a.name == name })
	if i < 0 {
		return Attacked{}, fmt.Errorf("there are no clients of the kind %q", name)
	}
	kind, a := attacks[i], &attacker{target: target}
	if atMost > 0 {
		if kind.behaved == nil {
			return Attacked{}, fmt.Errorf("clients of the kind %q have none beside them that behave well", name)
		}
		kind.client, kind.every = kind.behaved, 0
		a.pace = rate.NewLimiter(rate.Limit(atMost), max(1, int(atMost/100)))
	}
	began, computed := time.Now(), cpuTime()
	var all sync.WaitGroup
	for range kind.clients {
		all.Go(func() {
			for ctx.Err() == nil {
				a.once(ctx, kind.client)
				_ = wait.For(ctx, kind.every)
			}
		})
	}
	all.Wait()
	lasted := time.Since(began).Seconds()
	return Attacked{a.requests.Load(), a.refused.Load(), (cpuTime() - computed).Seconds() / lasted, float64(a.requests.Load()) / lasted}, nil
}

// begin waits until a request may be sent, and counts it.
func (a *attacker) begin(ctx context.Context) error {
	if a.pace != nil {
		if err := a.pace.Wait(ctx); err != nil {
			return err
		}
	}
	a.requests.Add(1)
	return nil
}

// once has a connection.
func (a *attacker) once(ctx context.Context, do func(context.Context, *attacker, net.Conn) error) {
	if a.begin(ctx) != nil {
		return
	}
	dialer := net.Dialer{Timeout: 10 * time.Second}
	c, err := dialer.DialContext(ctx, "tcp", a.target.Addr)
	if err != nil {
		a.refused.Add(1)
		_ = wait.For(ctx, 100*time.Millisecond) // for the next, which a refusal must not have spin
		return
	}
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()
	defer func() { _ = c.Close() }()
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

func idle(ctx context.Context, _ *attacker, c net.Conn) error { return untilClosed(ctx, c) }

// trickle sends a byte each second until the server closes.
func trickle(ctx context.Context, c net.Conn, text string) error {
	for i := 0; ; i++ {
		if err := wait.For(ctx, time.Second); err != nil {
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
	if _, err := io.WriteString(c, a.lines()); err != nil {
		return err
	}
	<-ctx.Done()
	return ctx.Err()
}

// lines is a request with many tasks, whose answers are large.
func (a *attacker) lines() string {
	lines := strings.Repeat("{}\n", 1000)
	return strings.Replace(a.task(fmt.Sprintf("Content-Length: %d\r\n\r\n", len(lines))), "application/json", "application/x-ndjson", 1) + lines
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

// packedSpaces is a gigabyte of spaces, packed: many times the same, as the format has several in a row,
// since to pack so much takes longer than the clients have.
var packedSpaces = sync.OnceValue(func() []byte {
	return bytes.Repeat(packed(bytes.Repeat([]byte{' '}, 1<<20)), 1<<10)
})

func packed(text []byte) []byte {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	if err != nil {
		panic(err) // the level is one
	}
	_, _ = w.Write(text) // to memory
	_ = w.Close()
	return b.Bytes()
}

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
		if err := a.begin(ctx); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func eventStream(ctx context.Context, a *attacker, c net.Conn) error {
	if _, err := io.WriteString(c, a.events()); err != nil {
		return err
	}
	b := make([]byte, 512)
	n, err := c.Read(b)
	if err != nil || !bytes.HasPrefix(b[:n], []byte("HTTP/1.1 200")) {
		return errors.Join(err, errRefused)
	}
	<-ctx.Done()
	return ctx.Err()
}

// events asks for a stream of them, with all that they bring along.
func (a *attacker) events() string {
	return a.head("GET", "/v1/events?kinds=task.completed&outputs=true", a.target.Token) + "\r\n"
}

var errRefused = errors.New("refused")
