//! A quota of a user, a group or a project is used up.

use super::case::ceiling::cite;
use super::case::signs::{fix, knob};
use super::{Case, Cause, Fault, Proof};
use crate::limits::files::{
    GROUP_BLOCKS, GROUP_INODES, PROJECT_BLOCKS, PROJECT_INODES, QUOTAS, USER_BLOCKS, USER_INODES,
};
use crate::model::{Confidence, Errno, KnobKind, Reading, Remedy, spaced};

const DECIDERS: &[&str] = &[
    "dquot_add_space",
    "dquot_add_inodes",
    "__dquot_alloc_space",
    "dquot_alloc_inode",
    "xfs_trans_dqresv",
    "xfs_trans_reserve_quota_bydquots",
    "check_bdq",
    "btrfs_qgroup_reserve_data",
    "qgroup_reserve",
];
/// Key rings have a quota of their own, and sockets none.
const OTHERS: &[&str] = &["add_key", "keyctl", "request_key", "inotify_add_watch"];

pub(super) static CAUSE: Cause = Cause {
    slug: "disk-quota",
    title: "a disk quota is used up",
    about: "\
Writing fails with EDQUOT, \"Disk quota exceeded\", while df shows space: the file system counts for each user, group or project, and this one has reached its
hard limit, of blocks or of files, or its soft limit longer ago than the grace time. Engines limit a container's root by project
quotas (docker --storage-opt size=, containerd, Kubernetes ephemeral storage monitoring): df inside shows the project's share
then, and XFS says ENOSPC for a project. Users are counted by the id on the host, so that uid 1000 of all containers share one
quota. root and CAP_SYS_RESOURCE are exempt on ext4. EDQUOT of keyctl or add_key is something else: a quota of keys.",
    shows_as: &[("write", "EDQUOT"), ("openat", "EDQUOT"), ("mkdir", "EDQUOT"), ("fallocate", "EDQUOT"), ("rename", "EDQUOT"), ("write", "ENOSPC")],
    deciders: DECIDERS,
    reads: &[&USER_BLOCKS, &USER_INODES, &GROUP_BLOCKS, &GROUP_INODES, &PROJECT_BLOCKS, &PROJECT_INODES],
    rivals: &[],
    explain,
    remedy,
    fault: Fault::None("it needs a disk with quotas"),
    see: &["quotactl(2); Documentation/filesystems/quota.rst", "fs/quota/dquot.c: dquot_add_space(); fs/xfs/xfs_trans_dquot.c: xfs_trans_dqresv()"],
};

fn full<'a>(case: &Case<'a>) -> Option<&'a Reading> {
    QUOTAS.iter().find_map(|limit| {
        case.reading(limit).filter(|r| r.exceeded() == Some(true) && r.ceiling != Some(u64::MAX))
    })
}

fn explain(case: &Case<'_>) -> Option<Proof> {
    let (call, errno) = case.failure().syscall()?;
    let project_only = errno == Errno::ENOSPC;
    if !(errno == Errno::EDQUOT || project_only) || OTHERS.contains(&call) {
        return None;
    }
    let reading = full(case).filter(|r| !project_only || r.limit.starts_with("project"));
    let seen = case.verdict(DECIDERS);
    let place = case.places().find(|p| p.mount.is_some());
    if project_only && reading.is_none() {
        return None;
    }
    let read = QUOTAS.iter().any(|limit| case.reading(limit).is_some());
    let mut missing = Vec::new();
    let confidence = match (reading, &seen) {
        // No local file system says EDQUOT for anything but a quota, and it still is full.
        (Some(_), _) if !project_only || seen.is_some() => Confidence::Proven,
        (Some(_), _) => {
            missing.push("the function that refused: the file system may be full as well".into());
            Confidence::Likely
        }
        (None, _) if read => {
            missing.push("which quota it was: none that was read is used up now".into());
            Confidence::Possible
        }
        (None, Some(_)) => {
            missing.push("the quota's numbers".into());
            Confidence::Likely
        }
        (None, None) => {
            missing.push(
                "the quotas of the file system: the caller was gone, or its type does not show them".into(),
            );
            Confidence::Possible
        }
    };
    let mount = place.and_then(|p| p.mount.as_ref());
    let on = mount.map_or("its file system".to_string(), |m| format!("the {} at {}", m.fstype, m.point));
    let sentence = match reading {
        Some(r) => format!(
            "The {} of {} is used up: {} of {} {}.",
            r.limit,
            r.scope,
            r.usage.map_or_else(|| "?".into(), spaced),
            r.ceiling.map_or_else(|| "?".into(), spaced),
            r.unit
        ),
        None => format!("A quota of {on} is used up; the disk itself need not be full."),
    };
    let mut evidence: Vec<String> = reading.map(cite).into_iter().collect();
    if let Some(v) = seen {
        evidence.push(format!("{} said no (found by {})", v.function, v.method));
    }
    Some(Proof {
        confidence,
        sentence,
        knob: knob(
            KnobKind::Other,
            reading.map_or("disk quota", |r| r.limit.as_str()),
            mount.map(|m| m.point.clone()).unwrap_or_default(),
        ),
        limit: reading.and_then(|r| r.ceiling),
        usage: reading.and_then(|r| r.usage),
        unit: reading.map(|r| r.unit.clone()).unwrap_or_default(),
        evidence,
        missing,
    })
}

fn remedy(case: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let at = if proof.knob.path.is_empty() { "DIR" } else { proof.knob.path.as_str() };
    let fstype = case.places().find_map(|p| p.fstype()).unwrap_or_default();
    let option = match &proof.knob.name {
        n if n.starts_with("project") => "-P",
        n if n.starts_with("group") => "-g",
        _ => "-u",
    };
    let show = if fstype == "xfs" {
        format!("xfs_quota -x -c 'report -h' {at}")
    } else {
        format!("repquota -s {option} {at}")
    };
    vec![
        fix("look", show, "who uses how much of which quota", "reads only"),
        fix(
            "now",
            format!("setquota {option} ID 0 NEW 0 0 {at}"),
            "in KiB; XFS: xfs_quota -x -c 'limit -p bhard=NEW ID'",
            "the same with the old number",
        ),
        fix(
            "for good",
            "docker run --storage-opt size=NEW …",
            "for a container's root on a storage driver with project quotas",
            "start it without the option",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{incident, judge_with, reading};
    use crate::model::Taken;

    #[test]
    fn the_quota_that_is_full_is_named() {
        let after =
            |limit, used, most| Reading { taken: Taken::After { ns: 1 }, ..reading(limit, used, most) };
        let i = incident("write", Errno::EDQUOT, vec![]);
        assert_eq!(judge_with(&CAUSE, &i).map(|f| f.confidence), Some(Confidence::Possible));
        let mut i = incident("write", Errno::EDQUOT, vec![]);
        i.readings = vec![after(&USER_BLOCKS, 0, u64::MAX), after(&PROJECT_BLOCKS, 65_536, 65_536)];
        let f = judge_with(&CAUSE, &i).unwrap();
        assert_eq!((f.confidence, f.knob.name.as_str()), (Confidence::Proven, "project quota"));
        assert_eq!(judge_with(&CAUSE, &incident("keyctl", Errno::EDQUOT, vec![])), None);
        assert_eq!(judge_with(&CAUSE, &incident("write", Errno::ENOSPC, vec![])), None);
    }
}
