package sched_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/resonhost/resonhost/host/internal/sched"
)

// TestFairShares floods a slot from all sides at once, with tasks of different
// length, and looks at who gets how much of its time.
func TestFairShares(t *testing.T) {
	sim := simulate(t, sched.Config{Slots: 1, Capacity: 1000, Age: time.Hour})
	one, three := sim.s.NewGroup(sim.s.NewClass(1), 1), sim.s.NewGroup(sim.s.NewClass(1), 3)
	for i := range 400 {
		n := string(rune(i))
		// Of the first group's quarter, tenant a has twice what b has, though its
		// tasks are shorter; of the second's, c and d have the same.
		sim.add("a"+n, 2*time.Millisecond, sched.Request{Group: one, Level: sched.Normal, Tenant: "a", Weight: 2})
		sim.add("b"+n, 5*time.Millisecond, sched.Request{Group: one, Level: sched.Normal, Tenant: "b"})
		sim.add("c"+n, time.Millisecond, sched.Request{Group: three, Level: sched.Normal, Tenant: "c"})
		sim.add("d"+n, 7*time.Millisecond, sched.Request{Group: three, Level: sched.Normal, Tenant: "d"})
	}
	used := make(map[string]time.Duration)
	end := sim.now.Add(time.Second)
	for sim.now.Before(end) {
		before := sim.now
		name := sim.step()
		used[name[:1]] += sim.now.Sub(before)
	}
	for name, want := range map[string]time.Duration{
		"a": time.Second / 6, "b": time.Second / 12, "c": time.Second * 3 / 8, "d": time.Second * 3 / 8,
	} {
		if got := used[name]; got < want-20*time.Millisecond || got > want+20*time.Millisecond {
			t.Errorf("%s has used %v, want %v", name, got, want)
		}
	}
}

// TestNewcomerIsNextInTurn has a tenant come to a slot that another has kept busy for
// long: it waits for one task, and gets no credit for the time it was away.
func TestNewcomerIsNextInTurn(t *testing.T) {
	sim := simulate(t, sched.Config{Slots: 1, Capacity: 1000, Age: time.Hour})
	g := group(sim.s, 1)
	for i := range 100 {
		sim.add("flood"+string(rune(i)), time.Millisecond, sched.Request{Group: g, Level: sched.Normal, Tenant: "flood"})
	}
	for range 50 {
		sim.step()
	}
	for i := range 10 {
		sim.add("guest"+string(rune(i)), time.Millisecond, sched.Request{Group: g, Level: sched.Normal, Tenant: "guest"})
	}
	sim.step() // had the slot already
	got := sim.steps(8)
	if got != "gfgfgfgf" && got != "fgfgfgfg" {
		t.Errorf("the order is %s, want them in turns", got)
	}
	for len(sim.tasks) > 0 {
		sim.step()
	}
	if n := sim.s.Queues(); n != 0 {
		t.Errorf("%d queues are left", n)
	}
}

func TestLevels(t *testing.T) {
	sim := simulate(t, sched.Config{Slots: 1, Reserve: 1, Capacity: 1000, Age: 10 * time.Millisecond})
	g := group(sim.s, 2)
	for i := range 30 {
		n := string(rune(i))
		sim.add("b"+n, time.Millisecond, sched.Request{Group: g, Level: sched.Bulk})
		sim.add("n"+n, time.Millisecond, sched.Request{Group: g, Level: sched.Normal})
	}
	urgent := request(t, sim.s, sched.Request{Group: g, Level: sched.Urgent, Weight: 1})
	wantHeld(t, urgent) // in the reserved slot
	second := request(t, sim.s, sched.Request{Group: g, Level: sched.Urgent, Weight: 1})
	wantWaiting(t, second)
	urgent.Release()
	wantHeld(t, second)
	second.Release()
	order := sim.steps(60)
	// The first had the slot at once; then a bulk task for every 10 ms without.
	if want := "bnnnnnnnnnnbnnnnnnnnnnbnnnnnnnnnn"; order[:len(want)] != want {
		t.Errorf("the order is %s, want %s…", order, want)
	}
}

