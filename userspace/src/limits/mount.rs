//! Limits on mounts.

use super::{Ceiling, Limit, Usage};
use crate::model::KnobKind;

/// How many mounts one mount namespace may hold. `count_mounts()` (fs/namespace.c) compares
/// `nr_mounts + pending_mounts + new` with it, so propagated and recursively bound copies count too.
pub static MOUNT_MAX: Limit = Limit {
    id: "fs.mount-max",
    title: "mounts in one mount namespace",
    kind: KnobKind::Sysctl,
    ceiling: Ceiling::Sysctl("fs/mount-max"),
    unit: "mounts",
    counted_per: "mount namespace",
    usage: Usage::Hidden,
    default: 100_000,
    since: "4.9",
    see: "Documentation/admin-guide/sysctl/fs.rst, mount-max; fs/namespace.c, count_mounts()",
};
