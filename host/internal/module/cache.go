package module

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/tetratelabs/wazero"

	"github.com/resonhost/resonhost/host/internal/store"
)

// Cache keeps what modules were compiled to in a directory, for this process and
// others. Its methods may be called concurrently.
//
// What is in there is run as it is: the directory must be writable by nobody else.
// An entry is a directory named by the hash of the rewritten binary and wazero's
// version, with what wazero writes, and a file with the sum of that, which is written
// last: what was cut short or has rotted is compiled anew.
type Cache struct {
	dir   string
	limit int64
	log   *slog.Logger
	// wazero is its version, which its own name of the directory leaves out in some builds.
	wazero string

	pruning sync.Mutex // one at a time
}

// sumFile has the sum of an entry.
const sumFile = "SHA256"

// OpenCache opens the cache in a directory, which exists. Entries beyond limit, in
// bytes, go, the longest unused first.
func OpenCache(dir string, limit int64, log *slog.Logger) *Cache {
	c := &Cache{dir: dir, limit: limit, log: log}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, dep := range info.Deps {
			if dep.Path == "github.com/tetratelabs/wazero" {
				c.wazero = dep.Version + dep.Sum
			}
		}
	}
	return c
}

// entry is where what a rewritten binary is compiled to lies.
func (c *Cache) entry(rewritten []byte) string {
	h := sha256.New()
	h.Write([]byte(c.wazero))
	h.Write(rewritten)
	return filepath.Join(c.dir, hex.EncodeToString(h.Sum(nil)))
}

// open returns wazero's cache in an entry, for one runtime, and whether it has what it
// should. Without it the entry is empty.
func (c *Cache) open(entry string) (_ wazero.CompilationCache, hit bool, err error) {
	want, err := os.ReadFile(filepath.Join(entry, sumFile))
	if err == nil {
		got, err := sumOf(entry)
		hit = err == nil && got == string(want)
	}
	if hit {
		now := time.Now()
		_ = os.Chtimes(entry, now, now) // what is used stays; without it, it goes earlier
	} else if err := os.RemoveAll(entry); err != nil {
		return nil, false, err
	}
	cache, err := wazero.NewCompilationCacheWithDir(entry)
	return cache, hit, err
}

// seal completes an entry, and makes room for it.
func (c *Cache) seal(entry string) error {
	sum, err := sumOf(entry)
	if err != nil {
		return err
	}
	if err := store.WriteFile(filepath.Join(entry, sumFile), []byte(sum)); err != nil {
		return err
	}
	c.prune(entry)
	return nil
}

// sumOf is the sum of an entry's files, but for its own, with their names.
func sumOf(entry string) (string, error) {
	h := sha256.New()
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

// compileCached compiles a rewritten binary in a runtime of its own, by way of the cache if
// there is one. Without error the caller closes the module.
func (m *Module) compileCached(ctx context.Context, rewritten []byte) (err error) {
	c := m.opts.Cache
	if c == nil || m.opts.Interpret { // there is nothing to keep of what is interpreted
		return m.compileIn(ctx, nil, rewritten)
	}
	entry := c.entry(rewritten)
	cache, hit, err := c.open(entry)
	if err != nil { // a full disk, say, must not keep a plugin from serving
		c.log.Warn("a plugin is compiled without the cache", "error", err)
		return m.compileIn(ctx, nil, rewritten)
	}
	err = m.compileIn(ctx, cache, rewritten)
	if err != nil && ctx.Err() == nil {
		// Be it for what the cache has, or because it cannot be written to.
		c.log.Warn("a plugin is compiled without the cache", "error", err)
		return errors.Join(m.compileIn(ctx, nil, rewritten), os.RemoveAll(entry))
	}
	if hit {
		m.info.Compiling = 0
	}
	if err == nil && !hit {
		if err := c.seal(entry); err != nil {
			c.log.Warn("a compiled plugin is not kept in the cache", "error", err)
		}
	}
	return err
}

// compileIn compiles in a new runtime, which replaces the module's.
func (m *Module) compileIn(ctx context.Context, cache wazero.CompilationCache, rewritten []byte) (err error) {
	if err := m.closeRuntime(ctx); err != nil {
		return err
	}
	config := m.config
	if cache != nil {
		config = config.WithCompilationCache(cache)
	}
	m.cache, m.runtime = cache, newRuntime(ctx, config)
	began := time.Now()
	m.compiled, err = m.runtime.CompileModule(ctx, rewritten)
	m.info.Compiling = time.Since(began)
	if err == nil && ctx.Err() != nil { // wazero compiles nothing more and says nothing
		err = context.Cause(ctx)
	}
	return err
}
