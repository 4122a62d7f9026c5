// Package keeper keeps the states of streams beyond the process. It saves what changes every
// interval, behind the tasks, and loads what is stored when a stream is used for the first time.
//
// No task waits for a save, and none that has no stored state waits for the store at all. While the
// store fails, changes wait in the stream store, within its bounds.
package keeper

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/resonhost/resonhost/host/internal/stream"
	"github.com/resonhost/resonhost/internal/outage"
	"github.com/resonhost/resonhost/state"
)

// Errors of a stream whose state could not be loaded.
var (
	// ErrUnavailable: the store could not be reached, or did not answer in time.
	ErrUnavailable = errors.New("the stream's stored state cannot be loaded now")
	// ErrUnreadable: what is stored cannot be read. It stays as it is.
	ErrUnreadable = errors.New("the stream's stored state cannot be read")
)

// errPatience ends the last save.
var errPatience = fmt.Errorf("the host was closed with a context that has ended, and the store has not answered within %v: %w", Grace, context.DeadlineExceeded)

// Bounds of time.
const (
	// LoadTimeout is how long loading takes at most, the waiting for others that load included.
	LoadTimeout = 5 * time.Second
	// SaveTimeout is how long the saving of one batch takes at most.
	SaveTimeout = 10 * time.Second
	// SweepTimeout is how long the listing of records that are to be deleted takes at most.
	SweepTimeout = time.Minute
	// OtherTimeout is how long one call of what [Keeper.Add] has added takes at most.
	OtherTimeout = time.Minute
	// Grace is how much longer the last save may take once the host's patience has ended.
	Grace = time.Second

	// hurryAfter is which part of the interval a save takes its time for, if nobody waits for it.
	hurryAfter = 2

	firstRetry = time.Second
	lastRetry  = time.Minute
)

// Bounds of what is done at once.
const (
	loaders = 8
	// batchRecords and batchBytes are how much one call of the store saves, and windowRecords is
	// among how many changes the batches are sorted by key: a database writes what lies side by side
	// with fewer pages.
	batchRecords, batchBytes = 1024, 4 << 20
	windowRecords            = 32 << 10
)

// Config says what is kept and where. All fields must be set, but Told and Saved.
type Config[S any] struct {
	Store   state.Store
	Streams *stream.Store[S]
	// Max is how many streams are kept, as Streams has it.
	Max int
	// Interval is how often changes are saved.
	Interval time.Duration
	// Vacate gives up the turn of a stream whose state is loaded, and Fail that of one whose state
	// is not, for whose users that is the error.
	Vacate func(*S)
	Fail   func(*S, error)
	Log    *slog.Logger
	// Saved is told of each save, and Told of each outage when it begins and when it ends. Neither
	// waits.
	Saved func(Report)
	Told  func(Outage)
}

// Report is what a save has done.
type Report struct {
	Records, Deleted int
	Bytes            int64 // of states
	// What had changed until then is saved.
	Until time.Time
	Took  time.Duration
}

// Outage is a time in which a store fails.
type Outage struct {
	// Loading is whether it failed to load; else it failed to save.
	Loading bool
	// Ended is whether it is over, after so long.
	Ended  bool
	Lasted time.Duration
	// Err is the first failure.
	Err error
	// Unsaved is how many changes wait.
	Unsaved int
}

