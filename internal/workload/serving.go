package workload

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Serving says what the parts of [Bench.Serve] are. Each server is a process of its own.
type Serving struct {
	// Serve starts a server, and returns how to reach it and the ID of its process. A program of "" is this
	// build. With identity the server asks for Target.GoodToken.
	Serve func(ctx context.Context, program string, identity bool) (target Target, process int, stop func() error, err error)
	// Against is the program of another build, which all are compared with; "" for this build without
	// identity.
	Against string
	// Rounds is how often each server has its turns; default 31.
	Rounds int
}

const (
	// servingRounds is how many rounds there are by default.
	servingRounds = 31
	// turns is how many parts the time of a server in a round has. Those of all servers come in between, so
	// that what else the machine does falls on all of them.
	turns = 8
	// askers is how many connections send requests at once, each its next one once it has its answer.
	askers = 4
	// listEvery is how many rounds lie between two lists of plugins that the dashboard asks for: it asks for
	// figures every 2 s, and for the list every 10 s.
	listEvery = 5
	// leastShare is how much of the other's throughput is aimed at.
	leastShare = 0.97
)

// requests are what is sent again and again.
var requests = [...]struct {
	name, mediaType string
	tasks           int // of each
}{
	{"one task each", "application/json", 1},
	{"500 JSON lines each", "application/x-ndjson", 500},
}

// served is a server in one way of use.
type served struct {
	name     string
	program  string
	identity bool
	// follows is whether the dashboard is open, and tasks whether it shows each task.
	follows, tasks bool

	target  Target
	process int
	stop    func() error
	conns   [askers]*asker
	looks   sync.WaitGroup // what reads the stream of events

	rates, costs [len(requests)][]float64 // by round: tasks a second, ns of the server's processors for a task
}

// asker is a connection that requests are sent over.
type asker struct {
	conn net.Conn
	in   *bufio.Reader
	buf  []byte
}

// Serve measures what identity and an open dashboard cost those who have tasks done over HTTP, and what this build
// costs them beside another. The dashboard is what its page asks a server for, without a browser: that computes
// on the machine of whoever looks.
func (t *Bench) Serve(ctx context.Context, s *Serving) (r *Report, err error) {
	rounds := s.Rounds
	if rounds == 0 {
		rounds = servingRounds
	}
	all := []*served{{name: "open"}, {name: "token", identity: true}, {name: "token, dashboard", identity: true, follows: true}, {name: "token, dashboard that shows each task", identity: true, follows: true, tasks: true}}
	if s.Against != "" {
		all = slices.Insert(all, 0, &served{name: "the other build", program: s.Against})
	}
	streaming, end := context.WithCancel(ctx)
	defer func() {
		end() // before those who read the streams are waited for
		for _, one := range all {
			err = errors.Join(err, one.close())
		}
	}()
	for _, one := range all {
		t.tellf("starting %s", one.name)
		if err := one.open(ctx, streaming, s); err != nil {
			return nil, fmt.Errorf("%s: %w", one.name, err)
		}
	}
	for round := range rounds + 1 { // the first warms up
		if round > 0 {
			t.tellf("round %d of %d", round, rounds)
		}
		for kind := range requests {
			if err := t.servingRound(ctx, all, kind, round); err != nil {
				return nil, err
			}
		}
	}
	r = newReport(fmt.Sprintf("cascades over HTTP by %d connections, in %d rounds of %d turns", askers, rounds, turns),
		"requests", "server", "tasks a second", "times "+all[0].name, "its CPU for a task", "times "+all[0].name)
	r.serving(all)
	return r, ctx.Err()
}

// servingRound has each server take its turns. What it finds counts from round 1 on.
func (t *Bench) servingRound(ctx context.Context, all []*served, kind, round int) error {
	type sum struct {
		tasks    int
		lasted   time.Duration
		computed time.Duration
	}
	sums := make([]sum, len(all))
	for turn := range turns {
		for n := range all {
			i := (n + turn + round) % len(all)
			one := all[i]
			began, computed := time.Now(), processTime(one.process)
			tasks, err := one.turn(ctx, kind, began.Add(t.Duration/turns), turn == 0, round%listEvery == 0)
			if err != nil {
				return fmt.Errorf("%s: %s: %w", one.name, requests[kind].name, err)
			}
			sums[i].tasks += tasks
			sums[i].lasted += time.Since(began)
			sums[i].computed += processTime(one.process) - computed
		}
	}
	for i, one := range all {
		if round > 0 {
			one.rates[kind] = append(one.rates[kind], float64(sums[i].tasks)/sums[i].lasted.Seconds())
			one.costs[kind] = append(one.costs[kind], float64(sums[i].computed)/float64(sums[i].tasks))
		}
	}
	return nil
}

// open starts the server, and whoever follows it until streaming ends.
func (s *served) open(ctx, streaming context.Context, how *Serving) (err error) {
	if s.target, s.process, s.stop, err = how.Serve(ctx, s.program, s.identity); err != nil {
		return err
	}
	var dialer net.Dialer
	for i := range s.conns {
		c, err := dialer.DialContext(ctx, "tcp", s.target.Addr)
		if err != nil {
			return err
		}
		s.conns[i] = &asker{c, bufio.NewReaderSize(c, 64<<10), make([]byte, 64<<10)}
	}
	if s.follows {
		return s.follow(streaming)
	}
	return nil
}

func (s *served) close() (err error) {
	for _, c := range s.conns {
		if c != nil {
			err = errors.Join(err, c.conn.Close())
		}
	}
	s.looks.Wait()
	if s.stop != nil {
		err = errors.Join(err, s.stop())
	}
	return err
}

