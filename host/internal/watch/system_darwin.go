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
	return system{device: uint64(s.Dev), inode: s.Ino, changed: syscall.TimespecToNsec(s.Ctimespec)}
}
