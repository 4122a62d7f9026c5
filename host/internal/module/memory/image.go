package memory

import (
	"errors"
	"fmt"
	"sync/atomic"
)

// wasmPage is the unit of a linear memory's size, in bytes.
const wasmPage = 64 << 10

// Image is what memories are reset to: the contents of one, which never change. Its
// methods may be called concurrently.
type Image struct {
	// users counts the owner, until Close, and the memories that are attached. The
	// last one frees the file.
	users  atomic.Int64
	closed atomic.Bool
	file   file
	// denied is why the image is not Shared, though that was asked for.
	denied error
}

// NewImage returns an image of content, which it copies. Its length must be that of
// a linear memory, a multiple of 64 KiB. The caller closes the image.
//
// A Shared image takes a file descriptor. If the system grants none, the image is
// Plain, and [Image.Denied] says why.
func NewImage(content []byte, mode Mode) (*Image, error) {
	if len(content)%wasmPage != 0 {
		return nil, fmt.Errorf("image: %d bytes, not a multiple of %d", len(content), wasmPage)
	}
	im := new(Image)
	im.users.Store(1)
	switch {
	case mode != Shared:
		im.file = plainFile(content)
	case len(content) == 0:
		im.file, im.denied = plainFile(content), errors.New("no contents to share")
	default:
		if im.file, im.denied = newFile(content); im.denied != nil {
			im.file = plainFile(content)
		}
	}
	return im, nil
}

// Bytes returns the contents. They must not be written, nor used once the image is
// closed and the last memory freed.
func (im *Image) Bytes() []byte { return im.file.content }

// Size returns the length of the contents in bytes.
func (im *Image) Size() uint64 { return uint64(len(im.file.content)) }

// Denied returns why an image that was to be Shared is Plain, or nil.
func (im *Image) Denied() error { return im.denied }

// Close gives the image up; memories cannot be attached to it any more. What it
// takes is freed when the last attached memory is. Further calls do nothing.
func (im *Image) Close() {
	if !im.closed.Swap(true) {
		im.release()
	}
}

// acquire adds a user, unless there is none left or the owner has closed.
func (im *Image) acquire() bool {
	for {
		n := im.users.Load()
		if n == 0 || im.closed.Load() {
			return false
		}
		if im.users.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

func (im *Image) release() {
	if im.users.Add(-1) == 0 {
		im.file.free()
	}
}
