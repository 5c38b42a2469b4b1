//! What is not kept: passwords travel in mount options, keys in payloads, tokens in environments.
//!
//! Arguments that can only be secret are `Kind::Secret` in the table. Here is the rest: mount options,
//! where what is harmless is listed and everything else is held back.

use crate::model::{Arg, ArgValue};

/// File systems whose options are known, and are paths, sizes and switches. Network and FUSE file
/// systems are not here: `password=` is one of theirs.
const KNOWN_FILESYSTEMS: &[&str] = &[
    "bpf",
    "btrfs",
    "cgroup",
    "cgroup2",
    "configfs",
    "debugfs",
    "devpts",
    "devtmpfs",
    "efivarfs",
    "erofs",
    "ext2",
    "ext3",
    "ext4",
    "f2fs",
    "fusectl",
    "hugetlbfs",
    "iso9660",
    "mqueue",
    "nsfs",
    "proc",
    "pstore",
    "ramfs",
    "securityfs",
    "selinuxfs",
    "squashfs",
    "sysfs",
    "tmpfs",
    "tracefs",
    "vfat",
    "xfs",
];

/// Options of those file systems that matter for a failure. Anything else is held back.
const KNOWN_OPTIONS: &[&str] = &[
    "source",
    "lowerdir",
    "lowerdir+",
    "datadir",
    "datadir+",
    "upperdir",
    "workdir",
    "redirect_dir",
    "index",
    "metacopy",
    "xino",
    "userxattr",
    "volatile",
    "nfs_export",
    "verity",
    "uuid",
    "override_creds",
    "size",
    "nr_blocks",
    "nr_inodes",
    "mode",
    "uid",
    "gid",
    "huge",
    "mpol",
    "noswap",
    "inode64",
    "inode32",
    "usrquota",
    "grpquota",
    "prjquota",
    "pquota",
    "quota",
    "pagesize",
    "min_size",
    "ptmxmode",
    "newinstance",
    "max",
    "hidepid",
    "subset",
    "pidns",
    "nsdelegate",
    "memory_localevents",
    "memory_recursiveprot",
    "favordynmods",
    "pids",
    "memory",
    "cpu",
    "cpuset",
    "cpuacct",
    "blkio",
    "devices",
    "freezer",
    "net_cls",
    "net_prio",
    "perf_event",
    "hugetlb",
    "rdma",
    "misc",
    "name",
    "none",
    "xattr",
    "all",
    "clone_children",
    "release_agent",
    "noprefix",
    "cpuset_v2_mode",
    "ro",
    "rw",
    "nosuid",
    "nodev",
    "noexec",
    "relatime",
    "noatime",
    "discard",
    "data",
    "errors",
    "subvol",
    "subvolid",
    "compress",
    "delegate_cmds",
    "delegate_maps",
    "delegate_progs",
    "delegate_attachs",
];

/// Commands of fsconfig(2) whose value is a string: SET_STRING, SET_PATH, SET_PATH_EMPTY.
const FSCONFIG_TEXT: [u64; 3] = [1, 3, 4];

/// Replaces what may be secret among the arguments of a call.
pub(super) fn redact(name: &str, args: &mut [Arg]) {
    match name {
        "mount" => redact_mount(args),
        "fsconfig" => redact_fsconfig(args),
        _ => {}
    }
}

fn redact_mount(args: &mut [Arg]) {
    let fstype = match value(args, "fstype") {
        Some(ArgValue::Text(fstype)) => fstype.clone(),
        _ => String::new(),
    };
    for arg in args {
        match (arg.name.as_str(), &arg.value) {
            // Overlay's options are folders and switches, and the folders may hold commas.
            ("data", ArgValue::Text(_)) if fstype == "overlay" => {}
            ("data", ArgValue::Text(data)) => {
                let known = KNOWN_FILESYSTEMS.contains(&fstype.as_str());
                let kept = if known { harmless(data) } else { None };
                arg.value = kept.map_or(ArgValue::Redacted, ArgValue::Text);
            }
            ("source", ArgValue::Text(source)) if has_credentials(source) => arg.value = ArgValue::Redacted,
            _ => {}
        }
    }
}

/// The options that are known to be harmless. A value may hold a comma (`lowerdir=a\,b`), and then a part
/// of it looks like an option of its own: what is not known is replaced, so nothing can slip through.
fn harmless(data: &str) -> Option<String> {
    let mut kept = Vec::new();
    let mut dropped = false;
    for option in data.split(',') {
        let key = option.split('=').next().unwrap_or_default();
        if KNOWN_OPTIONS.contains(&key) {
            kept.push(option);
        } else {
            dropped = true;
        }
    }
    if dropped {
        kept.push("…");
    }
    (kept.len() > usize::from(dropped)).then(|| kept.join(","))
}

fn redact_fsconfig(args: &mut [Arg]) {
    let text = match value(args, "cmd") {
        Some(ArgValue::Flags { raw, .. } | ArgValue::Number(raw)) => FSCONFIG_TEXT.contains(raw),
        _ => false,
    };
    let known = match value(args, "key") {
        Some(ArgValue::Text(key)) => KNOWN_OPTIONS.contains(&key.as_str()),
        _ => false,
    };
    for arg in args {
        if arg.name == "value" && !matches!(arg.value, ArgValue::Null) {
            let credentials = matches!(&arg.value, ArgValue::Text(text) if has_credentials(text));
            if !text || !known || credentials {
                arg.value = ArgValue::Redacted;
            }
        }
    }
}

/// `scheme://user:password@host`, which some FUSE file systems take as their source.
fn has_credentials(source: &str) -> bool {
    source.split_once("://").is_some_and(|(_, rest)| rest.contains('@'))
}

fn value<'a>(args: &'a [Arg], name: &str) -> Option<&'a ArgValue> {
    args.iter().find(|arg| arg.name == name).map(|arg| &arg.value)
}
