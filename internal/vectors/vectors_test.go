package vectors_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/resonhost/resonhost/internal/vectors"
)

func read(t *testing.T, file string) [][]byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("../../testdata/vectors", file))
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Split(bytes.TrimSuffix(b, []byte("\n")), []byte("\n"))
}

// answers returns the recorded answers of a transform, in the form of the command.
// Those of cascade that were not recorded whole, and of the network those that were
// not recorded, are nil.
func answers(t *testing.T, transform string) (all [][]byte) {
	t.Helper()
	marshal := func(v any) []byte {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	switch transform {
	case "cascade":
		for _, line := range read(t, "cascade.ndjson") {
			var v struct {
				Expect json.RawMessage
				Full   bool
			}
			if err := json.Unmarshal(line, &v); err != nil {
				t.Fatal(err)
			}
			if !v.Full {
				v.Expect = nil
			}
			all = append(all, v.Expect)
		}
	case "tick.network":
		for _, line := range read(t, "tick-network.ndjson")[1:] {
			var v struct{ After json.RawMessage }
			if err := json.Unmarshal(line, &v); err != nil {
				t.Fatal(err)
			}
			var answer []byte
			if v.After != nil {
				answer = marshal(map[string]any{"network": v.After})
			}
			all = append(all, answer)
		}
	case "tick.connection":
		for _, line := range read(t, "tick-connection.ndjson") {
			var v map[string]json.RawMessage
			if err := json.Unmarshal(line, &v); err != nil {
				t.Fatal(err)
			}
			delete(v, "a")
			delete(v, "b")
			all = append(all, marshal(v))
		}
	}
	return all
}

// TestRecordedAnswersPass, and the same with any number, string or truth in them
// changed do not: a suite that notices nothing would be worse than none.
func TestRecordedAnswersPass(t *testing.T) {
	for _, transform := range []string{"cascade", "tick.network", "tick.connection"} {
		t.Run(transform, func(t *testing.T) {
			recorded, compared, stride := answers(t, transform), 0, 1
			if transform == "cascade" {
				stride = 7 // it has a thousand values, in eight octaves
			}
			for i, task := range vectors.Tasks(t, transform) {
				if recorded[i] == nil {
					continue
				}
				compared++
				if err := task.Compare(recorded[i]); err != nil {
					t.Fatalf("%s: %v", task.Name, err)
				}
				if compared > 1 && transform != "tick.connection" { // each has hundreds of values
					continue
				}
				for n := 0; ; n += stride {
					other, path := change(t, recorded[i], n)
					if path == "" {
						break
					}
					if task.Compare(other) == nil {
						t.Errorf("%s: another value of %s passes", task.Name, path)
					}
				}
			}
			if compared < 6 {
				t.Errorf("%d answers compared", compared)
			}
		})
	}
}

// change changes the n-th value of a document, and returns its path, "" if there
// is none.
func change(t *testing.T, doc []byte, n int) (_ []byte, path string) {
	t.Helper()
	var v any
	if err := json.Unmarshal(doc, &v); err != nil {
		t.Fatal(err)
	}
	var walk func(at string, v any) any
	walk = func(at string, v any) any {
		if n < 0 {
			return v
		}
		switch v := v.(type) {
		case map[string]any:
			for _, name := range slices.Sorted(maps.Keys(v)) {
				v[name] = walk(at+"."+name, v[name])
			}
			return v
		case []any:
			for i := range v {
				v[i] = walk(fmt.Sprintf("%s[%d]", at, i), v[i])
			}
			if n--; n == -1 {
				path = at
				return append(v, "more")
			}
			return v
		}
		if n--; n != -1 {
			return v
		}
		path = at
		switch v := v.(type) {
		case float64:
			return v*(1+3e-9) + 2e-12
		case string:
			return v + "x"
		case bool:
			return !v
		}
		return 0
	}
	v = walk("", v)
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b, path
}

// TestCompareSays has the texts by which a difference is found.
func TestCompareSays(t *testing.T) {
	connection := vectors.Tasks(t, "tick.connection")[0]
	want := string(answers(t, "tick.connection")[0])
	for name, c := range map[string]struct{ output, want string }{
		"no JSON": {"{", "output is no JSON: unexpected end of JSON input"},
		"a list":  {"[]", " is [], want an object"},
		"lists":   {`{"connection_quality":[1],"resonance_strength":1}`, ".connection_quality is [1], want "},
		"missing": {"{}", ".connection_quality is missing"},
		"extra":   {strings.TrimSuffix(want, "}") + `,"extra":1}`, ".extra is there, which was not recorded"},
		"text":    {`{"connection_quality":"1","resonance_strength":1}`, ".connection_quality is 1, want "},
	} {
		if err := connection.Compare([]byte(c.output)); err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s: err %v, want %s", name, err, c.want)
		}
	}
}

// TestEveryTaskHasInput but those that continue the one before.
func TestEveryTaskHasInput(t *testing.T) {
	streams := make(map[string]bool)
	for _, transform := range []string{"cascade", "tick.node", "tick.network", "tick.connection"} {
		for _, task := range vectors.Tasks(t, transform) {
			if task.Transform != transform || task.Name == "" || task.Compare == nil {
				t.Fatalf("%+v", task)
			}
			if (task.Continue == nil) != json.Valid(task.Input) {
				t.Fatalf("%s: input %s", task.Name, task.Input)
			}
			if task.Continue != nil {
				var syntax *json.SyntaxError
				if _, err := task.Continue([]byte("{")); task.Name != "step 0" && !errors.As(err, &syntax) {
					t.Fatalf("%s: continues nonsense, err %v", task.Name, err)
				}
			}
			streams[task.Stream] = true
		}
	}
	if len(streams) < 2 {
		t.Error("no task has a stream")
	}
}
