package module

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/cpu"

	"github.com/resonhost/resonhost/host/internal/module/meter"
	"github.com/resonhost/resonhost/host/internal/store"
)

// Cache keeps what modules were compiled to in a directory, for this process and
// others. Its methods may be called concurrently.
//
// What is in there is run as it is: the directory must be writable by nobody else.
// An entry is a directory named by what decides about the machine code, with what wazero
// writes, and a file with the sum of that. It is made elsewhere and put in its place
// whole; what has rotted is compiled anew.
type Cache struct {
	dir   string
	limit int64
	log   *slog.Logger
	// build tells apart what may compile the same binary otherwise: wazero's version, and
	// the processor; and rewriter what may rewrite it otherwise.
	build, rewriter string

	pruning sync.Mutex // one at a time
}

// sumFile has the sum of an entry. One of a binary that was rewritten has this, and the
// names of its globals.
const (
	sumFile       = "CRC32C"
	rewrittenFile = "rewritten.wasm"
	globalsFile   = "globals.json"
)

// OpenCache opens the cache in a directory, which exists. Entries beyond limit, in
// bytes, go, the longest unused first.
func OpenCache(dir string, limit int64, log *slog.Logger) *Cache {
	return &Cache{
		dir: dir, limit: limit, log: log,
		build: buildOf("github.com/tetratelabs/wazero") + "\x00" + processor(), rewriter: buildOf("github.com/resonhost/resonhost"),
	}
}

// buildOf is the version of a module that the program was built with. Where it does not know
// that, as of a main module that was not installed by its version, it is what the program's file
// holds. Its path and time do not count: go run and go test write the same program anew each time.
func buildOf(path string) string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range append(info.Deps, &info.Main) {
			if m.Path != path {
				continue
			}
			if m.Replace != nil {
				m = m.Replace
			}
			if m.Sum != "" {
				return m.Version + m.Sum
			}
		}
	}
	name, err := os.Executable()
	if err != nil {
		return ""
	}
	size, sum, err := sumOfFile(name)
	if err != nil {
		return ""
	}
	return fmt.Sprint(size, sum)
}

func sumOfFile(name string) (size int64, sum uint32, err error) {
	f, err := os.Open(name)
	if err != nil {
		return 0, 0, err
	}
	h := crc32.New(crc32.MakeTable(crc32.Castagnoli))
	size, err = io.Copy(h, f)
	return size, h.Sum32(), errors.Join(err, f.Close())
}

// processor tells of what wazero looks at before it compiles.
func processor() string {
	return fmt.Sprint(runtime.GOOS, runtime.GOARCH, cpu.X86.HasSSE3, cpu.X86.HasSSE41, cpu.X86.HasSSE42, cpu.X86.HasPOPCNT,
		cpu.X86.HasBMI1, cpu.X86.HasBMI2, cpu.X86.HasAVX, cpu.ARM64.HasATOMICS)
}

// entry is where what rewritten binaries are compiled to lies.
func (c *Cache) entry(binaries []*rewritten, interrupt Interrupt) string {
	return c.named(c.build, hashOfAll(binaries), interrupt == Runtime) // which has wazero add checks
}

// hashOfAll is the hash of rewritten binaries together.
func hashOfAll(binaries []*rewritten) string {
	if len(binaries) == 1 {
		return binaries[0].Hash
	}
	var all []byte
	for _, b := range binaries {
		all = append(all, b.Hash...)
	}
	return hashOf(all)
}

func (c *Cache) named(of ...any) string {
	return filepath.Join(c.dir, hashOf(fmt.Appendf(nil, "%+v", of)))
}

func hashOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// has reports whether there is an entry, and it is whole.
func (c *Cache) has(entry string) bool {
	want, err := os.ReadFile(filepath.Join(entry, sumFile))
	if err != nil {
		return false
	}
	if got, err := sumOf(entry); err != nil || got != string(want) {
		return false
	}
	now := time.Now()
	_ = os.Chtimes(entry, now, now) // what is used stays; without it, it goes earlier
	return true
}

