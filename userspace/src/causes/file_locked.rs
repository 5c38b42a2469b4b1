//! Another process holds a lock on the file, or has it open against a lease.

use super::case::claim::{self, cite_state, look, step};
use super::case::switch::FILTER;
use super::{Case, Cause, Fault, Proof};
use crate::model::{Confidence, Errno, Knob, KnobKind, Remedy};

const DECIDERS: &[&str] = &["flock_lock_inode", "posix_lock_inode", "__posix_lock_file"];
const CALLERS: &[&str] = &[
    "locks_lock_inode_wait",
    "flock_lock_inode_wait",
    "posix_lock_inode_wait",
    "posix_lock_file",
    "vfs_lock_file",
    "do_lock_file_wait",
    "fcntl_setlk",
    "do_fcntl",
    "__do_sys_flock",
    "__x64_sys_flock",
    "__x64_sys_fcntl",
    "__do_sys_fcntl",
    "nfs_flock",
    "nfs_lock",
    "fuse_file_flock",
    "fuse_file_lock",
];
const HOLDER: &str = "lock holder";
/// F_SETLK, F_OFD_SETLK (linux/fcntl.h).
const SET: &[u64] = &[6, 37];

/// F_SETLEASE with F_RDLCK, and through what its answer comes.
const SETLEASE: u64 = 1024;
const READ_LEASE: u64 = 0;
const LEASES: &[&str] = &[
    "generic_setlease",
    "kernel_setlease",
    "vfs_setlease",
    "do_fcntl_add_lease",
    "fcntl_setlease",
    "do_fcntl",
];
const OPEN: &str = "file open by";

