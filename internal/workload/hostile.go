package workload

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/resonhost/resonhost/internal/wait"
)

// Hostile says what the parts of [Bench.Hostile] are: processes of their own, so that neither the server
// nor those who attack it take the time of those whose requests are timed.
type Hostile struct {
	// Serve starts a server, and returns how to reach it and the ID of its process.
	Serve func(ctx context.Context) (target Target, process int, stop func() error, err error)
	// Attack has hostile clients of a kind at it until ctx ends, or such that behave well, see [Attack].
	Attack func(ctx context.Context, name string, target Target, atMost float64) (Attacked, error)
	// Kinds are those of the clients; all if there are none.
	Kinds []string
	// Rounds is how often each kind comes, beside a quiet time; default 3.
	Rounds int
}

const (
	// hostileRounds is how often each kind comes by default.
	hostileRounds = 3
	// goodClients send goodRate requests a second together.
	goodClients = 16
	goodRate    = 300.0
	// maxSlower is how many times their p99 may be that of a quiet time.
	maxSlower = 2.0
)

// hostileSum is what all rounds of a kind have found.
type hostileSum struct {
	quiet, beside *distribution
	ratios        []float64 // of p99
	control       []float64 // the same, beside clients that behave well
	failed        int64     // requests of good clients
	requests      int64     // of hostile ones
	// theirs and server are how many processors the hostile clients took, and the server beside them.
	theirs, server []float64
	// memory and descriptors are the most that the server had, openAtRest and the others what it had before
	// the last round and after it.
	memory, memoryAfter                int64
	descriptors, openAtRest, openAfter int
}

// Hostile measures what hostile clients of each kind do to the requests of others: the p99 beside
// that of a quiet time right before, and what of memory and descriptors the server takes meanwhile. As
// many clients that behave well, and send as many requests, come after the hostile ones: these take
// processors of the same machine too, and what they cost is not hostility's.
func (t *Bench) Hostile(ctx context.Context, h *Hostile) (r *Report, err error) {
	rounds := h.Rounds
	if rounds == 0 {
		rounds = hostileRounds
	}
	r = newReport(fmt.Sprintf("%g cascades a second over HTTP beside hostile clients, in %d rounds", goodRate, rounds),
		"clients", "they", "sent", "quiet p50", "beside p50", "quiet p99", "beside p99", "p99 ratio", "well-behaved", "failed", "their CPUs", "server's", "memory", "descriptors", "after")
	target, process, stop, err := h.Serve(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, stop()) }()
	kinds := h.Kinds
	if len(kinds) == 0 {
		kinds = Attacks()
	}
	b := &hostileBench{Bench: t, Hostile: h, target: target, process: process, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: goodClients}}}
	defer b.client.CloseIdleConnections()
	t.tellf("warming up")
	if _, failed := b.load(ctx, t.Duration); failed > 0 {
		return nil, fmt.Errorf("%d requests failed before there were hostile clients", failed)
	}
	sums := make([]*hostileSum, len(kinds))
	for round := range rounds {
		for i, kind := range kinds {
			t.tellf("round %d of %d: %s", round+1, rounds, kind)
			if sums[i] == nil {
				sums[i] = &hostileSum{quiet: newDistribution(), beside: newDistribution()}
			}
			if err := b.measure(ctx, kind, sums[i]); err != nil {
				return nil, err
			}
		}
	}
	for i, kind := range kinds {
		sums[i].report(r, kind)
	}
	return r, ctx.Err()
}

type hostileBench struct {
	*Bench
	*Hostile

	target  Target
	process int
	client  *http.Client
}

// measure has a quiet time, one beside hostile clients, and one beside such that behave well.
func (b *hostileBench) measure(ctx context.Context, kind string, s *hostileSum) error {
	_, s.openAtRest = usage(b.process)
	quiet, failed := b.load(ctx, b.Duration)
	if failed > 0 {
		return fmt.Errorf("%d requests failed without hostile clients, before %s", failed, kind)
	}
	hostile, did, err := b.beside(ctx, kind, 0, s)
	if err != nil {
		return err
	}
	s.failed += hostile.failed
	s.requests += did.Requests
	s.theirs, s.server = append(s.theirs, did.Computed), append(s.server, hostile.server)
	s.ratios = append(s.ratios, float64(hostile.took.quantile(0.99))/float64(quiet.quantile(0.99)))
	s.quiet.h.Merge(quiet.h)
	s.beside.h.Merge(hostile.took.h)
	if err := b.settle(ctx, s); err != nil {
		return err
	}
	if attacks[attackOf(kind)].behaved == nil {
		return nil
	}
	behaved, _, err := b.beside(ctx, kind, max(did.Rate, 1), nil)
	if err != nil {
		return err
	}
	s.control = append(s.control, float64(behaved.took.quantile(0.99))/float64(quiet.quantile(0.99)))
	return b.settle(ctx, s)
}

// besides is what good clients found beside others.
type besides struct {
	took   *distribution
	failed int64
	server float64 // processors that the server took
}

// beside has good clients beside those of a kind. s, unless it is nil, is told what memory and descriptors
// the server has meanwhile.
func (b *hostileBench) beside(ctx context.Context, kind string, atMost float64, s *hostileSum) (found besides, did Attacked, err error) {
	attacking, end := context.WithCancel(ctx)
	defer end()
	ended := make(chan error, 1)
	go func() { // until end
		var err error
		did, err = b.Attack(attacking, kind, b.target, atMost)
		ended <- err
	}()
	if err := wait.For(ctx, b.Duration); err != nil { // until they are all there
		end()
		return found, did, errors.Join(err, <-ended)
	}
	watched, stopWatching := context.WithCancel(ctx)
	var watching sync.WaitGroup
	watching.Go(func() {
		for s != nil && wait.For(watched, 50*time.Millisecond) == nil {
			memory, open := usage(b.process)
			s.memory, s.descriptors = max(s.memory, memory), max(s.descriptors, open)
		}
	})
	computed, began := processTime(b.process), time.Now()
	found.took, found.failed = b.load(ctx, b.Duration)
	found.server = (processTime(b.process) - computed).Seconds() / time.Since(began).Seconds()
	stopWatching()
	watching.Wait()
	end()
	err = <-ended
	return found, did, err
}

