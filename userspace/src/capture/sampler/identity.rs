//! Who the failing task is: ids, capabilities, user namespace, confinement; and what the machine forbids everybody.

use super::{Look, Sampled};
use crate::limits::read::Root;
use crate::model::{Errno, FIRST_USER_NAMESPACE, Fact, Failure, Identity};
use std::fs;

/// Errnos of permission checks; execve(2)'s others are judged by the object alone.
const REFUSALS: &[i32] =
    &[libc::EPERM, libc::EACCES, libc::EROFS, libc::EKEYREJECTED, libc::ENOKEY, libc::EXDEV];

pub(super) fn look(look: &Look<'_>, failure: &mut Failure, out: &mut Sampled) {
    let of_proc = look.errno == Errno::ENOENT && look.call.starts_with("open");
    if REFUSALS.contains(&look.errno.0) || of_proc {
        let identity = read(look.root, failure.task.tid, look.after(failure));
        out.facts.extend(identity.map(|identity| Fact::Identity(Box::new(identity))));
    }
}

/// The identity of a living thread; a zombie has let go of nothing of this, but of its namespaces.
pub(super) fn read(root: &Root, tid: u32, after_ns: u64) -> Option<Identity> {
    let file = |name: &str| root.join(format!("proc/{tid}/{name}"));
    let status = fs::read_to_string(file("status")).ok()?;
    let user_ns = fs::read_link(file("ns/user"))
        .ok()
        .and_then(|link| link.to_str()?.strip_prefix("user:[")?.strip_suffix(']')?.parse::<u32>().ok());
    let mut identity = parse(&status)?;
    identity.user_ns = user_ns;
    identity.first_user_ns = user_ns.map(|inode| inode == FIRST_USER_NAMESPACE);
    let map = |name| fs::read_to_string(file(name)).ok().and_then(|text| id_map(&text));
    (identity.uid_map, identity.gid_map) = (map("uid_map"), map("gid_map"));
    identity.label = label(&fs::read_to_string(file("attr/current")).unwrap_or_default());
    let security = |name: &str| fs::read_to_string(root.join(format!("sys/kernel/security/{name}"))).ok();
    identity.modules = security("lsm").map(|text| text.trim().to_owned()).or_else(listed);
    identity.lockdown = security("lockdown").and_then(|text| chosen(&text));
    identity.after_ns = after_ns;
    Some(identity)
}

/// LSM_ID_* (include/uapi/linux/lsm.h).
const MODULES: &[(u64, &str)] = &[
    (100, "capability"),
    (101, "selinux"),
    (102, "smack"),
    (103, "tomoyo"),
    (104, "apparmor"),
    (105, "yama"),
    (106, "loadpin"),
    (107, "safesetid"),
    (108, "lockdown"),
    (109, "bpf"),
    (110, "landlock"),
    (111, "ima"),
    (112, "evm"),
    (113, "ipe"),
];

/// The same list by lsm_list_modules(2), since 6.8, where no securityfs is mounted.
fn listed() -> Option<String> {
    const LIST_MODULES: libc::c_long = 461;
    let mut ids = [0_u64; 32];
    let mut size = size_of_val(&ids) as u32;
    // SAFETY: room for as many numbers as the size says.
    let count = unsafe { libc::syscall(LIST_MODULES, ids.as_mut_ptr(), &raw mut size, 0) };
    let ids = ids.get(..usize::try_from(count).ok()?)?;
    let name = |id: &u64| MODULES.iter().find(|(known, _)| known == id).map_or("unknown", |(_, name)| *name);
    Some(ids.iter().map(name).collect::<Vec<_>>().join(","))
}

