//! What diag's own maps do to others.

use crate::scene::{Child, watch};
use diag::capture::errno_watch::Scope;

/// `BPF_MAP_CREATE` of an array with one number (bpf(2)), in a process with the usual limit.
fn create_a_map() -> i32 {
    let limit = libc::rlimit { rlim_cur: 64 << 10, rlim_max: 64 << 10 };
    let attributes: [u32; 18] = [2, 4, 4, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    // SAFETY: the structures live through the calls; the descriptor ends with the process.
    unsafe {
        if libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const limit) != 0 {
            return 100;
        }
        let made = libc::syscall(libc::SYS_bpf, 0, attributes.as_ptr(), size_of_val(&attributes));
        if made >= 0 { 0 } else { *libc::__errno_location() }
    }
}

#[test]
fn others_may_still_make_maps_within_the_usual_limit() {
    let Some(_watch) = watch(Scope::Tree, None) else { return };
    // SAFETY: takes no arguments.
    let (real, effective) = unsafe { (libc::getuid(), libc::geteuid()) };
    assert_eq!(real, effective, "the watch gave the real user back");
    let child = Child::start(|_| create_a_map());
    assert_eq!(child.end(), 0, "bpf(2) of another process of the same user");
}
