package redis

import (
	"context"
	"errors"
	"fmt"
	"net"

	goredis "github.com/redis/go-redis/v9"
)

// What was sent may reach the server long after its caller has given up, over a connection that hung.
// It must not replace what was saved later. So each save carries the turn of its owner. When the
// outcome of a save is not known the turn goes on, and the server refuses those of turns before once
// it has seen a later one. For the same reason the client sends no save twice by itself.

// saving is a call of Save.
type saving struct{ over bool } // it has returned with an error; Store.turnMu guards it

var errOver = errors.New("the save was given up")

// take returns the turn with which a call sends something now.
func (s *Store) take(c *saving) (turn int64, err error) {
	s.turnMu.Lock()
	defer s.turnMu.Unlock()
	if c.over {
		return 0, errOver
	}
	return s.turn, nil
}

// giveUp has a call send nothing more, and what it has sent count for nothing once a later save is
// done.
func (s *Store) giveUp(c *saving) {
	s.turnMu.Lock()
	defer s.turnMu.Unlock()
	c.over = true
	s.turn++
}

func (s *Store) nextTurn() {
	s.turnMu.Lock()
	defer s.turnMu.Unlock()
	s.turn++
}

// save saves a piece. If the connection was broken, as the server closes those that are idle, it
// does so once more.
func (s *Store) save(ctx context.Context, c *saving, p piece) error {
	for again := true; ; {
		if lost := s.lostErr.Load(); lost != nil {
			return *lost
		}
		turn, err := s.take(c)
		if err != nil {
			return err
		}
		p.values[1] = turn
		n, held, err := s.send(ctx, p)
		switch {
		case err == nil && n == overtaken:
		case err != nil && again && broken(err) && ctx.Err() == nil:
			again = false
			s.nextTurn()
		case err == nil && n == 0:
			return s.lost(held)
		default:
			return err
		}
	}
}

// errReplicas is a save that the server has, and too few of its replicas.
var errReplicas = errors.New("too few replicas have what was saved")

// broken reports whether an error is one of the connection, and no timeout.
func broken(err error) bool {
	reply, timeout := goredis.Error(nil), net.Error(nil)
	late := errors.As(err, &timeout) && timeout.Timeout()
	return !late && !errors.As(err, &reply) && !errors.Is(err, errReply) && !errors.Is(err, errReplicas)
}

// send sends a piece, and returns what the script does.
func (s *Store) send(ctx context.Context, p piece) (n int64, held string, err error) {
	if s.replicas > 0 {
		return s.sendReplicated(ctx, p)
	}
	n, held, err = result(save.Run(ctx, once{s.client}, p.keys, p.values...))
	return n, held, s.fault(ctx, saves, err)
}

// sendReplicated also waits until as many replicas as wanted have what was saved. The server waits
// for what came over the same connection, so both go in one exchange.
func (s *Store) sendReplicated(ctx context.Context, p piece) (n int64, held string, err error) {
	c, err := s.home(ctx)
	if err != nil {
		return 0, "", s.fault(ctx, saves, err)
	}
	var script, wait *goredis.Cmd
	_, _ = c.Pipelined(ctx, func(pipe goredis.Pipeliner) error {
		script = save.Eval(ctx, once{pipe}, p.keys, p.values...)
		wait = pipe.Do(ctx, "WAIT", s.replicas, (s.timeout / 2).Milliseconds())
		return nil
	}) // each command has its error
	n, held, err = result(script)
	if err != nil || n <= 0 {
		return n, held, s.fault(ctx, saves, err)
	}
	have, err := wait.Int()
	if err == nil && have < s.replicas {
		err = fmt.Errorf("%w: %d of %d", errReplicas, have, s.replicas)
	}
	return n, held, s.fault(ctx, waits, err)
}

// sender is a client, or a pipeline.
type sender interface {
	goredis.Scripter
	Process(ctx context.Context, cmd goredis.Cmder) error
}

// once runs scripts that the client does not send a second time.
type once struct{ sender }

// Eval runs a script by its text.
func (o once) Eval(ctx context.Context, script string, keys []string, args ...any) *goredis.Cmd {
	return o.run(ctx, "eval", script, keys, args)
}

// EvalSha runs a script by its sum.
func (o once) EvalSha(ctx context.Context, sha1 string, keys []string, args ...any) *goredis.Cmd {
	return o.run(ctx, "evalsha", sha1, keys, args)
}

func (o once) run(ctx context.Context, name, script string, keys []string, args []any) *goredis.Cmd {
	all := make([]any, 0, 3+len(keys)+len(args))
	all = append(all, name, script, len(keys))
	for _, k := range keys {
		all = append(all, k)
	}
	cmd := goredis.NewCmd(ctx, append(all, args...)...)
	cmd.SetFirstKeyPos(3)             // which tells a cluster's servers apart
	_ = o.Process(ctx, notAgain{cmd}) // the command has the error
	return cmd
}

// notAgain is a command that the client does not send again when a connection fails.
type notAgain struct{ *goredis.Cmd }

// NoRetry is asked by the client.
func (notAgain) NoRetry() bool { return true }
