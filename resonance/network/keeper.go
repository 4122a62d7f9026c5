package network

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/state"
)

// KeeperConfig says where a network is kept.
type KeeperConfig struct {
	// Store has it. The caller closes the store after the last call of the keeper.
	Store state.Store
	// Tenant and Name are of its records. The name has 1 to 512 bytes and no "/".
	Tenant, Name string
	// MaxNodes and MaxConnections are how much is loaded at most; default is DefaultCapacity
	// nodes, and 16 connections for each node.
	MaxNodes, MaxConnections int
}

// maxKeptName leaves room for what names of parts have besides.
const maxKeptName = 512

// Keeper keeps a network in a store, so that it outlives its process. Make one with [NewKeeper] for
// each name. Whoever owns the network has the keeper save it every now and then, and once more after
// Close.
//
// A network is a record, its head, and parts of some 256 KiB. Each save writes the parts that are
// not as they were, under names of their own, then the head that refers to them, and then deletes
// the parts that it does not. So a crash at any moment leaves one snapshot whole. Before a save relies on
// parts that it does not write, it sees that the store has the head that it last saved: a server that has lost
// its last saves would have lost the head before the parts.
//
// Methods may be called concurrently; they go one after the other.
type Keeper struct {
	cfg  KeeperConfig
	seed maphash.Seed

	mu sync.Mutex // guards the rest
	// generation is the last that was tried.
	generation uint64
	// saved is the head that is stored, and tried one that may be, as its save has failed. strays are the
	// names of further parts that may be stored.
	saved, tried whole
	strays       map[string]bool
	looked       bool // whether strays has what others have left
}

// part is a part that is stored: who saved it, and what it is.
type part struct {
	generation uint64
	size       int
	sum        uint64
}

// whole is a head that is stored, with the parts to which it refers. It is zero if nothing is known to be.
type whole struct {
	head  part // of generation 0
	parts [sections][]part
}

// Kept is a network as it is stored.
type Kept struct {
	Snapshot *Snapshot
	// At is when its clock was at Snapshot.NowMS, for [Network.Resume].
	At time.Time
	// Meta is what the owner saved with it.
	Meta []byte
}

// NewKeeper returns a keeper. Its error is an [*abi.FieldError].
func NewKeeper(cfg KeeperConfig) (*Keeper, error) {
	cfg.MaxNodes = cmp.Or(cfg.MaxNodes, DefaultCapacity)
	cfg.MaxConnections = cmp.Or(cfg.MaxConnections, 16*cfg.MaxNodes)
	fault := func(field, rule string) error { return &abi.FieldError{Field: field, Rule: rule} }
	switch {
	case cfg.Store == nil:
		return nil, fault("Store", "must be set")
	case cfg.Name == "" || len(cfg.Name) > maxKeptName || strings.Contains(cfg.Name, "/"):
		return nil, fault("Name", "must have 1 to 512 bytes, and no /")
	case len(cfg.Tenant) > state.MaxTenant:
		return nil, fault("Tenant", fmt.Sprintf("must have at most %d bytes", state.MaxTenant))
	}
	return &Keeper{cfg: cfg, seed: maphash.MakeSeed(), strays: make(map[string]bool)}, nil
}

func (k *Keeper) key(name string) state.Key {
	return state.Key{Kind: state.KindNetwork, Tenant: k.cfg.Tenant, Name: name}
}

// partName is a part's, in the prefix that all parts of the network have and nothing else has.
func (k *Keeper) partName(generation uint64, section, i int) string {
	return k.cfg.Name + "/" + strconv.FormatUint(generation, 10) + "/" + sectionNames[section] + strconv.Itoa(i)
}

// Load returns what is stored. Its error wraps [state.ErrNotFound] if nothing is, and [ErrFull] if
// it is more than the keeper loads. One that wraps [state.ErrCorrupt], [state.ErrNewer] or
// [state.ErrKey] is a network that cannot be read; it stays as it is until it is saved anew or
// deleted. Any other is the store's.
func (k *Keeper) Load(ctx context.Context) (*Kept, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	kept, err := k.load(ctx)
	if err != nil {
		return nil, fmt.Errorf("network %s: %w", k.cfg.Name, err)
	}
	return kept, nil
}

