package server

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/server/auth"
	"github.com/resonhost/resonhost/server/replay"
)

// HeaderIdempotencyKey names a request that may be sent again: the second one gets the answer of the first, and
// is not done. It is that of the IETF's draft httpapi-idempotency-key-header.
const HeaderIdempotencyKey = "Idempotency-Key"

// HeaderReplayed is true in an answer that was given before.
const HeaderReplayed = "Idempotency-Replayed"

// keyParameter describes HeaderIdempotencyKey.
var keyParameter = Parameter{
	Name: HeaderIdempotencyKey, Description: "Names the request: one that is sent again with the same key gets the first answer, and is not done again.",
}

// keyOf returns the key of a request, "" without one.
func keyOf(r *http.Request) (string, error) {
	values := r.Header[HeaderIdempotencyKey]
	switch len(values) {
	case 0:
		return "", nil
	case 1:
		name, err := replay.ParseKey(values[0])
		if err != nil {
			err = &abi.FieldError{Field: HeaderIdempotencyKey, Rule: err.Error()}
		}
		return name, err
	}
	return "", &abi.FieldError{Field: HeaderIdempotencyKey, Rule: "must not be there twice"}
}

// once is called with the whole body of a request, before anything is done of it. It reports whether
// that is to be done: the request has no key, or is the first with it, whose answer will be kept. Else it has answered.
func (s *Server) once(w http.ResponseWriter, r *http.Request, body []byte) (ok bool) {
	out := responseOf(w)
	if len(r.Header[HeaderIdempotencyKey]) == 0 || out == nil {
		return true
	}
	name, err := keyOf(r)
	var tenant string
	if err == nil {
		tenant, err = s.tenantOf(r)
	}
	if err != nil {
		s.fail(w, r, "", err)
		return false
	}
	call, answer, err := s.replays.Begin(replay.Key{Tenant: tenant, Principal: auth.Of(r.Context()).Name(), Name: name}, digestOf(r, body))
	switch {
	case answer != nil:
		out.again(answer)
	case errors.Is(err, replay.ErrReused):
		writeProblem(w, problem(api.KindKeyReused, "", fmt.Sprintf("%s: %v, with another method, path, query, body or stream", HeaderIdempotencyKey, err)))
	case errors.Is(err, replay.ErrBusy):
		w.Header().Set("Retry-After", strconv.Itoa(retryAfter))
		writeProblem(w, problem(api.KindKeyInUse, "", fmt.Sprintf("%s: %v", HeaderIdempotencyKey, err)))
	case errors.Is(err, replay.ErrLarge):
		writeProblem(w, problem(api.KindConflict, "", fmt.Sprintf("%s: %v (an eighth of --idempotency-bytes); a request with another key is done anew", HeaderIdempotencyKey, err)))
	case err != nil:
		writeProblem(w, problem(host.KindQueueFull, "", fmt.Sprintf("%s: %v (--idempotency-keys)", HeaderIdempotencyKey, err)))
	}
	out.call = call
	return call != nil
}

// digestOf is what a request asks for. How its body was packed, and who is to get the answer in which
// form, is no part of it.
func digestOf(r *http.Request, body []byte) (d replay.Digest) {
	h := sha256.New()
	for _, part := range [][]byte{
		[]byte(r.Method), []byte(r.URL.Path), []byte(r.URL.RawQuery), []byte(r.Header.Get("Content-Type")), []byte(r.Header.Get(HeaderStream)), body,
	} {
		var length [8]byte
		binary.BigEndian.PutUint64(length[:], uint64(len(part)))
		h.Write(length[:])
		h.Write(part)
	}
	h.Sum(d[:0])
	return d
}

// kept are the header's fields that are given again, beside those that any answer has.
var kept = []string{"Content-Type", "Location"}

// again answers with what was answered before, which counts until the client has taken it.
func (w *response) again(a *replay.Answer) {
	held := &account{of: w.held}
	defer held.close()
	if !held.Take(len(a.Body), true) {
		noRoom(w, "")
		return
	}
	for name, value := range a.Header {
		w.Header().Set(name, value)
	}
	w.Header().Set(HeaderReplayed, "true")
	answer(w, a.Status, a.Header["Content-Type"], a.Body)
}

// keep keeps an answer that is about to be sent: who does not get it asks for it again.
func (w *response) keep(status int, mediaType string, body []byte) {
	call := w.call
	if call == nil {
		return
	}
	w.call = nil
	if !lasts(status) {
		call.Drop()
		return
	}
	a := &replay.Answer{Status: status, Body: body, Header: map[string]string{}}
	for _, name := range kept {
		if value := w.Header().Get(name); value != "" {
			a.Header[name] = value
		}
	}
	a.Header["Content-Type"] = mediaType
	call.Keep(a)
}

// lasts reports whether an answer of that status is kept: what was done, and what would fail in the same way
// again. So is a defect, which may have struck after something was done. What depends on the moment, or on
// what the caller may do, is not; it has changed nothing.
func lasts(status int) bool {
	switch status {
	case http.StatusBadRequest, http.StatusUnprocessableEntity, http.StatusInternalServerError, http.StatusBadGateway:
		return true
	}
	return status < http.StatusBadRequest
}

// giveUp forgets the key of a request that has ended without an answer to be kept.
func (w *response) giveUp() {
	if w.call != nil {
		w.call.Drop()
		w.call = nil
	}
}
