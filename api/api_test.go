package api_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"testing"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/host/event"
)

// TestRules has a rule for every kind, of hosts and of this package, each with all that a rule must have.
func TestRules(t *testing.T) {
	of := make(map[host.Kind]api.Rule)
	for _, r := range api.Rules() {
		if _, twice := of[r.Kind]; twice {
			t.Errorf("%s is there twice", r.Kind)
		}
		if http.StatusText(r.Status) == "" || r.Status < 400 || r.Exit <= api.ExitOK || r.Do == "" {
			t.Errorf("%+v lacks something", r)
		}
		of[r.Kind] = r
	}
	for _, kind := range append(host.Kinds(), ownKinds(t)...) {
		if _, ok := of[kind]; !ok {
			t.Errorf("there is no rule for %s", kind)
		}
		if got := api.RuleOf(kind); got != of[kind] {
			t.Errorf("%s: %+v, want %+v", kind, got, of[kind])
		}
	}
	if got := api.RuleOf("frob"); got.Status != http.StatusInternalServerError {
		t.Errorf("a kind that there is not: %+v", got)
	}
}

// ownKinds are the kinds that the package declares: all its constants of the type of kinds.
func ownKinds(t *testing.T) (kinds []host.Kind) {
	t.Helper()
	files := token.NewFileSet()
	sources, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, source := range sources {
		f, err := parser.ParseFile(files, source, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if spec, ok := n.(*ast.ValueSpec); ok && spec.Type != nil && isKind(spec.Type) {
				for _, v := range spec.Values {
					kinds = append(kinds, host.Kind(textOf(t, v)))
				}
			}
			if call, ok := n.(*ast.CallExpr); ok && isKind(call.Fun) && len(call.Args) == 1 {
				if text, ok := call.Args[0].(*ast.BasicLit); ok {
					kinds = append(kinds, host.Kind(textOf(t, text)))
				}
			}
			return true
		})
	}
	if !slices.Contains(kinds, api.KindNotFound) {
		t.Fatalf("found the kinds %v, and they are more", kinds)
	}
	return kinds
}

// isKind reports whether an expression is the type of kinds.
func isKind(e ast.Expr) bool {
	of, ok := e.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	pkg, ok := of.X.(*ast.Ident)
	return ok && pkg.Name == "host" && of.Sel.Name == "Kind"
}

func textOf(t *testing.T, e ast.Expr) string {
	t.Helper()
	lit, ok := e.(*ast.BasicLit)
	if !ok {
		t.Fatalf("a kind is no text that is written out")
	}
	text, err := strconv.Unquote(lit.Value)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestOf tells errors of hosts, codecs and budgets as JSON.
func TestOf(t *testing.T) {
	for _, c := range []struct {
		err  error
		line int
		want string
	}{
		{
			&host.Error{Kind: host.KindTrap, Transform: "n.t", Plugin: "n", Version: "1.0.0", Hash: "ab", Message: "broke", Stack: "secret"}, 3,
			`{"status":502,"detail":"broke","kind":"trap","transform":"t","plugin":"n","version":"1.0.0","line":3}`,
		},
		{fmt.Errorf("stream: %w", &abi.FieldError{Field: "a.b", Rule: "must be"}), 0, `{"status":400,"detail":"stream: a.b: must be","kind":"invalid_argument","field":"a.b","transform":"t"}`},
		{errors.New("no JSON"), 1, `{"status":400,"detail":"no JSON","kind":"invalid_argument","transform":"t","line":1}`},
		{&host.Error{Kind: host.KindMemoryFull, Message: "full", Err: host.ErrMemoryBudget}, 0, `{"status":503,"detail":"full","kind":"memory_full","transform":"t"}`},
		{&host.Error{Kind: "frob", Message: "new"}, 0, `{"status":500,"detail":"new","kind":"frob","transform":"t"}`},
	} {
		got, err := json.Marshal(api.Of("t", c.err).At(c.line))
		if err != nil || string(got) != c.want {
			t.Errorf("%v:\n%s\n%s, err %v", c.err, got, c.want, err)
		}
	}
}

// TestEventForms has a form for each kind of events, which is what EventOf makes of it.
func TestEventForms(t *testing.T) {
	forms := make(map[string]reflect.Type)
	for _, f := range api.EventForms() {
		forms[f.Kind] = reflect.TypeOf(f.Data)
	}
	for _, k := range event.Kinds() {
		if forms[k.String()] == nil {
			t.Errorf("%v has no form", k)
		}
	}
	for _, body := range []event.Body{
		event.TaskCompleted{}, event.PluginChanged{}, event.PluginLogged{}, event.StateSaved{}, event.StateOutage{}, event.NodeCreated{}, event.NodesProgressed{}, event.NodeChanged{},
		event.ConnectionEstablished{}, event.NetworkActivated{}, event.TickCompleted{}, event.Broadcast{},
	} {
		if got, want := reflect.TypeOf(api.EventOf(event.Event{Body: body}).Data), forms[body.Kind().String()]; got != want {
			t.Errorf("%v has data of %v, and the form %v", body.Kind(), got, want)
		}
	}
}