func (k *Keeper) load(ctx context.Context) (*Kept, error) {
	record, err := k.cfg.Store.Load(ctx, k.key(k.cfg.Name))
	if err != nil {
		return nil, err
	}
	if record.Format != storedFormat {
		return nil, k.fault(record.Key, state.ErrNewer, fmt.Sprintf("has format %d, and this version reads %d", record.Format, storedFormat))
	}
	h, err := readHead(record.Data, k.cfg.MaxNodes, k.cfg.MaxConnections)
	if errors.Is(err, ErrFull) {
		return nil, err
	}
	if err != nil {
		return nil, k.fault(record.Key, state.ErrCorrupt, err.Error())
	}
	k.generation = max(k.generation, h.generation)
	a := h.assemble()
	saved := whole{head: k.part(0, record.Data)}
	for section, list := range h.parts {
		for i, generation := range list {
			r, err := k.cfg.Store.Load(ctx, k.key(k.partName(generation, section, i)))
			switch {
			case errors.Is(err, state.ErrNotFound):
				return nil, k.fault(record.Key, state.ErrCorrupt, "refers to a part that is not stored, "+strconv.Quote(k.partName(generation, section, i)))
			case err != nil:
				return nil, err
			}
			if err := a.take(section, r.Data); err != nil {
				return nil, k.fault(r.Key, state.ErrCorrupt, err.Error())
			}
			saved.parts[section] = append(saved.parts[section], k.part(generation, r.Data))
		}
	}
	s, err := a.end()
	if err != nil {
		return nil, k.fault(record.Key, state.ErrCorrupt, err.Error())
	}
	k.saved = saved
	k.spare(saved.parts)
	return &Kept{Snapshot: s, At: record.Changed, Meta: h.meta}, nil
}

func (k *Keeper) fault(key state.Key, sentinel error, reason string) error {
	return &state.RecordError{Key: key, Reason: reason, Err: sentinel}
}

func (k *Keeper) part(generation uint64, b []byte) part {
	return part{generation, len(b), maphash.Bytes(k.seed, b)}
}

// look finds all parts that are stored, as a crash may have left some to which no head refers.
func (k *Keeper) look(ctx context.Context) error {
	if k.looked {
		return nil
	}
	tenant, prefix := k.cfg.Tenant, k.cfg.Name+"/"
	err := k.cfg.Store.List(ctx, state.Filter{Kind: state.KindNetwork, Tenant: &tenant, Prefix: prefix}, func(r state.Record) error {
		k.found(&r)
		return nil
	})
	k.spare(k.saved.parts)
	k.looked = err == nil
	return err
}

// found takes note of a record that is stored. One that cannot be read is not to be deleted: it may be of another
// network, under a key with a flipped bit.
func (k *Keeper) found(r *state.Record) {
	rest, ok := strings.CutPrefix(r.Key.Name, k.cfg.Name+"/")
	if !ok {
		return // the head, or something stored under no key at all
	}
	if r.Err == nil {
		k.strays[r.Key.Name] = true
	}
	number, _, _ := strings.Cut(rest, "/")
	if n, err := strconv.ParseUint(number, 10, 63); err == nil {
		k.generation = max(k.generation, n)
	}
}