// put puts what was made in a directory in the place of an entry, and makes room for it.
func (c *Cache) put(made, entry string) error {
	sum, err := sumOf(made)
	if err != nil {
		return err
	}
	if err := store.WriteFile(filepath.Join(made, sumFile), []byte(sum)); err != nil {
		return err
	}
	if os.Rename(made, entry) != nil && !c.has(entry) {
		// There is one that has rotted, or was cut short.
		if err := os.RemoveAll(entry); err != nil {
			return err
		}
		if err := os.Rename(made, entry); err != nil && !c.has(entry) {
			return err
		}
	}
	c.prune(entry)
	return nil
}

// sumOf is the sum of an entry's files, but for its own, with their names. It is to notice
// what has rotted, and no more: a CRC takes a tenth of the time of SHA-256.
func sumOf(entry string) (string, error) {
	h := crc32.New(crc32.MakeTable(crc32.Castagnoli))
	err := filepath.WalkDir(entry, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == sumFile || strings.HasSuffix(name, ".tmp") {
			return err
		}
		f, err := os.Open(name) //nolint:gosec // nobody else can write to the directory
		if err != nil {
			return err
		}
		fmt.Fprintf(h, "%s\n", d.Name())
		_, err = io.Copy(h, f)
		return errors.Join(err, f.Close())
	})
	return hex.EncodeToString(h.Sum(nil)), err
}

// prune removes entries beyond the limit, but not that one.
func (c *Cache) prune(keep string) {
	c.pruning.Lock()
	defer c.pruning.Unlock()
	removed, err := store.Prune(c.dir, c.limit, filepath.Base(keep))
	switch {
	case err != nil:
		c.log.Warn("the cache of compiled plugins cannot be kept within its bound", "error", err)
	case removed > 0:
		c.log.Debug("compiled plugins were removed from the cache", "entries", removed)
	}
}

// rewritten is a binary that was rewritten, and its hash, by which what it is compiled to is
// kept.
type rewritten struct {
	*meter.Module

	Hash string `json:"hash"`
}

// rewrite rewrites a binary, or takes what it was rewritten to by the same program from the
// cache, which may be nil.
func (c *Cache) rewrite(wasm []byte, limits meter.Limits, opts meter.Options) (*rewritten, error) {
	entry := ""
	if c != nil && c.rewriter != "" {
		entry = c.named(c.rewriter, hashOf(wasm), limits, opts)
		if r := c.rewritten(entry); r != nil {
			return r, nil
		}
	}
	made, err := meter.Rewrite(wasm, limits, opts)
	if err != nil {
		return nil, err
	}
	r := &rewritten{made, hashOf(made.WASM)}
	if entry != "" {
		if err := c.keep(entry, r); err != nil {
			c.log.Warn("a rewritten plugin is not kept in the cache", "error", err)
		}
	}
	return r, nil
}

// compiled reports whether binaries need not be compiled. The cache may be nil.
func (c *Cache) compiled(binaries []*rewritten, interrupt Interrupt) bool {
	return c != nil && c.build != "" && c.has(c.entry(binaries, interrupt))
}

// rewritten returns the binary of an entry, or nil.
func (c *Cache) rewritten(entry string) *rewritten {
	if !c.has(entry) {
		return nil
	}
	r := &rewritten{Module: new(meter.Module)}
	globals, err := os.ReadFile(filepath.Join(entry, globalsFile))
	if err == nil {
		err = json.Unmarshal(globals, r)
	}
	if err == nil {
		r.WASM, err = os.ReadFile(filepath.Join(entry, rewrittenFile))
	}
	if err != nil {
		c.log.Warn("a rewritten plugin of the cache cannot be used", "error", err)
		return nil
	}
	return r
}

// keep makes an entry of a binary.
func (c *Cache) keep(entry string, r *rewritten) error {
	made, err := os.MkdirTemp(c.dir, store.TempPattern)
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(made) }() // where it was not put in its place
	globals, err := json.Marshal(r)
	if err == nil {
		err = store.WriteFile(filepath.Join(made, globalsFile), globals)
	}
	if err == nil {
		err = store.WriteFile(filepath.Join(made, rewrittenFile), r.WASM)
	}
	if err == nil {
		err = c.put(made, entry)
	}
	return err
}
