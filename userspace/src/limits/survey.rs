//! Every limit at this moment: ceiling, usage, headroom, and who is nearest.

use super::{ALL, Ceiling, Limit, Usage, read::Root};
use serde::Serialize;

/// Ceilings from here on are what the kernel shows as no limit.
const UNLIMITED: u64 = i64::MAX as u64;

/// One limit with the one who is nearest to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Standing {
    pub limit: &'static str,
    pub title: &'static str,
    /// `None` where there is none, or it could not be read.
    pub ceiling: Option<u64>,
    pub usage: Option<u64>,
    pub unit: &'static str,
    /// Percent of the ceiling that is left, rounded down; `None` where one side is unknown.
    pub headroom: Option<u64>,
    /// `user 1000`, `process 812 (java)`; empty for the machine.
    pub owner: String,
    pub path: String,
    /// Why something is not known.
    pub unknown: Option<String>,
}

/// All of them, in the table's order.
pub fn all(root: &Root) -> Vec<Standing> {
    ALL.iter().map(|limit| standing(root, limit)).collect()
}

/// One of them.
pub fn standing(root: &Root, limit: &'static Limit) -> Standing {
    let mut out = Standing {
        limit: limit.id,
        title: limit.title,
        ceiling: None,
        usage: None,
        unit: limit.unit,
        headroom: None,
        owner: String::new(),
        path: limit.path(),
        unknown: None,
    };
    let own = root.ceiling(limit);
    match limit.usage {
        Usage::Hidden => out.unknown = Some("the kernel shows its usage nowhere".into()),
        Usage::Read(read) => match read(root) {
            Ok(holders) => {
                if let Some(nearest) = holders.into_iter().next() {
                    out.usage = Some(nearest.usage);
                    out.ceiling = nearest.ceiling;
                    out.owner = nearest.name;
                } else {
                    // Nobody is held against it.
                    out.usage = Some(0);
                }
            }
            Err(error) => out.unknown = Some(format!("its usage cannot be read: {error}")),
        },
    }
    let one_for_all = matches!(limit.ceiling, Ceiling::Sysctl(_) | Ceiling::Fixed(_) | Ceiling::File(..));
    if out.ceiling.is_none() && one_for_all {
        match own {
            Ok(ceiling) => out.ceiling = Some(ceiling),
            Err(error) if out.unknown.is_none() => {
                out.unknown = Some(format!("its ceiling cannot be read: {error}"));
            }
            Err(_) => {}
        }
    }
    out.headroom = headroom(out.usage, out.ceiling);
    out
}

/// Whether a ceiling stands for none.
pub fn is_unlimited(ceiling: u64) -> bool {
    ceiling >= UNLIMITED
}

fn headroom(usage: Option<u64>, ceiling: Option<u64>) -> Option<u64> {
    let (usage, ceiling) = (usage?, ceiling?);
    if is_unlimited(ceiling) {
        return Some(100);
    }
    let left = u128::from(ceiling.saturating_sub(usage)) * 100;
    u64::try_from(left.checked_div(u128::from(ceiling)).unwrap_or(0)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{descriptors::FILE_MAX, mount::MOUNT_MAX, tasks::PIDS_MAX};
    use std::fs;

    #[test]
    fn the_nearest_holder_counts() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("proc/sys/fs")).unwrap();
        fs::write(dir.path().join("proc/sys/fs/file-nr"), "900\t0\t1000\n").unwrap();
        fs::write(dir.path().join("proc/sys/fs/mount-max"), "100\n").unwrap();
        let root = Root::at(dir.path());
        let files = standing(&root, &FILE_MAX);
        assert_eq!((files.ceiling, files.usage, files.headroom), (Some(1000), Some(900), Some(10)));
        let mounts = standing(&root, &MOUNT_MAX);
        assert_eq!(mounts.ceiling, Some(100));
    }

    #[test]
    fn what_cannot_be_known_says_why() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::at(dir.path());
        assert!(standing(&root, &FILE_MAX).unknown.unwrap().contains("cannot be read"));
        assert_eq!(standing(&root, &PIDS_MAX).headroom, None);
        assert_eq!(all(&root).len(), ALL.len());
    }

    #[test]
    fn no_limit_is_all_headroom_and_nothing_allowed_is_none() {
        assert_eq!(headroom(Some(5), Some(u64::MAX)), Some(100));
        assert_eq!(headroom(Some(0), Some(0)), Some(0));
        assert_eq!(headroom(Some(1), Some(1000)), Some(99));
        assert_eq!(headroom(Some(2000), Some(1000)), Some(0));
    }
}