// Keeper keeps states. Its methods may be called concurrently.
type Keeper[S any] struct {
	cfg Config[S]

	// ctx is of saving and loads of loading. Both end some time after the host's patience has.
	ctx, loads context.Context
	cancel     context.CancelCauseFunc
	endLoading context.CancelFunc
	stop       chan struct{} // closed to end the saving every interval
	wake       chan struct{} // has a token to save at once
	waiting    atomic.Int32  // how many wait for a save
	ended      sync.WaitGroup

	// turn has a token while somebody saves. Whoever has put it there has what is below.
	turn    chan struct{}
	window  []stream.Taken[S]
	batch   []state.Change
	retries int  // since the last save in which all succeeded
	unswept bool // a listing is to find records that are to be deleted

	// telling is held from before something is noted until it is told, so that all is told in its order.
	// Who tells may wait for whoever reads the log. So no task takes it, and it goes before mu.
	telling sync.Mutex

	mu      sync.Mutex // guards the rest
	others  []*other   // what else is saved
	queue   []job[S]   // what is to be loaded
	at      int        // which of queue is next
	running int        // loaders
	saving  outage.Outage
	loading outage.Outage
	strange strange
	hurry   *time.Timer // nil until Hurry
	stats   Stats
}

// New returns a keeper, which does nothing until it is started.
func New[S any](cfg Config[S]) *Keeper[S] {
	k := &Keeper[S]{cfg: cfg, stop: make(chan struct{}), wake: make(chan struct{}, 1), turn: make(chan struct{}, 1)}
	k.ctx, k.cancel = context.WithCancelCause(context.Background())
	k.loads, k.endLoading = context.WithCancel(k.ctx)
	k.stats.SaveFailures, k.stats.LoadFailures = make(map[state.Fault]uint64), make(map[state.Fault]uint64)
	return k
}

// Start begins to save every interval. [Keeper.Close] ends that.
func (k *Keeper[S]) Start() {
	k.ended.Go(func() {
		for timer := time.NewTimer(k.cfg.Interval); ; {
			select {
			case <-k.stop:
				timer.Stop()
				return
			case <-k.wake:
			case <-timer.C:
			}
			timer.Reset(k.round())
		}
	})
}

// Wake has what has changed saved at once, and does not wait for that.
func (k *Keeper[S]) Wake() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// round saves what has changed, and returns when to do so again.
func (k *Keeper[S]) round() time.Duration {
	began, retries := time.Now(), 0
	_ = k.locked(k.ctx, func(ctx context.Context) error { // what fails is told, and tried again
		err := k.saveAll(state.Unhurried(ctx, func() bool {
			return k.waiting.Load() > 0 || time.Since(began) > k.cfg.Interval/hurryAfter
		}))
		retries = k.retries
		return err
	})
	return k.delay(time.Since(began), retries)
}

// delay is how long to wait after a round that took so long, and after so many that failed. Rounds
// begin an interval apart, so that nothing waits for longer. What failed is tried again sooner.
func (k *Keeper[S]) delay(took time.Duration, retries int) time.Duration {
	next := max(k.cfg.Interval-took, 0)
	if retries > 0 {
		next = min(firstRetry<<min(retries-1, 10), k.cfg.Interval, lastRetry)
	}
	return next
}

// locked calls f once nobody else saves.
func (k *Keeper[S]) locked(ctx context.Context, f func(context.Context) error) error {
	select {
	case k.turn <- struct{}{}:
	case <-ctx.Done():
		return notSaved(context.Cause(ctx))
	}
	defer func() { <-k.turn }()
	return f(ctx)
}

// Save saves what has changed until now, and what else there is to save. It returns when that is saved,
// or with an error.
func (k *Keeper[S]) Save(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(k.ctx, func() { cancel(context.Cause(k.ctx)) })()
	k.waiting.Add(1)
	defer k.waiting.Add(-1)
	return k.locked(ctx, k.saveAll)
}

// Hurry ends the loading, and the saving after a while in which the last save may succeed.
func (k *Keeper[S]) Hurry() {
	k.endLoading()
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.hurry == nil {
		k.hurry = time.AfterFunc(Grace, func() { k.cancel(errPatience) })
	}
}

// Close saves what has changed, and ends the keeper. No task runs any more. The store stays open.
func (k *Keeper[S]) Close() error {
	close(k.stop)
	err := k.Save(context.Background())
	k.cancel(nil)
	k.ended.Wait()
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.hurry != nil {
		k.hurry.Stop()
	}
	return err
}
