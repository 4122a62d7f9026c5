package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
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
	"json": {"ls", "get", "save"}, "state-dir": ofStore, "state-url": ofStore, "state-key": ofStore,
	"url": ofHost, "token-file": ofHost, "ca": ofHost, "client-cert": ofHost, "client-key": ofHost,
}

// ofStore read or change a store, and ofHost ask a running host.
var ofStore, ofHost = []string{"ls", "get", "export", "import", "rm", "compact"}, []string{"save"}

// maxKeyFile is the largest file of keys, in bytes.
const maxKeyFile = 64 << 10

// stateOptions say where state is kept, and of the command state which part of it is meant.
type stateOptions struct {
	dir, url, keyFile string

	kind, tenant, transform, prefix string
	anyTenant                       bool
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
			"No host may have the store open meanwhile, save aside. A record that cannot be read is told on\n" +
			"standard error, and the others go on; the exit code is 1 then.\n\n" + exitCodes,
		Flags: append(append(flags(slices.DeleteFunc(o.stateSettings(), func(s setting) bool { return s.name == "state-interval" }), o.config()), o.remote.flags()...),
			word("kind", "take those of `KIND` stream, network, job, output or plugin; of ls and export", &s.kind),
			word("tenant", "take those of the tenant `NAME`; a single record is of the tenant without a name otherwise", &s.tenant),
			word("transform", "take those of the transform `NAME`", &s.transform),
			word("prefix", "take those whose names begin with `TEXT`; of ls and export", &s.prefix),
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
	store, err := o.state.open(ctx, verb == "import", slog.New(slog.NewTextHandler(std.err, nil)))
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
		return importState(ctx, std, store)
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
	store, err := o.state.open(ctx, true, log)
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

// open opens the store. It makes one that is not there only if create says so.
func (s *stateOptions) open(ctx context.Context, create bool, log *slog.Logger) (state.Store, error) {
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
		store, err := redis.Open(ctx, redis.Options{URL: s.url, Codec: codec, Logger: log})
		if err != nil {
			return nil, err
		}
		return store, nil
	}
	store, err := bolt.Open(ctx, s.dir, bolt.Options{Codec: codec, Logger: log, MustExist: !create})
	switch path := (*fs.PathError)(nil); {
	case errors.Is(err, fs.ErrNotExist) && !create:
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
	var known []string
	for _, k := range state.Kinds() {
		known = append(known, string(k))
	}
	switch {
	case !slices.Contains(known, kind):
		return usagef("%s: there is no kind %q%s", what, kind, thereAre(kind, known))
	case len(args) > 0 && state.Kind(kind) == state.KindStream && s.transform == "":
		return usagef("state %s stream: --transform says of which transform", verb)
	}
	return nil
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

// listState lists or exports records. What cannot be read is told, and is an error at the end.
func (o *options) listState(ctx context.Context, std stdio, store state.Store, export bool) error {
	f := o.state.filter()
	f.Data = export
	table := tabwriter.NewWriter(std.out, 0, 8, 2, ' ', 0)
	if !export && !o.json {
		fmt.Fprintln(table, "KIND\tTENANT\tTRANSFORM\tNAME\tFORMAT\tCHANGED\tBYTES")
	}
	damaged := 0
	var line []byte
	err := store.List(ctx, f, func(r state.Record) (err error) {
		switch {
		case r.Err != nil:
			damaged++
			fmt.Fprintln(std.err, "resonhost:", printable(r.Err.Error()))
		case export || o.json:
			if line, err = statejson.Append(line[:0], &r); err == nil {
				_, err = std.out.Write(terminal.JSON(line))
			}
		default:
			_, err = fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%d\t%s\t%d\n", r.Key.Kind, dash(printable(r.Key.Tenant)), dash(printable(r.Key.Transform)), dash(printable(r.Key.Name)), r.Format, r.Changed.UTC().Format(time.RFC3339), r.Size)
		}
		return err
	})
	err = errors.Join(err, table.Flush())
	if err == nil && damaged > 0 {
		err = &exit{api.ExitFailed, fmt.Errorf("%s cannot be read; resonhost state rm deletes one", counted(damaged, "record"))}
	}
	return err
}

// How much import saves at a time.
const (
	importRecords = 1000
	importBytes   = 4 << 20
)

// importState saves the records of lines. What came before a line that is wrong is saved.
func importState(ctx context.Context, std stdio, store state.Store) error {
	lines := bufio.NewScanner(std.in)
	lines.Buffer(make([]byte, 0, 64<<10), statejson.MaxLine)
	saved, n, size := 0, 0, 0
	var batch []state.Change
	save := func() error {
		if err := store.Save(ctx, batch); err != nil {
			return err
		}
		saved += len(batch)
		batch, size = batch[:0], 0
		return nil
	}
	var fault error
	unsaved := false // it was tried, and failed
	for fault == nil && lines.Scan() {
		n++
		if len(lines.Bytes()) == 0 {
			continue
		}
		r, err := statejson.Parse(lines.Bytes())
		if err != nil {
			fault = fmt.Errorf("line %d: %w", n, err)
			break
		}
		batch = append(batch, state.Change{Record: r})
		if size += r.Size; len(batch) >= importRecords || size >= importBytes {
			fault = save()
			unsaved = fault != nil
		}
	}
	if err := lines.Err(); errors.Is(err, bufio.ErrTooLong) {
		fault = fmt.Errorf("line %d: is longer than %d bytes", n+1, statejson.MaxLine)
	} else if err != nil && !errors.Is(err, io.EOF) {
		fault = err
	}
	err := fault
	if !unsaved {
		err = errors.Join(fault, save())
	}
	fmt.Fprintf(std.err, "resonhost: %s saved\n", counted(saved, "record"))
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
