//! Making a call and telling of it.

use crate::capture::clock;
use std::ffi::CString;
use std::io::Write;
use std::str::FromStr;

#[cfg(target_arch = "aarch64")]
use syscalls::aarch64::Sysno;
#[cfg(target_arch = "x86_64")]
use syscalls::x86_64::Sysno;

/// Tells the parent of calls that succeeded.
#[derive(Debug)]
pub(super) struct Told {
    tid: i64,
}

/// Text for the kernel. A NUL inside is a mistake in a deed's own text and cuts it short.
pub(super) fn text(text: &str) -> CString {
    CString::new(text).unwrap_or_default()
}

impl Told {
    pub(super) fn new() -> Self {
        Self { tid: own_tid() }
    }

    /// Makes one call by its name in the kernel's table; what it returned if it succeeded, which is told.
    pub(super) fn call(&mut self, name: &str, arguments: &[usize]) -> Option<usize> {
        let number = Sysno::from_str(name).ok()?.id();
        let mut a = [0; 6];
        for (slot, argument) in a.iter_mut().zip(arguments) {
            *slot = *argument;
        }
        let begin = clock::mono_ns();
        // SAFETY: deeds pass what each call's manual page asks for; pointers among the arguments are to values
        // that outlive the call.
        let result = unsafe { libc::syscall(libc::c_long::from(number), a[0], a[1], a[2], a[3], a[4], a[5]) };
        if result == 0 && own_tid() != self.tid {
            // SAFETY: the child that clone has made ends here and runs nothing of ours.
            unsafe { libc::_exit(0) }
        }
        self.tell(name, begin, result)
    }

    fn tell(&mut self, name: &str, begin: u64, result: libc::c_long) -> Option<usize> {
        let end = clock::mono_ns();
        let result = usize::try_from(result).ok()?;
        self.say(name, self.tid, begin, end);
        Some(result)
    }

    /// One line, one write: deeds are in processes of their own, and lines must not mix.
    pub(super) fn say(&self, name: &str, tid: i64, begin_ns: u64, end_ns: u64) {
        // Nobody listens any more: then nothing is to be told.
        let _ = std::io::stdout().write_all(format!("{name} {tid} {begin_ns} {end_ns}\n").as_bytes());
        let _ = std::io::stdout().flush();
    }
}

pub(super) fn own_tid() -> i64 {
    // SAFETY: takes nothing.
    unsafe { libc::syscall(libc::SYS_gettid) }
}

/// Closes what a call returned.
pub(super) fn close(fd: Option<usize>) {
    if let Some(fd) = fd.and_then(|fd| i32::try_from(fd).ok()) {
        // SAFETY: a descriptor that a deed has opened and hands over.
        unsafe { libc::close(fd) };
    }
}

/// Waits for a child that a call has made.
pub(super) fn reap(child: Option<usize>) {
    if let Some(child) = child.and_then(|pid| i32::try_from(pid).ok()) {
        // SAFETY: no status is asked for. __WALL: also of a clone without a signal.
        unsafe { libc::waitpid(child, std::ptr::null_mut(), libc::__WALL) };
    }
}