// TestOneTaskAtATimePays has a tenant with long tasks, who submits the next when it has
// the answer to the last, beside others with short ones.
func TestOneTaskAtATimePays(t *testing.T) {
	for _, c := range []struct {
		weight int           // of who has short tasks
		loops  int           // short tasks at a time
		want   time.Duration // for the long ones, of 20 s
	}{
		{1, 30, 10 * time.Second},
		{9, 30, 2 * time.Second},
		{1, 3, 10 * time.Second},
		{9, 3, 2 * time.Second},
	} {
		sim := simulate(t, sched.Config{Slots: 1, Capacity: 100000, Age: time.Hour})
		g := group(sim.s, 1)
		n := 0
		add := func(kind string, weight int, takes time.Duration) {
			n++
			sim.add(kind+string(rune(n)), takes, sched.Request{Group: g, Level: sched.Normal, Tenant: kind, Weight: weight})
		}
		for range c.loops {
			add("short", c.weight, time.Millisecond)
		}
		add("long", 1, 100*time.Millisecond)
		var long time.Duration
		for end := sim.now.Add(20 * time.Second); sim.now.Before(end); {
			switch sim.step()[0] {
			case 'l':
				long += 100 * time.Millisecond
				add("long", 1, 100*time.Millisecond)
			case 's':
				add("short", c.weight, time.Millisecond)
			}
		}
		if d := long - c.want; d.Abs() > 200*time.Millisecond {
			t.Errorf("weights %d to 1, %d short tasks at a time: the long ones had %v, want %v", c.weight, c.loops, long, c.want)
		}
	}
}

// TestDebtsAreBounded has many tenants come once: what they owe is kept for no longer
// than anybody else is there.
func TestDebtsAreBounded(t *testing.T) {
	sim := simulate(t, sched.Config{Slots: 1, Capacity: 10, Age: time.Hour})
	g := group(sim.s, 1)
	sim.add("x", time.Millisecond, sched.Request{Group: g, Level: sched.Normal})
	for i := range 3 * sched.MaxQueues {
		n := string(rune(i))
		sim.add("a"+n, time.Millisecond, sched.Request{Group: g, Level: sched.Normal, Tenant: n})
		sim.step()
		if queues := sim.s.Queues(); queues > sched.MaxQueues+2 {
			t.Fatalf("%d queues", queues)
		}
	}
	sim.step()
	if queues := sim.s.Queues(); queues != 0 {
		t.Errorf("%d queues are left", queues)
	}
}

// TestLate has a scheduler refuse what could not make its deadline, and nothing else.
func TestLate(t *testing.T) {
	const ms = time.Millisecond
	sim := simulate(t, sched.Config{Slots: 2, Reserve: 1, Capacity: 1000, Age: time.Hour})
	g, narrow := group(sim.s, 2), group(sim.s, 1)
	learn(sim, g, 10*ms, 1)
	learn(sim, narrow, 10*ms, 1)
	of := func(g *sched.Group, tenant string, level sched.Level, serial *sched.Serial) sched.Request {
		return sched.Request{Group: g, Level: level, Tenant: tenant, Weight: 1, Serial: serial}
	}
	var serial sched.Serial
	wantHeld(t, request(t, sim.s, of(g, "", sched.Normal, nil)), request(t, sim.s, of(narrow, "", sched.Normal, &serial)))
	wantHeld(t, request(t, sim.s, of(g, "", sched.Urgent, nil)))
	for range 10 {
		request(t, sim.s, of(g, "a", sched.Normal, nil))
		request(t, sim.s, of(g, "u", sched.Urgent, nil))
		request(t, sim.s, of(narrow, "n", sched.Normal, nil))
		request(t, sim.s, of(g, "s", sched.Normal, &serial))
	}
	for _, c := range []struct {
		in   time.Duration
		r    sched.Request
		late bool
	}{
		{49 * ms, of(g, "a", sched.Normal, nil), true},
		{51 * ms, of(g, "a", sched.Normal, nil), false},
		{33 * ms, of(g, "u", sched.Urgent, nil), true}, // the reserve does some
		{34 * ms, of(g, "u", sched.Urgent, nil), false},
		{99 * ms, of(narrow, "n", sched.Normal, nil), true}, // one at a time
		{101 * ms, of(narrow, "n", sched.Normal, nil), false},
		{1 * ms, of(g, "b", sched.Normal, nil), false}, // next in turn
		{1 * ms, of(g, "b", sched.Bulk, nil), false},   // and once 100 ms have gone by
		{1 * ms, of(g, "s", sched.Normal, nil), false}, // before the others of the stream
	} {
		c.r.Deadline = sim.now.Add(c.in)
		ticket, err := sim.s.Place(c.r)
		if errors.Is(err, sched.ErrLate) != c.late || !c.late && err != nil {
			t.Errorf("%v for tenant %q: err %v", c.in, c.r.Tenant, err)
		}
		if err == nil { // it leaves again
			ctx, cancel := contextOver(t)
			if ticket.Wait(ctx) == nil {
				t.Fatal("it has a slot")
			}
			cancel()
		}
	}
}

