package watch

import (
	"io/fs"
	"syscall"
)

func systemOf(info fs.FileInfo) system {
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return system{}
	}
	return system{device: s.Dev, inode: s.Ino, changed: syscall.TimespecToNsec(s.Ctim)}
}
