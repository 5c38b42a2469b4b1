//! What a traced call costs, measured here and now: nobody knows it of another machine.
//!
//! The same system call is timed before and after arming; its own graph says how many traced calls it made. It is one
//! of the watched that anybody may make and that changes nothing: open_tree(2) of the root folder.

use crate::capture::clock;

/// The shortest of many short runs: interrupts and other tasks only ever add.
const RUNS: usize = 40;
const CALLS: usize = 25;

/// Nanoseconds of one system call; `None` where it is refused.
pub(super) fn one_call_ns() -> Option<u64> {
    let mut best = u64::MAX;
    for _ in 0..RUNS {
        let begin = clock::mono_ns();
        for _ in 0..CALLS {
            if !open_tree() {
                return None;
            }
        }
        best = best.min((clock::mono_ns() - begin) / CALLS as u64);
    }
    Some(best)
}

fn open_tree() -> bool {
    // SAFETY: opens the root folder as a place, without a flag, and closes it again.
    unsafe {
        let fd = libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, c"/".as_ptr(), libc::O_CLOEXEC);
        fd >= 0 && libc::close(fd as i32) == 0
    }
}

/// What arming added to one traced call, from the times of a system call and how many traced calls it makes.
pub(super) fn of_one(before_ns: u64, after_ns: u64, calls: usize) -> Option<u64> {
    (calls > 0).then(|| after_ns.saturating_sub(before_ns) / calls as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_price_is_what_arming_added() {
        assert_eq!(of_one(1_000, 3_400, 8), Some(300));
        assert_eq!(of_one(1_000, 900, 8), Some(0), "noise is no gain");
        assert_eq!(of_one(1_000, 3_400, 0), None);
    }
}
