package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"text/tabwriter"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/urfave/cli/v2"

	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/filewatch"
	"github.com/resonhost/resonhost/internal/terminal"
	"github.com/resonhost/resonhost/internal/value"
	"github.com/resonhost/resonhost/server/jobs"
	"github.com/resonhost/resonhost/state"
	"github.com/resonhost/resonhost/state/bolt"
	"github.com/resonhost/resonhost/state/redis"
	"github.com/resonhost/resonhost/state/statejson"
)

// stateVerbs are what can be done with a store of state, or with the host that has it open.
var stateVerbs = []string{"ls", "get", "export", "import", "rm", "compact", "key", "save"}

// stateFlagsOf says which of them a flag is for.
var stateFlagsOf = map[string][]string{
	"kind": {"ls", "export"}, "prefix": {"ls", "export"}, "tenant": {"ls", "get", "export", "rm"}, "transform": {"ls", "get", "export", "rm"},
	"clear-text": {"import"}, "json": {"ls", "get", "save"}, "state-dir": ofStore, "state-url": ofStore, "state-key": ofStore,
	"url": ofHost, "token-file": ofHost, "ca": ofHost, "client-cert": ofHost, "client-key": ofHost,
}

// ofStore read or change a store, and ofHost ask a running host.
var ofStore, ofHost = []string{"ls", "get", "export", "import", "rm", "compact"}, []string{"save"}

// use is what a store is opened for.
type use int

const (
	toRead use = iota // nothing is written
	toChange
	toMake // it is made if it is not there
)

// stateUses has what other verbs than those that read open a store for.
var stateUses = map[string]use{"import": toMake, "rm": toChange, "compact": toChange}

// maxKeyFile is the largest file of keys, in bytes.
const maxKeyFile = 64 << 10

// stateOptions say where state is kept, and of the command state which part of it is meant.
type stateOptions struct {
	dir, url, keyFile string

	kind, tenant, transform, prefix string
	anyTenant                       bool
	clearText                       bool // records that are imported are not sealed, though others are
}

// stateSettings are about where state is kept.
func (o *options) stateSettings() []setting {
	s := &o.state
	return []setting{
		{"state-dir", "keep state in `DIR`", "", value.Text(&s.dir)},
		{"state-url", "keep state in Redis at `URL`, such as redis://HOST:PORT, redis+sentinel://HOST/MASTER or redis+cluster://HOST", "", value.Text(&s.url)},
		{"state-interval", "save every `TIME` what has changed", host.DefaultStateInterval.String(), value.Duration(&o.host.StateInterval)},
		{"state-key", "seal state with the first key of `FILE`, which resonhost state key writes, and open it with all of them", "", value.Text(&s.keyFile)},
	}
}

func stateCommand(std stdio) *cli.Command {
	o := newOptions()
	s := &o.state
	word := func(name, usage string, p *string) cli.Flag {
		return &cli.GenericFlag{Name: name, Usage: usage, DefaultText: "all", Value: value.Text(p)}
	}
	return &cli.Command{
		Name:      "state",
		Usage:     "list, copy and mend the state that a host has kept",
		UsageText: "resonhost state ls|export|import|compact [options]\nresonhost state get|rm KIND NAME [options]\nresonhost state key\nresonhost state save [--url URL]",
		Description: "   ls       list records, without their data\n" +
			"   get      write the data of a record\n" +
			"   export   write records as JSON, a line each\n" +
			"   import   save the records of such lines, from standard input\n" +
			"   rm       delete a record\n" +
			"   compact  make the file of --state-dir as small as what it has\n" +
			"   key      write a new key for a file of --state-key\n" +
			"   save     have the host that resonhost run serves at --url save now what has changed\n\n" +
			"No host may have the store open meanwhile, save aside. A record or line that cannot be read is told\n" +
			"on standard error, and the others go on; the exit code is 1 then. An import replaces what is there,\n" +
			"also what is newer. Write a key with umask 077, for nobody else to read it.\n\n" + exitCodes,
		Flags: append(append(flags(slices.DeleteFunc(o.stateSettings(), func(s setting) bool { return s.name == "state-interval" }), o.config()), o.remote.flags()...),
			word("kind", "take those of `KIND` stream, network, job, output or plugin; of ls and export", &s.kind),
			word("tenant", "take those of the tenant `NAME`; a single record is of the tenant without a name otherwise", &s.tenant),
			word("transform", "take those of the transform `NAME`", &s.transform),
			word("prefix", "take those whose names begin with `TEXT`; of ls and export", &s.prefix),
			setting{name: "clear-text", usage: "save records that are not sealed into a store of sealed ones; of import", value: value.Toggle{P: &s.clearText}}.flag(),
			jsonFlag("print JSON; of ls, get and save", &o.json)),
		OnUsageError: usageError,
		Action: func(c *cli.Context) error {
			if err := o.readConfig(c); err != nil {
				return err
			}
			s.anyTenant = !c.IsSet("tenant")
			return o.changeState(c.Context, std, c.Args().Slice())
		},
	}
}