fn parse(status: &str) -> Option<Identity> {
    let field = |name: &str| status.lines().find_map(|l| l.strip_prefix(name)).map(str::trim);
    let ids = |name: &str| -> Option<[u32; 4]> {
        let list: Vec<u32> = field(name)?.split_whitespace().filter_map(|id| id.parse().ok()).collect();
        list.try_into().ok()
    };
    let set = |name: &str| u64::from_str_radix(field(name)?, 16).ok();
    let groups = field("Groups:").unwrap_or_default();
    Some(Identity {
        uids: ids("Uid:")?,
        gids: ids("Gid:")?,
        groups: groups.split_whitespace().filter_map(|id| id.parse().ok()).collect(),
        effective: set("CapEff:")?,
        permitted: set("CapPrm:")?,
        bounding: set("CapBnd:")?,
        no_new_privs: field("NoNewPrivs:").map(|n| n != "0"),
        seccomp: field("Seccomp:").and_then(|n| n.parse().ok()),
        ..Identity::default()
    })
}

/// user_namespaces(7): inside, outside, count. An empty file is an empty map.
fn id_map(text: &str) -> Option<Vec<[u32; 3]>> {
    let line = |l: &str| -> Option<[u32; 3]> {
        let numbers: Vec<u32> = l.split_whitespace().filter_map(|n| n.parse().ok()).collect();
        numbers.try_into().ok()
    };
    text.lines().map(line).collect()
}

/// AppArmor says `unconfined`, SELinux and Smack a context that ends in NUL; without any of them the file is empty or
/// cannot be read.
fn label(text: &str) -> String {
    let text = text.trim_end_matches('\0').trim();
    if text == "unconfined" { String::new() } else { text.to_owned() }
}

/// The bracketed word of `none [integrity] confidentiality`.
fn chosen(text: &str) -> Option<String> {
    let (_, rest) = text.split_once('[')?;
    rest.split_once(']').map(|(word, _)| word.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = "Name:\tapp\nUid:\t1000\t1000\t1000\t1001\nGid:\t100\t100\t100\t100\nGroups:\t4 27 \n\
        CapInh:\t0000000000000000\nCapPrm:\t00000000a80425fb\nCapEff:\t0000000000000400\nCapBnd:\t00000000a80425fb\n\
        NoNewPrivs:\t1\n";

    #[test]
    fn a_status_and_its_neighbours() {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().join("proc/7");
        fs::create_dir_all(at.join("ns")).unwrap();
        fs::create_dir_all(at.join("attr")).unwrap();
        fs::create_dir_all(dir.path().join("sys/kernel/security")).unwrap();
        fs::write(at.join("status"), STATUS).unwrap();
        fs::write(at.join("uid_map"), "         0       1000          1\n").unwrap();
        fs::write(at.join("gid_map"), "0 100 1\n").unwrap();
        fs::write(at.join("attr/current"), "docker-default (enforce)\n").unwrap();
        fs::write(dir.path().join("sys/kernel/security/lockdown"), "none [integrity] confidentiality\n")
            .unwrap();
        std::os::unix::fs::symlink("user:[4026532000]", at.join("ns/user")).unwrap();
        let who = read(&Root::at(dir.path()), 7, 5).unwrap();
        assert_eq!((who.uids[3], who.gids[3], who.effective), (1001, 100, 1 << 10));
        assert_eq!((who.first_user_ns, who.no_new_privs), (Some(false), Some(true)));
        assert_eq!(
            (who.label.as_str(), who.lockdown.as_deref()),
            ("docker-default (enforce)", Some("integrity"))
        );
        assert_eq!((who.maps(1000, 100), who.maps(0, 100)), (Some(true), Some(false)));
        assert!(who.in_group(27) && who.in_group(100) && !who.in_group(0));
    }

    #[test]
    fn no_confinement_and_no_map() {
        assert_eq!((label("unconfined\n"), label("")), (String::new(), String::new()));
        assert_eq!(label("system_u:system_r:container_t:s0\0"), "system_u:system_r:container_t:s0");
        assert_eq!(id_map(""), Some(vec![]));
        assert_eq!(chosen("none integrity"), None);
    }
}
