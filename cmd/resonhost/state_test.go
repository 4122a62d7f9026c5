package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/internal/redistest"
	"github.com/resonhost/resonhost/resonance/serve"
	"github.com/resonhost/resonhost/state"
	"github.com/resonhost/resonhost/state/bolt"
	"github.com/resonhost/resonhost/state/statejson"
	"github.com/resonhost/resonhost/state/statetest"
)

// inStream has tasks of cascade done that belong to a stream, and returns the last result. It depends
// on those before, from the tenth on.
func (s *serving) inStream(t *testing.T, tasks int) (last string) {
	t.Helper()
	for range tasks {
		code, body := s.post(t, "cascade", "application/json", strings.NewReader(`{"stream": "one", "awarenessLevel": 0.5, "detail": "summary"}`))
		if code != http.StatusOK {
			t.Fatalf("%d %s", code, body)
		}
		last = body
	}
	return last
}

// TestStreamsOutlive ends a host in the middle of a stream. The next one goes on where it was, by
// each store, and sealed.
func TestStreamsOutlive(t *testing.T) {
	without := startRun(t, "--mode", "inline")
	if without.inStream(t, 5) == without.inStream(t, 6) {
		t.Fatal("the result does not depend on tasks before")
	}
	want := without.inStream(t, 1)
	without.rest(t)

	dir := t.TempDir()
	key := filepath.Join(dir, "key")
	if err := os.WriteFile(key, []byte(state.NewKey()), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, flags := range map[string][]string{
		"directory": {"--state-dir", filepath.Join(dir, "plain")},
		"sealed":    {"--state-dir", filepath.Join(dir, "sealed"), "--state-key", key},
		"redis":     {"--state-url", "redis://" + redistest.Start(t).Addr},
	} {
		t.Run(name, func(t *testing.T) {
			args := append([]string{"--mode", "inline"}, flags...)
			for _, tasks := range []int{5, 5, 1} {
				d := startRun(t, args...)
				d.inStream(t, tasks)
				if log, code := d.rest(t); code != api.ExitOK {
					t.Fatalf("exit code %d\n%s", code, log)
				}
			}
			d := startRun(t, args...)
			if got := d.inStream(t, 1); got != want {
				t.Errorf("%s, want %s", got, want)
			}
			d.rest(t)
		})
	}
}

// TestNetworksOutlive ends a host that has a network, and another goes on with it.
func TestNetworksOutlive(t *testing.T) {
	args := []string{"--mode", "inline", "--state-dir", t.TempDir()}
	d := startRun(t, args...)
	ask := func(status int, method, path, body string, v any) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, "http://"+d.addr+"/v1/networks"+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		if err := json.NewDecoder(answer.Body).Decode(v); err != nil || answer.StatusCode != status {
			t.Fatalf("%s: %v", answer.Status, err)
		}
	}
	var node, again serve.Node
	ask(http.StatusCreated, http.MethodPost, "", `{"id": "n"}`, new(serve.Network))
	ask(http.StatusCreated, http.MethodPost, "/n/nodes", `{"id": "a", "frequency": 432}`, &node)
	if log, code := d.rest(t); code != api.ExitOK || strings.Contains(log, "end with the process") {
		t.Fatalf("exit code %d\n%s", code, log)
	}
	d = startRun(t, args...)
	ask(http.StatusOK, http.MethodGet, "/n/nodes/a", "", &again)
	if again.Frequency != 432 || again.Strength < node.Strength {
		t.Errorf("%+v, was %+v", again, node)
	}
	for n := (serve.Network{}); n.Ticks == 0; {
		ask(http.StatusOK, http.MethodGet, "/n", "", &n)
	}
	d.rest(t)
}

