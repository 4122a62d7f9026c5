package abi

import (
	"encoding/binary"
	"errors"
	"strconv"
)

// A frame carries the items of one call. All integers are little-endian u32,
// every part starts at a multiple of 8 bytes from the start of the frame, and
// nothing follows the last part.
//
//	input   "RHI1" count, then per item: payload length, state length,
//	        payload, padding, state, padding
//	output  "RHO1" count, then per item: status, payload length, state length,
//	        0, payload, padding, state, padding
//
// The bytes of the padding have no meaning.
const (
	inputMagic  = 'R' | 'H'<<8 | 'I'<<16 | '1'<<24
	outputMagic = 'R' | 'H'<<8 | 'O'<<16 | '1'<<24

	frameHeader  = 8
	inputHeader  = 8
	outputHeader = 16
)

// ErrFrame is wrapped by every error about a malformed frame. The errors name the item, from 0,
// its field, and the field's offset in the frame in bytes.
var ErrFrame = errors.New("malformed frame")

// frameError says where a frame is malformed. Package fmt would say it as well,
// at the price of half a megabyte in every plugin.
type frameError string

func (e frameError) Error() string { return ErrFrame.Error() + ": " + string(e) }
func (e frameError) Unwrap() error { return ErrFrame }

// malformed says what is wrong with a field of the item that is read, which begins at byte at of
// the frame.
func (r *reader) malformed(field string, at int, rule string) error {
	return frameError("item " + strconv.Itoa(r.n-r.left) + ": " + field + " at byte " + strconv.Itoa(at) + ": " + rule)
}

// Item is one task of an input frame.
type Item struct {
	// Payload is the argument, in the media type the manifest states.
	Payload []byte
	// State is what the transform keeps between the tasks of one stream; empty
	// at a stream's beginning, without a stream, and where the transform keeps
	// none.
	State []byte
}

// Result is one answer of an output frame, at the index of its item.
type Result struct {
	Status Status
	// Payload is the output, or the message where Status is not [StatusOK].
	Payload []byte
	// State replaces the item's state if Status is [StatusOK].
	State []byte
}

func align(n int) int { return (n + 7) &^ 7 }

// InputSize returns the length in bytes of the frame that carries items.
func InputSize(items []Item) int {
	n := frameHeader
	for i := range items {
		n += inputHeader + align(len(items[i].Payload)) + align(len(items[i].State))
	}
	return n
}

// AppendInput appends the frame that carries items to dst, whose length must be
// a multiple of 8, and returns the extended slice.
func AppendInput(dst []byte, items []Item) []byte {
	dst = appendHeader(dst, inputMagic, len(items))
	for i := range items {
		it := &items[i]
		dst = binary.LittleEndian.AppendUint32(dst, uint32(len(it.Payload)))
		dst = binary.LittleEndian.AppendUint32(dst, uint32(len(it.State)))
		dst = appendPadded(dst, it.Payload)
		dst = appendPadded(dst, it.State)
	}
	return dst
}

// OutputSize returns the length in bytes of the frame that carries results.
func OutputSize(results []Result) int {
	n := frameHeader
	for i := range results {
		n += outputHeader + align(len(results[i].Payload)) + align(len(results[i].State))
	}
	return n
}

// AppendOutput appends the frame that carries results to dst, whose length must
// be a multiple of 8, and returns the extended slice.
func AppendOutput(dst []byte, results []Result) []byte {
	dst = AppendOutputHeader(dst, len(results))
	for i := range results {
		r := &results[i]
		at := len(dst)
		dst = append(ReserveResult(dst), r.Payload...)
		dst = FinishResult(dst, at, r.Status, r.State)
	}
	return dst
}

// AppendOutputHeader begins an output frame of count results. Each result is
// then written in place: [ReserveResult], the payload, [FinishResult].
func AppendOutputHeader(dst []byte, count int) []byte {
	return appendHeader(dst, outputMagic, count)
}

// ReserveResult appends room for the lengths of a result, whose payload is to be
// appended next.
func ReserveResult(dst []byte) []byte {
	if n := len(dst) + outputHeader; n <= cap(dst) {
		return dst[:n] // FinishResult writes all of it
	}
	return append(dst, make([]byte, outputHeader)...)
}

