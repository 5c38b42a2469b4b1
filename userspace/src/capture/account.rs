//! On whose account diag's BPF maps and programs are, before Linux 5.11.
//!
//! Until then the kernel added them to what the real user has locked (kernel/bpf/syscall.c `bpf_charge_memlock`), one sum
//! for all of a user's processes, and held that sum against RLIMIT_MEMLOCK of whoever asked next. diag's ring has
//! megabytes: while it ran as root, no other process of root with the usual 64 KiB could load a program, and an engine
//! could not give its container device rules – by diag's fault. So they are charged to a user that nobody is.

/// Far from what people, services and ranges of subordinate ids have.
const NOBODY_ELSE: libc::uid_t = 0x7fff_d1a6;
const UNCHANGED: libc::uid_t = libc::uid_t::MAX;

/// While it lives, the real user of this thread is [`NOBODY_ELSE`]. What it may do follows from the effective user and
/// the capabilities, which stay what they are.
pub(super) struct Elsewhere {
    before: libc::uid_t,
}

impl Elsewhere {
    /// `None` where nothing needs to be done, or nothing can be: then the account is this user's, as ever.
    pub(super) fn open(release: &str) -> Option<Self> {
        if !super::loader::is_older(release, (5, 11)) {
            return None;
        }
        // SAFETY: takes no arguments.
        let before = unsafe { libc::getuid() };
        set_real_user(NOBODY_ELSE).then_some(Self { before })
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
    fn only_kernels_that_charge_users_are_cared_for() {
        // SAFETY: takes no arguments.
        let before = unsafe { libc::getuid() };
        assert!(Elsewhere::open("6.12.118+deb13-cloud-amd64").is_none());
        drop(Elsewhere::open("5.10.0-46-cloud-amd64"));
        // SAFETY: takes no arguments.
        assert_eq!(unsafe { libc::getuid() }, before);
    }
}
