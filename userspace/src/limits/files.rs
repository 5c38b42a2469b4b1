//! Limits on files: how large one may grow, and what quotas allow.

use super::{Ceiling, Limit, Usage};
use crate::model::KnobKind;

macro_rules! quotas {
    ($($name:ident, $id:literal, $title:literal, $per:literal, $unit:literal;)+) => {
        $(pub static $name: Limit = Limit {
            id: $id,
            title: $title,
            kind: KnobKind::Other,
            // The quota of each id is kept in the file system.
            ceiling: Ceiling::Fixed(u64::MAX),
            unit: $unit,
            counted_per: $per,
            usage: Usage::Hidden,
            default: u64::MAX,
            since: "2.6",
            see: "quotactl(2), Q_GETQUOTA; fs/quota/dquot.c, dquot_add_space(), dquot_add_inodes()",
        };)+
        /// In the order of quotactl(2)'s types, blocks before inodes.
        pub static QUOTAS: [&Limit; 6] = [$(&$name),+];
    };
}

quotas! {
    USER_BLOCKS, "user quota", "space of a user on a file system", "user and file system", "bytes";
    USER_INODES, "user inode quota", "files of a user on a file system", "user and file system", "inodes";
    GROUP_BLOCKS, "group quota", "space of a group on a file system", "group and file system", "bytes";
    GROUP_INODES, "group inode quota", "files of a group on a file system", "group and file system", "inodes";
    PROJECT_BLOCKS, "project quota", "space of a project on a file system", "project and file system", "bytes";
    PROJECT_INODES, "project inode quota", "files of a project on a file system", "project and file system", "inodes";
}