// FinishResult ends the result whose [ReserveResult] was called with len(dst) ==
// at: it writes status and lengths, and appends the padding and the state. The
// state may lie in dst's own memory, past the payload.
func FinishResult(dst []byte, at int, status Status, state []byte) []byte {
	end := len(dst)
	from := align(end)
	to := from + len(state)
	if n := align(to); n <= cap(dst) {
		dst = dst[:n]
	} else {
		dst = append(dst, make([]byte, n-end)...)
	}
	if len(state) > 0 {
		copy(dst[from:], state) // before the padding, which may be where it lies
	}
	for i := end; i < from; i++ {
		dst[i] = 0
	}
	for i := to; i < len(dst); i++ {
		dst[i] = 0
	}
	h := dst[at : at+outputHeader]
	binary.LittleEndian.PutUint64(h, uint64(status)|uint64(end-at-outputHeader)<<32)
	binary.LittleEndian.PutUint64(h[8:], uint64(len(state)))
	return dst
}

func appendHeader(dst []byte, magic uint32, count int) []byte {
	return binary.LittleEndian.AppendUint64(dst, uint64(magic)|uint64(count)<<32)
}

// appendPadded appends b and then zeros up to a multiple of 8.
func appendPadded(dst, b []byte) []byte {
	if len(b) == 0 { // as most states
		return dst
	}
	dst = append(dst, b...)
	var zeros [8]byte
	return append(dst, zeros[:align(len(dst))-len(dst)]...)
}

// reader walks a frame whose every length is checked before it is used.
type reader struct {
	rest []byte
	size int // of the frame
	left int
	n    int
}

// at returns the offset of rest in the frame.
func (r *reader) at() int { return r.size - len(r.rest) }

func newReader(frame []byte, magic uint32, header int) (reader, error) {
	if len(frame) < frameHeader {
		return reader{}, frameError("it has " + strconv.Itoa(len(frame)) + " bytes, its header alone has " + strconv.Itoa(frameHeader))
	}
	if got := binary.LittleEndian.Uint32(frame); got != magic {
		return reader{}, frameError("magic number at byte 0: must be 0x" + strconv.FormatUint(uint64(magic), 16) + ", is 0x" + strconv.FormatUint(uint64(got), 16))
	}
	count := binary.LittleEndian.Uint32(frame[4:])
	rest := frame[frameHeader:]
	if uint64(count)*uint64(header) > uint64(len(rest)) {
		return reader{}, frameError("count at byte 4: " + strconv.FormatUint(uint64(count), 10) + " items have headers of " +
			strconv.FormatUint(uint64(count)*uint64(header), 10) + " bytes, and " + strconv.Itoa(len(rest)) + " bytes follow the count")
	}
	return reader{rest: rest, size: len(frame), left: int(count), n: int(count)}, nil
}

// header returns the next n bytes, of which newReader's check makes no promise:
// the items before it may have taken their room.
func (r *reader) header(n int) ([]byte, error) {
	if len(r.rest) < n {
		return nil, r.malformed("header", r.at(), "must have "+strconv.Itoa(n)+" bytes, "+strconv.Itoa(len(r.rest))+" are left")
	}
	h := r.rest[:n]
	r.rest = r.rest[n:]
	return h, nil
}

// part returns the next n bytes and leaves out their padding. Byte at of the frame is where it has n.
func (r *reader) part(n uint32, name string, at int) ([]byte, error) {
	left := uint64(len(r.rest))
	padded := (uint64(n) + 7) &^ 7
	switch {
	case uint64(n) > left:
		return nil, r.malformed("length of the "+name, at,
			strconv.FormatUint(uint64(n), 10)+" bytes from byte "+strconv.Itoa(r.at())+" on, of which "+strconv.FormatUint(left, 10)+" are left")
	case padded > left:
		return nil, r.malformed("padding of the "+name, r.at()+int(n),
			"must have "+strconv.FormatUint(padded-uint64(n), 10)+" bytes, so that it ends at a multiple of 8; "+strconv.FormatUint(left-uint64(n), 10)+" are left")
	}
	p := r.rest[:n:n]
	r.rest = r.rest[padded:]
	return p, nil
}

func (r *reader) done() error {
	if r.left == 0 && len(r.rest) != 0 {
		return frameError("it must end at byte " + strconv.Itoa(r.at()) + ", with its last item; it has " + strconv.Itoa(r.size) + " bytes")
	}
	return nil
}

