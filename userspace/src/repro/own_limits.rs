//! Lowers a resource limit of this very process, gives up what exempts from it, and goes over it.

use super::{LINGER, Provoked, result};
use anyhow::{Context, bail};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::fs::OpenOptions;
use std::io::Write;
use std::{io, ptr, thread};

const MIB: usize = 1 << 20;
const CAP_IPC_LOCK: u32 = 14;
const CAP_SYS_RESOURCE: u32 = 24;

/// What the kernel said to a call that must be refused.
fn refused(result: i64, syscall: &'static str, what: &str) -> anyhow::Result<Provoked> {
    let error = io::Error::last_os_error();
    if result >= 0 {
        bail!("{what} was not refused");
    }
    thread::sleep(LINGER);
    Ok(Provoked::new(syscall, error))
}

/// The hard limit stays, so that the soft one may be raised again without a capability.
pub(super) fn lower(resource: Resource, to: u64) -> anyhow::Result<()> {
    let (_, hard) = getrlimit(resource).with_context(|| format!("cannot read {resource:?}"))?;
    setrlimit(resource, to, hard).with_context(|| format!("cannot lower {resource:?}"))
}

/// Takes a capability out of the effective set (capabilities(7)).
fn give_up(capability: u32) -> anyhow::Result<()> {
    change_sets(|sets| sets[(capability / 32) as usize][0] &= !(1 << (capability % 32)))
}

/// Empties the inheritable set.
fn inherit_nothing() -> anyhow::Result<()> {
    change_sets(|sets| sets.iter_mut().for_each(|set| set[2] = 0))
}

/// Effective, permitted and inheritable, the low words first.
fn change_sets(change: impl FnOnce(&mut [[u32; 3]; 2])) -> anyhow::Result<()> {
    #[repr(C)]
    struct Header {
        version: u32,
        pid: i32,
    }
    // _LINUX_CAPABILITY_VERSION_3: two words of 32 bits for each set.
    let mut header = Header { version: 0x2008_0522, pid: 0 };
    let mut sets = [[0_u32; 3]; 2];
    // SAFETY: both structures have the layout of linux/capability.h and live through the calls.
    let done = unsafe {
        let got = libc::syscall(libc::SYS_capget, &raw mut header, sets.as_mut_ptr());
        change(&mut sets);
        got | libc::syscall(libc::SYS_capset, &raw mut header, sets.as_ptr())
    };
    if done != 0 {
        return Err(io::Error::last_os_error()).context("cannot give up a capability");
    }
    Ok(())
}

pub(super) fn descriptors(variant: &str) -> anyhow::Result<Provoked> {
    lower(Resource::RLIMIT_NOFILE, 64)?;
    if variant == "dup2" {
        // SAFETY: numbers only; nothing is opened.
        return Provoked::by("dup2", || result(i64::from(unsafe { libc::dup2(0, 100) })));
    }
    Provoked::by("openat", || {
        // What became free meanwhile is taken first: only a descriptor past the limit tells.
        loop {
            // SAFETY: a constant path; the descriptors go with the process.
            let fd = unsafe { libc::open(c"/dev/null".as_ptr(), libc::O_RDONLY) };
            if !(0..64).contains(&fd) {
                return result(i64::from(fd));
            }
        }
    })
}

pub(super) fn highest_descriptors(_: &str) -> anyhow::Result<Provoked> {
    let most = libc::rlimit { rlim_cur: 64, rlim_max: u64::from(u32::MAX) };
    // SAFETY: a whole structure that lives through the call.
    refused(
        i64::from(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &most) }),
        "prlimit64",
        "a limit above fs.nr_open",
    )
}

/// Node 40, which hardly any machine has.
pub(super) fn memory_node(variant: &str) -> anyhow::Result<Provoked> {
    const BIND: libc::c_int = 2;
    let mask = [1_u64 << 40];
    let at = map(MIB, libc::PROT_READ, 0);
    let syscall = if variant == "range" { "mbind" } else { "set_mempolicy" };
    Provoked::by(syscall, move || {
        // SAFETY: a mask of 64 bits that lives through the call, and the mapping made above.
        result(unsafe {
            match syscall {
                "mbind" => libc::syscall(libc::SYS_mbind, at, MIB, BIND, mask.as_ptr(), 64, 0),
                _ => libc::syscall(libc::SYS_set_mempolicy, BIND, mask.as_ptr(), 64),
            }
        })
    })
}

/// A pipe with two pages in it, which is to have one.
pub(super) fn smaller_pipe(_: &str) -> anyhow::Result<Provoked> {
    let mut ends = [0; 2];
    let page = [0_u8; 4096];
    // SAFETY: room for two descriptors, and a buffer with its length.
    let filled = unsafe {
        libc::pipe(ends.as_mut_ptr()) == 0
            && (0..2).all(|_| libc::write(ends[1], page.as_ptr().cast(), page.len()) == page.len() as isize)
    };
    if !filled {
        return Err(io::Error::last_os_error()).context("cannot fill a pipe");
    }
    Provoked::by("fcntl", move || {
        // SAFETY: a descriptor that is open, and a number.
        result(i64::from(unsafe { libc::fcntl(ends[1], libc::F_SETPIPE_SZ, 4096) }))
    })
}

