//! What a failed call was about: the file behind its descriptor. And who may have answered for the kernel: the
//! task's seccomp filters. Both may be gone a millisecond later.

use crate::UNRESOLVED;

/// Bytes of a file's name that are read: enough for every file of a cgroup.
pub const FILE_NAME: usize = 24;

/// The file behind the first argument, if [`crate::PRESENT_FILE`].
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenFile {
    /// Of the file system (statfs(2)).
    pub magic: u64,
    pub inode: u64,
    /// The inode of the folder it was opened in; on cgroupfs that is the cgroup's id.
    pub folder: u64,
    /// The file system's device, as the kernel has it: 12 bits of major, 20 of minor number.
    pub device: u32,
    /// `S_IFMT` and permissions.
    pub mode: u32,
    /// Of a device file.
    pub rdev: u32,
    /// Bytes of the name, its NUL included; the capacity when it was cut.
    pub name_len: u32,
    pub name: [u8; FILE_NAME],
}

impl OpenFile {
    pub const NONE: Self = Self {
        magic: 0,
        inode: 0,
        folder: 0,
        device: 0,
        mode: 0,
        rdev: 0,
        name_len: 0,
        name: [0; FILE_NAME],
    };
}

/// The global `OBJECTS` of the probes: byte offsets, named `structure_field`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObjectOffsets {
    pub task_files: u32,
    pub files_fdt: u32,
    pub fdt_max: u32,
    pub fdt_fd: u32,
    pub file_inode: u32,
    pub file_dentry: u32,
    pub inode_mode: u32,
    pub inode_rdev: u32,
    pub inode_number: u32,
    pub inode_sb: u32,
    pub sb_device: u32,
    pub sb_magic: u32,
    pub dentry_parent: u32,
    pub dentry_inode: u32,
    /// `dentry.d_name.name`.
    pub dentry_name: u32,
    pub seccomp_mode: u32,
    pub seccomp_filters: u32,
    pub seccomp_filter: u32,
}

impl ObjectOffsets {
    /// Nothing can be read.
    pub const NONE: Self = Self {
        task_files: UNRESOLVED,
        files_fdt: UNRESOLVED,
        fdt_max: UNRESOLVED,
        fdt_fd: UNRESOLVED,
        file_inode: UNRESOLVED,
        file_dentry: UNRESOLVED,
        inode_mode: UNRESOLVED,
        inode_rdev: UNRESOLVED,
        inode_number: UNRESOLVED,
        inode_sb: UNRESOLVED,
        sb_device: UNRESOLVED,
        sb_magic: UNRESOLVED,
        dentry_parent: UNRESOLVED,
        dentry_inode: UNRESOLVED,
        dentry_name: UNRESOLVED,
        seccomp_mode: UNRESOLVED,
        seccomp_filters: UNRESOLVED,
        seccomp_filter: UNRESOLVED,
    };
}

const _: () = {
    assert!(size_of::<OpenFile>() == 40 + FILE_NAME);
    assert!(size_of::<ObjectOffsets>() == 18 * 4);
};
