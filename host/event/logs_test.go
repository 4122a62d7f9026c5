package event_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/resonhost/resonhost/host/event"
)

func line(source string, i int) event.PluginLogged {
	return event.PluginLogged{Plugin: source, Source: source, Text: fmt.Sprint(i)}
}

// texts are those of lines.
func texts(events []event.Event) string {
	var list []string
	for _, e := range events {
		if body, ok := e.Body.(event.PluginLogged); ok {
			list = append(list, body.Source+body.Text)
		}
	}
	return strings.Join(list, " ")
}

// ofSource matches lines of one plugin.
func ofSource(source string) func(event.Body) event.Body {
	return func(b event.Body) event.Body {
		if line, ok := b.(event.PluginLogged); ok && line.Source == source {
			return b
		}
		return nil
	}
}

// TestLogsAreKeptByPlugin has a plugin that writes much: it pushes out its own lines alone.
func TestLogsAreKeptByPlugin(t *testing.T) {
	b := event.New(2)
	b.Publish(say(1))
	b.Publish(line("quiet", 1))
	for i := range event.LogLines + 5 {
		b.Publish(line("loud", i))
	}
	if got := b.Logged("loud"); len(got) != event.LogLines || got[0].Body.(event.PluginLogged).Text != "5" {
		t.Errorf("%d lines are kept from %+v on", len(got), got[0])
	}
	if got := texts(b.Logged("quiet")); got != "quiet1" {
		t.Errorf("of the quiet one there are %q", got)
	}
	if got := b.History(event.KindBroadcast); len(got) != 1 {
		t.Errorf("the history has %v", got)
	}
	all := b.History()
	if len(all) != event.LogLines+2 {
		t.Errorf("%d events are kept, want the lines and two more", len(all))
	}
	for i := 1; i < len(all); i++ {
		if all[i].Seq <= all[i-1].Seq {
			t.Fatalf("event %d comes after %d", all[i].Seq, all[i-1].Seq)
		}
	}
	if b.Logged("nonesuch") != nil || b.Last() != uint64(event.LogLines+7) {
		t.Errorf("lines of nobody, or the last event is %d", b.Last())
	}

	large := event.PluginLogged{Source: "large", Text: strings.Repeat("x", event.LogBytes/4)}
	for range 9 {
		b.Publish(large)
	}
	if got := len(b.Logged("large")); got != 4 {
		t.Errorf("%d large lines are kept, want as many as fit the bytes: 4", got)
	}
}

// TestLogsResume has readers that come again: each is told of its own plugin's missing lines alone.
func TestLogsResume(t *testing.T) {
	b := event.New(8)
	b.Publish(line("quiet", 1))
	after := b.Last()
	for i := range event.LogLines + 1 {
		b.Publish(line("loud", i))
	}
	b.Publish(line("quiet", 2))
	resume := func(match func(event.Body) event.Body, after uint64) (string, string) {
		t.Helper()
		s, lost := b.Select(event.Selection{Kinds: []event.Kind{event.KindPluginLogged}, Match: match, Buffer: 1024, Resume: true, After: after})
		s.Close()
		var got []event.Event
		for {
			e, _, err := s.Take()
			if err != nil {
				return texts(got), names(lost)
			}
			got = append(got, e)
		}
	}
	if got, lost := resume(ofSource("quiet"), after); got != "quiet2" || lost != "[]" {
		t.Errorf("the quiet one's reader has %q and lost %s", got, lost)
	}
	if got, lost := resume(ofSource("loud"), after); !strings.HasPrefix(got, "loud1 loud2 ") || lost != "[plugin.logged]" {
		t.Errorf("the loud one's reader has %.20q and lost %s", got, lost)
	}
	if got, lost := resume(nil, after+1); strings.Count(got, " ") != event.LogLines || lost != "[]" {
		t.Errorf("who reads both has %d lines and lost %s", strings.Count(got, " ")+1, lost)
	}
}

// TestLogsAreBounded has more plugins than logs are kept of.
func TestLogsAreBounded(t *testing.T) {
	b := event.New(1)
	for i := range event.MaxLogs {
		b.Publish(line(fmt.Sprint("p", i), 0))
	}
	b.Publish(line("p0", 1)) // so that p1 is the one that was silent longest
	b.Publish(line("new", 0))
	if b.Logged("p1") != nil || len(b.Logged("p0")) != 2 || len(b.Logged("p2")) != 1 || len(b.Logged("new")) != 1 {
		t.Error("another than the one that was silent longest was forgotten")
	}
	if _, lost := b.Select(event.Selection{Kinds: []event.Kind{event.KindPluginLogged}, Resume: true, After: 1}); names(lost) != "[plugin.logged]" {
		t.Errorf("lost %s, want what was forgotten told", names(lost))
	}
	if _, lost := b.Select(event.Selection{Kinds: []event.Kind{event.KindPluginLogged}, Resume: true, After: 2}); names(lost) != "[]" {
		t.Errorf("lost %s of what came after what was forgotten", names(lost))
	}
}

// TestLogsWithoutHistory makes lines for those alone who follow.
func TestLogsWithoutHistory(t *testing.T) {
	b := event.New(-1)
	if b.Wants(event.KindPluginLogged) {
		t.Error("lines are wanted that nobody can read")
	}
	s := b.Subscribe(0, event.KindPluginLogged)
	defer s.Close()
	if !b.Wants(event.KindPluginLogged) {
		t.Error("lines are not wanted that somebody reads")
	}
	b.Publish(line("a", 1))
	if e, err := s.Next(t.Context()); err != nil || texts([]event.Event{e}) != "a1" || b.Logged("a") != nil {
		t.Errorf("got %+v, err %v, kept %v", e, err, b.Logged("a"))
	}
	var none *event.Bus
	if none.Logged("a") != nil || none.Last() != 0 {
		t.Error("a nil bus has something")
	}
}