// Keepers returns a keeper for each network that a store has anything of, by tenant and name. Of
// cfg its tenant and name do not count. damaged is how many records cannot be read, or are of no network
// that a keeper has saved: unless it is 0, what has no head may be of a network whose head is among
// them, under another key. If all that is stored has another key, that is an error that wraps
// [state.ErrKey].
func Keepers(ctx context.Context, cfg KeeperConfig) (list []*Keeper, damaged int, err error) {
	all := make(map[state.Key]*Keeper)
	heads := make(map[state.Key]bool)
	var tally state.Tally
	err = cfg.Store.List(ctx, state.Filter{Kind: state.KindNetwork}, func(r state.Record) error {
		tally.Note(r.Err)
		name, _, _ := strings.Cut(r.Key.Name, "/")
		k := all[state.Key{Tenant: r.Key.Tenant, Name: name}]
		if k == nil {
			of := cfg
			of.Tenant, of.Name = r.Key.Tenant, name
			if k, _ = NewKeeper(of); k == nil {
				if r.Err == nil {
					damaged++ // no keeper has saved it
				}
				return nil
			}
			k.looked = true
			all[state.Key{Tenant: of.Tenant, Name: of.Name}] = k
			list = append(list, k)
		}
		if r.Key.Name == name {
			heads[state.Key{Tenant: r.Key.Tenant, Name: name}] = true
		}
		k.found(&r)
		return nil
	})
	if err == nil {
		err = tally.KeyFault("records of networks")
	}
	damaged += tally.Unreadable
	if err == nil && damaged == 0 && len(heads) < len(list) {
		var whole bool
		if whole, err = tally.Whole(ctx, cfg.Store); !whole {
			damaged = 1 // or more, of no kind that there is
		}
	}
	slices.SortFunc(list, func(a, b *Keeper) int {
		return cmp.Or(strings.Compare(a.cfg.Tenant, b.cfg.Tenant), strings.Compare(a.cfg.Name, b.cfg.Name))
	})
	return list, damaged, err
}

// Tenant is whose the network is in the store.
func (k *Keeper) Tenant() string { return k.cfg.Tenant }

// Name is the network's in the store.
func (k *Keeper) Name() string { return k.cfg.Name }

// spare takes parts from the strays.
func (k *Keeper) spare(list [sections][]part) {
	for section := range list {
		for i, p := range list[section] {
			delete(k.strays, k.partName(p.generation, section, i))
		}
	}
}

// stray puts parts to the strays.
func (k *Keeper) stray(list [sections][]part) {
	for section := range list {
		for i, p := range list[section] {
			k.strays[k.partName(p.generation, section, i)] = true
		}
	}
}

// saveBytes is how much a call of the store saves, about.
const saveBytes = 1 << 20

