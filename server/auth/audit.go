package auth

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// Record is an action of an administrator, or one of the server's own that changes who may do what.
type Record struct {
	// Time is when it ended; what [Trail.Add] has sets it.
	Time time.Time `json:"time"`
	// Who is the principal's name; "anonymous" where nobody is asked, "unknown" for who has not shown
	// who it is, "file" for a file that has changed, and "signal" for who has sent one to the process.
	Who string `json:"who"`
	// From is the address that the request came from, "" without one.
	From string `json:"from,omitzero"`
	// Action is what was done, such as rollback, and Target what it was done to.
	Action string `json:"action"`
	Target string `json:"target,omitzero"`
	// Outcome is done or failed, or refused to who may not do that. It is begun before an action is
	// done, of which a later record says how it ended.
	Outcome string `json:"outcome"`
	// Detail says why it failed, or what came of it.
	Detail string `json:"detail,omitzero"`
	// Unrecorded is how many actions were refused since the record before of one that was, and have none: there
	// may be very many.
	Unrecorded int64 `json:"unrecorded,omitzero"`
}

// Outcomes of records.
const (
	OutcomeBegun   = "begun"
	OutcomeDone    = "done"
	OutcomeFailed  = "failed"
	OutcomeRefused = "refused"
)

// Names of those who act without a principal.
const (
	WhoAnonymous = "anonymous"
	WhoUnknown   = "unknown"
	WhoFile      = "file"
	WhoSignal    = "signal"
)

// Trail keeps audit records: in the log, under one message and whatever the log's level, and in a file of JSON lines if it has
// one. It is safe for concurrent use. The zero value and nil keep nothing.
type Trail struct {
	log  *slog.Logger
	mu   sync.Mutex
	file *os.File // guarded by mu; nil for none
	torn bool     // guarded by mu; the file ends within a line

	// Refusals of principals are bounded apart from those of others, so that these cannot hide them.
	principals, strangers refusals
}

// refusals are actions that were refused, of which some each second are recorded at most.
type refusals struct {
	some       *rate.Limiter
	unrecorded atomic.Int64
}

// Refusals beyond one a second, and so many at once, have no record.
const (
	refusalsPerSecond = 1
	refusalsAtOnce    = 20
)

// NewTrail returns a trail in the log, and in a file if the path is not "". The file is made if need
// be, readable by its owner alone, and appended to. Each record is one write, which has reached the
// disk when Add returns.
func NewTrail(log *slog.Logger, path string) (*Trail, error) {
	t := &Trail{log: log}
	t.principals.some = rate.NewLimiter(refusalsPerSecond, refusalsAtOnce)
	t.strangers.some = rate.NewLimiter(refusalsPerSecond, refusalsAtOnce)
	if path == "" {
		return t, nil
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	t.file = f
	return t, nil
}

// Message is what the log has with every record.
const Message = "audit"

// Add keeps a record. One that the file does not take is in the log all the same, which says so.
func (t *Trail) Add(ctx context.Context, r Record) {
	if t == nil || t.log == nil {
		return
	}
	r.Time = time.Now().UTC()
	rec := slog.NewRecord(r.Time, slog.LevelInfo, Message, 0)
	rec.AddAttrs(slog.Group("audit",
		slog.String("who", r.Who), slog.String("from", r.From), slog.String("action", r.Action),
		slog.String("target", r.Target), slog.String("outcome", r.Outcome), slog.String("detail", r.Detail), slog.Int64("unrecorded", r.Unrecorded)))
	// The logger would leave it out if its level is above info.
	_ = t.log.Handler().Handle(ctx, rec) // as the logger does, which has nobody to tell either
	_ = t.keep(ctx, r)                   // the log has it
}

// keep appends a record to the file. The log says of one that the file does not take.
func (t *Trail) keep(ctx context.Context, r Record) error {
	err := t.append(r)
	if err != nil {
		t.log.ErrorContext(ctx, "the audit file did not take a record", "error", err, "action", r.Action, "target", r.Target, "who", r.Who, "outcome", r.Outcome)
	}
	return err
}

// Begin keeps in the file that a request's action is about to be done. With an error it must not be: the
// file takes no records, and there would be none of the action. Afterwards Request keeps how it ended.
func (t *Trail) Begin(r *http.Request, action, target string) error {
	if t == nil || t.log == nil {
		return nil
	}
	rec := requested(r, action, target, OutcomeBegun)
	rec.Time = time.Now().UTC()
	return t.keep(r.Context(), rec)
}

// requested is a record of a request.
func requested(r *http.Request, action, target, outcome string) Record {
	who := WhoAnonymous
	if p := Of(r.Context()); !p.Anonymous() {
		who = p.Name()
	}
	return Record{Who: who, From: r.RemoteAddr, Action: action, Target: target, Outcome: outcome}
}

// Request keeps a record of what a request did, or failed to do.
func (t *Trail) Request(r *http.Request, action, target, detail string, err error) {
	rec := requested(r, action, target, OutcomeDone)
	rec.Detail = detail
	if err != nil {
		rec.Outcome, rec.Detail = OutcomeFailed, err.Error()
	}
	t.Add(r.Context(), rec)
}

// Refused keeps a record of an action that a request may not do, whose principal is nil if it has not shown
// who it is. recorded is false for one of very many: then the next record says how many there were.
func (t *Trail) Refused(r *http.Request, who *Principal, action, target string, err error) (recorded bool) {
	if t == nil || t.log == nil {
		return false
	}
	name, of := WhoUnknown, &t.strangers
	if who != nil {
		name, of = who.Name(), &t.principals
	}
	if !of.some.Allow() {
		of.unrecorded.Add(1)
		return false
	}
	t.Add(r.Context(), Record{
		Who: name, From: r.RemoteAddr, Action: action, Target: target, Outcome: OutcomeRefused, Detail: err.Error(), Unrecorded: of.unrecorded.Swap(0),
	})
	return true
}

func (t *Trail) append(r Record) error {
	line, err := json.Marshal(r)
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.file == nil {
		return nil
	}
	line = append(line, '\n')
	if t.torn { // what is there of the record before must not spoil this one
		line = append([]byte("\n"), line...)
	}
	n, err := t.file.Write(line)
	if n > 0 {
		t.torn = line[n-1] != '\n'
	}
	if err != nil {
		return err
	}
	return t.file.Sync()
}

// Close closes the file. Records that come later are in the log alone.
func (t *Trail) Close() error {
	if t == nil {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.file == nil {
		return nil
	}
	f := t.file
	t.file = nil
	return errors.Join(f.Sync(), f.Close())
}
