package server

import (
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"

	"github.com/resonhost/resonhost/server/pack"
)

// Compression is which answers are packed for clients that accept it.
type Compression int

// Compressions.
const (
	// CompressRemote packs those to other machines: to this one there is more time than there are
	// bytes to be saved.
	CompressRemote Compression = iota
	// CompressAlways packs those to all, as for a proxy on this machine that leaves it to the server.
	CompressAlways
	// CompressNever packs none.
	CompressNever
)

// minPacked is the length of the shortest answer that is packed, in bytes. One that fits into a packet
// arrives no sooner for being shorter.
const minPacked = 1 << 10

// contentCoding is how a request's body is packed. [Server.runTransform] has refused others.
func contentCoding(r *http.Request) pack.Coding {
	c, _ := pack.Of(r.Header.Get("Content-Encoding"))
	return c
}

// refusedCoding says why a body of a Content-Encoding is not taken, with the header that says what is;
// "" if it is taken.
func refusedCoding(w http.ResponseWriter, encoding string) string {
	if _, ok := pack.Of(encoding); ok {
		return ""
	}
	w.Header().Set("Accept-Encoding", pack.Accepted)
	return fmt.Sprintf("a body of Content-Encoding %.40q is not taken; send it with gzip or zstd, or as it is, without the header", encoding)
}

// unpack unpacks a body, with memory of the account. closed gives it back.
func (s *Server) unpack(c pack.Coding, from io.Reader, free int64, a *account) (packed io.Reader, closed func()) {
	taken := 0
	r := s.packs.Reader(c, from, free, func(n int) bool {
		if !a.Take(n, false) {
			return false
		}
		taken += n
		return true
	})
	return r, func() {
		r.Close()
		a.Add(-taken)
	}
}

// unpackLines is likewise for JSON lines, whose reader may outlive their request: what it takes is its
// own until both have ended.
func (s *Server) unpackLines(r *http.Request, a *account) io.Reader {
	c := contentCoding(r)
	if c == pack.None {
		return r.Body
	}
	return s.packs.Reader(c, r.Body, s.opts.MaxBody, func(n int) bool { return a.Take(n, false) })
}

// coding is how an answer of that media type is packed.
func (w *response) coding(mediaType string) pack.Coding {
	accepted := w.request.Header["Accept-Encoding"]
	if len(accepted) == 0 || w.when == CompressNever || !shrinks(mediaType) {
		return pack.None
	}
	if w.when == CompressRemote && isLocal(w.request.RemoteAddr) {
		return pack.None
	}
	return pack.Choose(strings.Join(accepted, ","))
}

// isLocal reports whether an address is this machine's own. That of a socket in the file system is.
func isLocal(remote string) bool {
	addr, err := netip.ParseAddrPort(remote)
	return err != nil || addr.Addr().Unmap().IsLoopback()
}

// shrinks reports whether packing a media type may be of use: most others are packed by what they are.
func shrinks(mediaType string) bool {
	top, sub, _ := strings.Cut(mediaType, "/")
	switch top {
	case "image", "audio", "video", "font":
		return strings.HasPrefix(sub, "svg")
	}
	switch sub {
	case "zip", "gzip", "zstd", "x-xz", "x-bzip2", "x-7z-compressed":
		return false
	}
	return true
}

// packed returns an answer's body packed, and says so in its header; or the body as it is.
func packed(w http.ResponseWriter, mediaType string, body []byte) []byte {
	out := responseOf(w)
	if out == nil {
		return body
	}
	if out.request.Method != http.MethodPost && out.when != CompressNever { // else nobody keeps it for others
		w.Header().Add("Vary", "Accept-Encoding")
	}
	c := out.coding(mediaType)
	if c == pack.None {
		return body
	}
	short := out.packs.Pack(c, body)
	if short == nil {
		return body
	}
	w.Header().Set("Content-Encoding", string(c))
	return short
}

// linesWriter packs JSON lines. What is flushed arrives whole.
type linesWriter struct {
	*pack.Writer

	to http.ResponseWriter
}

// FlushError is what package lines flushes by.
func (w *linesWriter) FlushError() error {
	if err := w.Flush(); err != nil {
		return err
	}
	return http.NewResponseController(w.to).Flush()
}

// packLines returns where JSON lines of an answer go, and what writes their end. It is called before
// the header goes out.
func (s *Server) packLines(w http.ResponseWriter, a *account) (out io.Writer, finish func() error) {
	if to := responseOf(w); to != nil {
		if c := to.coding(MediaTypeLines); c != pack.None && a.Take(pack.WriterMemory, true) {
			w.Header().Set("Content-Encoding", string(c))
			packed, ended := s.packs.Writer(c, w), false
			return &linesWriter{packed, w}, func() error {
				if ended {
					return nil
				}
				ended = true
				return packed.Close()
			}
		}
	}
	return w, func() error { return nil }
}