// changeState does what the command says.
func (o *options) changeState(ctx context.Context, std stdio, args []string) error {
	if len(args) == 0 {
		args = []string{""}
	}
	verb, rest := args[0], args[1:]
	takes := 0
	if verb == "get" || verb == "rm" {
		takes = 2
	}
	switch {
	case !slices.Contains(stateVerbs, verb):
		return usagef("state: there is no command %q%s", verb, thereAre(verb, stateVerbs))
	case len(rest) < takes:
		return usagef("say which record: resonhost state %s KIND NAME", verb)
	case len(rest) > takes:
		return usagef("state %s takes no argument %q", verb, rest[takes])
	}
	if err := o.given.only("state", verb, stateFlagsOf); err != nil {
		return err
	}
	if err := o.state.checkKind(verb, rest); err != nil {
		return err
	}
	switch verb {
	case "key":
		_, err := fmt.Fprintln(std.out, state.NewKey())
		return err
	case "save":
		return o.saveState(ctx, std)
	}
	store, err := o.state.open(ctx, stateUses[verb], slog.New(slog.NewTextHandler(std.err, &slog.HandlerOptions{Level: slog.LevelWarn})))
	if errors.Is(err, state.ErrInUse) {
		return fmt.Errorf("%w; end that process, or have its host save with resonhost state save --url URL", err)
	}
	if err != nil {
		return err
	}
	return errors.Join(o.withStore(ctx, std, store, verb, rest), store.Close())
}

func (o *options) withStore(ctx context.Context, std stdio, store state.Store, verb string, args []string) error {
	switch verb {
	case "get":
		return o.getState(ctx, std, store, o.state.key(args))
	case "rm":
		return removeState(ctx, std, store, o.state.key(args))
	case "import":
		return o.importState(ctx, std, store)
	case "compact":
		return o.compactState(ctx, std, store)
	}
	return o.listState(ctx, std, store, verb == "export")
}

// saveState has a running host save what has changed.
func (o *options) saveState(ctx context.Context, std stdio) error {
	running, err := o.remote.open(std.err)
	if err != nil {
		return err
	}
	defer running.close()
	var saved api.SavedState
	if err := running.ask(ctx, http.MethodPost, running.base.JoinPath("v1", "state", "save"), &saved); err != nil {
		return err
	}
	if o.json {
		return terminal.Encode(std.out, saved)
	}
	fmt.Fprintf(std.err, "resonhost: %s of streams saved and %s deleted in %.3g s; networks and jobs are saved, too, and not counted\n", counted(int(saved.Saved), "record"), counted(int(saved.Deleted), "record"), saved.TookS)
	return nil
}

// set reports whether there is a store.
func (s *stateOptions) set() bool { return s.dir != "" || s.url != "" }

