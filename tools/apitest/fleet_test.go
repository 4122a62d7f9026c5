package apitest

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/server"
)

// shown is a fleet whose views are given.
type shown struct {
	view *api.Fleet
	err  error
}

func (*shown) Name() string                               { return "default" }
func (s *shown) Look(context.Context) (*api.Fleet, error) { return s.view, s.err }

// filled is a value with something in each member, so that the document is held to all of them.
func filled(t *testing.T, v reflect.Value) {
	t.Helper()
	switch v.Kind() {
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(time.Unix(1, 0).UTC()))
			return
		}
		for _, f := range v.Fields() {
			filled(t, f)
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		filled(t, v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		filled(t, v.Index(0))
	case reflect.Map:
		item := reflect.New(v.Type().Elem()).Elem()
		filled(t, item)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf("a"), item)
	case reflect.String:
		v.SetString("a")
	case reflect.Int, reflect.Int64:
		v.SetInt(1)
	case reflect.Uint64:
		v.SetUint(1)
	case reflect.Float64:
		v.SetFloat(0.5)
	default:
		t.Fatalf("a member is a %v", v.Type())
	}
}

// TestFleet holds what a server says of a fleet to the document: with each member, with none, and when the fleet cannot be read.
func TestFleet(t *testing.T) {
	full := &api.Fleet{}
	filled(t, reflect.ValueOf(full).Elem())
	full.Hosts[0].State, full.Plugins[0].Rollout.State = api.FleetHostServing, api.FleetRolling
	full.Plugins[0].Rollout.Places = map[string]api.FleetPlace{"a": {Host: "one", Step: api.FleetTrying}}
	fleet := &shown{}
	s := start(t, func(_ *host.Config, o *server.Options) { o.Fleet = fleet })
	for _, c := range []struct {
		shown

		status int
		kind   host.Kind
	}{
		{shown{view: full}, 200, ""},
		{shown{view: &api.Fleet{Hosts: []api.FleetHost{}, Plugins: []api.FleetPlugin{}, Drained: []string{}}}, 200, ""},
		{shown{err: errors.New("no server")}, 503, host.KindUnavailable},
	} {
		*fleet = c.shown
		if valid, status, kind := s.do(t, request{method: "GET", path: "/v1/fleet"}); !valid || status != c.status || kind != c.kind {
			t.Errorf("%+v: valid %v, status %d, kind %q", c.shown, valid, status, kind)
		}
	}
	if valid, status, _ := s.do(t, request{method: "GET", path: "/v1/stats"}); !valid || status != 200 {
		t.Errorf("stats: valid %v, status %d", valid, status)
	}
}
