package wasi

import "github.com/tetratelabs/wazero/api"

// refusal is a function that does nothing. What it answers depends on its first
// argument at most, and it looks at no memory.
type refusal struct {
	signature
	// standard is the answer for a first argument that is the descriptor of a
	// standard stream, other that for any other.
	standard, other errno
}

func (r refusal) answer(stack []uint64) errno {
	if api.DecodeU32(stack[0]) <= stderr {
		return r.standard
	}
	return r.other
}

// refusals are the functions that do nothing. ENOSYS says that the host does not
// do it; EBADF that there is no such descriptor, which is so for all but the
// standard streams; ESPIPE that a stream has no position, which is how programs
// find out that they cannot seek; ENOTSOCK that a stream is no socket.
var refusals = []refusal{
	// A program that closes a standard stream has all written. It stays open all the same: the
	// next task wants it.
	{signature{"fd_close", "fd"}, success, ebadf},
	{signature{"fd_renumber", "fd to"}, enosys, ebadf},
	{signature{"fd_fdstat_set_flags", "fd flags"}, enosys, ebadf},
	{signature{"fd_fdstat_set_rights", "fd fs_rights_base:i64 fs_rights_inheriting:i64"}, enosys, ebadf},

	// Streams have neither size nor times, and nothing is kept back from them.
	{signature{"fd_advise", "fd offset:i64 len:i64 advice"}, enosys, ebadf},
	{signature{"fd_allocate", "fd offset:i64 len:i64"}, enosys, ebadf},
	{signature{"fd_datasync", "fd"}, enosys, ebadf},
	{signature{"fd_sync", "fd"}, enosys, ebadf},
	{signature{"fd_filestat_set_size", "fd size:i64"}, enosys, ebadf},
	{signature{"fd_filestat_set_times", "fd atim:i64 mtim:i64 fst_flags"}, enosys, ebadf},

	// wasi-libc's stdio seeks, and is content with ESPIPE.
	{signature{"fd_seek", "fd offset:i64 whence newoffset"}, espipe, ebadf},
	{signature{"fd_tell", "fd offset"}, espipe, ebadf},
	{signature{"fd_pread", "fd iovs iovs_len offset:i64 nread"}, espipe, ebadf},
	{signature{"fd_pwrite", "fd iovs iovs_len offset:i64 nwritten"}, espipe, ebadf},

	// Runtimes ask for directories from descriptor 3 on until EBADF says that
	// there are no more; Go panics at another error.
	{signature{"fd_prestat_get", "fd prestat"}, ebadf, ebadf},
	{signature{"fd_prestat_dir_name", "fd path path_len"}, ebadf, ebadf},

	// No descriptor is a directory that a path could begin at.
	{signature{"fd_readdir", "fd buf buf_len cookie:i64 bufused"}, ebadf, ebadf},
	{signature{"path_create_directory", "fd path path_len"}, ebadf, ebadf},
	{signature{"path_filestat_get", "fd flags path path_len filestat"}, ebadf, ebadf},
	{signature{"path_filestat_set_times", "fd flags path path_len atim:i64 mtim:i64 fst_flags"}, ebadf, ebadf},
	{signature{"path_link", "old_fd old_flags old_path old_path_len new_fd new_path new_path_len"}, ebadf, ebadf},
	{signature{"path_open", "fd dirflags path path_len oflags fs_rights_base:i64 fs_rights_inheriting:i64 fdflags opened_fd"}, ebadf, ebadf},
	{signature{"path_readlink", "fd path path_len buf buf_len bufused"}, ebadf, ebadf},
	{signature{"path_remove_directory", "fd path path_len"}, ebadf, ebadf},
	{signature{"path_rename", "fd old_path old_path_len new_fd new_path new_path_len"}, ebadf, ebadf},
	{signature{"path_symlink", "old_path old_path_len fd new_path new_path_len"}, ebadf, ebadf},
	{signature{"path_unlink_file", "fd path path_len"}, ebadf, ebadf},

	{signature{"sock_accept", "fd flags opened_fd"}, enotsock, ebadf},
	{signature{"sock_recv", "fd ri_data ri_data_len ri_flags ro_datalen ro_flags"}, enotsock, ebadf},
	{signature{"sock_send", "fd si_data si_data_len si_flags so_datalen"}, enotsock, ebadf},
	{signature{"sock_shutdown", "fd how"}, enotsock, ebadf},

	// The argument is a signal. WASI has withdrawn the function.
	{signature{"proc_raise", "sig"}, enosys, enosys},
}
