//! Keys that are not there, no longer good, or not to be read, in a keyring of this process.

use super::{Provoked, result};
use anyhow::Context;
use std::{io, thread, time::Duration};

/// KEY_SPEC_PROCESS_KEYRING, and KEYCTL_* (linux/keyctl.h).
const PROCESS: i64 = -2;
const REVOKE: i64 = 3;
const SET_RIGHTS: i64 = 5;
const SEARCH: i64 = 10;
const READ: i64 = 11;
const SET_TIMEOUT: i64 = 15;
/// KEY_POS_VIEW: who possesses it may look at it, and nothing else is allowed to anybody.
const VIEW_ONLY: i64 = 0x0100_0000;
/// Far from what the kernel gives out at random, which is below 2³¹.
const NOBODY: i64 = 0x7fff_fff1;

/// keyctl(2) with numbers.
fn keyctl(operation: i64, key: i64, more: i64) -> io::Result<()> {
    // SAFETY: numbers only; a read of no bytes gets no buffer.
    result(unsafe { libc::syscall(libc::SYS_keyctl, operation, key, more, 0, 0) })
}

pub(super) fn unusable(variant: &str) -> anyhow::Result<Provoked> {
    if variant == "search" {
        return Provoked::by("keyctl", || {
            let (kind, name) = (c"user", c"diag-no-such-key");
            // SAFETY: two constant strings.
            result(unsafe {
                libc::syscall(libc::SYS_keyctl, SEARCH, PROCESS, kind.as_ptr(), name.as_ptr(), 0)
            })
        });
    }
    if variant == "missing" {
        return Provoked::by("keyctl", || keyctl(READ, NOBODY, 0));
    }
    let (kind, name) = (c"user", c"diag-key");
    // SAFETY: two constant strings and a payload with its length.
    let key =
        unsafe { libc::syscall(libc::SYS_add_key, kind.as_ptr(), name.as_ptr(), b"x".as_ptr(), 1, PROCESS) };
    result(key).context("cannot make a key (a seccomp profile may forbid it)")?;
    match variant {
        "revoked" => keyctl(REVOKE, key, 0).context("cannot revoke the key")?,
        "rights" => keyctl(SET_RIGHTS, key, VIEW_ONLY).context("cannot set the key's rights")?,
        _ => {
            keyctl(SET_TIMEOUT, key, 1).context("cannot set the key's end")?;
            thread::sleep(Duration::from_millis(2100));
        }
    }
    Provoked::by("keyctl", move || keyctl(READ, key, 0))
}