// openState opens the store of a host and its jobs, if there is to be one. The host has to be closed before it.
func (o *options) openState(ctx context.Context, log *slog.Logger) (closeState func() error, err error) {
	if !o.state.set() {
		return func() error { return nil }, nil
	}
	store, err := o.state.open(ctx, toMake, log)
	if err != nil {
		return nil, err
	}
	o.host.State, o.jobs.Store = store, jobs.NewStateStore(store, log)
	return store.Close, nil
}

// check returns what is wrong with the settings of the store, which it does not open.
func (s *stateOptions) check() error {
	if s.dir != "" && s.url != "" {
		return usagef("--state-dir and --state-url: state is kept in one place")
	}
	var err error
	if s.url != "" {
		if err = redis.CheckURL(s.url); err != nil {
			err = usagef("--state-url: %w", err)
		}
	}
	_, keyErr := s.codec()
	return errors.Join(err, keyErr)
}

// quietRedis ends what the client of Redis writes to the standard error by itself: each failed try to connect,
// between the lines of the log. The store's own errors have that, and are told once an outage.
var quietRedis = sync.OnceFunc(func() { goredis.SetLogger(new(logging.VoidLogger)) })

// open opens the store.
func (s *stateOptions) open(ctx context.Context, why use, log *slog.Logger) (state.Store, error) {
	if !s.set() {
		return nil, usagef("say where the state is: --state-dir DIR or --state-url URL")
	}
	if err := s.check(); err != nil {
		return nil, err
	}
	codec, err := s.codec()
	if err != nil {
		return nil, err
	}
	if s.url != "" {
		quietRedis()
		store, err := redis.Open(ctx, redis.Options{URL: s.url, Codec: codec, ReadOnly: why == toRead, Logger: log})
		if err != nil {
			return nil, err
		}
		return store, nil
	}
	store, err := bolt.Open(ctx, s.dir, bolt.Options{Codec: codec, Logger: log, MustExist: why != toMake, ReadOnly: why == toRead})
	switch path := (*fs.PathError)(nil); {
	case errors.Is(err, fs.ErrNotExist) && why != toMake:
		return nil, usagef("--state-dir %s: no state is kept there", s.dir)
	case errors.As(err, &path):
		return nil, usagef("--state-dir %s: %w", s.dir, path.Err)
	case err != nil:
		return nil, err
	}
	return store, nil
}

func (s *stateOptions) codec() (c state.Codec, err error) {
	if s.keyFile == "" {
		return c, nil
	}
	contents, err := filewatch.Read([]string{s.keyFile}, maxKeyFile)
	if err == nil {
		c.Cipher, err = state.ParseKeys(contents[0])
	}
	if err != nil {
		return c, usagef("--state-key %s: %w", s.keyFile, reason(err))
	}
	return c, nil
}

// checkKind returns what is wrong with the kind of records that a verb is for.
func (s *stateOptions) checkKind(verb string, args []string) error {
	kind, what := s.kind, "--kind"
	if len(args) > 0 {
		kind, what = args[0], "KIND"
	}
	if kind == "" {
		return nil
	}
	unknown := unknownKind(kind)
	switch {
	case unknown != "":
		return usagef("%s: %s", what, unknown)
	case len(args) > 0 && state.Kind(kind) == state.KindStream && s.transform == "":
		return usagef("state %s stream: --transform says of which transform", verb)
	}
	return nil
}

// unknownKind says that there is no such kind of records, "" if there is.
func unknownKind(kind string) string {
	var known []string
	for _, k := range state.Kinds() {
		known = append(known, string(k))
	}
	if slices.Contains(known, kind) {
		return ""
	}
	return fmt.Sprintf("there is no kind %q%s", kind, thereAre(kind, known))
}

// key is the key of a record that arguments name.
func (s *stateOptions) key(args []string) state.Key {
	return state.Key{Kind: state.Kind(args[0]), Tenant: s.tenant, Transform: s.transform, Name: args[1]}
}

