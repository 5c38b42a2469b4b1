//! Discretionary permissions, as the kernel judges them (`generic_permission()`, fs/namei.c; path_resolution(7)).

use super::Case;
use super::rights::{bit, identity, objects};
use crate::model::{Address, ArgValue, Identity, ObjectKind, PathObject, Permissions};

pub(in crate::causes) const READ: u32 = 4;
pub(in crate::causes) const WRITE: u32 = 2;
pub(in crate::causes) const EXECUTE: u32 = 1;

/// Where the mode says no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::causes) struct Denial<'a> {
    pub(in crate::causes) at: &'a Permissions,
    pub(in crate::causes) is_folder: bool,
    pub(in crate::causes) wants: u32,
    /// `its owner`, `its group`, `others`: whose three bits were asked.
    pub(in crate::causes) class: &'static str,
}

/// What the mode says to this call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::causes) enum Judged<'a> {
    Denied(Denial<'a>),
    Allowed,
    /// An access list, or an identity, that is not known.
    Unknown,
}

/// Judges every folder on the way, then the object, as the kernel goes.
pub(in crate::causes) fn judge<'a>(case: &Case<'a>) -> Judged<'a> {
    let Some(who) = identity(case) else { return Judged::Unknown };
    let Some(name) = case.failure().syscall().map(|(name, _)| name) else { return Judged::Unknown };
    let mut known = false;
    let mut unknown = false;
    for object in objects(case) {
        known = true;
        if judges_itself(object) {
            return Judged::Unknown;
        }
        let by_descriptor = object.role == "fd" && !name.starts_with("exec");
        for folder in object.folders.iter().filter(|_| !by_descriptor) {
            match allows(who, folder, EXECUTE, true) {
                Ok(()) => {}
                Err(Some(class)) => return denied(folder, true, EXECUTE, class),
                Err(None) => unknown = true,
            }
        }
        let Some((at, is_folder, wants)) = wanted(case, name, object) else { continue };
        match allows(who, at, wants, is_folder) {
            Ok(()) => {}
            Err(Some(class)) => return denied(at, is_folder, wants, class),
            Err(None) => unknown = true,
        }
    }
    if known && !unknown { Judged::Allowed } else { Judged::Unknown }
}

/// Sysctls have a rule of their own (`proc_sys_permission()`), and file systems that ask somebody else (FUSE without
/// `default_permissions`, network file systems) may allow or refuse what the mode does not.
fn judges_itself(object: &PathObject) -> bool {
    let Some(mount) = &object.mount else { return false };
    let sysctl = mount.fstype == "proc" && object.whole.as_deref().unwrap_or(&object.path).contains("/sys/");
    let fuse =
        mount.fstype.starts_with("fuse") && !mount.options.split(',').any(|o| o == "default_permissions");
    let remote = ["nfs", "nfs4", "cifs", "smb3", "9p", "afs", "ceph"].contains(&mount.fstype.as_str());
    sysctl || fuse || remote
}

fn denied<'a>(at: &'a Permissions, is_folder: bool, wants: u32, class: &'static str) -> Judged<'a> {
    Judged::Denied(Denial { at, is_folder, wants, class })
}

/// What a call wants of its object, or of the folder that holds it.
fn wanted<'a>(case: &Case<'a>, name: &str, object: &'a PathObject) -> Option<(&'a Permissions, bool, u32)> {
    let folder = object.kind == ObjectKind::Folder;
    let gone = matches!(object.kind, ObjectKind::Absent | ObjectKind::NoWay);
    let own = object.own.as_ref();
    let holder = if gone { own } else { object.folder() };
    let flags = case.failure().number_arg("flags");
    match name {
        "execve" | "execveat" if object.kind == ObjectKind::Regular => Some((own?, false, EXECUTE)),
        "open" | "openat" if gone => {
            (flags? & 0o100 != 0).then_some(()).and_then(|()| Some((holder?, true, WRITE | EXECUTE)))
        }
        "open" | "openat" => {
            let flags = flags?;
            let mut wants = match flags & 3 {
                0 => READ,
                1 => WRITE,
                _ => READ | WRITE,
            };
            if flags & 0o1000 != 0 {
                wants |= WRITE;
            }
            (flags & 0o10_000_000 == 0).then_some((own?, folder, wants))
        }
        "creat" if !gone => Some((own?, folder, WRITE)),
        "creat" | "mkdir" | "mkdirat" | "mknod" | "mknodat" | "symlink" | "symlinkat" | "unlink"
        | "unlinkat" | "rmdir" | "rename" | "renameat" | "renameat2" => {
            Some((holder?, true, WRITE | EXECUTE))
        }
        "link" | "linkat" if object.role == "newpath" => Some((holder?, true, WRITE | EXECUTE)),
        "chdir" | "fchdir" | "chroot" => Some((own?, true, EXECUTE)),
        "inotify_add_watch" => Some((own?, folder, READ)),
        "truncate" | "truncate64" => Some((own?, folder, WRITE)),
        // unix_find_bsd() and unix_bind_bsd() (net/unix/af_unix.c).
        "connect" | "sendto" | "sendmsg" | "sendmmsg" if object.role == "addr" => Some((own?, folder, WRITE)),
        "bind" if object.role == "addr" => Some((holder?, true, WRITE | EXECUTE)),
        _ => None,
    }
}

/// `Err(Some(class))`: denied by the bits of that class; `Err(None)`: not known.
fn allows(who: &Identity, at: &Permissions, wants: u32, is_folder: bool) -> Result<(), Option<&'static str>> {
    if overrides(who, at, wants, is_folder) {
        return Ok(());
    }
    let (bits, class) = if who.uids[3] == at.uid {
        (at.mode >> 6, "its owner")
    } else if at.acl {
        return Err(None);
    } else if who.in_group(at.gid) {
        (at.mode >> 3, "its group")
    } else {
        (at.mode, "others")
    };
    if bits & wants == wants { Ok(()) } else { Err(Some(class)) }
}

/// CAP_DAC_OVERRIDE, but for executing what nobody may execute, and CAP_DAC_READ_SEARCH; in a user namespace only over
/// files whose owner it has numbers for (`capable_wrt_inode_uidgid()`). Where the maps were not read, it may.
fn overrides(who: &Identity, at: &Permissions, wants: u32, is_folder: bool) -> bool {
    let reaches = who.first_user_ns != Some(false) || who.maps(at.uid, at.gid) != Some(false);
    let has = |name: &str| who.effective & (1 << bit(name)) != 0;
    let anybody_executes = wants & EXECUTE == 0 || is_folder || at.mode & 0o111 != 0;
    let reads = if is_folder { wants & WRITE == 0 } else { wants == READ };
    reaches && (has("CAP_DAC_OVERRIDE") && anybody_executes || has("CAP_DAC_READ_SEARCH") && reads)
}

/// The rights in words: `write and search`.
pub(in crate::causes) fn words(wants: u32, is_folder: bool) -> String {
    let third = if is_folder { "search" } else { "execute" };
    let all = [(READ, "read"), (WRITE, "write"), (EXECUTE, third)];
    all.iter().filter(|(bit, _)| wants & bit != 0).map(|(_, word)| *word).collect::<Vec<_>>().join(" and ")
}

/// The path as the caller gave it.
pub(in crate::causes) fn path(case: &Case<'_>) -> String {
    case.failure()
        .args()
        .iter()
        .find_map(|arg| match &arg.value {
            ArgValue::Text(text) => Some(text.clone()),
            ArgValue::Address(Address::Local { path }) => Some(path.clone()),
            _ => None,
        })
        .unwrap_or_else(|| "the file".into())
}
