package statetest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/resonhost/resonhost/state"
)

func testList(t *testing.T, s state.Store) {
	wantListed(t, s, state.Filter{})
	at := func(kind state.Kind, tenant, transform, name string) state.Change {
		k := state.Key{Kind: kind, Tenant: tenant, Transform: transform, Name: name}
		return state.Change{Record: state.Record{Key: k, Format: 7, Data: []byte(k.String())}}
	}
	a1 := at(state.KindStream, "a", "t", "1")
	a2 := at(state.KindStream, "a", "tt", "12")
	b1 := at(state.KindStream, "b", "t", "1")
	n1 := at(state.KindStream, "", "t", "1")
	j1 := at(state.KindJob, "a", "", "1")
	Save(t, s, a1, a2, b1, n1, j1)
	a, none, nobody := "a", "", "nobody"
	for _, c := range []struct {
		f    state.Filter
		want []state.Change
	}{
		{state.Filter{}, []state.Change{a1, a2, b1, n1, j1}},
		{state.Filter{Kind: state.KindStream}, []state.Change{a1, a2, b1, n1}},
		{state.Filter{Kind: state.KindOutput}, nil},
		{state.Filter{Kind: "str"}, nil},
		{state.Filter{Tenant: &a}, []state.Change{a1, a2, j1}},
		{state.Filter{Tenant: &none}, []state.Change{n1}},
		{state.Filter{Tenant: &nobody}, nil},
		{state.Filter{Transform: "t"}, []state.Change{a1, b1, n1}},
		{state.Filter{Prefix: "1"}, []state.Change{a1, a2, b1, n1, j1}},
		{state.Filter{Prefix: "12"}, []state.Change{a2}},
		{state.Filter{Kind: state.KindStream, Tenant: &a, Transform: "t", Prefix: "1"}, []state.Change{a1}},
		{state.Filter{Kind: state.KindJob, Tenant: &a, Prefix: "1"}, []state.Change{j1}},
	} {
		wantListed(t, s, c.f, c.want...)
		c.f.Data = true
		wantListed(t, s, c.f, c.want...)
	}
	stop := errors.New("enough")
	visits := 0
	err := s.List(t.Context(), state.Filter{}, func(state.Record) error { visits++; return stop })
	if !errors.Is(err, stop) || visits != 1 {
		t.Errorf("a visit that ends a listing: error %v after %d visits", err, visits)
	}
}

// testListMany has more records than a store reads at a time, and more bytes.
func testListMany(t *testing.T, s state.Store) {
	const records = 3000
	changes := make([]state.Change, records)
	for i := range changes {
		changes[i] = Change(fmt.Sprintf("%d", i), strings.Repeat("x", i))
	}
	Save(t, s, changes...)
	wantListed(t, s, state.Filter{}, changes...)
	wantListed(t, s, state.Filter{Data: true}, changes...)
	wantListed(t, s, state.Filter{Prefix: "299"}, append(changes[2990:], changes[299])...)
	if st := stats(t, s); st.Usage != (state.Usage{Records: records, Bytes: records * (records - 1) / 2}) {
		t.Errorf("stats %+v", st)
	}
}

// testVisitCallsStore saves and deletes during a listing: what was there all along is in it.
func testVisitCallsStore(t *testing.T, s state.Store) {
	const records = 1000
	changes := make([]state.Change, records)
	for i := range changes {
		changes[i] = Change(fmt.Sprintf("%04d", i), "before")
	}
	Save(t, s, changes...)
	visited := make(map[string]bool)
	err := s.List(t.Context(), state.Filter{Data: true}, func(r state.Record) error {
		if strings.HasPrefix(r.Key.Name, "new ") { // what was saved meanwhile may be in it
			return nil
		}
		if old := Change(r.Key.Name, "before"); difference(r, old.Record, true) != "" {
			if d := difference(r, Change(r.Key.Name, "and after that").Record, true); d != "" {
				t.Errorf("%v is neither as it was nor as it is: %s", r.Key, d)
			}
		}
		visited[r.Key.Name] = true
		if len(visited)%100 != 0 {
			return nil
		}
		Want(t, s, Change(r.Key.Name, string(r.Data)))
		next := Change(r.Key.Name, "and after that")
		Save(t, s, next, Change("new "+strconv.Itoa(len(visited)), "new"))
		return nil
	})
	if err != nil {
		t.Errorf("list: %v", err)
	}
	for _, c := range changes {
		if !visited[c.Key.Name] {
			t.Errorf("%v was not visited", c.Key)
		}
	}
}