func (s *stateOptions) filter() state.Filter {
	f := state.Filter{Kind: state.Kind(s.kind), Transform: s.transform, Prefix: s.prefix}
	if !s.anyTenant {
		f.Tenant = &s.tenant
	}
	return f
}

func (o *options) getState(ctx context.Context, std stdio, store state.Store, key state.Key) error {
	r, err := store.Load(ctx, key)
	if err != nil {
		return err
	}
	b := r.Data
	if o.json {
		if b, err = statejson.Append(nil, &r); err != nil {
			return err
		}
	}
	_, err = std.out.Write(b)
	return err
}

func removeState(ctx context.Context, std stdio, store state.Store, key state.Key) error {
	if _, err := store.Load(ctx, key); errors.Is(err, state.ErrNotFound) || errors.Is(err, state.ErrInvalid) {
		return err
	}
	if err := store.Save(ctx, []state.Change{{Record: state.Record{Key: key}, Delete: true}}); err != nil {
		return err
	}
	fmt.Fprintf(std.err, "resonhost: %v is deleted\n", key)
	return nil
}

// tableRows is after how many rows a table is shown as far as it goes. Its columns may have other widths from there on.
const tableRows = 4096

// listState lists or exports records. What cannot be read is told, and is an error at the end. What was listed before
// an error is shown.
func (o *options) listState(ctx context.Context, std stdio, store state.Store, export bool) error {
	f := o.state.filter()
	f.Data = export
	table := tabwriter.NewWriter(std.out, 0, 8, 2, ' ', 0)
	if !export && !o.json {
		fmt.Fprintln(table, "KIND\tTENANT\tTRANSFORM\tNAME\tFORMAT\tCHANGED\tBYTES")
	}
	var of unreadable
	var line []byte
	rows := 0
	err := store.List(ctx, f, func(r state.Record) (err error) {
		switch {
		case r.Err != nil:
			of.add(&r)
			fmt.Fprintln(std.err, "resonhost:", printable(r.Err.Error()))
		case export || o.json:
			if line, err = statejson.Append(line[:0], &r); err == nil {
				_, err = std.out.Write(terminal.JSON(line))
			}
		default:
			_, err = fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%d\t%s\t%d\n", r.Key.Kind, dash(printable(r.Key.Tenant)), dash(printable(r.Key.Transform)), dash(terminal.Cut(printable(r.Key.Name), maxNameColumns)), r.Format, r.Changed.UTC().Format(time.RFC3339), r.Size)
			if rows++; err == nil && rows%tableRows == 0 {
				err = table.Flush()
			}
		}
		return err
	})
	if flushErr := table.Flush(); err == nil {
		err = flushErr
	}
	if err == nil {
		err = of.err()
	}
	return err
}

// unreadable counts records that cannot be read, by what is to be done.
type unreadable struct{ sealed, named, nameless int }

func (u *unreadable) add(r *state.Record) {
	switch {
	case errors.Is(r.Err, state.ErrKey):
		u.sealed++
	case r.Key != state.Key{}:
		u.named++
	default:
		u.nameless++
	}
}

func (u *unreadable) err() error {
	var list []error
	tell := func(n int, todo string) {
		if n > 0 {
			list = append(list, &exit{api.ExitFailed, fmt.Errorf("%s cannot be read; %s", counted(n, "record"), todo)})
		}
	}
	tell(u.sealed, "say with --state-key the file of keys that they were saved with, or leave it out if they are not sealed")
	tell(u.named, "resonhost state rm deletes one")
	tell(u.nameless, "they have no name by which one is deleted: export the others, and import them into a new store")
	return errors.Join(list...)
}

// maxNameColumns is how wide a name is shown in a list. JSON has all of it.
const maxNameColumns = 80

// How much import saves at a time.
const (
	importRecords = 1000
	importBytes   = 4 << 20
)

