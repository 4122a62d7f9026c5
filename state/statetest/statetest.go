// Package statetest holds a store to what [state.Store] asks of one. It is for tests.
package statetest

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/resonhost/resonhost/state"
)

// Subject is a store that is tested.
type Subject struct {
	// New returns a store without records, which nobody else has open. It is closed when its test
	// ends.
	New func(tb testing.TB) state.Store
	// Again closes a store of New and opens it once more; nil for one that ends when it is closed.
	Again func(tb testing.TB, s state.Store) state.Store
	// Plant puts bytes under a stored key, past the store's methods, as somebody who damages it
	// would; nil if nobody can. It may close the store, and returns the one to go on with.
	Plant func(tb testing.TB, s state.Store, key, value []byte) state.Store
}

// Run tests a store.
func Run(t *testing.T, of Subject) {
	for _, c := range []struct {
		name string
		test func(*testing.T, state.Store)
	}{
		{"Load", testLoad},
		{"Save", testSave},
		{"Delete", testDelete},
		{"LastOfSeveral", testLastOfSeveral},
		{"AnyKey", testAnyKey},
		{"OwnData", testOwnData},
		{"Large", testLarge},
		{"Invalid", testInvalid},
		{"List", testList},
		{"ListMany", testListMany},
		{"VisitCallsStore", testVisitCallsStore},
		{"Stats", testStats},
		{"Context", testContext},
		{"Hammer", testHammer},
		{"Closed", testClosed},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := of.New(t)
			c.test(t, s)
			shut(t, s)
		})
	}
	if of.Again != nil {
		t.Run("Outlives", func(t *testing.T) { testOutlives(t, of) })
	}
	if of.Plant != nil {
		t.Run("Damaged", func(t *testing.T) { testDamaged(t, of) })
	}
}

func shut(tb testing.TB, s state.Store) {
	tb.Helper()
	for range 2 { // a second time is fine
		if err := s.Close(); err != nil {
			tb.Errorf("Close: %v", err)
		}
	}
}

// Key is a key of a stream.
func Key(name string) state.Key {
	return state.Key{Kind: state.KindStream, Tenant: "blue", Transform: "t", Name: name}
}

// Change is a change of the stream of a name, to data of a time and format that belong to it.
func Change(name, data string) state.Change {
	return state.Change{Record: state.Record{
		Key:     Key(name),
		Format:  len(data),
		Changed: time.UnixMilli(1_700_000_000_000 + int64(len(name))),
		Data:    []byte(data),
		Size:    len(data),
	}}
}

// Save saves changes, and ends the test if that fails.
func Save(tb testing.TB, s state.Store, changes ...state.Change) {
	tb.Helper()
	if err := s.Save(tb.Context(), changes); err != nil {
		tb.Fatalf("save: %v", err)
	}
}

// Want fails the test unless the store has the record of a change, whole.
func Want(tb testing.TB, s state.Store, c state.Change) {
	tb.Helper()
	r, err := s.Load(tb.Context(), c.Key)
	if err != nil {
		tb.Errorf("load: %v", err)
		return
	}
	if d := difference(r, c.Record, true); d != "" {
		tb.Errorf("%v: %s", c.Key, d)
	}
}

// WantNone fails the test if the store has a record of a key.
func WantNone(tb testing.TB, s state.Store, k state.Key) {
	tb.Helper()
	if r, err := s.Load(tb.Context(), k); state.FaultOf(err) != state.FaultNotFound {
		tb.Errorf("%v: record %+v, error %v, want none", k, r, err)
	}
}

