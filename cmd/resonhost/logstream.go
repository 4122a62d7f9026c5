package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/host/event"
	"github.com/resonhost/resonhost/internal/sse"
)

const (
	// maxEvent bounds an event of a stream, in bytes: a line of the longest text, of which each byte
	// can take six in JSON, and what is beside it.
	maxEvent = 6*event.MaxLogLine + 16<<10
	// silence is how long a stream may be without a byte. Hosts send a comment after 15 s.
	silence = 45 * time.Second
)

// logStream is one stream of events.
type logStream struct {
	*logs

	host  *client
	retry time.Duration // that the host asks for
}

// read prints lines until the stream ends, and says why it did. It calls open once the host has
// answered. What no further attempt would mend is a *lastError.
func (s *logStream) read(ctx context.Context, open func()) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	alive := time.AfterFunc(silence, func() { cancel(fmt.Errorf("nothing came for %v", silence)) })
	defer alive.Stop()
	at := s.host.base.JoinPath("v1", "events")
	at.RawQuery = url.Values{"kinds": {event.KindPluginLogged.String()}, "plugin": {s.source}}.Encode()
	req, err := s.host.request(ctx, http.MethodGet, at)
	if err != nil {
		return &lastError{err}
	}
	req.Header.Set("Accept", "text/event-stream")
	req.Header.Set("Last-Event-ID", s.last)
	res, err := s.host.http.Do(req)
	if err != nil {
		return noAnswer(at, because(ctx, err))
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(res.Body, maxAnswer)) // what there is of a reason
		err := refusal(res, body)
		if res.StatusCode >= http.StatusInternalServerError || res.StatusCode == http.StatusTooManyRequests {
			return err
		}
		return &lastError{err}
	}
	if kind, _, err := mime.ParseMediaType(res.Header.Get("Content-Type")); err != nil || kind != "text/event-stream" {
		return &lastError{&exit{api.ExitFailed, fmt.Errorf("what answers at %s is no host: it sends no events", at.Host)}}
	}
	open()
	return s.events(ctx, sse.NewReader(&living{res.Body, alive}, maxEvent))
}

// because is why a request failed: ctx's cause, if that was it.
func because(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// events prints the lines of a stream.
func (s *logStream) events(ctx context.Context, r *sse.Reader) error {
	for {
		e, err := r.Next()
		s.retry = r.Retry()
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = errors.New("the stream ended")
			}
			return fmt.Errorf("the host at %s: %w", s.host.base.Host, because(ctx, err))
		}
		if id := r.LastID(); id != "" {
			s.last = id
		}
		if err := s.event(e); err != nil {
			return err
		}
	}
}

func (s *logStream) event(e sse.Event) error {
	switch e.Kind {
	case event.KindPluginLogged.String():
		one, err := dataOf[api.PluginLogged](s, e)
		if err != nil {
			return err
		}
		b := one.Data
		line := api.LogLine{ID: one.ID, Time: one.Time, Hash: b.Hash, Level: b.Level, Stream: b.Stream, Text: b.Text, Dropped: b.Dropped}
		if err := s.line(logged{b.Plugin, b.Source, line}); err != nil {
			return &lastError{err}
		}
	case api.KindStreamGap:
		gap, err := dataOf[api.StreamGap](s, e)
		if err != nil {
			return err
		}
		s.sayf("%s", missing(gap.Data))
	case api.KindStreamEnd:
		end, err := dataOf[api.StreamEnd](s, e)
		if err != nil {
			return err
		}
		return fmt.Errorf("the host at %s has ended the stream: %s", s.host.base.Host, strings.ReplaceAll(string(end.Data.Reason), "_", " "))
	}
	return nil
}

// missing says what a gap means to who reads a log.
func missing(gap api.StreamGap) string {
	switch gap.Reason {
	case api.GapSlow:
		return fmt.Sprintf("%d lines are missing here: they came faster than they were read", gap.Missed)
	case api.GapUnknownID:
		return "lines may be missing here: the host was started anew"
	default:
		return "lines are missing here: the host no longer keeps them"
	}
}

// eventOf is an event whose data is of that type.
type eventOf[T any] struct {
	ID   string    `json:"id"`
	Time time.Time `json:"time"`
	Data T         `json:"data"`
}

func dataOf[T any](s *logStream, e sse.Event) (v eventOf[T], err error) {
	if err = json.Unmarshal(e.Data, &v); err != nil {
		err = &lastError{&exit{api.ExitFailed, fmt.Errorf("what answers at %s is no host: %w", s.host.base.Host, err)}}
	}
	return v, err
}

// living is a body of which each byte shows that the connection lives.
type living struct {
	io.Reader

	alive *time.Timer
}

func (l *living) Read(p []byte) (int, error) {
	n, err := l.Reader.Read(p)
	if n > 0 {
		l.alive.Reset(silence)
	}
	return n, err
}
