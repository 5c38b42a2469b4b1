//! The record: a cgroup was made.

use crate::Header;
use crate::bounds::CGROUP_PATH;
use core::mem::offset_of;

/// A new cgroup with its number and its path, which outlive it in user space.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct CgroupMade {
    pub header: Header,
    /// `kernfs_node.id`, the inode number of its directory.
    pub id: u64,
    /// As in `/proc/PID/cgroup`: 0 is v2.
    pub hierarchy: u32,
    /// Bytes of the path, its NUL included; 0 when it could not be read.
    pub len: u32,
    /// Who made it: mkdir(2) runs in the maker's own context.
    pub pid: u32,
    pub pad: u32,
    /// From the root of the hierarchy.
    pub path: [u8; CGROUP_PATH],
}

const _: () = {
    assert!(offset_of!(CgroupMade, id) == 16);
    assert!(size_of::<CgroupMade>() == 40 + CGROUP_PATH);
};