// difference says in what a record differs from the one that was saved.
func difference(got, want state.Record, data bool) string {
	switch {
	case got.Err != nil:
		return got.Err.Error()
	case got.Key != want.Key:
		return fmt.Sprintf("key %v", got.Key)
	case got.Format != want.Format:
		return fmt.Sprintf("format %d, want %d", got.Format, want.Format)
	case got.Changed.UnixMilli() != want.Changed.UnixMilli():
		return fmt.Sprintf("changed %v, want %v", got.Changed, want.Changed)
	case got.Size != len(want.Data):
		return fmt.Sprintf("size %d, want %d", got.Size, len(want.Data))
	case !data && got.Data != nil:
		return fmt.Sprintf("data of %d bytes, want none", len(got.Data))
	case data && (got.Data == nil || !bytes.Equal(got.Data, want.Data)):
		return fmt.Sprintf("data %.40q, want %.40q", got.Data, want.Data)
	}
	return ""
}

// listed returns what a listing has, by key.
func listed(tb testing.TB, s state.Store, f state.Filter) map[state.Key]state.Record {
	tb.Helper()
	records := make(map[state.Key]state.Record)
	var last []byte
	err := s.List(tb.Context(), f, func(r state.Record) error {
		if r.Key != (state.Key{}) { // else it is stored under none that could be read
			stored := state.AppendKey(nil, r.Key)
			if bytes.Compare(stored, last) < 0 {
				tb.Errorf("%+v: %v is not in its order", f, r.Key)
			}
			last = stored
		}
		if _, twice := records[r.Key]; twice {
			tb.Errorf("%+v: %v is listed twice", f, r.Key)
		}
		records[r.Key] = r
		return nil
	})
	if err != nil {
		tb.Errorf("list %+v: %v", f, err)
	}
	return records
}

// wantListed fails the test unless a listing has the records of these changes and no others.
func wantListed(tb testing.TB, s state.Store, f state.Filter, want ...state.Change) {
	tb.Helper()
	got := listed(tb, s, f)
	for _, c := range want {
		r, ok := got[c.Key]
		if !ok {
			tb.Errorf("%+v: %v is missing", f, c.Key)
			continue
		}
		if d := difference(r, c.Record, f.Data); d != "" {
			tb.Errorf("%+v: %v: %s", f, c.Key, d)
		}
		delete(got, c.Key)
	}
	for k := range got {
		tb.Errorf("%+v: %v is listed", f, k)
	}
}

func testLoad(t *testing.T, s state.Store) {
	WantNone(t, s, Key("a"))
	c := Change("a", "1")
	Save(t, s, c)
	Want(t, s, c)
	for _, other := range []state.Key{
		Key("b"), Key(""),
		{Kind: state.KindStream, Tenant: "blue", Transform: "u", Name: "a"},
		{Kind: state.KindStream, Transform: "t", Name: "a"},
		{Kind: state.KindJob, Tenant: "blue", Name: "a"},
		{Kind: state.KindStream, Tenant: "bluet", Name: "a"},
	} {
		WantNone(t, s, other)
	}
}

func testSave(t *testing.T, s state.Store) {
	Save(t, s)
	a, b := Change("a", "1"), Change("b", "")
	Save(t, s, a, b)
	Want(t, s, a)
	Want(t, s, b)
	a = Change("a", "another")
	a.Changed = time.UnixMilli(-5)
	Save(t, s, a)
	Want(t, s, a)
	Want(t, s, b)
	a.Changed = time.Unix(1, 999_999) // of which no more than milliseconds are kept
	Save(t, s, a)
	Want(t, s, a)
}

func testDelete(t *testing.T, s state.Store) {
	Save(t, s, Change("a", "1"), Change("b", "2"))
	Save(t, s, state.Change{Record: state.Record{Key: Key("a")}, Delete: true}, state.Change{Record: state.Record{Key: Key("none")}, Delete: true})
	WantNone(t, s, Key("a"))
	wantListed(t, s, state.Filter{}, Change("b", "2"))
	Save(t, s, Change("a", "3"))
	Want(t, s, Change("a", "3"))
}

