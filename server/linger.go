package server

import (
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/resonhost/resonhost/host"
)

// Bounds of what is read and thrown away of a body that was answered before its end. All of it may
// take Options.StallTimeout.
const (
	// lingerBytes is how much that is at most: the longest input that any setting allows.
	lingerBytes = host.MaxFrameBytes
	// lingerPause is how long the client may send nothing.
	lingerPause = 5 * time.Second
	// lingerRate is how much of all such bodies is read in a second, and lingerBurst how much at once: to
	// read them as fast as they come would leave others no processor.
	lingerRate  = 32 << 20
	lingerBurst = 8 << 20
	// small is how much net/http reads and throws away by itself before it answers.
	small = 256 << 10
)

// refuse is called before an answer that is an error. If the body is not read to its end, it has the
// answer sent before that: net/http would first read some of it, for which a client may wait to be
// asked. The connection is of no further use then.
func (w *response) refuse() {
	r := w.request
	switch {
	case w.status != 0, w.whole, r.ContentLength >= 0 && r.ContentLength <= small, !r.ProtoAtLeast(1, 1), r.ProtoMajor > 1:
		return
	case w.control.EnableFullDuplex() != nil:
		return
	}
	w.waits = false
	w.Header().Set("Connection", "close")
	w.lingers = w.asked || r.Header.Get("Expect") == "" // else the client does not send before it has an answer
}

// linger sends the answer, and then reads what the client still sends, as far as the bounds above.
// To close a connection with bytes that nobody has read resets it, and a client who sends all of a
// body before it reads would lose the answer. It reports whether the body came to its end.
func (s *Server) linger(w *response) (whole bool) {
	if w.FlushError() != nil {
		return false
	}
	rest := &remainder{server: s, w: w, end: time.Now().Add(s.opts.StallTimeout)}
	_, err := io.CopyN(io.Discard, rest, lingerBytes) // it ends one way or another
	w.extend()                                        // for the answer's end
	return errors.Is(err, io.EOF)
}

// remainder is the rest of a body, until it is too late for it.
type remainder struct {
	server *Server
	w      *response
	end    time.Time
}

var errLate = errors.New("the rest of the body came too late")

func (r *remainder) Read(p []byte) (int, error) {
	now := time.Now()
	if r.server.isDraining() || !now.Before(r.end) {
		return 0, errLate
	}
	pause := now.Add(lingerPause)
	if pause.After(r.end) {
		pause = r.end
	}
	if err := r.w.control.SetReadDeadline(pause); err != nil {
		return 0, err
	}
	n, err := r.w.request.Body.Read(p)
	if err == nil {
		err = r.pace(n)
	}
	return n, err
}

// pace waits until n bytes may have been read.
func (r *remainder) pace(n int) error {
	now := time.Now()
	turn := r.server.rests.ReserveN(now, n) // io.Discard reads fewer than lingerBurst
	wait := turn.DelayFrom(now)
	if wait <= 0 {
		return nil
	}
	if now.Add(wait).After(r.end) {
		turn.CancelAt(now)
		return errLate
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-r.server.draining:
		return errLate
	}
}

// responseOf returns the server's own writer.
func responseOf(w http.ResponseWriter) *response {
	out, _ := w.(*response)
	return out
}
