//! Limits on open files of the machine and on what descriptors stand for: pipes, ptys, epoll, aio.

use super::{Ceiling, Limit, Usage, owners, row::limits, system};
use crate::model::KnobKind;
use Ceiling::{Fixed, Sysctl};

limits! {
    FILE_MAX: Sysctl Sysctl("fs/file-max"), "fs.file-max", "open files on the machine", "files", "machine",
        Usage::Read(system::file_nr), 0, "1.0", "Documentation/admin-guide/sysctl/fs.rst, file-max; fs/file_table.c, alloc_empty_file()";
    NR_OPEN: Sysctl Sysctl("fs/nr_open"), "fs.nr_open", "the highest RLIMIT_NOFILE there may be", "descriptors",
        "process", Usage::Hidden, 1_048_576, "2.6.25", "Documentation/admin-guide/sysctl/fs.rst, nr_open; kernel/sys.c, do_prlimit()";
    PIPE_MAX_SIZE: Sysctl Sysctl("fs/pipe-max-size"), "fs.pipe-max-size", "size of a pipe without CAP_SYS_RESOURCE",
        "bytes", "pipe", Usage::Hidden, 1_048_576, "2.6.35", "pipe(7); fs/pipe.c, pipe_set_size()";
    PIPE_PAGES_HARD: Sysctl Sysctl("fs/pipe-user-pages-hard"), "fs.pipe-user-pages-hard",
        "pages in all pipes of a user", "pages", "user", Usage::Hidden, 0, "4.5", "pipe(7); fs/pipe.c, alloc_pipe_info()";
    PIPE_PAGES_SOFT: Sysctl Sysctl("fs/pipe-user-pages-soft"), "fs.pipe-user-pages-soft",
        "pages in all pipes of a user, before they get small ones", "pages", "user", Usage::Hidden, 16_384, "4.5",
        "pipe(7); fs/pipe.c, alloc_pipe_info(), pipe_set_size()";
    EPOLL_WATCHES: Sysctl Sysctl("fs/epoll/max_user_watches"), "fs.epoll.max_user_watches",
        "descriptors that a user watches by epoll", "watches", "user", Usage::Read(owners::epoll_watches), 0, "2.6.28",
        "epoll(7); fs/eventpoll.c, ep_insert()";
    AIO_MAX_NR: Sysctl Sysctl("fs/aio-max-nr"), "fs.aio-max-nr", "asynchronous requests of the machine (io_setup)",
        "requests", "machine", Usage::Read(system::aio_nr), 65_536, "2.6.21",
        "Documentation/admin-guide/sysctl/fs.rst, aio-max-nr; fs/aio.c, ioctx_alloc()";
    PTY_MAX: Sysctl Sysctl("kernel/pty/max"), "kernel.pty.max", "pseudo-terminals of the machine", "ptys", "machine",
        Usage::Read(system::ptys), 4096, "2.6.4", "pts(4); fs/devpts/inode.c, devpts_new_index()";
    IN_FLIGHT: Rlimit Ceiling::Rlimit("Max open files"), "descriptors in flight",
        "descriptors that a user has sent over unix sockets and nobody has received", "descriptors", "user",
        Usage::Hidden, 1024, "4.5", "unix(7), ETOOMANYREFS; net/core/scm.c and net/unix, too_many_unix_fds()";
    FANOTIFY_LISTENERS: Other Fixed(128), "fanotify listeners", "fanotify groups of a user, before 5.13", "groups",
        "user", Usage::Hidden, 128, "2.6.37", "fs/notify/fanotify/fanotify_user.c, fanotify_init()";
}