// learn has a scheduler learn how long a group's tasks take, so many at a time.
func learn(sim *simulation, g *sched.Group, takes time.Duration, tasks int) {
	sim.t.Helper()
	for range 100 {
		ticket := request(sim.t, sim.s, sched.Request{Group: g, Level: sched.Normal, Weight: 1, Tasks: tasks})
		wantHeld(sim.t, ticket)
		sim.now = sim.now.Add(takes * time.Duration(tasks))
		ticket.Release()
	}
}

// TestLateByWhatTasksTake has a tenant with ten tasks before one that has 50 ms.
func TestLateByWhatTasksTake(t *testing.T) {
	const ms = time.Millisecond
	for name, c := range map[string]struct {
		before func(*simulation, *sched.Group)
		late   bool
	}{
		"nothing known": {func(*simulation, *sched.Group) {}, false},
		"long tasks":    {func(sim *simulation, g *sched.Group) { learn(sim, g, 10*ms, 1) }, true},
		"long frames":   {func(sim *simulation, g *sched.Group) { learn(sim, g, ms, 60) }, false},
		"short tasks, and one without end": {func(sim *simulation, g *sched.Group) {
			learn(sim, g, ms, 1)
			sim.add("x", time.Hour, sched.Request{Group: g, Level: sched.Normal})
			sim.step()
		}, false},
		"long tasks that became short": {func(sim *simulation, g *sched.Group) {
			learn(sim, g, time.Second, 1)
			learn(sim, g, ms, 1)
		}, false},
		"long tasks, and some that went when they had a slot": {func(sim *simulation, g *sched.Group) {
			learn(sim, g, 10*ms, 1)
			for range 100 {
				first, second := submit(sim.t, sim.s, g, nil), submit(sim.t, sim.s, g, nil)
				sim.now = sim.now.Add(10 * ms)
				first.Release()
				ctx, cancel := contextOver(sim.t)
				if second.Wait(ctx) == nil { // else it was withdrawn
					sim.now = sim.now.Add(10 * ms)
					second.Release()
				}
				cancel()
			}
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			sim := simulate(t, sched.Config{Slots: 1, Capacity: 1000, Age: time.Hour})
			g := group(sim.s, 1)
			c.before(sim, g)
			submit(t, sim.s, g, nil)
			for range 10 {
				submit(t, sim.s, g, nil)
			}
			_, err := sim.s.Place(sched.Request{Group: g, Level: sched.Normal, Weight: 1, Deadline: sim.now.Add(50 * ms)})
			if errors.Is(err, sched.ErrLate) != c.late {
				t.Errorf("err %v, want late %v", err, c.late)
			}
		})
	}
}

