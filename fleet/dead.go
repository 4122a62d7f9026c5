package fleet

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/resonhost/resonhost/host"
)

// Headers of a dead letter. Its body is the message as it was submitted.
const (
	// HeaderFrame is the ID of the frame, as it was submitted.
	HeaderFrame = "Resonhost-Frame"
	// HeaderReason says why it is dead.
	HeaderReason = "Resonhost-Reason"
	// HeaderDeliveries is how often it was given to a host.
	HeaderDeliveries = "Resonhost-Deliveries"
	// HeaderSubmitted is when it was accepted, as RFC 3339 has times.
	HeaderSubmitted = "Resonhost-Submitted"
	// HeaderHistory is there once for each host that left it to another, in their order: when, which host, and why.
	HeaderHistory = "Resonhost-History"
	// HeaderCut is how many bytes the body had, if the letter had no room for it as a whole.
	HeaderCut = "Resonhost-Cut"
)

// maxReason bounds what a dead letter says, in bytes, and maxHistory how many hosts it names.
const (
	maxReason  = 512
	maxHistory = 16
)

// buryTimeout is how long a host tries to store a dead letter. Then the frame is left, and the letter is tried again later.
const buryTimeout = 2 * callTimeout

// letter is a dead letter.
type letter struct {
	name       string
	message    *jetstream.RawStreamMsg // its header, data and time
	deliveries uint64
	reason     string
}

func letterName(sequence uint64, at time.Time) string {
	return strconv.FormatUint(sequence, 10) + "-" + strconv.FormatInt(at.UnixNano(), 10)
}

// oneLine makes text of others fit for a header.
func oneLine(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, cut(text))
	return clip(text, maxReason)
}

// answer is what the submitter of a dead letter is told.
func (l *letter) answer(by string, kind host.Kind) *Answer {
	a := &Answer{Host: by}
	n, transform := 1, ""
	if f, err := ParseFrame(l.message.Data); err == nil {
		n, transform, a.Digest = len(f.Tasks), f.Transform, digest(l.message.Data)
	}
	a.Outcomes = same(n, &Failure{Kind: kind, Transform: transform, Message: "the frame was given up, and is a dead letter: " + l.reason})
	return a
}

// bury stores a dead letter, unless it is there already.
func (f *Fleet) bury(ctx context.Context, l *letter) error {
	ctx, cancel := context.WithTimeout(ctx, buryTimeout)
	defer cancel()
	msg := &nats.Msg{Subject: f.names.deadLetter(l.name), Data: l.message.Data, Header: nats.Header{}}
	h := msg.Header
	h.Set(HeaderFrame, oneLine(l.message.Header.Get(nats.MsgIdHdr)))
	h.Set(HeaderReason, oneLine(l.reason))
	h.Set(HeaderDeliveries, strconv.FormatUint(l.deliveries, 10))
	h.Set(HeaderSubmitted, l.message.Time.UTC().Format(time.RFC3339Nano))
	for _, note := range f.history(ctx, l.name) {
		h.Add(HeaderHistory, note)
	}
	if room := f.limit - 4*headerRoom; len(msg.Data) > room {
		h.Set(HeaderCut, strconv.Itoa(len(msg.Data)))
		msg.Data = msg.Data[:room]
	}
	f.burying.Lock() // so that what two letters push out is not counted twice
	defer f.burying.Unlock()
	before := f.tellFull(ctx, msg.Size())
	if _, err := f.publishOnce(ctx, msg); err != nil {
		return err
	}
	if before != nil {
		if after, err := f.dead.Info(ctx); err == nil {
			f.deadDropped.Add(after.State.FirstSeq - before.State.FirstSeq)
		}
	}
	return nil
}

// tellFull tells the log that the oldest dead letters make room for one of a size: once, until half of the room is free again. A
// stream that discards is full at one letter and not at the next. It returns how the stream is if it is full, else nil.
func (f *Fleet) tellFull(ctx context.Context, size int) *jetstream.StreamInfo {
	info, err := f.dead.Info(ctx)
	if err != nil {
		return nil // storing the letter fails likewise, and tells why
	}
	most := uint64(max(info.Config.MaxBytes, 0))
	switch full := most > 0 && info.State.Bytes+uint64(size) > most; {
	case !full && info.State.Bytes <= most/2:
		f.deadFull.Store(false)
		return nil
	case !full:
		return nil
	case f.deadFull.Swap(true):
		return info
	}
	f.log.Warn("the dead letters have no room: the oldest are discarded for new ones", "fleet", f.cfg.Fleet,
		"stream", f.names.dead, "letters", info.State.Msgs, "bytes", info.State.Bytes, "oldest", info.State.FirstTime)
	return info
}

// note stores why a host leaves a frame to another, for its history should it become a dead letter. The history is a help: a
// note that cannot be stored is told to the log.
func (d *delivery) note(ctx context.Context, why error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	f := d.w.fleet
	text := oneLine(fmt.Sprintf("%s %s: %v", time.Now().UTC().Format(time.RFC3339), f.cfg.Name, why))
	msg := &nats.Msg{Subject: f.names.note(d.letter(), strconv.FormatUint(d.meta.NumDelivered, 10)), Data: []byte(text)}
	f.age(msg)
	if _, err := f.js.PublishMsg(ctx, msg); err != nil {
		d.w.log.Debug("why a frame is left to another host could not be stored", "frame", d.name(), "error", err)
	}
}

// history returns the notes of a letter, the last maxHistory of them.
func (f *Fleet) history(ctx context.Context, name string) (notes []string) {
	info, err := f.results.Info(ctx, jetstream.WithSubjectFilter(f.names.note(name, "*")))
	if err != nil {
		return []string{oneLine("the history could not be read: " + err.Error())}
	}
	var numbers []int
	for subject := range info.State.Subjects {
		if n, err := strconv.Atoi(subject[strings.LastIndexByte(subject, '.')+1:]); err == nil {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	for _, n := range numbers[max(0, len(numbers)-maxHistory):] {
		msg, err := f.results.GetLastMsgForSubject(ctx, f.names.note(name, strconv.Itoa(n)))
		if err != nil {
			continue // it aged meanwhile
		}
		notes = append(notes, oneLine(string(msg.Data)))
	}
	return notes
}
