//! What the tests need: a watch that may run, children that fail on purpose, and waiting with a deadline.

use diag::capture::errno_watch::{CaptureError, ErrnoWatch, Scope};
use diag::model::{Errno, Failure};
use std::ffi::CString;
use std::fs;
use std::io::{Read, Write};
use std::os::fd::FromRawFd;
use std::time::{Duration, Instant};

/// Generous: guests run without hardware support.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// A running watch; `None`, said aloud, where the test cannot run.
pub(crate) fn watch(scope: Scope, ring_bytes: Option<u32>) -> Option<ErrnoWatch> {
    if !nix::unistd::geteuid().is_root() {
        skip("needs root");
        return None;
    }
    match ErrnoWatch::start_with(scope, ring_bytes) {
        Ok(watch) => Some(watch),
        Err(error @ CaptureError::NoProbes) => {
            skip(&error.to_string());
            None
        }
        Err(error) => panic!("{error}"),
    }
}

pub(crate) fn skip(why: &str) {
    assert!(
        std::env::var_os("DIAG_REQUIRE_ROOT").is_none_or(|v| v != "1"),
        "DIAG_REQUIRE_ROOT=1, but: {why}"
    );
    println!("skipped: {why}");
}

/// A child that waits at each of its gates until the parent opens it.
pub(crate) struct Child {
    pub(crate) pid: u32,
    gate: fs::File,
    signal: fs::File,
}

/// The child's side of the gates.
pub(crate) struct Gate {
    gate: fs::File,
    signal: fs::File,
}

impl Gate {
    /// Tells the parent that this point is reached, and waits.
    pub(crate) fn wait(&mut self) {
        let _ = self.signal.write_all(b"!");
        let _ = self.gate.read_exact(&mut [0]);
    }
}

fn pipe() -> (fs::File, fs::File) {
    let mut ends = [0; 2];
    // SAFETY: pipe2 fills an array of two; both descriptors are new and owned by nobody else.
    unsafe {
        assert_eq!(libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC), 0);
        (fs::File::from_raw_fd(ends[0]), fs::File::from_raw_fd(ends[1]))
    }
}

impl Child {
    /// Forks. The child runs `work` and exits with its result; it must do no more than system calls,
    /// because other threads of the test may have held locks.
    pub(crate) fn start(work: impl FnOnce(&mut Gate) -> i32) -> Self {
        let (gate_read, gate_write) = pipe();
        let (signal_read, signal_write) = pipe();
        // SAFETY: the child only makes system calls and then exits without running destructors.
        match unsafe { libc::fork() } {
            0 => {
                drop((gate_write, signal_read));
                let code = work(&mut Gate { gate: gate_read, signal: signal_write });
                // SAFETY: ends this process at once.
                unsafe { libc::_exit(code) }
            }
            pid => Self { pid: u32::try_from(pid).unwrap(), gate: gate_write, signal: signal_read },
        }
    }

    /// Waits until the child is at its next gate.
    pub(crate) fn at_gate(&mut self) {
        self.signal.read_exact(&mut [0]).unwrap();
    }

    pub(crate) fn open_gate(&mut self) {
        self.gate.write_all(b"!").unwrap();
    }

    /// Waits for its end: the exit code, or minus the signal.
    pub(crate) fn end(self) -> i32 {
        let mut status = 0;
        // SAFETY: waits for a child of this process.
        assert_eq!(unsafe { libc::waitpid(self.pid as i32, &raw mut status, 0) }, self.pid as i32);
        if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { -libc::WTERMSIG(status) }
    }
}

/// mount(2) with all its arguments; the errno, or 0.
pub(crate) fn mount(source: &CString, target: &CString, fstype: &CString, flags: u64, data: &CString) -> i32 {
    // SAFETY: NUL-terminated strings that outlive the call.
    let done = unsafe {
        libc::mount(source.as_ptr(), target.as_ptr(), fstype.as_ptr(), flags, data.as_ptr().cast())
    };
    if done == 0 { 0 } else { std::io::Error::last_os_error().raw_os_error().unwrap() }
}

/// A mount namespace of one's own, from which nothing spreads.
pub(crate) fn private_mounts() -> bool {
    // SAFETY: plain system calls with constant strings.
    unsafe {
        libc::unshare(libc::CLONE_NEWNS) == 0
            && libc::mount(
                std::ptr::null(),
                c"/".as_ptr(),
                std::ptr::null(),
                libc::MS_REC | libc::MS_PRIVATE,
                std::ptr::null(),
            ) == 0
    }
}

pub(crate) fn c(text: &str) -> CString {
    CString::new(text).unwrap()
}

/// Failures of one process, kept from a stream of observations.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) failures: Vec<Failure>,
    pub(crate) repeated: Vec<(u32, String, Errno, u64)>,
}

impl Seen {
    /// Everything that is there now.
    pub(crate) fn collect(&mut self, watch: &mut ErrnoWatch) {
        self.failures.extend(watch.drain());
        let floods = watch.repeated().into_iter();
        self.repeated.extend(floods.map(|flood| (flood.pid, flood.syscall, flood.errno, flood.count)));
    }

    pub(crate) fn of(&self, pid: u32, syscall: &str, errno: Errno) -> Vec<&Failure> {
        let wanted = |f: &&Failure| f.task.pid == pid && f.syscall() == Some((syscall, errno));
        self.failures.iter().filter(wanted).collect()
    }

    pub(crate) fn repeated_of(&self, pid: u32, syscall: &str, errno: Errno) -> u64 {
        let wanted = |r: &&(u32, String, Errno, u64)| (r.0, r.1.as_str(), r.2) == (pid, syscall, errno);
        self.repeated.iter().filter(wanted).map(|r| r.3).sum()
    }
}

/// Collects until `done`, told what is seen and how much is lost, says so; a record may still be on its way when the child is already gone.
pub(crate) fn collect_until(
    watch: &mut ErrnoWatch,
    seen: &mut Seen,
    what: &str,
    done: impl Fn(&Seen, u64) -> bool,
) {
    let start = Instant::now();
    loop {
        seen.collect(watch);
        if done(seen, watch.lost()) {
            return;
        }
        let counts: Vec<_> = seen.repeated.iter().rev().take(3).collect();
        assert!(
            start.elapsed() < DEADLINE,
            "not seen within {DEADLINE:?}: {what}; {} whole, counted {counts:?}, {} lost",
            seen.failures.len(),
            watch.lost()
        );
        std::thread::yield_now();
    }
}

/// Without what not every kernel has: the lock is of cgroup v1, which kernels are built without since 6.11
/// (CONFIG_MEMCG_V1).
pub(crate) fn unexpectedly_missing(missing: Vec<(&'static str, String)>) -> Vec<(&'static str, String)> {
    missing.into_iter().filter(|(reading, _)| *reading != diag::capture::btf::silent::OOM_LOCK).collect()
}