func TestTenantsHaveQueuesOfTheirOwn(t *testing.T) {
	s := sched.New(sched.Config{Slots: 1, Capacity: 2, Policy: sched.Reject, Age: time.Hour})
	g := group(s, 1)
	flood := sched.Request{Group: g, Level: sched.Normal, Tenant: "flood", Weight: 1}
	tickets := []*sched.Ticket{request(t, s, flood), request(t, s, flood)}
	if _, full := s.Full(flood); full {
		t.Error("one waits, and it is full")
	}
	tickets = append(tickets, request(t, s, flood))
	if _, err := s.Place(flood); !errors.Is(err, sched.ErrFull) {
		t.Errorf("err %v, want ErrFull", err)
	}
	other := flood
	other.Tenant = "other"
	tickets = append(tickets, request(t, s, other))
	if _, full := s.Full(other); full {
		t.Error("the other's is full")
	}
	drained, full := s.Full(flood)
	if !full {
		t.Fatal("it is not full")
	}
	for len(tickets) > 0 {
		next := slices.IndexFunc(tickets, (*sched.Ticket).Decided)
		wantHeld(t, tickets[next])
		tickets[next].Release()
		tickets = slices.Delete(tickets, next, next+1)
	}
	<-drained
	if _, full := s.Full(flood); full || s.Queues() != 0 {
		t.Errorf("full %v, %d queues are left", full, s.Queues())
	}
}

// TestManyTenantsLockOutNobody has more tenants come than there are queues.
func TestManyTenantsLockOutNobody(t *testing.T) {
	s := sched.New(sched.Config{Slots: 1, Capacity: 4, Policy: sched.Reject, Age: time.Hour})
	g := group(s, 1)
	running := submit(t, s, g, nil)
	of := func(tenant string, known bool) sched.Request {
		return sched.Request{Group: g, Level: sched.Normal, Tenant: tenant, Weight: 1, Known: known}
	}
	wantFull := func(r sched.Request, want bool) {
		t.Helper()
		if _, full := s.Full(r); full != want {
			t.Errorf("tenant %s: full %v", r.Tenant, full)
		}
	}
	var tickets []*sched.Ticket
	for i := range sched.MaxQueues + 1 {
		tickets = append(tickets, request(t, s, of(strconv.Itoa(i), false))) // the last has the rest's
	}
	for _, r := range []sched.Request{of("0", false), of("newcomer", false)} {
		wantFull(r, true)
		if _, err := s.Place(r); !errors.Is(err, sched.ErrFull) {
			t.Errorf("tenant %s: err %v, want ErrFull", r.Tenant, err)
		}
	}
	wantFull(of("known", true), false)
	tickets = append(tickets, request(t, s, of("known", true)))
	running.Release()
	for len(tickets) > 0 {
		next := slices.IndexFunc(tickets, (*sched.Ticket).Decided)
		wantHeld(t, tickets[next])
		tickets[next].Release()
		tickets = slices.Delete(tickets, next, next+1)
	}
	if st := s.Stats(); st.Depth != 0 || s.Queues() != 0 {
		t.Errorf("stats %+v, %d queues are left", st, s.Queues())
	}
	wantFull(of("newcomer", false), false)
}

// TestTenantsTogetherAreBounded has tenants submit until they are refused.
func TestTenantsTogetherAreBounded(t *testing.T) {
	const capacity, tenants = 100, 300
	s := sched.New(sched.Config{Slots: 1, Capacity: capacity, Policy: sched.Reject, Age: time.Hour})
	g := group(s, 1)
	submit(t, s, g, nil)
	had := make([]int, tenants)
	for i := range had {
		for {
			if _, err := s.Place(sched.Request{Group: g, Level: sched.Normal, Tenant: strconv.Itoa(i), Weight: 1}); err != nil {
				break
			}
			had[i]++
		}
	}
	if had[0] != capacity || slices.Min(had) < 1 {
		t.Errorf("they had %v", had)
	}
	if n := s.Stats().Depth; n > 4*capacity+tenants {
		t.Errorf("%d tasks wait", n)
	}
}