pub(super) static CAUSE: Cause = Cause {
    slug: "file-locked",
    title: "another process holds a lock on the file",
    about: "\
flock(2), or fcntl(2) with F_SETLK, fails with EAGAIN, \"Resource temporarily unavailable\" (EWOULDBLOCK is the same number): \
\"unable to lock the administration directory\", \"lock file is already held\", \"database is locked\", \"Unable to lock \
./ibdata1 error: 11\". The file has a lock that conflicts, and the caller did not want to wait. flock_lock_inode() and \
posix_lock_inode() in fs/locks.c look through the locks of the inode, whoever's they are: two containers with the same volume, an \
old container that is still ending while the new one starts (a Deployment's rolling update, a restart), a second daemon on one data \
folder. EDEADLK, \"Resource deadlock avoided\", is a circle of processes that wait for each other's record locks.

It surprises because nothing ran out, and because the holder mostly is in another container, whose processes one does not see. A \
lock of flock(2) belongs to the open file, so that a child which inherited it keeps it when its parent is gone. Removing the lock's \
file only makes a second one: it does not free the first.

fcntl(2) with F_SETLEASE says EAGAIN where the file is open in a way that the lease is against: one for reading wants nobody to have it \
open for writing, one for writing wants nobody else at all (Samba with kernel oplocks, NFS delegations).",
    shows_as: &[("flock", "EAGAIN"), ("fcntl", "EAGAIN"), ("fcntl", "EACCES"), ("fcntl", "EDEADLK")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[FILTER],
    explain,
    remedy,
    fault: Fault::Action {
        about: "locks a file in a temporary folder, and asks for the lock once more by another descriptor",
        risk: "none",
        variants: &["flock", "record", "lease"],
    },
    see: &[
        "flock(2), EWOULDBLOCK; fcntl(2), F_SETLK, F_OFD_SETLK; proc_locks(5)",
        "fs/locks.c: flock_lock_inode(), posix_lock_inode()",
    ],
};

/// F_SETLKW: `posix_locks_deadlock()` follows who waits for whom, and found the caller.
fn circle(case: &Case<'_>) -> Option<Proof> {
    case.denied(&["fcntl", "fcntl64"], Errno(libc::EDEADLK))?;
    let who = &case.failure().task.comm;
    let sentence = format!(
        "{who} would wait for a lock whose holder waits, itself or by others, for one that {who} holds."
    );
    let weighed = claim::weigh(case, &["posix_lock_inode", "posix_locks_deadlock"], CALLERS, Some(true))?;
    let knob = Knob { kind: KnobKind::File, name: "order of locks".into(), path: String::new() };
    Some(weighed.proof(case, DECIDERS, sentence, knob))
}

/// F_SETLEASE: generic_add_lease() finds the file open elsewhere, or a lease of somebody else's.
fn lease(case: &Case<'_>) -> Option<Proof> {
    case.denied(&["fcntl", "fcntl64"], Errno::EAGAIN)?;
    let number = |name: &str| case.failure().number_arg(name);
    if number("op") != Some(SETLEASE) {
        return None;
    }
    let others = match number("arg") {
        Some(READ_LEASE) => "is open for writing, or under another lease",
        _ => "is open elsewhere, or under another lease",
    };
    let weighed = claim::weigh(case, &["check_conflicting_open", "generic_add_lease"], LEASES, Some(true))?;
    let who = &case.failure().task.comm;
    let open = case.state(OPEN);
    let path = open.map_or_else(|| "the file".to_string(), |s| s.of.clone());
    let by = open.map_or_else(String::new, |s| format!(" (open in {})", s.value));
    let sentence = format!("{who} asked for a lease on {path}, which {others}{by}.");
    let knob = Knob { kind: KnobKind::File, name: path.clone(), path };
    Some(weighed.proof(case, DECIDERS, sentence, knob).because(cite_state(case, OPEN)))
}

fn explain(case: &Case<'_>) -> Option<Proof> {
    if let Some(proof) = circle(case).or_else(|| lease(case)) {
        return Some(proof);
    }
    let (call, _) = case.failure().syscall()?;
    let whole = case.denied(&["flock"], Errno::EAGAIN).is_some();
    let record =
        [Errno::EAGAIN, Errno::EACCES].iter().any(|e| case.denied(&["fcntl", "fcntl64"], *e).is_some())
            && case.failure().number_arg("op").is_some_and(|op| SET.contains(&op));
    if !whole && !record {
        return None;
    }
    let state = case.state(HOLDER);
    let held = state.filter(|s| s.value != "none");
    let mut weighed = claim::weigh(case, DECIDERS, CALLERS, held.map(|_| true))?;
    // Nothing else gives these calls this errno: it was let go of in between.
    if held.is_none() && weighed.confidence == Confidence::Possible {
        weighed.confidence = Confidence::Likely;
        weighed.missing = vec!["who held the lock: by now nobody does, or not on this machine".into()];
    }
    let who = &case.failure().task.comm;
    let path = state.map_or_else(|| "the file".to_string(), |s| s.of.clone());
    let sentence = match held {
        Some(s) => format!("{who} asked for a lock on {path}, which has an {} already.", s.value)
            .replace("has an shared", "has a shared"),
        None => {
            format!("{who} asked for a lock on {path}, and somebody else held one ({call} does not wait).")
        }
    };
    let knob = Knob { kind: KnobKind::File, name: path.clone(), path };
    Some(weighed.proof(case, DECIDERS, sentence, knob).because(cite_state(case, HOLDER)))
}

fn remedy(_: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let path = &proof.knob.path;
    vec![
        look(
            format!("lslocks -u | grep -F '{path}'; fuser -v {path}"),
            "who holds it, on the host, in all containers",
        ),
        step(
            "now",
            "docker stop -t 30 OTHER-CONTAINER",
            "the lock goes with the last descriptor of the open file it belongs to; killing is for those that hang",
            "docker start OTHER-CONTAINER",
        ),
        step(
            "for good",
            "a volume for each instance, and one instance at a time",
            "in Kubernetes strategy: Recreate, a StatefulSet, or accessModes: [ReadWriteOncePod]",
            "none needed",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{judge_with, state, valued};
    use crate::model::Incident;

    fn asked(call: &str, errno: Errno, op: u64) -> Incident {
        valued(call, errno, &[("fd", 3), ("op", op)], &[], vec![])
    }

    #[test]
    fn a_holder_proves_it_and_one_that_is_gone_leaves_it_likely() {
        let mut i = asked("flock", Errno::EAGAIN, 6);
        assert_eq!(judge_with(&CAUSE, &i).map(|f| f.confidence), Some(Confidence::Likely));
        i.facts.push(state(HOLDER, "/data/db", "exclusive lock of mysqld (pid 7)"));
        let f = judge_with(&CAUSE, &i).unwrap();
        assert_eq!((f.confidence, f.knob.path.as_str()), (Confidence::Proven, "/data/db"));
        assert!(f.sentence.contains("an exclusive lock of mysqld (pid 7)"), "{}", f.sentence);
        i.facts = vec![state(HOLDER, "/data/db", "none")];
        assert_eq!(judge_with(&CAUSE, &i).map(|f| f.confidence), Some(Confidence::Likely));
    }

    #[test]
    fn a_circle_of_those_who_wait() {
        let f = judge_with(&CAUSE, &asked("fcntl", Errno(libc::EDEADLK), 7)).unwrap();
        assert_eq!((f.confidence, f.knob.name.as_str()), (Confidence::Proven, "order of locks"));
    }

    #[test]
    fn a_lease_is_against_who_has_the_file_open() {
        let mut i = asked("fcntl", Errno::EAGAIN, SETLEASE);
        i.facts.push(state(OPEN, "/srv/share/a.doc", "smbd (pid 7)"));
        let f = judge_with(&CAUSE, &i).unwrap();
        assert_eq!((f.confidence, f.knob.path.as_str()), (Confidence::Proven, "/srv/share/a.doc"));
        assert!(f.sentence.contains("smbd (pid 7)"), "{}", f.sentence);
        assert!(judge_with(&CAUSE, &asked("fcntl", Errno::EINVAL, SETLEASE)).is_none());
    }

    #[test]
    fn other_operations_and_errnos_are_not_claimed() {
        assert!(judge_with(&CAUSE, &asked("fcntl", Errno::EAGAIN, 37)).is_some());
        assert!(judge_with(&CAUSE, &asked("fcntl", Errno::EINVAL, 6)).is_none());
        assert!(judge_with(&CAUSE, &asked("read", Errno::EAGAIN, 6)).is_none());
    }
}