func testLastOfSeveral(t *testing.T, s state.Store) {
	gone := Change("b", "3")
	gone.Delete = true
	Save(t, s, Change("a", "1"), Change("a", "2"), Change("b", "1"), gone, Change("c", "1"), state.Change{Record: state.Record{Key: Key("c")}, Delete: true}, Change("c", "2"))
	Want(t, s, Change("a", "2"))
	WantNone(t, s, Key("b"))
	Want(t, s, Change("c", "2"))
	if st := stats(t, s); st.Records != 2 {
		t.Errorf("stats %+v, want 2 records", st)
	}
}

func testAnyKey(t *testing.T, s state.Store) {
	var changes []state.Change
	for _, text := range []string{"", "\x00", "\xff\xfe", "*", "?[a-z]\\", "a b\r\n", "{tag}", "ü", strings.Repeat("x", state.MaxTenant)} {
		for _, k := range []state.Key{
			{Kind: state.KindStream, Tenant: text, Transform: "t"},
			{Kind: state.KindStream, Tenant: "t", Transform: text},
			{Kind: state.KindJob, Tenant: text, Name: "n"},
			{Kind: state.KindJob, Tenant: "t", Name: text},
		} {
			changes = append(changes, state.Change{Record: state.Record{Key: k, Data: []byte(k.String())}})
		}
	}
	long := state.Key{Kind: "abcdefghijklmnop", Tenant: strings.Repeat("\x00", state.MaxTenant), Name: strings.Repeat("\xff", state.MaxName)}
	changes = append(changes, state.Change{Record: state.Record{Key: long, Data: []byte("long")}})
	Save(t, s, changes...)
	for _, c := range changes {
		Want(t, s, c)
		wantListed(t, s, state.Filter{Kind: c.Key.Kind, Tenant: &c.Key.Tenant, Transform: c.Key.Transform, Prefix: c.Key.Name}, matching(changes, c.Key)...)
	}
	wantListed(t, s, state.Filter{Data: true}, unique(changes)...)
}

// matching are the changes that a listing of a key's tenant and transform has whose names begin
// with the key's.
func matching(changes []state.Change, k state.Key) []state.Change {
	f := state.Filter{Kind: k.Kind, Tenant: &k.Tenant, Transform: k.Transform, Prefix: k.Name}
	var list []state.Change
	for _, c := range unique(changes) {
		if f.Match(c.Key) {
			list = append(list, c)
		}
	}
	return list
}

// unique leaves the last change of each key.
func unique(changes []state.Change) []state.Change {
	last := make(map[state.Key]state.Change)
	for _, c := range changes {
		last[c.Key] = c
	}
	list := make([]state.Change, 0, len(last))
	for _, c := range last {
		list = append(list, c)
	}
	return list
}

// testOwnData changes what was saved and what was loaded: the store has its own.
func testOwnData(t *testing.T, s state.Store) {
	c, want := Change("a", "data"), Change("a", "data")
	Save(t, s, c)
	c.Data[0] = 'X'
	Want(t, s, want)
	r, err := s.Load(t.Context(), c.Key)
	if err != nil {
		t.Fatal(err)
	}
	r.Data[0] = 'X'
	_ = append(r.Data, "more"...)
	Want(t, s, want)
	listed(t, s, state.Filter{Data: true})[c.Key].Data[0] = 'X'
	Want(t, s, want)
}

func testLarge(t *testing.T, s state.Store) {
	c := Change("large", "")
	c.Data = bytes.Repeat([]byte("0123456789abcdef"), state.MaxData/16)
	Save(t, s, c, Change("small", "1"))
	Want(t, s, c)
	wantListed(t, s, state.Filter{}, c, Change("small", "1"))
	wantListed(t, s, state.Filter{Data: true}, c, Change("small", "1"))
	Save(t, s, Change("large", "no longer"))
	Want(t, s, Change("large", "no longer"))
}