// TestQueued has more tenants than have queues of their own.
func TestQueued(t *testing.T) {
	s := sched.New(sched.Config{Slots: 1, Capacity: 1000, Age: time.Hour})
	g, other := group(s, 1), group(s, 1)
	submit(t, s, g, nil)
	const tenants = sched.MaxQueues + 3
	for i := range tenants {
		if i == 0 {
			request(t, s, sched.Request{Group: g, Level: sched.Bulk, Tenant: "bulk", Weight: 1})
		}
		request(t, s, sched.Request{Group: g, Level: sched.Normal, Tenant: "t" + strconv.Itoa(i), Weight: 1})
	}
	var own, shared, bulk int
	for _, q := range s.Queued(g) {
		switch {
		case q.Shared && q.Tenant == "":
			shared += q.Tasks
		case q.Level == sched.Bulk && q.Tenant == "bulk":
			bulk += q.Tasks
		case q.Level == sched.Normal && strings.HasPrefix(q.Tenant, "t"):
			own += q.Tasks
		}
	}
	if own != sched.MaxQueues || shared != 3 || bulk != 1 {
		t.Errorf("%d tasks in queues of their tenants, %d in the shared one, %d of bulk", own, shared, bulk)
	}
	if got := s.Queued(other); len(got) != 0 {
		t.Errorf("a group without tasks has %+v", got)
	}
}

// TestCrowdedQueuesDrain has submitters wait for room that others have.
func TestCrowdedQueuesDrain(t *testing.T) {
	s := sched.New(sched.Config{Slots: 1, Capacity: 4, Policy: sched.Block, Age: time.Hour})
	g := group(s, 1)
	tickets := []*sched.Ticket{submit(t, s, g, nil)}
	for i := range 200 {
		tickets = append(tickets, request(t, s, sched.Request{Group: g, Level: sched.Normal, Tenant: strconv.Itoa(i % 20), Weight: 1}))
	}
	if st := s.Stats(); st.Depth > 16+20 || st.Depth+st.Blocked != 200 {
		t.Errorf("stats %+v", st)
	}
	drained, full := s.Full(sched.Request{Group: g, Level: sched.Normal, Tenant: "0"})
	if !full {
		t.Error("it is not full")
	}
	for len(tickets) > 0 {
		next := slices.IndexFunc(tickets, (*sched.Ticket).Decided)
		if next < 0 {
			t.Fatalf("%d tasks are left", len(tickets))
		}
		wantHeld(t, tickets[next])
		tickets[next].Release()
		tickets = slices.Delete(tickets, next, next+1)
	}
	<-drained
}

func contextOver(t *testing.T) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx, cancel
}

// TestInOrder has tasks of all groups and tenants run as they came.
func TestInOrder(t *testing.T) {
	sim := simulate(t, sched.Config{Slots: 1, Capacity: 1000, Age: time.Hour, InOrder: true})
	groups := []*sched.Group{sim.s.NewGroup(sim.s.NewClass(1), 1), sim.s.NewGroup(sim.s.NewClass(1), 100)}
	var want strings.Builder
	for i := range 100 {
		name := string(rune('!' + i%90))
		want.WriteString(name)
		sim.add(name+string(rune('a'+i/90)), time.Duration(1+i*i%7)*time.Millisecond, sched.Request{
			Group: groups[i*i%3%2], Level: sched.Normal, Tenant: string(rune('a' + i%5)), Weight: 1 + i%3,
		})
	}
	if got := sim.steps(100); got != want.String() {
		t.Errorf("ran %s, want %s", got, want.String())
	}
}

