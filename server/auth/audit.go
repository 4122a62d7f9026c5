package auth

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"sync"
	"time"
)

// Record is an action of an administrator, or one of the server's own that changes who may do what.
type Record struct {
	// Time is when it ended; what [Trail.Add] has sets it.
	Time time.Time `json:"time"`
	// Who is the principal's name; "anonymous" where nobody is asked, "file" for a file that has
	// changed, and "signal" for who has sent one to the process.
	Who string `json:"who"`
	// From is the address that the request came from, "" without one.
	From string `json:"from,omitzero"`
	// Action is what was done, such as rollback, and Target what it was done to.
	Action string `json:"action"`
	Target string `json:"target,omitzero"`
	// Outcome is done, or failed.
	Outcome string `json:"outcome"`
	// Detail says why it failed, or what came of it.
	Detail string `json:"detail,omitzero"`
}

// Outcomes of records.
const (
	OutcomeDone   = "done"
	OutcomeFailed = "failed"
)

// Names of those who act without a principal.
const (
	WhoAnonymous = "anonymous"
	WhoFile      = "file"
	WhoSignal    = "signal"
)

// Trail keeps audit records: in the log, under one message, and in a file of JSON lines if it has
// one. It is safe for concurrent use. The zero value and nil keep nothing.
type Trail struct {
	log  *slog.Logger
	mu   sync.Mutex
	file *os.File // guarded by mu; nil for none
}

// NewTrail returns a trail in the log, and in a file if the path is not "". The file is made if need
// be, readable by its owner alone, and appended to. Each record is one write, which has reached the
// disk when Add returns.
func NewTrail(log *slog.Logger, path string) (*Trail, error) {
	t := &Trail{log: log}
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
	t.log.LogAttrs(ctx, slog.LevelInfo, Message, slog.Group("audit",
		slog.String("who", r.Who), slog.String("from", r.From), slog.String("action", r.Action),
		slog.String("target", r.Target), slog.String("outcome", r.Outcome), slog.String("detail", r.Detail)))
	if err := t.append(r); err != nil {
		t.log.ErrorContext(ctx, "the audit file did not take a record", "error", err, "action", r.Action, "target", r.Target, "who", r.Who)
	}
}

// Request keeps a record of what a request did, or failed to do.
func (t *Trail) Request(r *http.Request, action, target, detail string, err error) {
	who := WhoAnonymous
	if p := Of(r.Context()); !p.Anonymous() {
		who = p.Name()
	}
	rec := Record{Who: who, From: r.RemoteAddr, Action: action, Target: target, Outcome: OutcomeDone, Detail: detail}
	if err != nil {
		rec.Outcome, rec.Detail = OutcomeFailed, err.Error()
	}
	t.Add(r.Context(), rec)
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
	if _, err := t.file.Write(append(line, '\n')); err != nil {
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
