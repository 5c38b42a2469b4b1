//! Being there before the failed call's caller goes on.
//!
//! What a sampler looks at through the process may be gone a moment after the failure. The ring's wake-up comes
//! while the failing task is still on its way out of the kernel, so a reader with a real-time policy runs before
//! that task does where they share a processor, and without waiting for its turn where they do not.

use nix::unistd::getpid;

/// The lowest real-time priority: above every ordinary task, below all others' real-time work.
const PRIORITY: i32 = 1;

/// Asks for a real-time policy for the calling thread; what it forks or spawns does not inherit it. Refused
/// without CAP_SYS_NICE and in a v1 cgroup without real-time budget (sched(7)): then it is as it was.
pub fn run_first() {
    let parameter = libc::sched_param { sched_priority: PRIORITY };
    // SAFETY: the parameter lives through the call; 0 is the calling thread.
    let done = unsafe {
        libc::sched_setscheduler(0, libc::SCHED_RR | libc::SCHED_RESET_ON_FORK, &raw const parameter)
    };
    if done != 0 {
        tracing::info!("pid {}: no real-time policy: {}", getpid(), std::io::Error::last_os_error());
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_thread_that_may_gets_the_policy_and_its_children_do_not() {
        std::thread::spawn(|| {
            super::run_first();
            // SAFETY: asks about the calling thread.
            let own = unsafe { libc::sched_getscheduler(0) } & !libc::SCHED_RESET_ON_FORK;
            // SAFETY: as above, on the thread's own thread.
            let child = std::thread::spawn(|| unsafe { libc::sched_getscheduler(0) }).join().unwrap();
            assert!(own == libc::SCHED_RR || own == libc::SCHED_OTHER, "{own}");
            assert_eq!(child & !libc::SCHED_RESET_ON_FORK, libc::SCHED_OTHER);
        })
        .join()
        .unwrap();
    }
}