func testInvalid(t *testing.T, s state.Store) {
	for name, c := range map[string]state.Change{
		"kind":   {Record: state.Record{Key: state.Key{Kind: "A"}}},
		"name":   {Record: state.Record{Key: state.Key{Kind: "job", Name: strings.Repeat("x", state.MaxName+1)}}, Delete: true},
		"format": {Record: state.Record{Key: Key("b"), Format: -1}},
		"data":   {Record: state.Record{Key: Key("b"), Data: make([]byte, state.MaxData+1)}},
	} {
		if err := s.Save(t.Context(), []state.Change{Change("a", "1"), c}); state.FaultOf(err) != state.FaultInvalid {
			t.Errorf("%s: error %v", name, err)
		}
		WantNone(t, s, Key("a"))
	}
	if _, err := s.Load(t.Context(), state.Key{Kind: "A"}); state.FaultOf(err) != state.FaultInvalid {
		t.Errorf("load: error %v", err)
	}
}

func stats(tb testing.TB, s state.Store) state.Stats {
	tb.Helper()
	st, err := s.Stats(tb.Context())
	if err != nil {
		tb.Errorf("stats: %v", err)
	}
	return st
}

func testStats(t *testing.T, s state.Store) {
	if st := stats(t, s); st.Usage != (state.Usage{}) || len(st.Kinds) != 0 {
		t.Errorf("an empty store has %+v", st)
	}
	job := state.Change{Record: state.Record{Key: state.Key{Kind: state.KindJob, Name: "j"}, Data: []byte("job")}}
	Save(t, s, Change("a", "1"), Change("b", "22"), job)
	Save(t, s, Change("a", "333"), state.Change{Record: state.Record{Key: Key("none")}, Delete: true})
	st := stats(t, s)
	if st.Usage != (state.Usage{Records: 3, Bytes: 8}) || len(st.Kinds) != 2 ||
		st.Kinds[state.KindStream] != (state.Usage{Records: 2, Bytes: 5}) || st.Kinds[state.KindJob] != (state.Usage{Records: 1, Bytes: 3}) {
		t.Errorf("stats %+v", st)
	}
	job.Delete = true
	Save(t, s, job)
	if st := stats(t, s); st.Usage != (state.Usage{Records: 2, Bytes: 5}) || len(st.Kinds) != 1 {
		t.Errorf("stats %+v after a record is gone", st)
	}
}

func testContext(t *testing.T, s state.Store) {
	Save(t, s, Change("a", "1"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, err := range calls(ctx, s) {
		if state.FaultOf(err) != state.FaultCancelled {
			t.Errorf("%s: error %v", name, err)
		}
	}
	ctx, cancel = context.WithDeadline(t.Context(), time.Unix(0, 0))
	defer cancel()
	for name, err := range calls(ctx, s) {
		if state.FaultOf(err) != state.FaultTimeout {
			t.Errorf("%s: error %v", name, err)
		}
	}
	Want(t, s, Change("a", "1"))
	WantNone(t, s, Key("b"))
}

// calls has the error of each method.
func calls(ctx context.Context, s state.Store) map[string]error {
	_, load := s.Load(ctx, Key("a"))
	_, stat := s.Stats(ctx)
	return map[string]error{
		"Load":            load,
		"Save":            s.Save(ctx, []state.Change{Change("b", "1")}),
		"Save of nothing": s.Save(ctx, nil),
		"List":            s.List(ctx, state.Filter{}, func(state.Record) error { return nil }),
		"Stats":           stat,
	}
}

func testClosed(t *testing.T, s state.Store) {
	Save(t, s, Change("a", "1"))
	shut(t, s)
	for name, err := range calls(t.Context(), s) {
		if state.FaultOf(err) != state.FaultClosed {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

// Records returns how many records a store has, those that cannot be read too.
func Records(tb testing.TB, s state.Store) int {
	tb.Helper()
	st, err := state.Count(tb.Context(), s)
	if err != nil {
		tb.Fatal(err)
	}
	return st.Records + st.Damaged
}
