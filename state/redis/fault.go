package redis

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"syscall"

	goredis "github.com/redis/go-redis/v9"

	"github.com/resonhost/resonhost/state"
)

// What a call does, for its errors.
const (
	takes   = "take"
	asks    = "ask"
	reads   = "read from"
	lists   = "list"
	saves   = "save to"
	renews  = "renew the lease of"
	returns = "give back"
	waits   = "wait for replicas of"
)

const (
	rights = "give the user the keys resonhost:*, and the commands get, set, del, strlen, getrange, exists, pttl, scan, eval, evalsha and info; also wait if the URL says replicas, and cluster|slots in a cluster"
	nodes  = "the server is one of a cluster: begin the URL with redis+cluster or rediss+cluster"
)

// causes say what is to be done of what a server answers, by what that begins with after the words of a script. A
// sentinel other than [state.ErrUnavailable] goes with it.
var causes = [...]struct {
	begins   string
	sentinel error
	todo     string
}{
	{"NOAUTH", nil, "say the server's password in the URL, as in redis://:PASSWORD@HOST, or name a file that has it with password_file"},
	{"WRONGPASS", nil, "correct the user and the password in the URL, or in the file of password_file"},
	{"NOPERM", state.ErrReadOnly, rights},
	{"ERR The user executing the script can't run this command", state.ErrReadOnly, rights}, // Redis 6.2
	{"READONLY", state.ErrReadOnly, "the server is a replica: name its master in the URL, or have Sentinels or a cluster find it with redis+sentinel or redis+cluster"},
	{"MISCONF", state.ErrReadOnly, "the server cannot save to its own disk: its log says why"},
	{"NOREPLICAS", state.ErrReadOnly, "the server takes no saves while it has too few replicas: mend them, or lower its min-replicas-to-write"},
	{"OOM", state.ErrFull, "raise the server's maxmemory, or delete something there"},
	{"LOADING", nil, "the server still reads its own file: try again when it has"},
	{"MASTERDOWN", nil, "the server is a replica that has lost its master: name the master in the URL"},
	{"MOVED", nil, nodes},
	{"ASK", nil, nodes},
	{"CLUSTERDOWN", nil, "the cluster has no server for the slot of the store: give every slot a server"},
	{"NOSCRIPT", nil, "a script that was sent is not there: have no proxy spread commands over several servers"},
	{"DENIED", nil, "the server is in protected mode: give it a password, or have it listen on the loopback address alone"},
	{"ERR max number of clients", nil, "raise the server's maxclients"},
	{"ERR DB index is out of range", nil, "say a lower number of database in the URL, or raise the server's databases"},
	{"ERR SELECT is not allowed in cluster mode", nil, "leave the number of the database out of the URL"},
	{"ERR This instance has cluster support disabled", nil, "the server is none of a cluster: begin the URL with redis or rediss"},
	{"redis: all sentinels specified in configuration are unreachable: redis: nil", nil, "no Sentinel knows a master of this name: say behind the addresses the one that Sentinel has for it"},
	{"redis: all sentinels specified in configuration are unreachable: ERR unknown command", nil, "the server is no Sentinel: begin the URL with redis or rediss, or say where the Sentinels are"},
	{"ERR unknown command", nil, "a store needs this command: name a server of Redis 6.2 or newer, no Sentinel, and one that has it under its own name"},
}

// words are of scripts and their sums, which say nothing to an operator, and arguments of a command.
var words = regexp.MustCompile(`\.? ?script: [0-9a-f]{40}, on @user_script:\d+\.?|Error running script \(call to f_[0-9a-f]{40}\): (@user_script: ?\d+: )*|, with args beginning with: (?s:.*)`)

// maxText is how much of an answer is shown, in bytes.
const maxText = 300

// causeError is an error with what is to be done.
type causeError struct {
	text, todo string
	err        error
}

func (e *causeError) Error() string {
	if e.todo == "" {
		return e.text
	}
	return e.text + "; " + e.todo
}

func (e *causeError) Unwrap() error { return e.err }

// fault gives an error what was done, why, and the sentinel by which callers know it. What is none of
// the server's own errors, nor of the context, is a server that cannot be reached or does not answer
// as Redis does.
func (s *Store) fault(ctx context.Context, what string, err error) error {
	if err == nil {
		return nil
	}
	writes := what == takes || what == saves || what == renews || what == returns
	what += " " + s.shown
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", what, ctx.Err())
	}
	text := words.ReplaceAllString(err.Error(), "")
	text = strings.TrimRight(text[:min(len(text), maxText)], ". ")
	sentinel, todo := state.ErrUnavailable, s.connecting(err)
	for i := range causes {
		c := &causes[i]
		if !strings.HasPrefix(text, c.begins) {
			continue
		}
		todo = c.todo
		if c.sentinel != nil && (todo != rights || writes) {
			sentinel = c.sentinel
		}
		break
	}
	return fmt.Errorf("%s: %w: %w", what, sentinel, &causeError{text, todo, err})
}

// connecting says what is to be done of an error that came before any answer.
func (s *Store) connecting(err error) string {
	var handshake *handshakeError
	switch {
	case errors.As(err, new(x509.UnknownAuthorityError)):
		return "name the certificates that sign the server's with ca=FILE in the URL"
	case errors.As(err, new(tls.RecordHeaderError)):
		return "the server speaks no TLS: begin the URL with redis in place of rediss"
	case errors.As(err, &handshake) && handshake.silent():
		return "if the server speaks no TLS, begin the URL with redis in place of rediss"
	case s.tls == nil && !s.answered.Load() && (errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)):
		return "if the server speaks TLS, begin the URL with rediss in place of redis"
	}
	return ""
}

// handshakeError is a connection over which no TLS came about.
type handshakeError struct{ err error }

func (e *handshakeError) Error() string { return "no TLS with the server: " + e.err.Error() }

func (e *handshakeError) Unwrap() error { return e.err }

// silent reports whether the server has answered nothing, as one that waits for the end of a line does.
func (e *handshakeError) silent() bool {
	return errors.Is(e.err, context.DeadlineExceeded) || errors.Is(e.err, io.EOF) || errors.Is(e.err, syscall.ECONNRESET)
}

// mayNot reports whether a server has refused a command for want of rights.
func mayNot(err error) bool { return goredis.HasErrorPrefix(err, "NOPERM") }
