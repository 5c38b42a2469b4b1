//! Reading the filters of a living task: PTRACE_SECCOMP_GET_FILTER (ptrace(2)).
//!
//! The kernel hands them out to a tracer with CAP_SYS_ADMIN, while the task is stopped. The stop is made by
//! PTRACE_SEIZE and PTRACE_INTERRUPT, which send no signal, and lasts for as long as the copying takes. All of it
//! is done in a thread of its own: when a thread ends, for whatever reason, the kernel detaches what it traces
//! (`exit_ptrace()`), so that no way out leaves a task stopped.

use std::time::{Duration, Instant};

/// One classic BPF instruction.
pub(super) type Program = Vec<libc::sock_filter>;

/// The task must stop within this time; one in an uninterruptible sleep does not.
const PATIENCE: Duration = Duration::from_millis(50);
/// More filters than this were never seen; each costs two calls.
const MOST_FILTERS: usize = 64;
/// Not in the libc crate (linux/ptrace.h).
const PTRACE_SECCOMP_GET_FILTER: libc::c_uint = 0x420c;
/// `BPF_MAXINSNS` (linux/bpf_common.h).
const MOST_INSTRUCTIONS: usize = 4096;

/// The filters of a thread, newest first, and why not all of them when it is not all of them.
pub(super) fn read(tid: u32) -> (Vec<Program>, Option<String>) {
    let Ok(tid) = libc::pid_t::try_from(tid) else { return (Vec::new(), Some("no such task".into())) };
    let reader = std::thread::Builder::new().name("diag-seccomp".into()).spawn(move || {
        let mut programs = Vec::new();
        let unread = trace(tid, &mut programs).err();
        // The kernel counts from the oldest on (kernel/seccomp.c `get_nth_filter()`), whatever ptrace(2) says.
        programs.reverse();
        (programs, unread)
    });
    match reader.map(std::thread::JoinHandle::join) {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => (Vec::new(), Some("the reader of filters panicked".into())),
        Err(e) => (Vec::new(), Some(format!("no thread to read filters in: {e}"))),
    }
}

fn trace(tid: libc::pid_t, programs: &mut Vec<Program>) -> Result<(), String> {
    // The stop is felt by a task that sleeps in one of the few calls which end with EINTR then (signal(7), "even in
    // the absence of signal handlers"); that is why filters are remembered and no task is stopped twice.
    ptrace(libc::PTRACE_SEIZE, tid, 0, 0).map_err(|e| format!("the task cannot be traced: {e}"))?;
    ptrace(libc::PTRACE_INTERRUPT, tid, 0, 0).map_err(|e| format!("the task cannot be stopped: {e}"))?;
    let signal = wait_for_stop(tid)?;
    let read = copy(tid, programs);
    // A signal that came first is delivered as if nobody had looked.
    let _ = ptrace(libc::PTRACE_DETACH, tid, 0, signal);
    read
}

/// Waits for the stop and returns the signal that caused it, 0 for our own interrupt. WEXITED is left out on
/// purpose: if the task ends first, its status belongs to its parent, which may be this process.
fn wait_for_stop(tid: libc::pid_t) -> Result<usize, String> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        // SAFETY: an all-zero siginfo_t is valid, and the kernel writes nothing but one siginfo_t.
        let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
        // SAFETY: `info` lives across the call.
        let done = unsafe {
            libc::waitid(
                libc::P_PID,
                tid.unsigned_abs(),
                &mut info,
                libc::WSTOPPED | libc::WNOHANG | libc::__WALL,
            )
        };
        if done != 0 {
            return Err(format!("the task is gone: {}", std::io::Error::last_os_error()));
        }
        // SAFETY: waitid filled the fields of a child's state, or left zeroes.
        let (pid, status) = unsafe { (info.si_pid(), info.si_status()) };
        if pid == tid {
            // Events, ours among them, have their number above the signal's.
            return Ok(if status >> 8 == 0 { usize::try_from(status).unwrap_or(0) } else { 0 });
        }
        if Instant::now() >= deadline {
            return Err("the task did not stop in time".into());
        }
        std::thread::sleep(Duration::from_micros(200));
    }
}

fn copy(tid: libc::pid_t, programs: &mut Vec<Program>) -> Result<(), String> {
    for index in 0..MOST_FILTERS {
        let length = match ptrace(PTRACE_SECCOMP_GET_FILTER, tid, index, 0) {
            Ok(length) => length,
            // Past the last one.
            Err(e) if e.raw_os_error() == Some(libc::ENOENT) => return Ok(()),
            Err(e) => return Err(format!("filter {index} cannot be read: {e}")),
        };
        if length > MOST_INSTRUCTIONS {
            return Err(format!("filter {index} claims {length} instructions"));
        }
        let mut program = vec![libc::sock_filter { code: 0, jt: 0, jf: 0, k: 0 }; length];
        ptrace(PTRACE_SECCOMP_GET_FILTER, tid, index, program.as_mut_ptr() as usize)
            .map_err(|e| format!("filter {index} cannot be read: {e}"))?;
        programs.push(program);
    }
    Err(format!("more than {MOST_FILTERS} filters"))
}

fn ptrace(request: libc::c_uint, tid: libc::pid_t, addr: usize, data: usize) -> std::io::Result<usize> {
    // SAFETY: the requests used here write nothing but PTRACE_SECCOMP_GET_FILTER, which copies as many
    // instructions to `data` as it reported before; the task is stopped and filters never change.
    let done = unsafe { libc::ptrace(request, tid, addr as *mut libc::c_void, data as *mut libc::c_void) };
    usize::try_from(done).map_err(|_| std::io::Error::last_os_error())
}
