package fleet

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
)

// hostFormat is the number of the form of a stored HostInfo.
const hostFormat = 1

// maxHostPlugins is how many plugins a host tells of, and maxFailure how many bytes of why one does not serve.
const (
	maxHostPlugins = 128
	maxFailure     = 256
)

// HostInfo is what a host says of itself, its sign of life. It is stored as JSON.
type HostInfo struct {
	Format int `json:"format"`
	// Host is its name, and Instance the number of its process.
	Host     string `json:"host"`
	Instance string `json:"instance"`
	// Since is when the process joined the fleet, by its clock.
	Since time.Time `json:"since"`

	// Workers is how many tasks it can run at once, Active how many do, and Waiting how many wait in it, those that are not of
	// the fleet included.
	Workers int `json:"workers"`
	Active  int `json:"active"`
	Waiting int `json:"waiting"`
	// UnderWay is how many frames it has, Frames how many it has answered since it joined, and Tasks how many tasks of all
	// kinds have ended since the host began, Failed ones among them.
	UnderWay int    `json:"under_way"`
	Frames   uint64 `json:"frames"`
	Tasks    uint64 `json:"tasks"`
	Failed   uint64 `json:"failed"`
	// Draining is whether it is to take no frames. It is drained when it has none under way, either.
	Draining bool         `json:"draining,omitzero"`
	Plugins  []HostPlugin `json:"plugins,omitempty"`
	// Transforms are the names of those that it serves, sorted. Nil says nothing: the host loads a plugin, or has no room for the names.
	Transforms []string `json:"transforms,omitzero"`

	// Unreadable is why the sign of life could not be read, as one of a newer program; "" if it could. Else Host is the
	// number of the process, and nothing more is known than that the host is there.
	Unreadable string `json:"unreadable,omitempty"`
	// Age is for how long the store had the sign of life when it was read, by the reader's clock.
	Age time.Duration `json:"-"`

	revision uint64 // of the entry that was read
}

// HostPlugin is a plugin of a host.
type HostPlugin struct {
	// Source, Version and Hash are as those of [host.Plugin]. Canary is the hash of its canary; "" without one.
	Source  string `json:"source"`
	Version string `json:"version,omitempty"`
	Hash    string `json:"hash,omitempty"`
	Canary  string `json:"canary,omitempty"`
	// Failure is why it does not serve what the fleet wants; "" if it does.
	Failure string `json:"failure,omitempty"`
}

// Drained reports whether the host takes no frames and has none.
func (h *HostInfo) Drained() bool { return h.Draining && h.UnderWay == 0 }

// parseHost reads the sign of life of a process.
func parseHost(instance string, data []byte) (*HostInfo, error) {
	h := &HostInfo{}
	if err := parseEntry(data, h, &h.Format, hostFormat, func() error { return h.check(instance) }); err != nil {
		return nil, err
	}
	return h, nil
}

// check refuses what no program of a fleet has written.
func (h *HostInfo) check(instance string) error {
	errs := []error{
		checkHostName(h.Host),
		must(h.Instance == instance && instanceName.MatchString(instance), "instance", "must be that of the key"),
		must(h.Workers >= 0 && h.Active >= 0 && h.Waiting >= 0 && h.UnderWay >= 0, "workers", "and what follows must not be negative"),
		must(h.Unreadable == "", "unreadable", "must not be there"),
		must(len(h.Plugins) <= maxHostPlugins, "plugins", fmt.Sprintf("must be at most %d", maxHostPlugins)),
	}
	for _, name := range h.Transforms {
		errs = append(errs, must(name != "" && len(name) <= maxTransform && printable(name), "transforms", "must be lines of text"))
	}
	for i := range h.Plugins {
		p := &h.Plugins[i]
		errs = append(errs,
			must(p.Source != "" && len(p.Source) <= maxSourceName && printable(p.Source), "plugins.source", "must be a line of text"),
			must(len(p.Version) <= maxVersion && printable(p.Version) && len(p.Failure) <= maxFailure && printable(p.Failure), "plugins", "must have lines of text"),
			must((p.Hash == "" || isDigest(p.Hash)) && (p.Canary == "" || isDigest(p.Canary)), "plugins.hash", "must be a SHA-256 in hexadecimal"))
	}
	return errors.Join(errs...)
}

// encode returns the stored form. What it has no room for is left out: the names of transforms, then plugins.
func (h *HostInfo) encode() ([]byte, error) {
	for {
		data, err := json.Marshal(h)
		switch {
		case err != nil || len(data) <= maxEntry || len(h.Plugins) == 0 && h.Transforms == nil:
			return data, err
		case h.Transforms != nil:
			h.Transforms = nil
		default:
			h.Plugins = h.Plugins[:len(h.Plugins)/2]
		}
	}
}

// BeatEvery is how often a host gives a sign of life.
func (c *Control) BeatEvery() time.Duration { return c.age / beatsInAge }

// sortHosts sorts hosts by name.
func sortHosts(list []HostInfo) {
	slices.SortFunc(list, func(a, b HostInfo) int {
		return cmp.Or(cmp.Compare(a.Host, b.Host), cmp.Compare(a.Instance, b.Instance))
	})
}