// TestAgeReachesAllLevels has urgent tasks always under way and waiting, in all slots
// and the reserve.
func TestAgeReachesAllLevels(t *testing.T) {
	for _, slots := range []int{1, 2} {
		sim := simulate(t, sched.Config{Slots: slots, Reserve: 1, Capacity: 1000, Age: 100 * time.Millisecond})
		urgent, other := group(sim.s, 100), group(sim.s, 100)
		var running, waiting []*sched.Ticket
		more := func() *sched.Ticket {
			return request(t, sim.s, sched.Request{Group: urgent, Level: sched.Urgent, Weight: 1})
		}
		for range slots + 1 {
			running = append(running, more())
		}
		wantHeld(t, running...)
		waiting = append(waiting, more())
		had := make(map[sched.Level]int)
		lower := make(map[sched.Level]*sched.Ticket)
		last := make(map[sched.Level]time.Time)
		for range 1000 {
			for _, l := range []sched.Level{sched.Normal, sched.Bulk} {
				if lower[l] == nil {
					lower[l], last[l] = request(t, sim.s, sched.Request{Group: other, Level: l, Weight: 1}), sim.now
				}
			}
			sim.now = sim.now.Add(10 * time.Millisecond)
			waiting = append(waiting, more())
			running[0].Release()
			running = running[1:]
			for len(waiting) > 0 && waiting[0].Decided() {
				running, waiting = append(running, waiting[0]), waiting[1:]
			}
			for l, ticket := range lower {
				if ticket.Decided() {
					if waited := sim.now.Sub(last[l]); waited > 300*time.Millisecond {
						t.Errorf("%d slots: a task of level %d waited for %v", slots, l, waited)
					}
					had[l]++
					running = append(running, ticket)
					delete(lower, l)
				}
			}
		}
		if had[sched.Normal] < 30 || had[sched.Bulk] < 30 {
			t.Errorf("%d slots: in 10 s the lower levels ran %v tasks", slots, had)
		}
	}
}

// TestReserveIsForWhatFindsNothingElse has two callers with an urgent task after the
// other each, which leave the only slot to others in between.
func TestReserveIsForWhatFindsNothingElse(t *testing.T) {
	sim := simulate(t, sched.Config{Slots: 1, Reserve: 1, Capacity: 1000, Age: 100 * time.Millisecond})
	g := group(sim.s, 100)
	urgent := func() *sched.Ticket {
		return request(t, sim.s, sched.Request{Group: g, Level: sched.Urgent, Weight: 1})
	}
	a, b := urgent(), urgent()
	wantHeld(t, a, b)
	if st := sim.s.Stats(); st.Active != 1 || st.Reserve != 1 {
		t.Errorf("stats %+v", st)
	}
	normal := submit(t, sim.s, group(sim.s, 1), nil)
	b.Release()
	b = urgent()
	wantHeld(t, b) // in the reserve again
	wantWaiting(t, normal)
	sim.now = sim.now.Add(time.Second)
	a.Release()
	wantHeld(t, normal)
	a = urgent()
	wantWaiting(t, a)
	b.Release()
	wantHeld(t, a)
	a.Release()
	if st := sim.s.Stats(); st.Busy != time.Second {
		t.Errorf("busy for %v", st.Busy)
	}
	normal.Release()
}

// TestReserveExceedsALimit has an urgent task of a class that is at its limit.
func TestReserveExceedsALimit(t *testing.T) {
	s := sched.New(sched.Config{Slots: 2, Reserve: 1, Capacity: 1000, Age: time.Hour})
	for _, limit := range []int{1, 2} {
		g := group(s, limit)
		var tickets []*sched.Ticket
		for range limit {
			tickets = append(tickets, submit(t, s, g, nil))
		}
		wantHeld(t, tickets...)
		normal := submit(t, s, g, nil)
		first := request(t, s, sched.Request{Group: g, Level: sched.Urgent, Weight: 1})
		second := request(t, s, sched.Request{Group: g, Level: sched.Urgent, Weight: 1})
		wantHeld(t, first)
		wantWaiting(t, normal, second)
		first.Release()
		wantHeld(t, second)
		wantWaiting(t, normal)
		second.Release()
		for _, ticket := range tickets {
			ticket.Release()
		}
		wantHeld(t, normal)
		normal.Release()
	}
}