// Save saves the network as it is, and meta with it. The network may tick meanwhile. After an
// error what was stored before is still whole, and a later Save takes care of what is left over.
func (k *Keeper) Save(ctx context.Context, n *Network, meta []byte) error {
	if len(meta) > MaxMeta {
		return &abi.FieldError{Field: "meta", Rule: fmt.Sprintf("must have at most %d bytes", MaxMeta)}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.save(ctx, n, meta); err != nil {
		return fmt.Errorf("network %s: not saved: %w", k.cfg.Name, err)
	}
	if err := k.clean(ctx); err != nil {
		return fmt.Errorf("network %s: saved, and what was before not deleted: %w", k.cfg.Name, err)
	}
	return nil
}

// replace has another head be the one that is stored.
func (k *Keeper) replace(by whole) {
	k.stray(k.saved.parts)
	k.saved, k.tried = by, whole{}
	k.spare(by.parts)
}

// check reports whether the store has the head that is known to be stored. If not, a server has lost what it
// had taken, and nothing is known to be stored any more.
func (k *Keeper) check(ctx context.Context) (same bool, err error) {
	if k.saved.head == (part{}) {
		return true, nil
	}
	r, err := k.cfg.Store.Load(ctx, k.key(k.cfg.Name))
	switch {
	case errors.Is(err, state.ErrNotFound), errors.As(err, new(*state.RecordError)):
	case err != nil:
		return false, err
	default:
		switch k.part(0, r.Data) {
		case k.saved.head:
			return true, nil
		case k.tried.head:
			k.replace(k.tried)
			return true, nil
		}
	}
	k.replace(whole{})
	k.looked = false // parts may be there again that were deleted
	return false, nil
}

func (k *Keeper) save(ctx context.Context, n *Network, meta []byte) error {
	for {
		h, list, err := k.saveParts(ctx, n)
		if err != nil {
			return err
		}
		same, err := k.check(ctx)
		if err != nil {
			return err
		}
		if !same {
			continue // with all parts, once
		}
		h.meta = meta
		data, err := h.append(nil)
		if err != nil {
			return err
		}
		now := whole{k.part(0, data), list}
		b := batch{store: k.cfg.Store, at: h.at}
		if err := errors.Join(b.add(ctx, k.key(k.cfg.Name), data), b.flush(ctx)); err != nil {
			k.tried = now
			return err
		}
		k.replace(now)
		return nil
	}
}

// saveParts saves the parts that are not as they were. It returns a head, and all parts to which it refers.
func (k *Keeper) saveParts(ctx context.Context, n *Network) (*head, [sections][]part, error) {
	var now [sections][]part
	if err := k.look(ctx); err != nil {
		return nil, now, err
	}
	s, at := n.snapshot()
	k.generation++ // whatever becomes of it, the name of a part is not used for another
	h := &head{
		nowMS: s.NowMS, created: s.Created, generation: k.generation, at: at,
		nodes: len(s.Nodes), connections: len(s.Connections), network: s.Network,
	}
	b := batch{store: k.cfg.Store, at: at}
	for section, list := range cut(s) {
		for i, data := range list {
			p := k.part(k.generation, data)
			if old := k.saved.parts[section]; i < len(old) && old[i].size == p.size && old[i].sum == p.sum {
				p = old[i]
			} else {
				name := k.partName(p.generation, section, i)
				k.strays[name] = true
				if err := b.add(ctx, k.key(name), data); err != nil {
					return nil, now, err
				}
			}
			now[section], h.parts[section] = append(now[section], p), append(h.parts[section], p.generation)
		}
	}
	return h, now, b.flush(ctx)
}

// batch saves records some at a time.
type batch struct {
	store   state.Store
	at      time.Time
	changes []state.Change
	size    int
}

func (b *batch) add(ctx context.Context, key state.Key, data []byte) error {
	record := state.Record{Key: key, Format: storedFormat, Changed: time.UnixMilli(b.at.UnixMilli()), Data: data}
	b.changes = append(b.changes, state.Change{Record: record})
	if b.size += len(data); b.size < saveBytes {
		return nil
	}
	return b.flush(ctx)
}

func (b *batch) flush(ctx context.Context) error {
	if len(b.changes) == 0 {
		return nil
	}
	err := b.store.Save(ctx, b.changes)
	clear(b.changes)
	b.changes, b.size = b.changes[:0], 0
	return err
}

// clean deletes the strays.
func (k *Keeper) clean(ctx context.Context) error {
	changes := make([]state.Change, 0, len(k.strays))
	for name := range k.strays {
		changes = append(changes, state.Change{Record: state.Record{Key: k.key(name)}, Delete: true})
	}
	for list := range slices.Chunk(changes, 1024) {
		if err := k.cfg.Store.Save(ctx, list); err != nil {
			return err
		}
		for i := range list {
			delete(k.strays, list[i].Key.Name)
		}
	}
	return nil
}

// Delete deletes what is stored, first of all the head. After an error it is to be called again.
func (k *Keeper) Delete(ctx context.Context) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	_, err := k.check(ctx)
	if err == nil {
		err = k.look(ctx)
	}
	if err == nil {
		err = k.cfg.Store.Save(ctx, []state.Change{{Record: state.Record{Key: k.key(k.cfg.Name)}, Delete: true}})
	}
	if err != nil {
		return fmt.Errorf("network %s: not deleted: %w", k.cfg.Name, err)
	}
	k.replace(whole{})
	if err := k.clean(ctx); err != nil {
		return fmt.Errorf("network %s: not wholly deleted: %w", k.cfg.Name, err)
	}
	return nil
}
