//! Calls on something that cannot take them, whoever asks: a file without readiness, a process with a tracer, a switch
//! that is not there.

use super::{LINGER, Provoked};
use anyhow::{Context, bail};
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::fs::OpenOptionsExt;

/// `kthreadd`, the parent of the kernel's threads (kernel/kthread.c), in the first pid namespace.
const KERNEL_THREAD: libc::pid_t = 2;

fn refused<T>(result: io::Result<T>, syscall: &'static str) -> anyhow::Result<Provoked> {
    match result {
        Ok(_) => bail!("{syscall} was not refused"),
        Err(error) => {
            std::thread::sleep(LINGER);
            Ok(Provoked::new(syscall, error))
        }
    }
}

fn done(result: i64) -> io::Result<i64> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// What was refused to a child, which ends with it.
fn in_child(syscall: &'static str, act: impl FnOnce() -> Option<io::Error>) -> anyhow::Result<Provoked> {
    // SAFETY: this process has one thread, so that the child may do as it does.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let errno = act().and_then(|error| error.raw_os_error()).unwrap_or_default();
        std::thread::sleep(LINGER);
        // SAFETY: ends this child alone, without the handlers of its parent.
        unsafe { libc::_exit(errno) }
    }
    done(i64::from(child)).context("cannot fork")?;
    let mut status = 0;
    // SAFETY: a child of ours, and room for its status.
    unsafe { libc::waitpid(child, &raw mut status, 0) };
    match libc::WEXITSTATUS(status) {
        0 => bail!("{syscall} was not refused"),
        errno => Ok(Provoked::new(syscall, io::Error::from_raw_os_error(errno))),
    }
}

pub(super) fn leave_group(variant: &str) -> anyhow::Result<Provoked> {
    let terminal = File::options().read(true).write(true).custom_flags(libc::O_NOCTTY).open("/dev/ptmx");
    let (syscall, terminal) = match variant {
        "group" => ("setpgid", None),
        "terminal" => ("ioctl", Some(terminal.context("cannot make a terminal")?)),
        _ => ("setsid", None),
    };
    in_child(syscall, || {
        // SAFETY: numbers only, and a descriptor that is open.
        let result = unsafe {
            match (variant, &terminal) {
                ("group", _) => {
                    libc::setsid();
                    libc::setpgid(0, 0)
                }
                (_, Some(terminal)) => libc::ioctl(terminal.as_raw_fd(), libc::TIOCSCTTY, 0),
                _ => {
                    libc::setpgid(0, 0);
                    libc::setsid()
                }
            }
        };
        done(i64::from(result)).err()
    })
}

pub(super) fn watch_file(variant: &str) -> anyhow::Result<Provoked> {
    let path = if variant == "null" { "/dev/null" } else { "/proc/self/exe" };
    let file = File::open(path).with_context(|| format!("cannot open {path}"))?;
    // SAFETY: a number; the descriptor that comes of it goes with the process.
    let set =
        done(i64::from(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })).context("epoll_create1")?;
    let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: 0 };
    // SAFETY: both descriptors are open, and the event outlives the call.
    let result =
        unsafe { libc::epoll_ctl(set as i32, libc::EPOLL_CTL_ADD, file.as_raw_fd(), &raw mut event) };
    refused(done(i64::from(result)), "epoll_ctl")
}

pub(super) fn open_nothing(variant: &str) -> anyhow::Result<Provoked> {
    let dir = super::programs::folder()?;
    let path = dir.join(variant);
    let result = match variant {
        "pipe" => {
            nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).context("cannot make a pipe")?;
            OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(&path)
        }
        "socket" => {
            let _bound = std::os::unix::net::UnixListener::bind(&path).context("cannot bind a socket")?;
            OpenOptions::new().write(true).open(&path)
        }
        _ => {
            // A new session has no terminal.
            return in_child("openat", || {
                // SAFETY: numbers only; a new child leads no group yet.
                unsafe { libc::setsid() };
                OpenOptions::new().read(true).write(true).open("/dev/tty").err()
            });
        }
    };
    let provoked = refused(result, "openat");
    // The folder is a temporary one: nobody is left to be told.
    let _ = std::fs::remove_dir_all(&dir);
    provoked
}

/// A hash of two entries of four bytes each.
pub(super) fn change_map(variant: &str) -> anyhow::Result<Provoked> {
    /// include/uapi/linux/bpf.h.
    const CREATE: libc::c_long = 0;
    const UPDATE: libc::c_long = 2;
    const FREEZE: libc::c_long = 22;
    // The room of union bpf_attr, as far as these commands look at it.
    let bpf = |command: libc::c_long, words: [u64; 4]| {
        // SAFETY: a whole structure, whose pointers lead to what outlives the call.
        done(unsafe { libc::syscall(libc::SYS_bpf, command, words.as_ptr(), size_of_val(&words)) })
    };
    let pair = |low: u64, high: u64| low | high << 32;
    let map =
        bpf(CREATE, [pair(1, 4), pair(4, 2), 0, 0]).context("cannot make a map (CAP_BPF is needed)")? as u64;
    let value = 0_u32;
    let put = |key: &u32| bpf(UPDATE, [map, std::ptr::from_ref(key) as u64, &raw const value as u64, 0]);
    if variant == "frozen" {
        bpf(FREEZE, [map, 0, 0, 0]).context("cannot freeze a map")?;
        return refused(put(&1), "bpf");
    }
    for key in [1, 2] {
        put(&key).context("cannot fill a map")?;
    }
    refused(put(&3), "bpf")
}

