//! The table: one line per system call.

use super::Call;
use super::Kind::{Choice, CloneFlags, Data, Fd, Flags, Int, Long, Octal, Secret, Strings, Text};
use super::flags::{
    AT, DOMAIN, EPOLL_OP, FSCONFIG, FSMOUNT, FSOPEN, FSPICK, MAP, MOUNT, MOUNT_ATTR, MOVE_MOUNT, NAMESPACES,
    OPEN, OPEN_TREE, PROT, RESOURCE, SECCOMP, UMOUNT,
};

macro_rules! calls {
    ($($($name:literal)|+ ($($param:ident: $kind:expr),* $(,)?);)+) => {
        &[$(Call { names: &[$($name),+], params: &[$((stringify!($param), $kind)),*] }),+]
    };
}

/// Calls whose arguments are the same on every table that has them.
pub(super) const CALLS: &[Call] = calls! {
    // Mounts, the old and the new way.
    "mount"(source: Text, target: Text, fstype: Text, flags: Flags(MOUNT), data: Data);
    "umount2"(target: Text, flags: Flags(UMOUNT));
    "umount"(target: Text);
    "open_tree"(dirfd: Fd, pathname: Text, flags: Flags(OPEN_TREE));
    "open_tree_attr"(dirfd: Fd, pathname: Text, flags: Flags(OPEN_TREE), attr: Long, size: Long);
    "move_mount"(from_dirfd: Fd, from_pathname: Text, to_dirfd: Fd, to_pathname: Text, flags: Flags(MOVE_MOUNT));
    "fsopen"(fsname: Text, flags: Flags(FSOPEN));
    "fsconfig"(fd: Fd, cmd: Choice(FSCONFIG), key: Text, value: Text, aux: Int);
    "fsmount"(fd: Fd, flags: Flags(FSMOUNT), attr_flags: Flags(MOUNT_ATTR));
    "fspick"(dirfd: Fd, pathname: Text, flags: Flags(FSPICK));
    "mount_setattr"(dirfd: Fd, pathname: Text, flags: Flags(AT), attr: Long, size: Long);
    "pivot_root"(new_root: Text, put_old: Text);
    "chroot"(path: Text);
    // Processes and namespaces.
    "fork" | "vfork"();
    "clone"(flags: CloneFlags, stack: Long, parent_tid: Long, child_tid: Long, tls: Long);
    "clone3"(cl_args: Long, size: Long);
    "unshare"(flags: Flags(NAMESPACES));
    "setns"(fd: Fd, nstype: Flags(NAMESPACES));
    "execve"(pathname: Text, argv: Strings, envp: Strings);
    "execveat"(dirfd: Fd, pathname: Text, argv: Strings, envp: Strings, flags: Flags(AT));
    "prlimit64"(pid: Int, resource: Choice(RESOURCE), new_limit: Long, old_limit: Long);
    "setrlimit"(resource: Choice(RESOURCE), rlim: Long);
    "kill"(pid: Int, sig: Int);
    "tgkill"(tgid: Int, tid: Int, sig: Int);
    "ptrace"(op: Int, pid: Int, addr: Long, data: Long);
    "pidfd_open"(pid: Int, flags: Int);
    "setsid"();
    "setpgid"(pid: Int, pgid: Int);
    "sched_setaffinity"(pid: Int, cpusetsize: Long, mask: Long);
    "sched_setscheduler"(pid: Int, policy: Int, param: Long);
    "sched_setattr"(pid: Int, attr: Long, flags: Int);
    "setuid" | "setuid32"(uid: Int);
    "setgid" | "setgid32"(gid: Int);
    "setreuid" | "setreuid32"(ruid: Int, euid: Int);
    "setregid" | "setregid32"(rgid: Int, egid: Int);
    "setresuid" | "setresuid32"(ruid: Int, euid: Int, suid: Int);
    "setresgid" | "setresgid32"(rgid: Int, egid: Int, sgid: Int);
    "setgroups" | "setgroups32"(size: Int, list: Long);
    "capset"(header: Long, data: Long);
    "prctl"(op: Int, arg2: Long, arg3: Long, arg4: Long, arg5: Long);
    "seccomp"(operation: Choice(SECCOMP), flags: Int, args: Long);
    "sethostname" | "setdomainname"(name: Long, len: Long);
    "timer_create"(clockid: Int, sevp: Long, timerid: Long);
    // Privileges and the machine.
    "init_module"(module_image: Long, size: Long, param_values: Text);
    "delete_module"(name: Text, flags: Int);
    "kexec_load"(entry: Long, nr_segments: Long, segments: Long, flags: Long);
    "kexec_file_load"(kernel_fd: Fd, initrd_fd: Fd, cmdline_len: Long, cmdline: Secret, flags: Long);
    "reboot"(magic: Int, magic2: Int, op: Int, arg: Long);
    "settimeofday"(tv: Long, tz: Long);
    "clock_settime" | "clock_settime64"(clockid: Int, tp: Long);
    "clock_adjtime"(clockid: Int, buf: Long);
    "adjtimex"(buf: Long);
    "clock_nanosleep"(clockid: Int, flags: Int, t: Long, remain: Long);
    "iopl"(level: Int);
    "ioperm"(from: Long, num: Long, turn_on: Int);
    "setpriority"(which: Int, who: Int, prio: Int);
    "ioprio_set"(which: Int, who: Int, ioprio: Int);
    "sched_setparam"(pid: Int, param: Long);
    "process_vm_readv" | "process_vm_writev"(pid: Int, local_iov: Long, liovcnt: Long, remote_iov: Long, riovcnt: Long, flags: Long);
    "kcmp"(pid1: Int, pid2: Int, type: Int, idx1: Long, idx2: Long);
    "pidfd_getfd"(pidfd: Fd, targetfd: Int, flags: Int);
    "pidfd_send_signal"(pidfd: Fd, sig: Int, info: Long, flags: Int);
    "rt_sigqueueinfo"(tgid: Int, sig: Int, info: Long);
    "tkill"(tid: Int, sig: Int);
    "move_pages"(pid: Int, count: Long, pages: Long, nodes: Long, status: Long, flags: Int);
    "mbind"(addr: Long, size: Long, mode: Int, nodemask: Long, maxnode: Long, flags: Int);
    "fchmod"(fd: Fd, mode: Octal);
    "fchown" | "fchown32"(fd: Fd, owner: Int, group: Int);
    "removexattr" | "lremovexattr"(path: Text, name: Text);
    "fremovexattr"(fd: Fd, name: Text);
    "open_by_handle_at"(mount_fd: Fd, handle: Long, flags: Flags(OPEN));
    "quotactl"(op: Int, special: Text, id: Int, addr: Long);
    "landlock_create_ruleset"(attr: Long, size: Long, flags: Int);
    "landlock_add_rule"(ruleset_fd: Fd, rule_type: Int, rule_attr: Long, flags: Int);
    "landlock_restrict_self"(ruleset_fd: Fd, flags: Int);
    // Files and folders.
    "mkdir"(pathname: Text, mode: Octal);
    "mkdirat"(dirfd: Fd, pathname: Text, mode: Octal);
    "open"(pathname: Text, flags: Flags(OPEN), mode: Octal);
    "openat"(dirfd: Fd, pathname: Text, flags: Flags(OPEN), mode: Octal);
    "openat2"(dirfd: Fd, pathname: Text, how: Long, size: Long);
    "creat"(pathname: Text, mode: Octal);
    "mknod"(pathname: Text, mode: Octal, dev: Long);
    "mknodat"(dirfd: Fd, pathname: Text, mode: Octal, dev: Long);
    "link"(oldpath: Text, newpath: Text);
    "linkat"(olddirfd: Fd, oldpath: Text, newdirfd: Fd, newpath: Text, flags: Flags(AT));
    "symlink"(target: Text, linkpath: Text);
    "symlinkat"(target: Text, newdirfd: Fd, linkpath: Text);
    "rename"(oldpath: Text, newpath: Text);
    "renameat"(olddirfd: Fd, oldpath: Text, newdirfd: Fd, newpath: Text);
    "renameat2"(olddirfd: Fd, oldpath: Text, newdirfd: Fd, newpath: Text, flags: Int);
    "unlink" | "rmdir" | "chdir" | "acct"(pathname: Text);
    "unlinkat"(dirfd: Fd, pathname: Text, flags: Flags(AT));
    "access"(pathname: Text, mode: Int);
    "faccessat"(dirfd: Fd, pathname: Text, mode: Int);
    "faccessat2"(dirfd: Fd, pathname: Text, mode: Int, flags: Flags(AT));
    "stat" | "lstat" | "stat64" | "lstat64" | "statfs"(pathname: Text, buf: Long);
    "newfstatat" | "fstatat64"(dirfd: Fd, pathname: Text, statbuf: Long, flags: Flags(AT));
    "statx"(dirfd: Fd, pathname: Text, flags: Flags(AT), mask: Int, statxbuf: Long);
    "readlink"(pathname: Text, buf: Long, bufsiz: Long);
    "readlinkat"(dirfd: Fd, pathname: Text, buf: Long, bufsiz: Long);
    "chmod"(pathname: Text, mode: Octal);
    "fchmodat"(dirfd: Fd, pathname: Text, mode: Octal);
    "fchmodat2"(dirfd: Fd, pathname: Text, mode: Octal, flags: Flags(AT));
    "chown" | "lchown" | "chown32" | "lchown32"(pathname: Text, owner: Int, group: Int);
    "fchownat"(dirfd: Fd, pathname: Text, owner: Int, group: Int, flags: Flags(AT));
    "truncate"(path: Text, length: Long);
    "setxattr" | "lsetxattr"(path: Text, name: Text, value: Secret, size: Long, flags: Int);
    "getxattr" | "lgetxattr"(path: Text, name: Text, value: Long, size: Long);
    "fsetxattr"(fd: Fd, name: Text, value: Secret, size: Long, flags: Int);
    "utimensat"(dirfd: Fd, pathname: Text, times: Long, flags: Flags(AT));
    "name_to_handle_at"(dirfd: Fd, pathname: Text, handle: Long, mount_id: Long, flags: Flags(AT));
    "swapon"(path: Text, swapflags: Int);
    "swapoff"(path: Text);
    "read" | "write"(fd: Fd, buf: Long, count: Long);
    "readv" | "writev"(fd: Fd, iov: Long, iovcnt: Int);
    "pwrite64" | "pread64"(fd: Fd, buf: Long, count: Long, offset: Long);
    "pwritev" | "preadv"(fd: Fd, iov: Long, iovcnt: Int, offset: Long);
    "sendfile" | "sendfile64"(out_fd: Fd, in_fd: Fd, offset: Long, count: Long);
    "copy_file_range"(fd_in: Fd, off_in: Long, fd_out: Fd, off_out: Long, size: Long, flags: Int);
    "splice"(fd_in: Fd, off_in: Long, fd_out: Fd, off_out: Long, size: Long, flags: Int);
    "fallocate"(fd: Fd, mode: Int, offset: Long, size: Long);
    "ftruncate"(fd: Fd, length: Long);
    "fsync" | "fdatasync" | "close" | "fchdir" | "syncfs"(fd: Fd);
    "dup"(oldfd: Fd);
    "dup2"(oldfd: Fd, newfd: Fd);
    "dup3"(oldfd: Fd, newfd: Fd, flags: Flags(OPEN));
    "fcntl" | "fcntl64"(fd: Fd, op: Int, arg: Long);
    "flock"(fd: Fd, op: Int);
    "ioctl"(fd: Fd, op: Int, argp: Long);
    "pipe"(pipefd: Long);
    "pipe2"(pipefd: Long, flags: Flags(OPEN));
    "eventfd"(initval: Int);
    "eventfd2"(initval: Int, flags: Int);
    "timerfd_create"(clockid: Int, flags: Int);
    "signalfd"(fd: Fd, mask: Long, size: Long);
    "signalfd4"(fd: Fd, mask: Long, size: Long, flags: Int);
    "memfd_create"(name: Text, flags: Int);
    "userfaultfd"(flags: Int);
    // Watching.
    "inotify_init"();
    "inotify_init1"(flags: Flags(OPEN));
    "inotify_add_watch"(fd: Fd, pathname: Text, mask: Int);
    "fanotify_init"(flags: Int, event_f_flags: Flags(OPEN));
    "fanotify_mark"(fanotify_fd: Fd, flags: Int, mask: Long, dirfd: Fd, pathname: Text);
    "epoll_create"(size: Int);
    "epoll_create1"(flags: Flags(OPEN));
    "epoll_ctl"(epfd: Fd, op: Choice(EPOLL_OP), fd: Fd, event: Long);
    // Keys, programs, events, asynchronous I/O.
    "keyctl"(operation: Int, arg2: Long, arg3: Long, arg4: Long, arg5: Long);
    "add_key"(type: Text, description: Text, payload: Secret, plen: Long, keyring: Int);
    "request_key"(type: Text, description: Text, callout_info: Secret, dest_keyring: Int);
    "bpf"(cmd: Int, attr: Long, size: Int);
    "perf_event_open"(attr: Long, pid: Int, cpu: Int, group_fd: Fd, flags: Long);
    "io_setup"(nr_events: Int, ctx_idp: Long);
    "io_uring_setup"(entries: Int, params: Long);
    "io_uring_enter"(fd: Fd, to_submit: Int, min_complete: Int, flags: Int, sig: Long, sz: Long);
    "io_uring_register"(fd: Fd, op: Int, arg: Long, nr_args: Int);
    "finit_module"(fd: Fd, param_values: Text, flags: Int);
    // System V and POSIX interprocess communication.
    "semget"(key: Int, nsems: Int, semflg: Int);
    "shmget"(key: Int, size: Long, shmflg: Int);
    "shmat"(shmid: Int, shmaddr: Long, shmflg: Int);
    "msgget"(key: Int, msgflg: Int);
    "semop"(semid: Int, sops: Long, nsops: Long);
    "semtimedop"(semid: Int, sops: Long, nsops: Long, timeout: Long);
    "semctl"(semid: Int, semnum: Int, op: Int, arg: Long);
    "shmctl"(shmid: Int, op: Int, buf: Long);
    "msgrcv"(msqid: Int, msgp: Long, msgsz: Long, msgtyp: Long, msgflg: Int);
    "msgctl"(msqid: Int, op: Int, buf: Long);
    "msgsnd"(msqid: Int, msgp: Long, msgsz: Long, msgflg: Int);
    "mq_open"(name: Text, oflag: Flags(OPEN), mode: Octal, attr: Long);
    "mq_timedsend"(mqdes: Fd, msg_ptr: Long, msg_len: Long, msg_prio: Int, abs_timeout: Long);
    "mq_timedreceive"(mqdes: Fd, msg_ptr: Long, msg_len: Long, msg_prio: Long, abs_timeout: Long);
    // Memory.
    "mmap" | "mmap2"(addr: Long, length: Long, prot: Flags(PROT), flags: Flags(MAP), fd: Fd, offset: Long);
    "mprotect"(addr: Long, size: Long, prot: Flags(PROT));
    "mremap"(old_address: Long, old_size: Long, new_size: Long, flags: Int, new_address: Long);
    "set_mempolicy"(mode: Int, nodemask: Long, maxnode: Long);
    "madvise"(addr: Long, size: Long, advice: Int);
    "mlock"(addr: Long, size: Long);
    "mlock2"(addr: Long, size: Long, flags: Int);
    "mlockall"(flags: Int);
    "brk"(addr: Long);
    "munmap"(addr: Long, size: Long);
    "pkey_mprotect"(addr: Long, size: Long, prot: Flags(PROT), pkey: Int);
    "memfd_secret"(flags: Int);
    "membarrier"(cmd: Int, flags: Int, cpu_id: Int);
    // Waiting, signals, priorities, the kernel's log.
    "poll"(fds: Long, nfds: Int, timeout: Int);
    "ppoll"(fds: Long, nfds: Int, tmo_p: Long, sigmask: Long, sigsetsize: Long);
    "rt_tgsigqueueinfo"(tgid: Int, tid: Int, sig: Int, info: Long);
    "syslog"(type: Int, buf: Long, size: Int);
    // Sockets.
    "socket"(domain: Choice(DOMAIN), type: Int, protocol: Int);
    "socketpair"(domain: Choice(DOMAIN), type: Int, protocol: Int, sv: Long);
    "bind" | "connect"(sockfd: Fd, addr: Long, addrlen: Int);
    "listen"(sockfd: Fd, backlog: Int);
    "accept"(sockfd: Fd, addr: Long, addrlen: Long);
    "accept4"(sockfd: Fd, addr: Long, addrlen: Long, flags: Int);
    "sendto"(sockfd: Fd, buf: Long, size: Long, flags: Int, dest_addr: Long, addrlen: Int);
    "sendmsg"(sockfd: Fd, msg: Long, flags: Int);
    "sendmmsg"(sockfd: Fd, msgvec: Long, vlen: Int, flags: Int);
    "setsockopt"(sockfd: Fd, level: Int, optname: Int, optval: Long, optlen: Int);
    "getsockopt"(sockfd: Fd, level: Int, optname: Int, optval: Long, optlen: Long);
    "recvfrom"(sockfd: Fd, buf: Long, size: Long, flags: Int, src_addr: Long, addrlen: Long);
    "recvmsg"(sockfd: Fd, msg: Long, flags: Int);
    "socketcall"(call: Int, args: Long);
    "ipc"(call: Int, first: Int, second: Long, third: Long, ptr: Long, fifth: Long);
};

/// Calls that i386 passes differently: clone has tls before child_tid (CLONE_BACKWARDS), 64-bit values
/// take two registers, and mmap takes one pointer to its arguments (arch/x86/kernel/sys_ia32.c).
pub(super) const COMPAT: &[Call] = calls! {
    "clone"(flags: CloneFlags, stack: Long, parent_tid: Long, tls: Long, child_tid: Long);
    "fanotify_mark"(fanotify_fd: Fd, flags: Int, mask_low: Long, mask_high: Long, dirfd: Fd, pathname: Text);
    "mmap"(args: Long);
    "fallocate"(fd: Fd, mode: Int, offset_low: Long, offset_high: Long, size_low: Long, size_high: Long);
    "pwrite64" | "pread64"(fd: Fd, buf: Long, count: Long, offset_low: Long, offset_high: Long);
};