// importState saves the records of lines. A line that is wrong is told, and the others go on.
func (o *options) importState(ctx context.Context, std stdio, store state.Store) error {
	if err := o.state.mayImport(ctx, store); err != nil {
		return err
	}
	lines := bufio.NewScanner(std.in)
	lines.Buffer(make([]byte, 0, 64<<10), statejson.MaxLine)
	saved, refused, n, size := 0, 0, 0, 0
	var batch []state.Change
	save := func() error {
		if err := store.Save(ctx, batch); err != nil {
			if ctx.Err() != nil {
				return &exit{api.ExitFailed, errors.New("the import was ended; import the same lines again for the rest")}
			}
			return err
		}
		saved += len(batch)
		batch, size = batch[:0], 0
		return nil
	}
	var fault error
	for fault == nil && lines.Scan() {
		n++
		if len(lines.Bytes()) == 0 {
			continue
		}
		r, err := statejson.Parse(lines.Bytes())
		if err == nil {
			err = usable(r.Key)
		}
		if err != nil {
			refused++
			fmt.Fprintln(std.err, "resonhost:", printable(fmt.Sprintf("line %d: %v", n, err)))
			continue
		}
		batch = append(batch, state.Change{Record: r})
		if size += r.Size; len(batch) >= importRecords || size >= importBytes {
			fault = save()
		}
	}
	if fault == nil {
		fault = save()
		if err := lines.Err(); errors.Is(err, bufio.ErrTooLong) {
			fault = errors.Join(fault, fmt.Errorf("line %d: is longer than %d bytes, and nothing from it on is saved; import what follows with tail -n +%d", n+1, statejson.MaxLine, n+2))
		} else if err != nil {
			fault = errors.Join(fault, err)
		}
	}
	fmt.Fprintf(std.err, "resonhost: %s saved\n", counted(saved, "record"))
	if refused > 0 {
		fault = errors.Join(fault, &exit{api.ExitFailed, fmt.Errorf("%s not imported; mend and import what is told above", counted(refused, "line"))})
	}
	return fault
}

// usable returns an error if no host can use a record of a key, and the member of its line that is wrong.
func usable(key state.Key) error {
	if kind := unknownKind(string(key.Kind)); kind != "" {
		return fmt.Errorf("kind: %s", kind)
	}
	if key.Kind != state.KindStream {
		return nil
	}
	switch n := len(key.Name); {
	case key.Transform == "":
		return errors.New("transform: must be there for a stream")
	case n == 0:
		return errors.New("name: must be there for a stream")
	case n > host.MaxStreamKey:
		return fmt.Errorf("name: must have at most %d bytes for a stream, has %d", host.MaxStreamKey, n)
	}
	return nil
}

// errSealed ends a look at a store.
var errSealed = errors.New("the store has sealed records")

// mayImport refuses to put readable records beside sealed ones.
func (s *stateOptions) mayImport(ctx context.Context, store state.Store) error {
	if s.keyFile != "" || s.clearText {
		return nil
	}
	err := store.List(ctx, state.Filter{}, func(r state.Record) error {
		if errors.Is(r.Err, state.ErrKey) {
			return errSealed
		}
		return nil
	})
	if errors.Is(err, errSealed) {
		return usagef("%w, and without --state-key the new ones would be readable; say --state-key FILE, or --clear-text to have them so", errSealed)
	}
	return err
}

func (o *options) compactState(ctx context.Context, std stdio, store state.Store) error {
	file, ok := store.(*bolt.Store)
	if !ok {
		return usagef("state compact is for --state-dir: Redis keeps house by itself")
	}
	before, err := file.Stats(ctx)
	if err != nil {
		return err
	}
	if err := file.Compact(ctx); err != nil {
		return err
	}
	after, err := file.Stats(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(std.err, "resonhost: %s has %s, and had %s\n", filepath.Clean(o.state.dir), value.Bytes(uint64(after.FileBytes)), value.Bytes(uint64(before.FileBytes)))
	return nil
}