/// openat2(2) with something forbidden that the path does.
pub(super) fn leave_folder(variant: &str) -> anyhow::Result<Provoked> {
    const NO_XDEV: u64 = 1;
    const NO_MAGICLINKS: u64 = 2;
    const BENEATH: u64 = 8;
    let (path, resolve) = match variant {
        "mount" => (c"proc/version", NO_XDEV),
        "magic" => (c"proc/self/exe", NO_MAGICLINKS),
        _ => (c"/etc", BENEATH),
    };
    let root = File::open("/").context("cannot open /")?;
    // struct open_how: flags, mode, resolve.
    let how = [libc::O_PATH as u64, 0, resolve];
    // SAFETY: a terminated string and a whole structure.
    let result = unsafe {
        libc::syscall(libc::SYS_openat2, root.as_raw_fd(), path.as_ptr(), how.as_ptr(), size_of_val(&how))
    };
    refused(done(result), "openat2")
}

pub(super) fn long_name(_: &str) -> anyhow::Result<Provoked> {
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWUTS).context("cannot make a UTS namespace")?;
    let name = [b'a'; 65];
    // SAFETY: a buffer with its length.
    refused(done(i64::from(unsafe { libc::sethostname(name.as_ptr().cast(), name.len()) })), "sethostname")
}

pub(super) fn trace(variant: &str) -> anyhow::Result<Provoked> {
    if variant == "kernel-thread" {
        return refused(attach(KERNEL_THREAD), "ptrace");
    }
    let mut ends = [0; 2];
    // SAFETY: room for two descriptors.
    done(i64::from(unsafe { libc::pipe(ends.as_mut_ptr()) })).context("cannot make a pipe")?;
    // SAFETY: the child makes system calls on its own stack only, and ends with this process at the latest.
    let child = unsafe { libc::fork() };
    if child == 0 {
        // SAFETY: as above.
        unsafe {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0);
            libc::write(ends[1], b"x".as_ptr().cast(), 1);
            loop {
                libc::pause();
            }
        }
    }
    done(i64::from(child)).context("cannot fork")?;
    // SAFETY: the descriptor is the pipe's, and nobody else's.
    let mut ready = unsafe { File::from_raw_fd(ends[0]) };
    ready.read_exact(&mut [0]).context("the child said nothing")?;
    let result = refused(attach(child), "ptrace");
    // SAFETY: a child of ours that nobody has waited for.
    unsafe { libc::kill(child, libc::SIGKILL) };
    result
}

fn attach(pid: libc::pid_t) -> io::Result<i64> {
    // SAFETY: numbers only.
    done(unsafe { libc::ptrace(libc::PTRACE_ATTACH, pid, 0, 0) })
}

pub(super) fn set_missing_sysctl(_: &str) -> anyhow::Result<Provoked> {
    refused(OpenOptions::new().write(true).open("/proc/sys/net/ipv4/conf/diag-none/forwarding"), "openat")
}

/// A program that the verifier does not take.
pub(super) fn unfit_program(variant: &str) -> anyhow::Result<Provoked> {
    const LOAD: i64 = 5;
    const SOCKET_FILTER: u64 = 1;
    const LOG: usize = 4096;
    // struct bpf_insn: operation, registers, offset, number. exit; r0 = 0; goto -2; and none.
    const EXIT: u64 = 0x95;
    const ZERO: u64 = 0xb7;
    const BACK: u64 = 0x05 | 0xfffe << 16;
    let program = match variant {
        "endless" => vec![ZERO, BACK, EXIT],
        "unknown" => vec![0xff, EXIT],
        _ => vec![EXIT],
    };
    let log = vec![0_u8; LOG];
    let license = c"GPL".as_ptr() as u64;
    // union bpf_attr: type and count, instructions, license, log_level and log_size, log_buf.
    let attributes = [
        SOCKET_FILTER | (program.len() as u64) << 32,
        program.as_ptr() as u64,
        license,
        1 | (LOG as u64) << 32,
        log.as_ptr() as u64,
    ];
    // SAFETY: everything that the attributes point to lives through the call, and the log has the size they say.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, LOAD, attributes.as_ptr(), size_of_val(&attributes)) };
    let refusal = refused(done(fd), "bpf");
    drop((program, log));
    refusal
}
