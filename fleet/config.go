package fleet

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/resonhost/resonhost/abi"
)

// Defaults of Config.
const (
	DefaultFleet       = "default"
	DefaultAckWait     = 10 * time.Second
	DefaultMaxDeliver  = 5
	DefaultTaskBytes   = 256 << 20
	DefaultResultBytes = 512 << 20
	DefaultResultAge   = time.Hour
	DefaultDeadAge     = 7 * 24 * time.Hour
)

// Bounds of Config.
const (
	MinAckWait     = time.Second
	MaxAckWait     = 30 * time.Minute // a host that has gone is known for twice that
	MinResultAge   = time.Minute      // a frame is sent again for less than that
	MaxDeliverMost = 100
)

// Config says which fleet, and how to reach it. The zero value of a field is its default. What is of
// streams counts for those that are made; [Open] holds those that are there to it where that matters.
type Config struct {
	// URLs are the servers', such as nats://127.0.0.1:4222, with commas. All of a cluster belong here, so that a
	// client finds another when one fails.
	URLs string
	// Fleet is the name of the fleet: 1 to 32 letters, digits, _ and -; default DefaultFleet. All that has this
	// name at one server, in one account, is one fleet.
	Fleet string
	// Name is what the servers show of this connection, and answers of who did a task; default none.
	Name string
	// TLS is how the connection is sealed; default as the URLs say.
	TLS *tls.Config
	// Credentials is a file of credentials, and NKey a file of the seed of an NKey, of which there is one at most;
	// default none.
	Credentials, NKey string

	// MustExist has nothing be made that is not there: a fleet that no host has joined is an error that wraps [ErrNoFleet]. So what only
	// looks does not decide how a fleet is stored.
	MustExist bool
	// Replicas is on how many servers each stream lies, 1, 3 or 5; default 1. With 1 what was accepted is lost
	// with its server's disk, and what was accepted in the last two minutes with its power, as NATS syncs
	// by default.
	Replicas int
	// TaskBytes bounds the frames that wait, and ResultBytes the answers that are kept, in bytes; default
	// DefaultTaskBytes and DefaultResultBytes. Beyond it no more are accepted. Dead letters have a quarter of TaskBytes. The server
	// reserves all of it on each replica's disk.
	TaskBytes, ResultBytes int64
	// Trace, if set, says of which trace a frame is part that is submitted, or called, with a context: in the form of traceparent, "" for none. Hosts with
	// WorkerOptions.Trace follow it.
	Trace func(context.Context) string
	// ResultAge is how long an answer is kept, and with it the memory that its frame was done; default
	// DefaultResultAge, at least MinResultAge. The answers of a submission without a key go as soon as they were read.
	ResultAge time.Duration
	// DeadAge is how long a dead letter is kept; default DefaultDeadAge.
	DeadAge time.Duration
	// AckWait is after how long without a sign of life a host counts as dead, and its frames go to another; default
	// DefaultAckWait, MinAckWait to MaxAckWait. A host gives three signs in that time.
	AckWait time.Duration
	// MaxDeliver is how often a frame is given to a host at most, until it is a dead letter; default
	// DefaultMaxDeliver, at most MaxDeliverMost.
	MaxDeliver int

	// Logger receives what happens to the connection; default discards it.
	Logger *slog.Logger
}

func (c Config) withDefaults() Config {
	c.Fleet = cmp.Or(c.Fleet, DefaultFleet)
	c.Replicas = cmp.Or(c.Replicas, 1)
	c.TaskBytes = cmp.Or(c.TaskBytes, DefaultTaskBytes)
	c.ResultBytes = cmp.Or(c.ResultBytes, DefaultResultBytes)
	c.ResultAge = cmp.Or(c.ResultAge, DefaultResultAge)
	c.DeadAge = cmp.Or(c.DeadAge, DefaultDeadAge)
	c.AckWait = cmp.Or(c.AckWait, DefaultAckWait)
	c.MaxDeliver = cmp.Or(c.MaxDeliver, DefaultMaxDeliver)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

var fleetName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,32}$`)

// Check returns all that is wrong, each an [*abi.FieldError].
func (c Config) Check() error {
	c = c.withDefaults()
	return c.validate()
}

// validate returns all that is wrong.
func (c *Config) validate() error {
	var errs []error
	check := func(ok bool, field, rule string, args ...any) {
		if !ok {
			errs = append(errs, &abi.FieldError{Field: field, Rule: fmt.Sprintf(rule, args...)})
		}
	}
	for i, u := range c.servers() {
		parsed, err := url.Parse(u)
		check(err == nil && slices.Contains([]string{"nats", "tls", "ws", "wss"}, parsed.Scheme) && parsed.Host != "", "URLs",
			"number %d must be a URL such as nats://127.0.0.1:4222", i+1) // and is not shown: it may have a password
	}
	check(fleetName.MatchString(c.Fleet), "Fleet", "must be 1 to 32 letters, digits, _ and -, is %q", c.Fleet)
	check(len(c.Name) <= maxName && printable(c.Name), "Name", "must be at most %d bytes of text without control characters", maxName)
	check(c.Credentials == "" || c.NKey == "", "NKey", "must not be there besides Credentials")
	check(slices.Contains([]int{1, 3, 5}, c.Replicas), "Replicas", "must be 1, 3 or 5, is %d", c.Replicas)
	check(c.TaskBytes > 0, "TaskBytes", "must be positive")
	check(c.ResultBytes > 0, "ResultBytes", "must be positive")
	check(c.ResultAge >= MinResultAge, "ResultAge", "must be at least %v, is %v", MinResultAge, c.ResultAge)
	check(c.DeadAge > 0, "DeadAge", "must be positive")
	check(c.AckWait >= MinAckWait && c.AckWait <= MaxAckWait, "AckWait", "must be %v to %v, is %v", MinAckWait, MaxAckWait, c.AckWait)
	check(c.MaxDeliver >= 1 && c.MaxDeliver <= MaxDeliverMost, "MaxDeliver", "must be between 1 and %d, is %d", MaxDeliverMost, c.MaxDeliver)
	return errors.Join(errs...)
}

// servers are the URLs one by one.
func (c *Config) servers() []string {
	list := strings.Split(c.URLs, ",")
	for i, u := range list {
		list[i] = strings.TrimSpace(u)
	}
	return list
}
