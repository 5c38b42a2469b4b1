//! Which kernel fields lead from a descriptor to its file, and to a task's seccomp filters.

use super::offsets::Resolved;
use super::{Btf, Want};
use Want::{Int, Pointer, PointerPointer, Text};
use diag_abi::ObjectOffsets;

/// The file behind a descriptor.
pub const FILES: &str = "files of descriptors";
/// How many seccomp filters a task has.
pub const FILTERS: &str = "seccomp filters";

type Row = (&'static str, &'static str, &'static str, Want, fn(&mut ObjectOffsets) -> &mut u32);

const FIELDS: &[Row] = &[
    (FILES, "task_struct", "files", Pointer("files_struct"), |o| &mut o.task_files),
    (FILES, "files_struct", "fdt", Pointer("fdtable"), |o| &mut o.files_fdt),
    (FILES, "fdtable", "max_fds", Int(4), |o| &mut o.fdt_max),
    (FILES, "fdtable", "fd", PointerPointer("file"), |o| &mut o.fdt_fd),
    (FILES, "file", "f_inode", Pointer("inode"), |o| &mut o.file_inode),
    (FILES, "file", "f_path.dentry", Pointer("dentry"), |o| &mut o.file_dentry),
    (FILES, "inode", "i_mode", Int(2), |o| &mut o.inode_mode),
    (FILES, "inode", "i_rdev", Int(4), |o| &mut o.inode_rdev),
    (FILES, "inode", "i_ino", Int(8), |o| &mut o.inode_number),
    (FILES, "inode", "i_sb", Pointer("super_block"), |o| &mut o.inode_sb),
    (FILES, "super_block", "s_dev", Int(4), |o| &mut o.sb_device),
    (FILES, "super_block", "s_magic", Int(8), |o| &mut o.sb_magic),
    (FILES, "dentry", "d_parent", Pointer("dentry"), |o| &mut o.dentry_parent),
    (FILES, "dentry", "d_inode", Pointer("inode"), |o| &mut o.dentry_inode),
    (FILES, "dentry", "d_name.name", Text, |o| &mut o.dentry_name),
    (FILTERS, "task_struct", "seccomp.mode", Int(4), |o| &mut o.seccomp_mode),
    (FILTERS, "task_struct", "seccomp.filter_count.counter", Int(4), |o| &mut o.seccomp_filters),
    (FILTERS, "task_struct", "seccomp.filter", Pointer("seccomp_filter"), |o| &mut o.seccomp_filter),
];

/// Looks up every field and adds what is missing to what else is. A reading without one of its fields is not
/// taken at all.
pub(super) fn resolve(btf: &Btf<'_>, resolved: &mut Resolved) {
    let mut offsets = ObjectOffsets::NONE;
    for (reading, structure, path, want, slot) in FIELDS {
        match btf.member(structure, path, *want) {
            Ok(offset) => *slot(&mut offsets) = offset,
            Err(why) if resolved.why_not(reading).is_none() => {
                resolved.missing.push((reading, why.to_string()));
            }
            Err(_) => {}
        }
    }
    if resolved.why_not(FILES).is_some() {
        offsets.task_files = diag_abi::UNRESOLVED;
    }
    if resolved.why_not(FILTERS).is_some() {
        offsets.seccomp_filters = diag_abi::UNRESOLVED;
    }
    resolved.objects = offsets;
}

/// Every member that is looked up, for tests that hold it against another implementation.
pub fn looked_up() -> impl Iterator<Item = (&'static str, &'static str, Want)> {
    FIELDS.iter().map(|(_, structure, path, want, _)| (*structure, *path, *want))
}