// settle waits until what clients left has gone, as the server notices.
func (b *hostileBench) settle(ctx context.Context, s *hostileSum) error {
	for range 100 {
		if s.memoryAfter, s.openAfter = usage(b.process); s.openAfter <= s.openAtRest+goodClients {
			break
		}
		if err := wait.For(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

func attackOf(kind string) int {
	return slices.IndexFunc(attacks, func(a attack) bool { return a.name == kind })
}

// load has good clients for so long, and returns how long their requests took since they were due.
func (b *hostileBench) load(ctx context.Context, lasts time.Duration) (*distribution, int64) {
	took := newDistribution()
	var failed atomic.Int64
	due := make(chan time.Time, 1<<16)
	var all sync.WaitGroup
	for range goodClients {
		all.Go(func() {
			for at := range due {
				if err := b.request(ctx); err != nil {
					failed.Add(1)
				}
				took.observe(time.Since(at))
			}
		})
	}
	offer(ctx, goodRate, lasts, func(at time.Time) { due <- at })
	close(due)
	all.Wait()
	return took, failed.Load()
}

const goodTask = `{"awarenessLevel": 0.5, "phiValue": 1.5, "detail": "summary"}`

// request has one task done.
func (b *hostileBench) request(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+b.target.Addr+"/v1/transforms/cascade", strings.NewReader(goodTask))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+b.target.GoodToken)
	req.Header.Set("Content-Type", "application/json")
	res, err := b.client.Do(req)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, res.Body)
	if err = errors.Join(err, res.Body.Close()); err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d", res.StatusCode)
	}
	return err
}

func (s *hostileSum) report(r *Report, kind string) {
	i := attackOf(kind)
	ratio, ratios := spread(s.ratios, 2)
	control := "–"
	if len(s.control) > 0 {
		_, control = spread(s.control, 2)
	}
	memory, open, after, server := "–", "–", "–", "–"
	if s.memory > 0 {
		memory = humanize.IBytes(uint64(s.memory))
		open = strconv.Itoa(s.descriptors)
		after = fmt.Sprintf("%s, %d", humanize.IBytes(uint64(s.memoryAfter)), s.openAfter)
		server = fmt.Sprintf("%.2f", quantileOf(s.server, 0.5))
	}
	r.row(fmt.Sprintf("%d %s", attacks[i].clients, kind), attacks[i].does, strconv.FormatInt(s.requests, 10),
		s.quiet.quantile(0.5), s.beside.quantile(0.5), s.quiet.quantile(0.99), s.beside.quantile(0.99), ratios, control,
		strconv.FormatInt(s.failed, 10), fmt.Sprintf("%.2f", quantileOf(s.theirs, 0.5)), server, memory, open, after)
	r.finding(ratio <= maxSlower, "p99 of others beside "+kind+", times that of a quiet time", fmt.Sprintf("%.2f", ratio), fmt.Sprintf("≤ %g", maxSlower))
	r.finding(s.failed == 0, "requests of others that failed beside "+kind, strconv.FormatInt(s.failed, 10), "0")
	if s.memory > 0 {
		r.finding(s.openAfter <= s.openAtRest+goodClients, "descriptors after "+kind+", more than before", strconv.Itoa(s.openAfter-s.openAtRest), fmt.Sprintf("≤ %d", goodClients))
	}
}

// spread is the median of ratios, and that with the quartiles as text, with so many digits behind the point.
func spread(ratios []float64, digits int) (median float64, text string) {
	median = quantileOf(ratios, 0.5)
	return median, fmt.Sprintf("%.*f (%.*f to %.*f)", digits, median, digits, quantileOf(ratios, 0.25), digits, quantileOf(ratios, 0.75))
}

// quantileOf is the quantile of figures, or of two beside it the one that is further from the middle; 0 of
// none.
func quantileOf(figures []float64, share float64) float64 {
	if len(figures) == 0 {
		return 0
	}
	at := share * float64(len(figures)-1)
	if share > 0.5 {
		at = math.Ceil(at)
	}
	return slices.Sorted(slices.Values(figures))[int(at)]
}

// usage is the resident memory of a process in bytes, and how many descriptors it has; 0 where the system
// does not tell.
func usage(process int) (memory int64, descriptors int) {
	if runtime.GOOS != "linux" {
		return 0, 0
	}
	dir := fmt.Sprintf("/proc/%d/", process)
	b, err := os.ReadFile(dir + "statm")
	if err != nil {
		return 0, 0
	}
	if fields := strings.Fields(string(b)); len(fields) > 1 {
		pages, _ := strconv.ParseInt(fields[1], 10, 64)
		memory = pages * int64(os.Getpagesize())
	}
	open, _ := os.ReadDir(dir + "fd")
	return memory, len(open)
}

// processTime is how long the threads of a process have computed; 0 where the system does not tell.
func processTime(process int) (computed time.Duration) {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", process))
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			continue // the thread has ended
		}
		first, _, _ := strings.Cut(string(b), " ")
		ns, _ := strconv.ParseInt(first, 10, 64)
		computed += time.Duration(ns)
	}
	return computed
}