// InputReader reads the items of an input frame in order. It allocates nothing;
// what it returns aliases the frame.
type InputReader struct{ r reader }

// ReadInput checks the header of an input frame and returns a reader of its
// items. Errors wrap [ErrFrame].
func ReadInput(frame []byte) (r InputReader, err error) {
	err = r.Reset(frame)
	return r, err
}

// Reset has r read another frame, as if it were of [ReadInput]. After an error, which wraps
// [ErrFrame], there is nothing to be read.
func (r *InputReader) Reset(frame []byte) (err error) {
	if len(frame) > frameHeader && binary.LittleEndian.Uint32(frame) == inputMagic { // the usual one
		if n := binary.LittleEndian.Uint32(frame[4:]); n > 0 && uint64(n)*inputHeader <= uint64(len(frame)-frameHeader) {
			r.r = reader{rest: frame[frameHeader:], size: len(frame), left: int(n), n: int(n)}
			return nil
		}
	}
	if r.r, err = newReader(frame, inputMagic, inputHeader); err == nil {
		err = r.r.done()
	}
	return err
}

// Len returns the number of items not yet read.
func (r *InputReader) Len() int { return r.r.left }

// Next returns the next item, which must be there: see [InputReader.Len].
// Errors wrap [ErrFrame] and end the frame.
func (r *InputReader) Next() (it Item, err error) {
	// The usual item in one step; what is wrong with another is told below.
	if rest := r.r.rest; len(rest) >= inputHeader {
		payload, state := uint64(binary.LittleEndian.Uint32(rest)), uint64(binary.LittleEndian.Uint32(rest[4:]))
		behind := inputHeader + (payload+7)&^7
		end := behind + (state+7)&^7
		if end == uint64(len(rest)) || end < uint64(len(rest)) && r.r.left > 1 {
			r.r.rest = rest[end:]
			r.r.left--
			return Item{rest[inputHeader : inputHeader+payload : inputHeader+payload], rest[behind : behind+state : behind+state]}, nil
		}
	}
	return r.next()
}

func (r *InputReader) next() (it Item, err error) {
	at := r.r.at()
	h, err := r.r.header(inputHeader)
	if err != nil {
		return Item{}, err
	}
	if it.Payload, err = r.r.part(binary.LittleEndian.Uint32(h), "payload", at); err != nil {
		return Item{}, err
	}
	if it.State, err = r.r.part(binary.LittleEndian.Uint32(h[4:]), "state", at+4); err != nil {
		return Item{}, err
	}
	r.r.left--
	return it, r.r.done()
}

// OutputReader reads the results of an output frame in order. It allocates
// nothing; what it returns aliases the frame.
type OutputReader struct{ r reader }

// ReadOutput checks the header of an output frame and returns a reader of its
// results. Errors wrap [ErrFrame].
func ReadOutput(frame []byte) (OutputReader, error) {
	r, err := newReader(frame, outputMagic, outputHeader)
	if err == nil {
		err = r.done()
	}
	return OutputReader{r}, err
}

// Len returns the number of results not yet read.
func (r *OutputReader) Len() int { return r.r.left }

// Next returns the next result, which must be there: see [OutputReader.Len].
// Errors wrap [ErrFrame] and end the frame.
func (r *OutputReader) Next() (res Result, err error) {
	at := r.r.at()
	h, err := r.r.header(outputHeader)
	if err != nil {
		return Result{}, err
	}
	res.Status = Status(binary.LittleEndian.Uint32(h))
	if !res.Status.Valid() {
		return Result{}, r.r.malformed("status", at, "must be "+strconv.Itoa(int(StatusOK))+" to "+strconv.Itoa(int(StatusFailed))+", is "+strconv.FormatUint(uint64(res.Status), 10))
	}
	if reserved := binary.LittleEndian.Uint32(h[12:]); reserved != 0 {
		return Result{}, r.r.malformed("reserved field", at+12, "must be 0, is "+strconv.FormatUint(uint64(reserved), 10))
	}
	if res.Payload, err = r.r.part(binary.LittleEndian.Uint32(h[4:]), "payload", at+4); err != nil {
		return Result{}, err
	}
	if res.State, err = r.r.part(binary.LittleEndian.Uint32(h[8:]), "state", at+8); err != nil {
		return Result{}, err
	}
	r.r.left--
	return res, r.r.done()
}
