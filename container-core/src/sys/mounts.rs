//! The mount calls that work on descriptors: open_tree(2), move_mount(2), mount_setattr(2).

use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::errno::Errno;

use super::check;

const OPEN_TREE_CLONE: u32 = 1;
const MOVE_MOUNT_F_EMPTY_PATH: u32 = 0x4;
const MOVE_MOUNT_T_EMPTY_PATH: u32 = 0x40;
const MOUNT_ATTR_RDONLY: u64 = 0x1;
const MOUNT_ATTR_IDMAP: u64 = 0x10_0000;
const AT_RECURSIVE: u32 = 0x8000;

#[repr(C)]
struct MountAttr {
    set: u64,
    clear: u64,
    propagation: u64,
    user_namespace: u64,
}

/// A copy of the mounts at and below `path`, attached nowhere. Kernel ≥ 5.2.
pub(crate) fn open_tree_clone(path: &CStr) -> Result<OwnedFd, Errno> {
    let flags = OPEN_TREE_CLONE | AT_RECURSIVE | libc::O_CLOEXEC as u32;
    // SAFETY: a null-terminated path and integers.
    let fd = check(unsafe { libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, path.as_ptr(), flags) })?;
    // SAFETY: a fresh descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as libc::c_int) })
}

/// No write access through any mount of the tree. Kernel ≥ 5.12.
pub(crate) fn make_tree_read_only(tree: BorrowedFd<'_>) -> Result<(), Errno> {
    let attr = MountAttr { set: MOUNT_ATTR_RDONLY, clear: 0, propagation: 0, user_namespace: 0 };
    set_attributes(tree, &attr, AT_RECURSIVE)
}

/// Owners of the tree's files as the user namespace maps them. Kernel ≥ 5.12, file systems one by one.
pub(crate) fn map_tree(tree: BorrowedFd<'_>, user_namespace: BorrowedFd<'_>) -> Result<(), Errno> {
    let user_namespace = user_namespace.as_raw_fd() as u64;
    let attr = MountAttr { set: MOUNT_ATTR_IDMAP, clear: 0, propagation: 0, user_namespace };
    set_attributes(tree, &attr, 0)
}

fn set_attributes(tree: BorrowedFd<'_>, attr: &MountAttr, flags: u32) -> Result<(), Errno> {
    let flags = flags | libc::AT_EMPTY_PATH as u32;
    // SAFETY: attr is a mount_attr of the size given.
    let ret = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            tree.as_raw_fd(),
            c"".as_ptr(),
            flags,
            std::ptr::from_ref(attr),
            size_of::<MountAttr>(),
        )
    };
    check(ret).map(drop)
}

/// Attach the tree where `target` is.
pub(crate) fn move_mount(tree: BorrowedFd<'_>, target: BorrowedFd<'_>) -> Result<(), Errno> {
    let flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH;
    // SAFETY: two descriptors, two empty paths, an integer.
    let ret = unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            tree.as_raw_fd(),
            c"".as_ptr(),
            target.as_raw_fd(),
            c"".as_ptr(),
            flags,
        )
    };
    check(ret).map(drop)
}
