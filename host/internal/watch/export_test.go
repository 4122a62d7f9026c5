package watch

import (
	"os"

	"github.com/fsnotify/fsnotify"
)

// SetConnect is called before Start.
func (w *Watcher) SetConnect(connect func() (*fsnotify.Watcher, error)) { w.connect = connect }

// SetOpen is called before Start.
func (w *Watcher) SetOpen(open func(path string) (*os.File, error)) { w.disk.open = open }

// Look returns a function that looks once.
func Look(c Config) func() {
	d := disk{cfg: c.withDefaults(), open: open}
	return func() { d.look() }
}
