// Package wasi is the part of wasi_snapshot_preview1 that a sandboxed plugin
// needs: it computes, tells the time, draws random bytes, reads an input, writes to two
// streams and exits. Arguments, environment variables and input are those that the host
// gives it. There is no file and no socket. A guest may have one directory, which is empty and
// cannot be written, so that programs that look for a file learn that there is none.
//
// All state is in a [System], which can be put back to its start, so that no
// task of an instance sees anything of the one before. Nothing blocks but a
// sleep by the real clock, and what one call does is bounded. Wherever a guest
// points, the answer is an errno (EFAULT), never a panic; but a guest that has no
// memory at all traps where a function wants one.
//
// Layouts and numbers are those of
// https://github.com/WebAssembly/WASI/blob/main/legacy/preview1/docs.md.
package wasi

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/resonhost/resonhost/abi"
)

// Instantiate registers the host module wasi_snapshot_preview1 with all of its
// functions. The context that a guest is called with reaches of, which returns
// the [System] of the instance that is called: never nil, and best without
// allocating, since it is asked at every call of a function that does something.
func Instantiate(ctx context.Context, r wazero.Runtime, of func(context.Context) *System) error {
	b := r.NewHostModuleBuilder(abi.ImportWASI)
	for _, f := range functions {
		b = f.export(b, func(ctx context.Context, mod api.Module, stack []uint64) {
			stack[0] = uint64(f.do(ctx, of(ctx), mod, stack))
		})
	}
	for _, r := range refusals {
		b = r.export(b, func(ctx context.Context, mod api.Module, stack []uint64) {
			stack[0] = uint64(r.do(ctx, of(ctx), mod, stack))
		})
	}
	b = exit.export(b, procExit)
	if _, err := b.Instantiate(ctx); err != nil {
		return fmt.Errorf("instantiate %s: %w", abi.ImportWASI, err)
	}
	return nil
}

// signature is the name of a function and, separated by spaces, those of its
// parameters: of type i32, or i64 where a name ends so.
type signature struct{ name, params string }

// suffixI64 marks a parameter of type i64.
const suffixI64 = ":i64"

// types returns the names of the parameters, and the types of parameters and results: an errno,
// unless it is the one function that does not return.
func (s signature) types() (names []string, params, results []api.ValueType) {
	names = strings.Fields(s.params)
	params = make([]api.ValueType, len(names))
	for i, name := range names {
		params[i] = api.ValueTypeI32
		if short, ok := strings.CutSuffix(name, suffixI64); ok {
			names[i], params[i] = short, api.ValueTypeI64
		}
	}
	if s != exit {
		results = []api.ValueType{api.ValueTypeI32}
	}
	return names, params, results
}

// Signature returns the type of a function of the host module.
func Signature(name string) (params, results []api.ValueType, ok bool) {
	find := func(s signature) bool {
		if s.name == name {
			_, params, results = s.types()
			ok = true
		}
		return ok
	}
	_ = find(exit) || slices.ContainsFunc(functions, func(f function) bool { return find(f.signature) }) ||
		slices.ContainsFunc(refusals, func(r refusal) bool { return find(r.signature) })
	return params, results, ok
}

// export adds fn under that signature.
func (s signature) export(b wazero.HostModuleBuilder, fn api.GoModuleFunc) wazero.HostModuleBuilder {
	names, params, results := s.types()
	var resultNames []string
	if len(results) > 0 {
		resultNames = []string{"errno"}
	}
	return b.NewFunctionBuilder().
		WithGoModuleFunction(fn, params, results).
		WithParameterNames(names...).
		WithResultNames(resultNames...).
		WithName(s.name).
		Export(s.name)
}

// function is one that does something. What it gets as stack are its arguments.
type function struct {
	signature
	do func(ctx context.Context, s *System, mod api.Module, stack []uint64) errno
}

// functions are those that do something, and return.
var functions = []function{
	{signature{"args_sizes_get", "argc argv_buf_size"}, argsSizesGet},
	{signature{"args_get", "argv argv_buf"}, argsGet},
	{signature{"environ_sizes_get", "environc environ_buf_size"}, environSizesGet},
	{signature{"environ_get", "environ environ_buf"}, environGet},
	{signature{"clock_res_get", "id resolution"}, clockResGet},
	{signature{"clock_time_get", "id precision:i64 time"}, clockTimeGet},
	{signature{"fd_fdstat_get", "fd stat"}, fdFdstatGet},
	{signature{"fd_filestat_get", "fd filestat"}, fdFilestatGet},
	{signature{"fd_read", "fd iovs iovs_len nread"}, fdRead},
	{signature{"fd_write", "fd iovs iovs_len nwritten"}, fdWrite},
	{signature{"fd_close", "fd"}, fdClose},
	{signature{"fd_renumber", "fd to"}, fdRenumber},
	// Runtimes ask for directories from descriptor 3 on until EBADF says that
	// there are no more; Go panics at another error.
	{signature{"fd_prestat_get", "fd prestat"}, fdPrestatGet},
	{signature{"fd_prestat_dir_name", "fd path path_len"}, fdPrestatDirName},
	{signature{"fd_readdir", "fd buf buf_len cookie:i64 bufused"}, fdReaddir},
	{signature{"path_open", "fd dirflags path path_len oflags fs_rights_base:i64 fs_rights_inheriting:i64 fdflags opened_fd"}, pathOpen},
	{signature{"path_filestat_get", "fd flags path path_len filestat"}, pathFilestatGet},
	{signature{"path_filestat_set_times", "fd flags path path_len atim:i64 mtim:i64 fst_flags"}, decline(0, 2, erofs, enoent)},
	{signature{"path_create_directory", "fd path path_len"}, decline(0, 1, eexist, erofs)},
	{signature{"path_readlink", "fd path path_len buf buf_len bufused"}, decline(0, 1, einval, enoent)},
	{signature{"path_remove_directory", "fd path path_len"}, decline(0, 1, erofs, enoent)},
	{signature{"path_unlink_file", "fd path path_len"}, decline(0, 1, eisdir, enoent)},
	{signature{"path_symlink", "old_path old_path_len fd new_path new_path_len"}, decline(2, 3, eexist, erofs)},
	{signature{"path_link", "old_fd old_flags old_path old_path_len new_fd new_path new_path_len"}, declineTwo(0, 2, 4, 5)},
	{signature{"path_rename", "fd old_path old_path_len new_fd new_path new_path_len"}, declineTwo(0, 1, 3, 4)},
	{signature{"proc_raise", "sig"}, procRaise},
	{signature{"poll_oneoff", "in out nsubscriptions nevents"}, pollOneoff},
	{signature{"random_get", "buf buf_len"}, randomGet},
	{signature{"sched_yield", ""}, schedYield},
}

// exit is the function that does not return.
var exit = signature{"proc_exit", "rval"}
