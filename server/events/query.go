package events

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/host/event"
	"github.com/resonhost/resonhost/internal/foreign"
	"github.com/resonhost/resonhost/internal/spell"
)

// Query parameters of a stream of events.
const (
	ParameterKinds     = "kinds"
	ParameterPlugin    = "plugin"
	ParameterTransform = "transform"
	ParameterOutputs   = "outputs"
	ParameterRate      = "rate"
	ParameterLast      = "last_event_id"
)

// HeaderLast is where a client that comes again says which event it had last.
const HeaderLast = "Last-Event-ID"

// MaxRate is the largest Query.Rate.
const MaxRate = 1_000_000

// maxName is how long names and IDs may be that a client gives, in bytes.
const maxName = 256

// Query is what a client asks for. The zero value is all that happens from now on, without outputs.
type Query struct {
	// Kinds are those of the events; all if there are none.
	Kinds []event.Kind
	// Plugin and Transform, if not "", leave out all events that are of another, or of none.
	Plugin, Transform string
	// Outputs is whether task.completed has the outputs of tasks.
	Outputs bool
	// Rate, if not 0, is how many events a second the client gets of the kinds that are transient (see
	// [event.Kind.Transient]), a quarter of them at once at most. Others are left out and counted: a client that
	// shows what happens need not make the server write down each task.
	Rate int
	// Last is the ID of the event after which to begin, "0" for all that is kept, "" for now.
	Last string
	// Tenant, if not nil, leaves out tasks of other tenants, and the kinds that are not for tenants (see
	// [event.Kind.ForTenants]). No parameter sets it.
	Tenant *string
	// Owner is whose stream it is, most often a tenant. It has to leave others some, see
	// [Options.MaxStreams]. No parameter sets it.
	Owner string
	// Notes are told the client when the stream begins. No parameter sets them.
	Notes []string
	// Withdrawn, if not nil, is closed once the client may no longer have the stream, which then ends.
	Withdrawn <-chan struct{}
}

// Parse reads the parameters and headers of a request. of are the kinds that there are on this
// stream; all if there are none. Its error is an [*abi.FieldError].
func Parse(r *http.Request, of ...event.Kind) (q Query, err error) {
	values := r.URL.Query()
	if values.Has(ParameterKinds) {
		if q.Kinds, err = parseKinds(values.Get(ParameterKinds), of); err != nil {
			return Query{}, err
		}
	} else {
		q.Kinds = of
	}
	for name, to := range map[string]*string{ParameterPlugin: &q.Plugin, ParameterTransform: &q.Transform, ParameterLast: &q.Last} {
		if !values.Has(name) {
			continue
		}
		if *to = values.Get(name); *to == "" || len(*to) > maxName {
			return Query{}, &abi.FieldError{Field: name, Rule: fmt.Sprintf("must have 1 to %d bytes, has %d", maxName, len(*to))}
		}
	}
	if values.Has(ParameterOutputs) {
		switch values.Get(ParameterOutputs) {
		case "true":
			q.Outputs = true
		case "false":
		default:
			return Query{}, &abi.FieldError{Field: ParameterOutputs, Rule: "must be true or false"}
		}
	}
	if values.Has(ParameterRate) {
		if q.Rate, err = strconv.Atoi(values.Get(ParameterRate)); err != nil || q.Rate < 1 || q.Rate > MaxRate {
			return Query{}, &abi.FieldError{Field: ParameterRate, Rule: fmt.Sprintf("must be a number from 1 to %d", MaxRate)}
		}
	}
	// The header goes first: a browser that comes again asks for the same URL, with its header.
	lasts := r.Header.Values(HeaderLast)
	if len(lasts) > 1 {
		return Query{}, &abi.FieldError{Field: HeaderLast, Rule: "must not be there twice"}
	}
	if last := r.Header.Get(HeaderLast); last != "" {
		if len(last) > maxName {
			return Query{}, &abi.FieldError{Field: HeaderLast, Rule: fmt.Sprintf("must have at most %d bytes, has %d", maxName, len(last))}
		}
		q.Last = last
	}
	return q, nil
}

func parseKinds(list string, of []event.Kind) (kinds []event.Kind, err error) {
	if len(of) == 0 {
		of = event.Kinds()
	}
	names := namesOf(of)
	for name := range strings.SplitSeq(list, ",") {
		i := slices.Index(names, name)
		if i < 0 {
			rule := fmt.Sprintf("has %q, which is no kind of these events", foreign.Cut(name))
			if did := spell.DidYouMean(name, names); did != "" {
				rule += did
			} else {
				rule += spell.ThereAre(names)
			}
			return nil, &abi.FieldError{Field: ParameterKinds, Rule: rule}
		}
		if !slices.Contains(kinds, of[i]) {
			kinds = append(kinds, of[i])
		}
	}
	return kinds, nil
}

func namesOf(kinds []event.Kind) []string {
	names := make([]string, len(kinds))
	for i, k := range kinds {
		names[i] = k.String()
	}
	return names
}

// match returns what a client that asks so receives of a body; nil for nothing.
func (q *Query) match(b event.Body) event.Body {
	if q.Tenant != nil && !b.Kind().ForTenants() {
		return nil
	}
	switch b := b.(type) {
	case event.TaskCompleted:
		switch {
		case q.Tenant != nil && b.Tenant != *q.Tenant,
			q.Plugin != "" && b.Plugin != q.Plugin,
			q.Transform != "" && b.Transform != q.Transform:
			return nil
		}
		if !q.Outputs && b.Output != nil {
			b.Output = nil
			return b
		}
	case event.PluginChanged:
		if q.Transform != "" || q.Plugin != "" && b.Plugin != q.Plugin {
			return nil
		}
	case event.PluginLogged:
		if q.Transform != "" || q.Plugin != "" && b.Plugin != q.Plugin && b.Source != q.Plugin {
			return nil
		}
	default:
		if q.Plugin != "" || q.Transform != "" {
			return nil
		}
	}
	return b
}

// ID is where an event stands: in the stream of the feed's epoch, by its number. Another stream, such
// as the same server's after a restart, has another epoch.
func (f *Feed) ID(seq uint64) string { return f.epoch + "-" + strconv.FormatUint(seq, 10) }

// after returns the number of the event after which a client goes on. known is false if its ID is
// not of this stream.
func (f *Feed) after(last string) (seq uint64, known bool) {
	if last == "0" {
		return 0, true
	}
	number, ok := strings.CutPrefix(last, f.epoch+"-")
	if !ok {
		return 0, false
	}
	seq, err := strconv.ParseUint(number, 10, 64)
	if err != nil || f.ID(seq) != last {
		return 0, false
	}
	return seq, true
}
