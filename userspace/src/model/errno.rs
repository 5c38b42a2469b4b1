//! Kernel error numbers with the names users know, including those the C library has no name for.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A positive kernel error number (`28` for `ENOSPC`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Errno(pub i32);

impl Errno {
    pub const EPERM: Self = Self(libc::EPERM);
    pub const ENOENT: Self = Self(libc::ENOENT);
    pub const EAGAIN: Self = Self(libc::EAGAIN);
    pub const ENOMEM: Self = Self(libc::ENOMEM);
    pub const EACCES: Self = Self(libc::EACCES);
    pub const EBUSY: Self = Self(libc::EBUSY);
    pub const EEXIST: Self = Self(libc::EEXIST);
    pub const EINVAL: Self = Self(libc::EINVAL);
    pub const ENFILE: Self = Self(libc::ENFILE);
    pub const EMFILE: Self = Self(libc::EMFILE);
    pub const ENOSPC: Self = Self(libc::ENOSPC);
    pub const EDQUOT: Self = Self(libc::EDQUOT);
    /// `ENOTSUPP`, a kernel-internal number that reaches users by mistake, e.g. from a seccomp filter
    /// that no longer fits below `net.core.bpf_jit_limit` (include/linux/errno.h).
    pub const ENOTSUPP: Self = Self(524);

    /// `"ENOSPC"`; numbers nobody named come out as `"errno 530"`.
    pub fn name(self) -> String {
        if self == Self::ENOTSUPP {
            return "ENOTSUPP".into();
        }
        match nix::errno::Errno::from_raw(self.0) {
            nix::errno::Errno::UnknownErrno => format!("errno {}", self.0),
            known => format!("{known:?}"),
        }
    }

    /// The sentence `strerror(3)` has for it, which is all that most users ever see.
    pub fn sentence(self) -> &'static str {
        if self == Self::ENOTSUPP {
            return "Unknown error 524";
        }
        nix::errno::Errno::from_raw(self.0).desc()
    }

    /// The inverse of [`Errno::name`], for options and replayed files.
    pub fn from_name(name: &str) -> Option<Self> {
        (1..=133).chain([524]).map(Self).find(|e| e.name() == name)
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_both_ways() {
        assert_eq!(Errno::ENOSPC.name(), "ENOSPC");
        assert_eq!(Errno::from_name("ENOSPC"), Some(Errno::ENOSPC));
        assert_eq!(Errno::from_name("ENOTSUPP"), Some(Errno::ENOTSUPP));
        assert_eq!(Errno(530).name(), "errno 530");
    }
}
