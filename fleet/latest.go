package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
)

// Headers of what a server answers to a question for the last messages of several subjects.
const (
	headerStatus   = "Status"
	headerSubject  = "Nats-Subject"
	headerSequence = "Nats-Sequence"
	headerTime     = "Nats-Time-Stamp"
	headerBefore   = "Nats-Last-Sequence" // the number of the message before, 0 of the first
	headerLeft     = "Nats-Num-Pending"
	headerUpTo     = "Nats-UpTo-Sequence"
	headerWhy      = "Description"

	statusEnd  = "204"
	statusNone = "404"
	noResults  = "No Results"
)

// errTorn is of an answer of which a part was lost on its way.
var errTorn = fmt.Errorf("a part of what was asked for was lost: %w", nats.ErrTimeout)

// latest are the last messages of subjects, of one moment.
type latest struct {
	upTo     uint64 // the number of the last message that the server had in the stream; 0 if it has none of the subjects
	messages map[string]stored
}

// stored is a message of a stream.
type stored struct {
	sequence uint64
	at       time.Time
	data     []byte
}

// latest returns the last messages of at most 1024 subjects of the stream of results. Those without are left out. Any server may answer, and one may be
// behind the others. The client has no such call, and that of package jetstreamext takes what came for all there is.
func (f *Fleet) latest(ctx context.Context, subjects []string) (*latest, error) {
	question, err := json.Marshal(map[string][]string{"multi_last": subjects})
	if err != nil {
		return nil, err
	}
	inbox := f.nc.NewInbox()
	sub, err := f.nc.SubscribeSync(inbox)
	if err != nil {
		return nil, err
	}
	defer func() { _ = sub.Unsubscribe() }() // else the connection is closed
	if err := f.nc.PublishRequest("$JS.API.DIRECT.GET."+f.names.results, inbox, question); err != nil {
		return nil, err
	}
	l := &latest{messages: make(map[string]stored)}
	for last := uint64(0); ; {
		msg, err := sub.NextMsgWithContext(ctx)
		if err != nil {
			return nil, err
		}
		switch status := msg.Header.Get(headerStatus); {
		case status == statusNone && msg.Header.Get(headerWhy) == noResults:
			return l, nil
		case status == statusEnd:
			before, err1 := number(msg, headerBefore)
			left, err2 := number(msg, headerLeft)
			upTo, err3 := number(msg, headerUpTo)
			if err := errors.Join(err1, err2, err3); err != nil {
				return nil, err
			}
			if l.upTo = upTo; before != last || left != 0 {
				return nil, errTorn
			}
			return l, nil
		case status != "":
			return nil, fmt.Errorf("read the last messages of %d subjects: %s %s: %w", len(subjects), status, msg.Header.Get(headerWhy), nats.ErrTimeout)
		}
		before, err1 := number(msg, headerBefore)
		sequence, err2 := number(msg, headerSequence)
		at, err3 := time.Parse(time.RFC3339Nano, msg.Header.Get(headerTime))
		if err := errors.Join(err1, err2, err3); err != nil {
			return nil, err
		}
		if before != last {
			return nil, errTorn
		}
		last = sequence
		l.messages[msg.Header.Get(headerSubject)] = stored{sequence, at, msg.Data}
	}
}

// number is that of a header.
func number(msg *nats.Msg, header string) (uint64, error) {
	n, err := strconv.ParseUint(msg.Header.Get(header), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("the header %s of NATS's answer: %w", header, err)
	}
	return n, nil
}
