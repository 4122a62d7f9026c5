package fleet

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/foreign"
)

// An answer is a head of 32 bytes and a body. All numbers are little-endian.
//
//	 0  2  magic, "RA"
//	 2  1  version, 1
//	 3  9  0
//	12 16  digest of the frame, or zeros if it could not be read
//	28  4  how many outcomes
//
// The body has the name of who answered, and then the outcomes in the order of the tasks. An outcome is a byte 0 and the output, or
// a byte 1 and the texts of a failure, each with its length before it, as 4 bytes.
const (
	answerMagic   = "RA"
	answerVersion = 1
	answerHead    = 32

	outcomeOutput  = 0
	outcomeFailure = 1
)

// maxDetail bounds each text of a failure.
const maxDetail = 4 << 10

// Answer is what came of a frame.
type Answer struct {
	// Host is the name of who answered.
	Host string
	// Digest is of the frame; zero if that could not be read.
	Digest Digest
	// Outcomes are those of the frame's tasks, in their order. In the stored form there is one of a frame that could not be read; for the client it
	// is that of each task.
	Outcomes []Outcome
}

// Outcome is what came of a task.
type Outcome struct {
	// Output is nil with a failure.
	Output []byte
	// Failure is nil with an output.
	Failure *Failure
}

// Failure says why a task failed. All texts are at most 4 KiB, and not to be trusted.
type Failure struct {
	Kind    host.Kind
	Message string
	// Field is the argument that is at fault, where that is known.
	Field string
	// Transform, Plugin, Version and Hash are as in [host.Error].
	Transform, Plugin, Version, Hash string
}

// FailureOf is what an answer has of a task's error, which [api.Failed] may make a host's.
func FailureOf(transform string, err error) *Failure {
	e := api.Of(transform, err)
	return &Failure{
		Kind: e.Kind, Message: e.Detail, Field: e.Field,
		Transform: e.Transform, Plugin: e.Plugin, Version: e.Version, Hash: api.Failed(transform, err).Hash,
	}
}

// sent is what is known of a frame that was sent.
type sent struct {
	digest Digest
	tasks  int
}

// fit holds an answer to the frame that it is to. An answer to a frame that the host could not read has one outcome, which is then that of each task.
func (a *Answer) fit(to sent) error {
	switch {
	case a.Digest == (Digest{}) && len(a.Outcomes) == 1:
		a.Outcomes = slices.Repeat(a.Outcomes, to.tasks)
	case a.Digest != to.digest:
		return ErrKeyReused
	case len(a.Outcomes) != to.tasks:
		return fmt.Errorf("%w: the answer has %d outcomes of %d tasks", ErrMalformed, len(a.Outcomes), to.tasks)
	}
	return nil
}

// Append appends the answer's stored form to b. Texts that are too long are cut.
func (a *Answer) Append(b []byte) []byte {
	b = append(b, answerMagic...)
	b = append(b, answerVersion, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	b = append(b, a.Digest[:]...)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(a.Outcomes)))
	b = appendText(b, a.Host)
	for i := range a.Outcomes {
		o := &a.Outcomes[i]
		if o.Failure == nil {
			b = append(b, outcomeOutput)
			b = appendText(b, o.Output)
			continue
		}
		b = append(b, outcomeFailure)
		for _, text := range o.Failure.texts() {
			b = appendText(b, cut(*text))
		}
	}
	return b
}

// texts are those of a failure, in the order of the stored form.
func (f *Failure) texts() [7]*string {
	return [...]*string{(*string)(&f.Kind), &f.Message, &f.Field, &f.Transform, &f.Plugin, &f.Version, &f.Hash}
}

// cut returns at most maxDetail bytes of a text, which are UTF-8.
func cut(text string) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if len(text) <= maxDetail {
		return text
	}
	return clip(text, maxDetail)
}

// ParseAnswer reads what [Answer.Append] has written, and nothing else. Outputs share b's memory. Its error wraps [ErrMalformed].
func ParseAnswer(b []byte) (*Answer, error) {
	if err := checkHead(b, "answer", answerMagic, answerVersion, answerHead); err != nil {
		return nil, err
	}
	n := binary.LittleEndian.Uint32(b[28:])
	if [9]byte(b[3:12]) != [9]byte{} || n == 0 || n > MaxTasks {
		return nil, fmt.Errorf("%w: the answer has %d outcomes, and 1 to %d are allowed", ErrMalformed, n, MaxTasks)
	}
	a := &Answer{Digest: Digest(b[12:28]), Outcomes: make([]Outcome, n)}
	r := reader{rest: b[answerHead:]}
	a.Host = string(r.bytes())
	for i := range a.Outcomes {
		o := &a.Outcomes[i]
		switch r.byte() {
		case outcomeOutput:
			o.Output = r.bytes()
		case outcomeFailure:
			o.Failure = new(Failure)
			for _, text := range o.Failure.texts() {
				read := r.bytes()
				if *text = string(read); *text != cut(*text) {
					return nil, fmt.Errorf("%w: a text of outcome %d is too long or no UTF-8", ErrMalformed, i)
				}
			}
		default:
			r.bad = true
		}
	}
	if err := r.end("answer"); err != nil {
		return nil, err
	}
	if len(a.Host) > maxName || !printable(a.Host) {
		return nil, fmt.Errorf("%w: the name of who answered, %s, is no name", ErrMalformed, foreign.Cut(a.Host))
	}
	return a, nil
}
