//! The file behind a descriptor, what was to be written to it, and the state of a task's seccomp filters, as the
//! probe read them.

use crate::model::{Arg, ArgValue, FileKind, Filters, OpenFile};
use diag_abi::{
    CLONE_ARGS, CLONE_ARGS_CGROUP, PRESENT_BYTES, PRESENT_FILE, PRESENT_INHERITED, PRESENT_SECCOMP,
    STRING_READ, SyscallFailure,
};

/// Minor numbers have 20 bits inside the kernel (include/linux/kdev_t.h).
const MINOR_BITS: u32 = 20;

/// `PROC_SUPER_MAGIC` (linux/magic.h).
const PROC: u64 = 0x9fa0;

/// Files of procfs to which nothing secret is written: maps of ids and the switches beside them.
const HARMLESS: &[&str] = &[
    "uid_map",
    "gid_map",
    "projid_map",
    "setgroups",
    "ns_last_pid",
    "oom_score_adj",
    "oom_adj",
    "timens_offsets",
];

/// Where `set_tid` and `set_tid_size` are in clone3's arguments (include/uapi/linux/sched.h `struct clone_args`).
const SET_TID_SIZE: usize = 72;
const EXIT_SIGNAL: usize = 32;

/// Adds what the call was about to its arguments.
pub(super) fn describe(record: &SyscallFailure, call: &str, args: &mut Vec<Arg>) {
    let file = file(record);
    let bytes = bytes(record);
    if call == "clone3" {
        let number = |at: usize| {
            let word = bytes?.get(at..at + 8)?.try_into().ok()?;
            Some(u64::from_le_bytes(word))
        };
        let mut push = |name: &str, value| args.push(Arg { name: name.into(), value });
        for (name, at) in [("set_tid_size", SET_TID_SIZE), ("exit_signal", EXIT_SIGNAL)] {
            if let Some(value) = number(at) {
                push(name, ArgValue::Number(value));
            }
        }
        if let (Some(raw), Some(file)) = (number(CLONE_ARGS_CGROUP), file) {
            push("cgroup", ArgValue::Descriptor { raw, file });
        }
        return;
    }
    let Some(file) = file else { return };
    let told = file.magic != PROC || HARMLESS.contains(&file.name.as_str());
    if let Some(Arg { value, .. }) = args.first_mut()
        && let ArgValue::Number(raw) = *value
    {
        *value = ArgValue::Descriptor { raw, file };
    }
    // What read(2) was to fill holds whatever was there before.
    if let Some(bytes) = bytes.filter(|_| told && call.contains("write")) {
        let mut text = super::text(bytes);
        if record.args[2] > bytes.len() as u64 {
            text.push('…');
        }
        args.push(Arg { name: "written".into(), value: ArgValue::Text(text) });
    }
}

fn bytes(record: &SyscallFailure) -> Option<&[u8]> {
    let text = &record.strings[0];
    let read = record.present & PRESENT_BYTES != 0 && text.state == STRING_READ;
    text.bytes.get(..text.len as usize).filter(|_| read)
}

fn file(record: &SyscallFailure) -> Option<OpenFile> {
    if record.present & PRESENT_FILE == 0 {
        return None;
    }
    let file = &record.file;
    let read = file.name.get(..file.name_len as usize).unwrap_or(&file.name);
    let mut name = super::text(read);
    if read.len() == file.name.len() {
        name.push('…');
    }
    Some(OpenFile {
        kind: match file.mode & libc::S_IFMT {
            libc::S_IFREG => FileKind::Regular,
            libc::S_IFDIR => FileKind::Folder,
            _ => FileKind::Other,
        },
        name,
        device: format!("{}:{}", file.device >> MINOR_BITS, file.device & ((1 << MINOR_BITS) - 1)),
        magic: file.magic,
        inode: file.inode,
        folder: file.folder,
    })
}

pub(super) fn filters(record: &SyscallFailure) -> Option<Filters> {
    (record.present & PRESENT_SECCOMP != 0).then_some(Filters {
        mode: record.seccomp_mode,
        count: record.seccomp_filters,
        inherited: record.present & PRESENT_INHERITED != 0,
    })
}

const _: () = assert!(CLONE_ARGS == CLONE_ARGS_CGROUP + 8);
