package wasi

import (
	"context"

	"github.com/tetratelabs/wazero/api"
)

// refusal is a function that does nothing. What it answers depends on its first
// argument at most, and it looks at no memory.
type refusal struct {
	signature
	// standard is the answer for a first argument that is the descriptor of a
	// standard stream, and directory for one of a directory. For others it is EBADF.
	standard, directory errno
}

func (r refusal) do(_ context.Context, s *System, _ api.Module, stack []uint64) errno {
	switch fd := api.DecodeU32(stack[0]); {
	case fd <= stderr:
		return r.standard
	case s.now.directories.has(fd):
		return r.directory
	}
	return ebadf
}

// refusals are the functions that do nothing. ENOSYS says that the host does not
// do it; EBADF that there is no such descriptor, or that it is not for this; ESPIPE that
// a stream has no position, which is how programs find out that they cannot seek;
// ENOTSOCK that a stream is no socket.
var refusals = []refusal{
	{signature{"fd_fdstat_set_flags", "fd flags"}, enosys, enosys},
	{signature{"fd_fdstat_set_rights", "fd fs_rights_base:i64 fs_rights_inheriting:i64"}, enosys, enosys},

	// Streams have neither size nor times, and nothing is kept back from them.
	{signature{"fd_advise", "fd offset:i64 len:i64 advice"}, enosys, ebadf},
	{signature{"fd_allocate", "fd offset:i64 len:i64"}, enosys, ebadf},
	{signature{"fd_datasync", "fd"}, enosys, success},
	{signature{"fd_sync", "fd"}, enosys, success},
	{signature{"fd_filestat_set_size", "fd size:i64"}, enosys, ebadf},
	{signature{"fd_filestat_set_times", "fd atim:i64 mtim:i64 fst_flags"}, enosys, erofs},

	// wasi-libc's stdio seeks, and is content with ESPIPE.
	{signature{"fd_seek", "fd offset:i64 whence newoffset"}, espipe, ebadf},
	{signature{"fd_tell", "fd offset"}, espipe, ebadf},
	{signature{"fd_pread", "fd iovs iovs_len offset:i64 nread"}, espipe, eisdir},
	{signature{"fd_pwrite", "fd iovs iovs_len offset:i64 nwritten"}, espipe, ebadf},

	// A directory is as a descriptor that is not there: WASI's test suite takes 3 for that.
	{signature{"sock_accept", "fd flags opened_fd"}, enotsock, ebadf},
	{signature{"sock_recv", "fd ri_data ri_data_len ri_flags ro_datalen ro_flags"}, enotsock, ebadf},
	{signature{"sock_send", "fd si_data si_data_len si_flags so_datalen"}, enotsock, ebadf},
	{signature{"sock_shutdown", "fd how"}, enotsock, ebadf},
}