// turn sends requests until a moment, and returns how many tasks were done. If figures is set, the dashboard asks
// for them once, and for the list of plugins too if list is set.
func (s *served) turn(ctx context.Context, kind int, until time.Time, figures, list bool) (tasks int, err error) {
	request, done, errs := s.request(kind), [askers]int{}, [askers + 1]error{}
	var all sync.WaitGroup
	for i, c := range s.conns {
		all.Go(func() { done[i], errs[i] = c.ask(ctx, request, requests[kind].tasks, until) })
	}
	if s.follows && figures {
		all.Go(func() {
			errs[askers] = s.get(ctx, "/v1/stats", nil)
			if list {
				errs[askers] = errors.Join(errs[askers], s.get(ctx, "/v1/plugins", nil))
			}
		})
	}
	all.Wait()
	for _, n := range done {
		tasks += n
	}
	return tasks, errors.Join(errs[:]...)
}

// request is what is sent, whole.
func (s *served) request(kind int) []byte {
	k := &requests[kind]
	body := strings.Repeat(goodTask+"\n", k.tasks)
	head := "POST /v1/transforms/cascade HTTP/1.1\r\nHost: " + s.target.Addr + "\r\nContent-Type: " + k.mediaType + "\r\n"
	if s.identity {
		head += "Authorization: Bearer " + s.target.GoodToken + "\r\n"
	}
	return fmt.Appendf(nil, "%sContent-Length: %d\r\n\r\n%s", head, len(body), body)
}

// ask sends a request again and again until a moment, and returns how many tasks were done.
func (a *asker) ask(ctx context.Context, request []byte, tasks int, until time.Time) (done int, err error) {
	stop := context.AfterFunc(ctx, func() { _ = a.conn.Close() })
	defer stop()
	for time.Now().Before(until) {
		if _, err := a.conn.Write(request); err != nil {
			return done, err
		}
		res, err := http.ReadResponse(a.in, nil) //nolint:bodyclose // lines closes it
		if err != nil {
			return done, err
		}
		n, err := a.lines(res.Body)
		if err != nil {
			return done, err
		}
		if res.StatusCode != http.StatusOK || tasks > 1 && n != tasks {
			return done, fmt.Errorf("status %d with %d lines for %d tasks", res.StatusCode, n, tasks)
		}
		done += tasks
	}
	return done, nil
}

// lines counts those of a body, and closes it.
func (a *asker) lines(body io.ReadCloser) (n int, err error) {
	for {
		read, err := body.Read(a.buf)
		n += bytes.Count(a.buf[:read], []byte("\n"))
		if err == io.EOF {
			return n, body.Close()
		}
		if err != nil {
			return n, errors.Join(err, body.Close())
		}
	}
}

// rarely are the kinds that the dashboard does not follow unless a page shows them.
var rarely = []string{"task.completed", "tick.completed", "nodes.progressed", "plugin.logged"}

// follow reads the events that the dashboard asks for until ctx ends.
func (s *served) follow(ctx context.Context) error {
	var page struct {
		Kinds []string `json:"kinds"`
	}
	if err := s.get(ctx, "/ui/extensions.json", &page); err != nil {
		return err
	}
	kinds := slices.DeleteFunc(page.Kinds, func(k string) bool { return slices.Contains(rarely, k) && (k != "task.completed" || !s.tasks) })
	path := "/v1/events?kinds=" + strings.Join(kinds, ",")
	if s.tasks {
		path += "&rate=40"
	}
	res, err := s.begin(ctx, path)
	if err != nil {
		return err
	}
	s.looks.Go(func() {
		_, _ = io.Copy(io.Discard, res.Body) // until ctx ends
		_ = res.Body.Close()
	})
	return nil
}

// get reads an answer, and decodes it unless to is nil.
func (s *served) get(ctx context.Context, path string, to any) error {
	res, err := s.begin(ctx, path)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	if to != nil {
		return json.NewDecoder(res.Body).Decode(to)
	}
	_, err = io.Copy(io.Discard, res.Body)
	return err
}

func (s *served) begin(ctx context.Context, path string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.target.Addr+path, http.NoBody)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer "+s.target.GoodToken)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	if res.StatusCode != http.StatusOK {
		return nil, errors.Join(fmt.Errorf("GET %s: status %d", path, res.StatusCode), res.Body.Close())
	}
	return res, nil
}

// serving compares all servers with the first.
func (r *Report) serving(all []*served) {
	base := all[0]
	for kind := range requests {
		for _, s := range all {
			_, rates := spread(ratios(s.rates[kind], base.rates[kind]), 3)
			_, costs := spread(ratios(s.costs[kind], base.costs[kind]), 3)
			cost := time.Duration(median(s.costs[kind]))
			if cost == 0 { // the system does not tell
				costs = "–"
			}
			r.row(requests[kind].name, s.name, median(s.rates[kind]), rates, cost, costs)
		}
	}
	for kind := range requests {
		for _, s := range all {
			if s.follows && !s.tasks {
				ratio, _ := spread(ratios(s.rates[kind], base.rates[kind]), 3)
				r.finding(ratio >= leastShare, fmt.Sprintf("%s: throughput with a token and the dashboard, times %s", requests[kind].name, base.name), fmt.Sprintf("%.3f", ratio), fmt.Sprintf("≥ %g", leastShare))
			}
		}
	}
}

// ratios are those of figures to others of the same rounds.
func ratios(figures, others []float64) []float64 {
	list := make([]float64, len(figures))
	for i := range figures {
		list[i] = figures[i] / others[i]
	}
	return list
}
