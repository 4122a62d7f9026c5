//go:build !linux

package memory

import (
	"bytes"
	"errors"
)

// file is what an image's contents are in.
type file struct{ content []byte }

func plainFile(content []byte) file { return file{bytes.Clone(content)} }

func newFile([]byte) (file, error) { return file{}, errors.ErrUnsupported }

func (*file) free() {}

// reserve returns nil: there is no mapping to be had.
func reserve(uint64) backing { return nil }
