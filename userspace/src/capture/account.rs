//! On whose account the memory is that diag has the kernel lock.
//!
//! The kernel adds the rings of perf events (kernel/events/core.c `perf_mmap`), and before 5.11 BPF maps and programs
//! (kernel/bpf/syscall.c `bpf_charge_memlock`), to what the real user has locked: one sum for all of a user's
//! processes, which it holds against RLIMIT_MEMLOCK of whoever asks next, by bpf(2) or for the buffers of an io_uring.
//! diag's rings are many times the usual 64 KiB: while it ran as root, no other process of root could load a program
//! there, and an engine could not give its container device rules – by diag's fault. So they are charged to a user that
//! nobody is.

/// Far from what people, services and ranges of subordinate ids have.
const NOBODY_ELSE: libc::uid_t = 0x7fff_d1a6;
const UNCHANGED: libc::uid_t = libc::uid_t::MAX;

/// While it lives, the real user of this thread is [`NOBODY_ELSE`]. What it may do follows from the effective user and
/// the capabilities, which stay what they are.
pub(super) struct Elsewhere {
    before: libc::uid_t,
}

impl Elsewhere {
    /// `None` where nothing can be done: then the account is this user's, as ever.
    pub(super) fn open() -> Option<Self> {
        // SAFETY: takes no arguments.
        let before = unsafe { libc::getuid() };
        set_real_user(NOBODY_ELSE).then_some(Self { before })
    }

    /// For BPF: only where users pay for it.
    pub(super) fn for_bpf(release: &str) -> Option<Self> {
        if super::loader::is_older(release, (5, 11)) { Self::open() } else { None }
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        set_real_user(self.before);
    }
}

/// Of this thread alone, unlike the C library's function of that name.
fn set_real_user(uid: libc::uid_t) -> bool {
    // SAFETY: plain numbers.
    unsafe { libc::syscall(libc::SYS_setresuid, uid, UNCHANGED, UNCHANGED) == 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_real_user_is_given_back() {
        // SAFETY: takes no arguments.
        let user = || unsafe { libc::getuid() };
        let before = user();
        assert!(Elsewhere::for_bpf("6.12.118+deb13-cloud-amd64").is_none(), "cgroups pay for it there");
        drop(Elsewhere::for_bpf("5.10.0-46-cloud-amd64"));
        drop(Elsewhere::open());
        assert_eq!(user(), before);
    }
}