// testHammer has writers of common keys beside readers: each record is whole.
func testHammer(t *testing.T, s state.Store) {
	const writers, loops, keys = 4, 30, 5
	start := make(chan struct{})
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			<-start
			for i := range loops {
				data := strings.Repeat(strconv.Itoa(w), 1+(i*977)%20000)
				batch := []state.Change{Change(strconv.Itoa(i%keys), data), Change(strconv.Itoa((i+1)%keys), data)}
				batch[1].Delete = i%7 == 0
				if err := s.Save(t.Context(), batch); err != nil {
					t.Errorf("save: %v", err)
				}
			}
		})
		wg.Go(func() {
			<-start
			whole := func(r state.Record) {
				if len(r.Data) == 0 || strings.Trim(string(r.Data), string(r.Data[:1])) != "" || r.Format != len(r.Data) || r.Size != len(r.Data) {
					t.Errorf("%v is torn: format %d, size %d, %d bytes", r.Key, r.Format, r.Size, len(r.Data))
				}
			}
			for i := range loops {
				if r, err := s.Load(t.Context(), Key(strconv.Itoa(i%keys))); err == nil {
					whole(r)
				} else if state.FaultOf(err) != state.FaultNotFound {
					t.Errorf("load: %v", err)
				}
				for _, r := range listed(t, s, state.Filter{Data: i%2 == 0}) {
					if r.Err != nil {
						t.Errorf("list: %v", r.Err)
					} else if i%2 == 0 {
						whole(r)
					}
				}
			}
		})
	}
	close(start)
	wg.Wait()
	st, found := stats(t, s), listed(t, s, state.Filter{})
	bytes := int64(0)
	for _, r := range found {
		bytes += int64(r.Size)
	}
	if st.Records != len(found) || st.Bytes != bytes {
		t.Errorf("stats %+v, and %d records of %d bytes are listed", st, len(found), bytes)
	}
}

func testOutlives(t *testing.T, of Subject) {
	s := of.New(t)
	changes := make([]state.Change, 500)
	for i := range changes {
		changes[i] = Change(strconv.Itoa(i), strings.Repeat("y", i*3))
	}
	Save(t, s, changes...)
	changes[7].Delete = true
	Save(t, s, changes[7])
	before := stats(t, s)
	for range 2 {
		s = of.Again(t, s)
		WantNone(t, s, changes[7].Key)
		wantListed(t, s, state.Filter{Data: true}, append(append([]state.Change{}, changes[:7]...), changes[8:]...)...)
		if st := stats(t, s); st.Usage != before.Usage {
			t.Errorf("stats %+v, before %+v", st, before)
		}
	}
	shut(t, s)
}

// testDamaged has records that cannot be read beside others: they are told by their keys, the
// others are served, and they can be replaced and deleted.
func testDamaged(t *testing.T, of Subject) {
	s := of.New(t)
	good := Change("good", "1")
	Save(t, s, good, Change("bad", "2"), Change("short", "3"))
	s = of.Plant(t, s, state.AppendKey(nil, Key("bad")), []byte("this is no record, and longer than the head of one"))
	s = of.Plant(t, s, state.AppendKey(nil, Key("short")), nil)
	s = of.Plant(t, s, []byte("no key"), []byte("nothing"))
	s = of.Plant(t, s, state.AppendKey(nil, Key("newer")), newer(t, Change("newer", "4")))
	Want(t, s, good)
	if st := stats(t, s); st.Usage != (state.Usage{Records: 1, Bytes: 1}) || st.Damaged != 4 {
		t.Errorf("stats %+v, want 1 record and 4 damaged", st)
	}
	for _, data := range []bool{false, true} {
		wantDamaged(t, s, state.Filter{Data: data}, good)
	}
	tenant := "blue"
	for k, r := range listed(t, s, state.Filter{Kind: state.KindStream, Tenant: &tenant, Transform: "t"}) {
		if k == (state.Key{}) {
			t.Errorf("what has no key is listed for a kind: %v", r.Err)
		}
	}
	for _, name := range []string{"bad", "short"} {
		if _, err := s.Load(t.Context(), Key(name)); state.FaultOf(err) != state.FaultCorrupt {
			t.Errorf("%s: error %v", name, err)
		}
	}
	if _, err := s.Load(t.Context(), Key("newer")); state.FaultOf(err) != state.FaultNewer {
		t.Errorf("newer: error %v", err)
	}
	Save(t, s, Change("bad", "mended"), state.Change{Record: state.Record{Key: Key("short")}, Delete: true})
	Want(t, s, Change("bad", "mended"))
	WantNone(t, s, Key("short"))
	if st := stats(t, s); st.Usage != (state.Usage{Records: 2, Bytes: 7}) || st.Damaged != 2 {
		t.Errorf("stats %+v, want 2 records and 2 damaged", st)
	}
	shut(t, s)
}

// newer is a record as a later version may store it: with this version's head, and a body of its
// own.
func newer(tb testing.TB, c state.Change) []byte {
	tb.Helper()
	b, err := state.Codec{}.Append(nil, &c.Record)
	if err != nil {
		tb.Fatal(err)
	}
	const version, sum = 2, 24 // where they are
	b[version]++
	table := crc32.MakeTable(crc32.Castagnoli)
	binary.LittleEndian.PutUint32(b[sum:], crc32.Update(crc32.Checksum(state.AppendKey(nil, c.Key), table), table, b[:sum]))
	return append(b, "and more"...)
}

// wantDamaged lists everything: the good record, and an error for each of the others.
func wantDamaged(t *testing.T, s state.Store, f state.Filter, good state.Change) {
	t.Helper()
	got := listed(t, s, f)
	if d := difference(got[good.Key], good.Record, f.Data); d != "" || len(got) != 5 {
		t.Errorf("%+v: %d records, the good one: %s", f, len(got), d)
	}
	for _, k := range []state.Key{Key("bad"), Key("short"), {}} {
		re := (*state.RecordError)(nil)
		if r := got[k]; state.FaultOf(r.Err) != state.FaultCorrupt || !errors.As(r.Err, &re) || re.Key != k {
			t.Errorf("%+v: %v has error %v", f, k, r.Err)
		}
	}
}
