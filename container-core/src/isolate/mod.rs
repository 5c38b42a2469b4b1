//! What the container's first process does to itself before it becomes the workload: one kernel noun a file.
//!
//! **Everything here runs between clone(2) and execve(2) in a copy of a possibly multi-threaded program.**
//! Such a copy may only do what signal-safety(7) allows: no allocation, no lock, no formatting. So the parent
//! prepares every string (the structs with `prepare`/`new`), and the steps are functions over prepared strings
//! that return a [`Failure`], which borrows them.

pub(crate) mod devices;
pub(crate) mod init;
pub(crate) mod loopback;
pub(crate) mod mounts;
pub(crate) mod paths;
pub(crate) mod privileges;
pub(crate) mod rootfs;
pub(crate) mod seccomp;
pub(crate) mod standing;
pub(crate) mod streams;
pub(crate) mod sysctls;
pub(crate) mod terminal;
pub(crate) mod volumes;

use std::ffi::{CStr, CString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;

use crate::error::Error;
use crate::steps::Step;

/// A refused step, in a form that needs no allocation.
#[derive(Debug)]
pub(crate) struct Failure<'a> {
    pub(crate) step: Step,
    pub(crate) syscall: &'static str,
    pub(crate) errno: Errno,
    pub(crate) object: &'a CStr,
}

/// For `map_err`: the failure of `syscall` on `object` in `step`.
pub(crate) fn refused<'a>(
    step: Step,
    syscall: &'static str,
    object: &'a CStr,
) -> impl FnOnce(Errno) -> Failure<'a> {
    move |errno| Failure { step, syscall, errno, object }
}

/// A path as the kernel takes it. Paths of the store hold no NUL byte, because the kernel gave them to us.
pub(crate) fn c_path(path: &Path) -> Result<CString, Error> {
    c_string(path.as_os_str().as_bytes())
}

/// A text as the kernel takes it.
pub(crate) fn c_string(text: impl AsRef<[u8]>) -> Result<CString, Error> {
    CString::new(text.as_ref()).map_err(|e| {
        Error::InvalidSpec(format!("{:?} contains a NUL byte", String::from_utf8_lossy(&e.into_vec())))
    })
}