// TestStateInUse starts a host on a store that another process has.
func TestStateInUse(t *testing.T) {
	dir := t.TempDir()
	s, err := bolt.Open(t.Context(), dir, bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	code := run(context.Background(), []string{"resonhost", "run", "--mode", "inline", "--listen", "127.0.0.1:0", "--state-dir", dir}, nil, new(strings.Builder), &log)
	if code != api.ExitFailed || !strings.Contains(log.String(), dir+": store is in use by process ") {
		t.Errorf("exit code %d, log %s", code, log.String())
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// refusing is a store that saves nothing.
type refusing struct {
	*state.Memory

	tries int
}

func (r *refusing) Save(context.Context, []state.Change) error {
	r.tries++
	return state.ErrFull
}

// TestImportTriesOnce has a store refuse a batch: it is not tried again, and told once. What came
// before a line that is wrong is tried.
func TestImportTriesOnce(t *testing.T) {
	c := statetest.Change("a", "1")
	line, err := statejson.Append(nil, &c.Record)
	if err != nil {
		t.Fatal(err)
	}
	full := state.ErrFull.Error()
	for lines, want := range map[string]string{
		strings.Repeat(string(line), importRecords+1): full,
		string(line):             full,
		string(line) + "wrong\n": full + "\n1 line not imported; ",
	} {
		store := &refusing{Memory: state.NewMemory()}
		err := newOptions().importState(t.Context(), stdio{in: strings.NewReader(lines), err: new(strings.Builder)}, store)
		if err == nil || store.tries != 1 || strings.Count(err.Error(), full) != 1 || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%d tries, error %v; want one of each, and %q", store.tries, err, want)
		}
	}
}

// ending is a store that is asked to save when the command is being ended.
type ending struct {
	*state.Memory

	end context.CancelFunc
}

func (e *ending) Save(ctx context.Context, _ []state.Change) error {
	e.end()
	return ctx.Err()
}

// TestImportEnds ends an import: it says how many records are saved, and what to do for the rest.
func TestImportEnds(t *testing.T) {
	c := statetest.Change("a", "1")
	line, err := statejson.Append(nil, &c.Record)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var told strings.Builder
	err = newOptions().importState(ctx, stdio{in: strings.NewReader(string(line)), err: &told}, &ending{state.NewMemory(), cancel})
	if want := "the import was ended; import the same lines again for the rest"; err == nil || err.Error() != want || told.String() != "resonhost: 0 records saved\n" {
		t.Errorf("%v, want %s; told %s", err, want, told.String())
	}
}

// listed is a store with many records, whose listing fails at its end. It calls each after each record.
type listed struct {
	*state.Memory

	each func(n int)
}

func (l *listed) List(_ context.Context, _ state.Filter, visit func(state.Record) error) error {
	for n := 1; n <= tableRows+1; n++ {
		if err := visit(statetest.Change(fmt.Sprintf("stream-%05d", n), "").Record); err != nil {
			return err
		}
		l.each(n)
	}
	return state.ErrUnavailable
}

// TestListShowsRows has a listing fail: its rows are shown by then, and of a long one the first on the way.
func TestListShowsRows(t *testing.T) {
	var out strings.Builder
	rows := func() int { return strings.Count(out.String(), "stream-") }
	err := newOptions().listState(t.Context(), stdio{out: newOutput(&out), err: new(strings.Builder)}, &listed{state.NewMemory(), func(n int) {
		if n == tableRows && rows() != n {
			t.Errorf("%d rows are shown after %d", rows(), n)
		}
	}}, false)
	if !errors.Is(err, state.ErrUnavailable) || rows() != tableRows+1 {
		t.Errorf("%d rows are shown in the end, error %v", rows(), err)
	}
}

// TestUnreadable says what to do of each sort of record that cannot be read.
func TestUnreadable(t *testing.T) {
	var u unreadable
	if err := u.err(); err != nil {
		t.Error(err)
	}
	u.add(&state.Record{Err: &state.RecordError{Err: state.ErrCorrupt}})
	if err := u.err(); err == nil || strings.Contains(err.Error(), "state rm") {
		t.Errorf("one without a name: %v", err)
	}
	u.add(&state.Record{Key: statetest.Key("a"), Err: &state.RecordError{Err: state.ErrCorrupt}})
	u.add(&state.Record{Key: statetest.Key("b"), Err: &state.RecordError{Err: state.ErrKey}})
	if err := u.err(); err == nil || strings.Count(err.Error(), "1 record cannot be read; ") != 3 {
		t.Errorf("one of each: %v", err)
	}
}

// TestStateSave has a host save at once, and starts one with another key on what it has saved.
func TestStateSave(t *testing.T) {
	dir := t.TempDir()
	key := func(name string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(state.NewKey()), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	args := []string{"--mode", "inline", "--state-dir", filepath.Join(dir, "states"), "--state-interval", "1h", "--state-key"}
	d := startRun(t, append(args, key("mine"))...)
	d.inStream(t, 2)
	var out, log strings.Builder
	if code := run(t.Context(), []string{"resonhost", "state", "save", "--url", "http://" + d.addr}, nil, &out, &log); code != api.ExitOK || !strings.HasPrefix(log.String(), "resonhost: 1 record of streams saved and 0 records deleted in ") {
		t.Errorf("exit code %d, %q %q", code, out.String(), log.String())
	}
	if code := run(t.Context(), []string{"resonhost", "state", "save", "--json", "--url", "http://" + d.addr}, nil, &out, &log); code != api.ExitOK || !strings.HasPrefix(out.String(), `{"saved":0,"deleted":0,"unsaved":0,"took_seconds":`) {
		t.Errorf("exit code %d, %q %q", code, out.String(), log.String())
	}
	d.rest(t)

	log.Reset()
	code := run(context.Background(), append([]string{"resonhost", "run", "--listen", "127.0.0.1:0"}, append(args, key("other"))...), nil, new(strings.Builder), &log)
	if code == api.ExitOK || !strings.Contains(log.String(), "none of the 1 stored states of streams can be read") {
		t.Errorf("exit code %d, log %s", code, log.String())
	}
}

// TestStateKinds has kinds of records that there are not, and streams of no transform.
func TestStateKinds(t *testing.T) {
	for _, c := range []struct {
		verb string
		of   stateOptions
		args []string
		want string
	}{
		{"ls", stateOptions{kind: "strem"}, nil, `--kind: there is no kind "strem"; did you mean "stream"?`},
		{"ls", stateOptions{kind: "stream"}, nil, ""},
		{"ls", stateOptions{}, nil, ""},
		{"get", stateOptions{transform: "t"}, []string{"jobs", "a"}, `KIND: there is no kind "jobs"; did you mean "job"?`},
		{"rm", stateOptions{}, []string{"stream", "a"}, "state rm stream: --transform says of which transform"},
		{"rm", stateOptions{transform: "t"}, []string{"stream", "a"}, ""},
		{"get", stateOptions{}, []string{"job", "a"}, ""},
	} {
		err := c.of.checkKind(c.verb, c.args)
		if got := fmt.Sprint(err); err == nil && c.want != "" || err != nil && got != c.want {
			t.Errorf("state %s %v: %v, want %s", c.verb, c.args, err, c.want)
		}
	}
}

// TestImportBounds imports keys of streams as long as a host takes them and longer, and a line that is longer than
// any record.
func TestImportBounds(t *testing.T) {
	stream := func(bytes int) string {
		return fmt.Sprintf(`{"kind":"stream","transform":"t","name":%q,"format":0,"changed_ms":0,"data":""}`+"\n", strings.Repeat("n", bytes))
	}
	network := fmt.Sprintf(`{"kind":"network","name":%q,"format":0,"changed_ms":0,"data":""}`+"\n", strings.Repeat("n", 257))
	store := state.NewMemory()
	var told strings.Builder
	err := newOptions().importState(t.Context(), stdio{in: strings.NewReader(stream(256) + stream(257) + network), err: &told}, store)
	if want := "1 line not imported; mend and import what is told above"; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
	if want := "resonhost: line 2: name: must have at most 256 bytes for a stream, has 257\nresonhost: 2 records saved\n"; told.String() != want {
		t.Errorf("told %s, want %s", told.String(), want)
	}
	if n := statetest.Records(t, store); n != 2 {
		t.Errorf("%d records are saved", n)
	}

	told.Reset()
	store = state.NewMemory()
	long := strings.Repeat("x", statejson.MaxLine+1) + "\n"
	err = newOptions().importState(t.Context(), stdio{in: strings.NewReader(stream(1) + "\n" + long + stream(2)), err: &told}, store)
	if want := fmt.Sprintf("line 3: is longer than %d bytes, and nothing from it on is saved; import what follows with tail -n +4", statejson.MaxLine); err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
	if want := "resonhost: 1 record saved\n"; told.String() != want || statetest.Records(t, store) != 1 {
		t.Errorf("told %s, want %s", told.String(), want)
	}
}

// TestStateInUseByHost has commands for a store that a host has: they say what to do.
func TestStateInUseByHost(t *testing.T) {
	dir, server := t.TempDir(), redistest.Start(t)
	d := startRun(t, "--mode", "inline", "--state-dir", dir)
	r := startRun(t, "--mode", "inline", "--state-url", "redis://"+server.Addr)
	for _, where := range [][]string{{"--state-dir", dir}, {"--state-url", "redis://" + server.Addr}} {
		for _, verb := range [][]string{{"ls"}, {"import"}, {"rm", "job", "j"}} {
			var out, log strings.Builder
			code := run(t.Context(), append(append([]string{"resonhost", "state"}, verb...), where...), strings.NewReader(""), &out, &log)
			if want := ": store is in use by process " + fmt.Sprint(os.Getpid()) + " on "; code != api.ExitFailed || !strings.Contains(log.String(), where[1]+want) ||
				!strings.HasSuffix(log.String(), "; end that process, or have its host save with resonhost state save --url URL\n") || out.Len() > 0 {
				t.Errorf("%s %s: exit code %d, %s%s", verb[0], where[1], code, out.String(), log.String())
			}
		}
	}
	d.rest(t)
	r.rest(t)
}

// TestLongNames lists a name that is wider than its column: the table has its beginning, and JSON all of it.
func TestLongNames(t *testing.T) {
	dir, name := t.TempDir(), strings.Repeat("n", 200)
	var out, log strings.Builder
	line := fmt.Sprintf(`{"kind":"job","name":%q,"format":0,"changed_ms":0,"data":""}`, name)
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"import"}, ""},
		{[]string{"ls"}, "KIND  TENANT  TRANSFORM  NAME" + strings.Repeat(" ", maxNameColumns-4) + "  FORMAT  CHANGED               BYTES\n" +
			"job   -       -          " + strings.Repeat("n", maxNameColumns-1) + "…  0       1970-01-01T00:00:00Z  0\n"},
		{[]string{"ls", "--json"}, fmt.Sprintf(`{"kind":"job","name":%q,"format":0,"changed_ms":0,"size":0}`+"\n", name)},
	} {
		out.Reset()
		if code := run(t.Context(), append(append([]string{"resonhost", "state"}, c.args...), "--state-dir", dir), strings.NewReader(line), &out, &log); code != api.ExitOK || out.String() != c.want {
			t.Errorf("%v: exit code %d, %q, want %q; %s", c.args, code, out.String(), c.want, log.String())
		}
	}
}
