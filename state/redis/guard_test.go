package redis_test

import (
	"bufio"
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/resonhost/resonhost/state"
	"github.com/resonhost/resonhost/state/redis"
)

func TestGuard(t *testing.T) {
	for _, c := range []struct{ name, replies, want string }{
		{"all that Redis says", "+OK\r\n:7\r\n$5\r\n*9\r\n\n\r\n$-1\r\n*0\r\n*-1\r\n*2\r\n:1\r\n*2\r\n$0\r\n\r\n-ERR no\r\n$1\r\nx\r\n", ""},
		{"a long line", "+" + strings.Repeat("x", 70000), "a line has more than 65536 bytes"},
		{"an empty line", "\r\n", "a line is empty"},
		{"HTTP", "HTTP/1.1 400 Bad Request\r\n", `a line begins with "HTTP/1.1 400 Bad Req"`},
		{"the third version", "%2\r\n+a\r\n:1\r\n+b\r\n~1\r\n_\r\n>1\r\n#t\r\n,1.5\r\n(99\r\n=7\r\ntxt:a\r\n\r\n!3\r\nERR\r\n" + strings.Repeat("*1\r\n", 8), ""},
		{"attributes", "|1\r\n", `a line begins with "|1"`},
		{"a long bulk", "$16777277\r\n", ""},
		{"a longer bulk", "$99999999999\r\n", `a length is "99999999999", and 16777277 is the most`},
		{"many items", "*65537\r\n", `a length is "65537", and 65536 is the most`},
		{"no number", "$x\r\n", `a length is "x", and 16777277 is the most`},
		{"a negative length", "*-2\r\n", `a length is "-2", and 65536 is the most`},
		{"nested lists", strings.Repeat("*1\r\n", 8), ""},
		{"lists nested deeper", strings.Repeat("*1\r\n", 9), "lists are nested more than 8 deep"},
		{"much in a list", "*9\r\n" + strings.Repeat("$9000000\r\n"+strings.Repeat("x", 9000000)+"\r\n", 4), "a list has more than 33554554 bytes"},
		{"many lines in a list", "*65536\r\n" + strings.Repeat("+"+strings.Repeat("x", 60_000)+"\r\n", 600), "a list has more than 33554554 bytes"},
		{"many lines in many replies", strings.Repeat("+"+strings.Repeat("x", 60_000)+"\r\n", 600), ""},
		{"many lists in a list", "*65535\r\n*2\r\n", "lists have more than 65536 items"},
		{"many lists one behind the other", "*9\r\n" + strings.Repeat("*8000\r\n"+strings.Repeat(":1\r\n", 8000), 9), "lists have more than 65536 items"},
		{"many keys with values", "%40000\r\n", "lists have more than 65536 items"},
		{"much in many replies", strings.Repeat("$9000000\r\n"+strings.Repeat("x", 9000000)+"\r\n", 4), ""},
	} {
		for _, step := range []int{len(c.replies), 7000, 1} {
			if step == 1 && len(c.replies) > 100_000 {
				continue
			}
			err := look(redis.NewGuard(), c.replies, step)
			switch {
			case c.want == "" && err != nil, c.want != "" && (err == nil || err.Error() != "the server does not answer as Redis does: "+c.want):
				t.Errorf("%s in pieces of %d: error %v, want %s", c.name, step, err, c.want)
			}
		}
	}
}

// look has a guard look at replies in pieces.
func look(g *redis.Guard, replies string, step int) error {
	for len(replies) > 0 {
		n := min(step, len(replies))
		if err := g.Look([]byte(replies[:n])); err != nil {
			return err
		}
		replies = replies[n:]
	}
	return nil
}

// FuzzGuard follows replies in pieces of any size: it is the same as in one. A reply that repeats as often as
// it may is refused before it has more than the bounds.
func FuzzGuard(f *testing.F) {
	f.Add("*2\r\n$3\r\nabc\r\n:1\r\n", 3)
	f.Add("+"+strings.Repeat("x", 60_000)+"\r\n", 3)
	f.Add("*8000\r\n", 3)
	f.Add("*9\r\n*9\r\n_\r\n", 3)
	f.Fuzz(func(t *testing.T, replies string, step int) {
		whole, pieces := look(redis.NewGuard(), replies, len(replies)), look(redis.NewGuard(), replies, 1+max(0, step)%100)
		if (whole == nil) != (pieces == nil) {
			t.Fatalf("whole: %v, in pieces: %v", whole, pieces)
		}
		g := redis.NewGuard()
		if len(replies) < 1000 { // so that many fit
			replies = strings.Repeat(replies, 100)
		}
		for _, list := range []string{"*65536\r\n", "*8\r\n*65000\r\n"} {
			if g.Look([]byte(list)) != nil {
				return
			}
			for range 65536 {
				if len(replies) == 0 || g.Look([]byte(replies)) != nil {
					break
				}
				if size, items := g.Held(); size > redis.MaxHeld || items > redis.MaxItems {
					t.Fatalf("%d bytes and %d items of one reply have come, and %d and %d are the most", size, items, redis.MaxHeld, redis.MaxItems)
				}
			}
		}
	})
}

// serve answers whatever comes with a function of its own, as long as the test lasts.
func serve(t *testing.T, answer func(net.Conn)) (addr string) {
	t.Helper()
	var listen net.ListenConfig
	l, err := listen.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			answer(c)
			_ = c.Close()
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-done
	})
	return l.Addr().String()
}

// TestGarbage connects to what is no Redis, or one that means harm.
func TestGarbage(t *testing.T) {
	for name, reply := range map[string]string{
		"HTTP":           "HTTP/1.1 400 Bad Request\r\n\r\n",
		"endless bulk":   "$9223372036854775807\r\n",
		"large bulk":     "$2000000000\r\n",
		"endless list":   "*2000000000\r\n",
		"nested lists":   strings.Repeat("*1\r\n", 1000),
		"wrong type":     ":1\r\n",
		"nothing at all": "",
	} {
		addr := serve(t, func(c net.Conn) {
			_, _ = bufio.NewReader(c).ReadString('\n')
			_, _ = c.Write([]byte(reply))
		})
		_, err := redis.Open(t.Context(), redis.Options{URL: "redis://" + addr + "?timeout=1s"})
		if state.FaultOf(err) != state.FaultUnavailable {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

// TestSlow connects to a server that never answers, with a context that ends.
func TestSlow(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	addr := serve(t, func(net.Conn) { <-ctx.Done() })
	if _, err := redis.Open(ctx, redis.Options{URL: "redis://" + addr}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
}
