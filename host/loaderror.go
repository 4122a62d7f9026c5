package host

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"time"

	"github.com/resonhost/resonhost/host/internal/module"
)

// Step is how far a plugin came that could not serve.
type Step string

// Steps of a transaction, in their order.
const (
	StepRead        Step = "read"    // the file
	StepAccept      Step = "accept"  // Config.Accept
	StepInspect     Step = "inspect" // the binary's form and limits
	StepLink        Step = "link"    // imports and exports
	StepCompile     Step = "compile"
	StepInstantiate Step = "instantiate"
	StepDescribe    Step = "describe" // the contract's version, and the manifest
	StepSelfTest    Step = "self-test"
	StepVerify      Step = "verify" // the self-tests once more, in the interpreter
	StepWarm        Step = "warm"   // the pool
	StepState       Step = "state"  // what streams have kept, against what it reads
	StepPublish     Step = "publish"
	StepRollback    Step = "rollback" // it did serve, and was rolled back
)

// In is a reason as it is told beside the step: "STEP: " is in front of each line that does not
// begin with the step's name itself.
func (s Step) In(reason string) string {
	lines := strings.Split(reason, "\n")
	for i, line := range lines {
		if rest, ok := strings.CutPrefix(line, string(s)); !ok || rest != "" && rest[0] != ' ' && rest[0] != ':' {
			lines[i] = string(s) + ": " + line
		}
	}
	return strings.Join(lines, "\n")
}

// LoadError is a source that could not become a plugin, or a new version of one.
type LoadError struct {
	// Source is its name, Hash what Plugin.Hash would be, "" if none was
	// read.
	Source, Hash string
	// Step is where it failed, and Err why.
	Step Step
	Err  error
	// Temporary is whether it may be no fault of the source's: there was no room, or no
	// time, or another plugin has its name. Such a file of Config.PluginDir is tried again,
	// ever less often, at least once a minute.
	Temporary bool
	// Time is when.
	Time time.Time
}

// Error has "plugin SOURCE: " in front of each line of Err.
func (e *LoadError) Error() string {
	prefix := "plugin " + e.Source + ": "
	return prefix + strings.ReplaceAll(e.Err.Error(), "\n", "\n"+prefix)
}

// Unwrap returns Err.
func (e *LoadError) Unwrap() error { return e.Err }

// newLoadError hashes the binary: it is not for who holds a lock, see [record.loadError].
func newLoadError(s Source, step Step, err error) *LoadError {
	return makeLoadError(s.Name, s.Hash(), step, err)
}

func makeLoadError(source, hash string, step Step, err error) *LoadError {
	e := &LoadError{Source: source, Hash: hash, Step: step, Err: err, Time: time.Now()}
	if at := (*module.StepError)(nil); errors.As(err, &at) {
		e.Step = Step(at.Step)
	}
	e.Temporary = errors.Is(err, module.ErrBudget) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, errClash) ||
		errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || errors.Is(err, syscall.ENOMEM) || errors.Is(err, syscall.EAGAIN)
	return e
}

// tooLarge is the error of a binary larger than PluginConfig.MaxModule.
func tooLarge(limit int) error {
	return fmt.Errorf("larger than %d bytes, the limit: raise --max-module (PluginConfig.MaxModule)", limit)
}

var errClash = errors.New("another plugin has the name")

// clash is that another plugin has the name of a manifest.
type clash struct{ name, source string }

func (c clash) Error() string {
	return fmt.Sprintf("its manifest's name, %s, is that of plugin %s already", c.name, c.source)
}

func (clash) Is(target error) bool { return target == errClash }

var errRolledBack = errors.New("rolled back by request")

// rolledBack is the error of a source that was rolled back then; now, if that is not known.
func rolledBack(s Source, then time.Time) *LoadError {
	e := newLoadError(s, StepRollback, errRolledBack)
	if !then.IsZero() {
		e.Time = then
	}
	return e
}

// errAlone is of a version that was rolled back, if the one that is to serve is not kept.
var errAlone = errors.New("it was rolled back, and the version that served before is not kept: " +
	"start with the cache directory that has it (Config.CacheDir and Watch, --cache-dir), deploy another version, or, to have this one serve, reload it or delete the plugin's record")

// ErrCacheDir is wrapped by the error of [Host.Start] and [Inspect] for a
// Config.CacheDir that cannot be used.
var ErrCacheDir = errors.New("cache directory")
