package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/urfave/cli/v2"

	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/host/event"
	"github.com/resonhost/resonhost/internal/terminal"
	"github.com/resonhost/resonhost/internal/value"
)

func logsCommand(std stdio) *cli.Command {
	o := newOptions()
	var l logs
	return &cli.Command{
		Name:      "logs",
		Usage:     "print what a plugin of a running host logs",
		UsageText: "resonhost logs NAME [options]",
		Description: "Prints the last lines that the plugin has written, of which the host keeps 256. With --follow\n" +
			"it goes on with those that come, until SIGINT or SIGTERM, also after the host was away. What is\n" +
			"missing is told on standard error. Control characters are printed as in Go. NAME is the\n" +
			"plugin's, or that of its file without .wasm. A log may tell of any tenant's tasks, so it takes\n" +
			"a token with the scopes read and admin.\n\n" + exitCodes,
		Flags: append(append(o.remote.flags(), flags(o.config())...),
			setting{name: "follow", usage: "go on with the lines that come", value: value.Toggle{P: &l.follow}}.flag(),
			setting{"tail", "begin with the last `N` lines that are kept", "all", value.CountOrNone(&l.tail)}.flag(),
			setting{"since", "print no line that is older than this `TIME`, such as 10m", "any", value.Duration(&l.since)}.flag(),
			jsonFlag("print JSON, a line for each", &o.json)),
		OnUsageError: usageError,
		Action: func(c *cli.Context) error {
			if err := o.readConfig(c); err != nil {
				return err
			}
			if c.Args().Len() != 1 {
				return usagef("say of which plugin: resonhost logs NAME")
			}
			l.json, l.out, l.err, l.pause = o.json, std.out, std.err, time.Second
			host, err := o.remote.open(std.err)
			if err != nil {
				return err
			}
			defer host.close()
			return l.print(c.Context, host, c.Args().First())
		},
	}
}

// logs prints lines of a plugin.
type logs struct {
	follow, json bool
	tail         int // negative for none, 0 for all
	since        time.Duration
	pause        time.Duration // before the first attempt to reach a host that is away
	out, err     io.Writer

	source string // the plugin's
	last   string // the event after which the next line comes
	oldest time.Time
}

// logged is a line as JSON.
type logged struct {
	Plugin string `json:"plugin"`
	Source string `json:"source"`
	api.LogLine
}

func (l *logs) print(ctx context.Context, host *client, name string) error {
	at := host.base.JoinPath("v1", "logs", url.PathEscape(name))
	if l.tail > event.LogLines {
		return usagef("--tail %d: must be at most %d, as many lines as a host keeps", l.tail, event.LogLines)
	}
	if l.tail != 0 {
		at.RawQuery = url.Values{"tail": {strconv.Itoa(max(l.tail, 0))}}.Encode()
	}
	if l.since > 0 {
		l.oldest = time.Now().Add(-l.since)
	}
	var kept api.Logs
	if err := host.ask(ctx, http.MethodGet, at, &kept); err != nil {
		return err
	}
	l.source, l.last = kept.Source, kept.LastEventID
	for _, line := range kept.Lines {
		if err := l.line(logged{kept.Plugin, kept.Source, line}); err != nil {
			return err
		}
	}
	if !l.follow {
		return nil
	}
	return l.goOn(ctx, host)
}

// maxShown is how much of a line is printed as text, in bytes.
const maxShown = 8 << 10

// line prints one, unless it is too old.
func (l *logs) line(one logged) error {
	if one.Time.Before(l.oldest) {
		return nil
	}
	if l.json {
		return terminal.Encode(l.out, one)
	}
	if one.Dropped > 0 {
		l.sayf("%d lines are missing here: the plugin wrote more than it may", one.Dropped)
	}
	text, more := one.Text, ""
	if len(text) > maxShown {
		at := maxShown
		for at > maxShown-utf8.UTFMax && !utf8.RuneStart(text[at]) {
			at--
		}
		text, more = text[:at], fmt.Sprintf(" … and %d bytes", len(text)-at)
	}
	_, err := fmt.Fprintf(l.out, "%s %-5s %-6s %s%s\n", one.Time.Local().Format("2006-01-02 15:04:05.000"),
		printable(strings.ToUpper(one.Level)), printable(one.Stream), printable(text), more)
	return err
}

// sayf tells on standard error what is no line of the plugin's.
func (l *logs) sayf(format string, args ...any) {
	fmt.Fprintf(l.err, "resonhost: "+format+"\n", args...)
}

// maxPause is the longest pause between attempts to reach a host that is away.
const maxPause = 30 * time.Second

// goOn follows the log, whether the host is there or not.
func (l *logs) goOn(ctx context.Context, host *client) error {
	away, pause := false, l.pause
	for {
		s := &logStream{logs: l, host: host}
		err := s.read(ctx, func() {
			if away {
				l.sayf("the host at %s is there again", printable(host.base.Host))
			}
			away, pause = false, l.pause
		})
		if e := (*lastError)(nil); errors.As(err, &e) {
			return e.error
		}
		select {
		case <-ctx.Done():
			return nil
		default:
		}
		if !away {
			l.sayf("%s; it is asked again until it answers", printable(strings.Join(strings.Fields(err.Error()), " ")))
		}
		away = true
		wait := max(min(s.retry, maxPause), pause)
		pause = min(2*pause, maxPause)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil
		}
	}
}

// lastError is one after which there is nothing to go on with.
type lastError struct{ error }

func (e *lastError) Unwrap() error { return e.error }