/// CAP_CHOWN, which everybody starts with who is root.
pub(super) fn ambient(_: &str) -> anyhow::Result<Provoked> {
    const CAP_CHOWN: libc::c_ulong = 0;
    inherit_nothing()?;
    Provoked::by("prctl", || {
        // SAFETY: numbers only.
        result(i64::from(unsafe {
            libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE as libc::c_ulong, CAP_CHOWN, 0, 0)
        }))
    })
}

pub(super) fn soft_above_hard(_: &str) -> anyhow::Result<Provoked> {
    let pair = libc::rlimit { rlim_cur: 64, rlim_max: 32 };
    Provoked::by("prlimit64", move || {
        // SAFETY: a whole structure that lives through the call.
        result(i64::from(unsafe { libc::setrlimit(libc::RLIMIT_CORE, &raw const pair) }))
    })
}

pub(super) fn raise(_: &str) -> anyhow::Result<Provoked> {
    lower(Resource::RLIMIT_CORE, 0)?;
    give_up(CAP_SYS_RESOURCE)?;
    let more = libc::rlimit { rlim_cur: 0, rlim_max: 4096 };
    Provoked::by("prlimit64", move || {
        // SAFETY: a whole structure that lives through the call.
        result(i64::from(unsafe { libc::setrlimit(libc::RLIMIT_CORE, &raw const more) }))
    })
}

/// New anonymous memory; the error of mmap(2) as a negative number.
fn map(size: usize, protection: i32, flags: i32) -> i64 {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | flags;
    // SAFETY: a new mapping at an address that the kernel chooses.
    let at = unsafe { libc::mmap(ptr::null_mut(), size, protection, flags, -1, 0) };
    if at == libc::MAP_FAILED { -1 } else { at as i64 }
}

pub(super) fn address_space(_: &str) -> anyhow::Result<Provoked> {
    lower(Resource::RLIMIT_AS, 64 * MIB as u64)?;
    Provoked::by("mmap", || result(map(96 * MIB, libc::PROT_READ, 0)))
}

pub(super) fn data(_: &str) -> anyhow::Result<Provoked> {
    lower(Resource::RLIMIT_DATA, 64 * MIB as u64)?;
    Provoked::by("mmap", || result(map(96 * MIB, libc::PROT_READ | libc::PROT_WRITE, 0)))
}

pub(super) fn locked(variant: &str) -> anyhow::Result<Provoked> {
    let at = map(MIB, libc::PROT_READ | libc::PROT_WRITE, 0);
    lower(Resource::RLIMIT_MEMLOCK, if variant == "zero" { 0 } else { 4096 })?;
    give_up(CAP_IPC_LOCK)?;
    // SAFETY: the mapping made above.
    Provoked::by("mlock", move || result(i64::from(unsafe { libc::mlock(at as *const libc::c_void, MIB) })))
}

/// Neighbours with the same protection would become one mapping, so every second one differs.
pub(super) fn mappings(variant: &str) -> anyhow::Result<Provoked> {
    /// More than any machine is set to.
    const MOST: usize = 4 << 20;
    const PAGE: usize = 4096;
    let whole = map(MOST * PAGE * 2, libc::PROT_NONE, libc::MAP_NORESERVE);
    if whole < 0 {
        return Err(io::Error::last_os_error()).context("cannot reserve addresses");
    }
    for index in 0..MOST {
        let at = (whole as usize + index * 2 * PAGE) as *mut libc::c_void;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
        // SAFETY: pages of the mapping made above, which nothing uses.
        let done = unsafe {
            match variant {
                "mprotect" => i64::from(libc::mprotect(at, PAGE, libc::PROT_READ)),
                _ => libc::mmap(at, PAGE, libc::PROT_READ, flags, -1, 0) as i64,
            }
        };
        if done < 0 {
            let syscall = if variant == "mprotect" { "mprotect" } else { "mmap" };
            return refused(-1, syscall, "");
        }
    }
    bail!("{MOST} mappings were not refused")
}

pub(super) fn signals(_: &str) -> anyhow::Result<Provoked> {
    lower(Resource::RLIMIT_SIGPENDING, 0)?;
    // SAFETY: sets and values that live through the calls; the signal is blocked, so nothing happens.
    unsafe {
        let mut all = std::mem::zeroed();
        libc::sigfillset(&mut all);
        libc::sigprocmask(libc::SIG_BLOCK, &all, ptr::null_mut());
    }
    let send = || {
        let value = libc::sigval { sival_ptr: ptr::null_mut() };
        // SAFETY: to this process itself, in which the signal is blocked.
        result(i64::from(unsafe { libc::sigqueue(libc::getpid(), libc::SIGRTMIN() + 1, value) }))
    };
    // Whoever has none queued yet may queue one.
    let _ = send();
    Provoked::by("rt_sigqueueinfo", send)
}

