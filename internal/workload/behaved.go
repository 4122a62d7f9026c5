package workload

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
)

// exchange sends a request, after which the server closes, and takes the answer.
func exchange(ctx context.Context, c net.Conn, request string) error {
	if _, err := io.WriteString(c, request); err != nil {
		return err
	}
	return untilClosed(ctx, c)
}

// bodied is a task with a body, after which the server closes.
func (a *attacker) bodied(body string) string {
	return a.task(fmt.Sprintf("Connection: close\r\nContent-Length: %d\r\n\r\n", len(body))) + body
}

// spaced is a task of so many bytes.
func spaced(size int) string { return "{" + strings.Repeat(" ", size-2) + "}" }

// wholeBody sends at once what slowBody sends slowly, and keeps its connection.
func wholeBody(ctx context.Context, a *attacker, c net.Conn) error {
	const size = 100000
	if _, err := io.WriteString(c, a.task(fmt.Sprintf("Content-Length: %d\r\n\r\n", size))+spaced(size)); err != nil {
		return err
	}
	return untilClosed(ctx, c)
}

// taker takes the answers, and keeps its connection.
func taker(ctx context.Context, a *attacker, c net.Conn) error {
	if _, err := io.WriteString(c, a.lines()); err != nil {
		return err
	}
	return untilClosed(ctx, c)
}

func oneTask(ctx context.Context, a *attacker, c net.Conn) error {
	return exchange(ctx, c, a.bodied("{}"))
}

func shortBody(ctx context.Context, a *attacker, c net.Conn) error {
	return exchange(ctx, c, a.bodied(spaced(1000)))
}

// taken is how long a body is that a server takes, in bytes.
const taken = 4 << 20

func longBody(ctx context.Context, a *attacker, c net.Conn) error {
	return exchange(ctx, c, a.bodied(spaced(taken)))
}

var packedTask = sync.OnceValue(func() []byte { return packed([]byte(spaced(taken))) })

func packedBody(ctx context.Context, a *attacker, c net.Conn) error {
	b := packedTask()
	head := a.task(fmt.Sprintf("Content-Encoding: gzip\r\nConnection: close\r\nContent-Length: %d\r\n\r\n", len(b)))
	return exchange(ctx, c, head+string(b))
}

func health(ctx context.Context, a *attacker, c net.Conn) error {
	return exchange(ctx, c, "GET /healthz HTTP/1.1\r\nHost: "+a.target.Addr+"\r\nConnection: close\r\n\r\n")
}

// rightTokens does as wrongTokens does, with a token that is right.
func rightTokens(ctx context.Context, a *attacker, c net.Conn) error {
	go func() { _ = untilClosed(ctx, c) }() // until c is closed
	request := a.head("GET", "/v1/plugins", a.target.Token) + "\r\n"
	for ctx.Err() == nil {
		if _, err := io.WriteString(c, request); err != nil {
			return err
		}
		if err := a.begin(ctx); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func eventReader(_ context.Context, a *attacker, c net.Conn) error {
	if _, err := io.WriteString(c, a.events()); err != nil {
		return err
	}
	b := make([]byte, 4<<10)
	for first := true; ; first = false {
		n, err := c.Read(b)
		if err != nil {
			return err
		}
		if first && !bytes.HasPrefix(b[:n], []byte("HTTP/1.1 200")) {
			return errRefused
		}
	}
}