pub(super) fn sealed(variant: &str) -> anyhow::Result<Provoked> {
    // SAFETY: a constant name, a descriptor of our own, numbers, and a buffer that lives through the call.
    unsafe {
        let fd = libc::memfd_create(c"sealed".as_ptr(), libc::MFD_ALLOW_SEALING);
        if fd < 0 || libc::ftruncate(fd, 4096) != 0 {
            return Err(io::Error::last_os_error()).context("cannot make a memory file");
        }
        let share = || {
            let protection = libc::PROT_READ | libc::PROT_WRITE;
            libc::mmap(ptr::null_mut(), 4096, protection, libc::MAP_SHARED, fd, 0)
        };
        if variant == "mapped" {
            share();
            let sealed = libc::fcntl(fd, libc::F_ADD_SEALS, libc::F_SEAL_WRITE);
            return refused(i64::from(sealed), "fcntl", "a seal");
        }
        let seals = match variant {
            "shrink" => libc::F_SEAL_SHRINK,
            "seal" => libc::F_SEAL_SEAL,
            _ => libc::F_SEAL_WRITE,
        };
        if libc::fcntl(fd, libc::F_ADD_SEALS, seals) != 0 {
            return Err(io::Error::last_os_error()).context("cannot seal it");
        }
        match variant {
            "shrink" => refused(i64::from(libc::ftruncate(fd, 0)), "ftruncate", "a smaller file"),
            "seal" => {
                let again = libc::fcntl(fd, libc::F_ADD_SEALS, libc::F_SEAL_WRITE);
                refused(i64::from(again), "fcntl", "another seal")
            }
            "map" => refused(share() as i64, "mmap", "a shared mapping"),
            _ => refused(libc::write(fd, b"x".as_ptr().cast(), 1) as i64, "write", "a write"),
        }
    }
}

/// Lower than now, which takes the capability; or nothing that it could be.
pub(super) fn oom_score(variant: &str) -> anyhow::Result<Provoked> {
    let word: &[u8] = match variant {
        "range" => b"5000",
        "word" => b"never",
        _ => {
            give_up(CAP_SYS_RESOURCE)?;
            b"-1000"
        }
    };
    let path = "/proc/self/oom_score_adj";
    let mut file =
        OpenOptions::new().write(true).open(path).with_context(|| format!("cannot open {path}"))?;
    Provoked::by("write", move || file.write(word).map(drop))
}

/// PR_SET_MDWE with PR_MDWE_REFUSE_EXEC_GAIN (linux/prctl.h, since 6.3).
pub(super) fn write_and_execute(variant: &str) -> anyhow::Result<Provoked> {
    const SET_MDWE: i32 = 65;
    const REFUSE_EXEC_GAIN: libc::c_ulong = 1;
    let (read, write, execute) = (libc::PROT_READ, libc::PROT_WRITE, libc::PROT_EXEC);
    let at = map(4096, read | write, 0);
    // SAFETY: numbers only.
    if unsafe { libc::prctl(SET_MDWE, REFUSE_EXEC_GAIN, 0, 0, 0) } != 0 {
        return Err(io::Error::last_os_error()).context("this kernel has no PR_SET_MDWE (since 6.3)");
    }
    if variant == "mprotect" {
        return Provoked::by("mprotect", move || {
            // SAFETY: the page mapped above, which nothing uses.
            result(i64::from(unsafe { libc::mprotect(at as *mut libc::c_void, 4096, read | execute) }))
        });
    }
    Provoked::by("mmap", move || result(map(4096, read | write | execute, 0)))
}

/// A ring of an event that counts nothing but this process's own page faults.
pub(super) fn perf_ring(_: &str) -> anyhow::Result<Provoked> {
    // struct perf_event_attr: type and size, configuration (PERF_COUNT_SW_PAGE_FAULTS), and bits behind five words.
    const SOFTWARE: u64 = 1;
    const SIZE: u64 = 128;
    const PAGE_FAULTS: u64 = 2;
    const EXCLUDE_KERNEL: u64 = 1 << 5;
    let mut attributes = [0_u64; SIZE as usize / 8];
    (attributes[0], attributes[1], attributes[5]) = (SOFTWARE | SIZE << 32, PAGE_FAULTS, EXCLUDE_KERNEL);
    // SAFETY: a whole structure that lives through the call; the event ends with the process.
    let event = unsafe { libc::syscall(libc::SYS_perf_event_open, attributes.as_ptr(), 0, -1, -1, 0) };
    if event < 0 {
        return Err(io::Error::last_os_error()).context("cannot open a perf event");
    }
    lower(Resource::RLIMIT_MEMLOCK, 0)?;
    give_up(CAP_IPC_LOCK)?;
    // A page, and a power of two of them: more than any usual number of processors gives.
    const PAGES: usize = 1 << 15;
    Provoked::by("mmap", move || {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let length = (PAGES + 1) * 4096;
        // SAFETY: a new mapping at an address that the kernel chooses.
        let at =
            unsafe { libc::mmap(ptr::null_mut(), length, protection, libc::MAP_SHARED, event as i32, 0) };
        if at == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(()) }
    })
}
