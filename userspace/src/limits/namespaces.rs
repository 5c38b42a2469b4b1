//! How many namespaces of each type a user may have, in its user namespace and in every one around it.

use super::{Ceiling, Limit, Usage};
use crate::model::KnobKind;

macro_rules! types {
    ($($name:ident, $id:literal, $path:literal, $title:literal, $since:literal;)+) => {
        $(pub static $name: Limit = Limit {
            id: $id,
            title: $title,
            kind: KnobKind::Sysctl,
            ceiling: Ceiling::Sysctl($path),
            unit: "namespaces",
            counted_per: "user, in its user namespace and all around it",
            usage: Usage::Hidden,
            // Half of threads-max in the first user namespace, unlimited in others
            // (kernel/fork.c fork_init, kernel/user_namespace.c create_user_ns).
            default: 0,
            since: $since,
            see: "namespaces(7); Documentation/admin-guide/sysctl/user.rst; kernel/ucount.c, inc_ucount()",
        };)+
        /// In the order of `diag_abi::NAMESPACE_TYPES`.
        pub static TYPES: [&Limit; 8] = [$(&$name),+];
    };
}

types! {
    USER, "user.max_user_namespaces", "user/max_user_namespaces", "user namespaces", "4.9";
    PID, "user.max_pid_namespaces", "user/max_pid_namespaces", "pid namespaces", "4.9";
    UTS, "user.max_uts_namespaces", "user/max_uts_namespaces", "UTS namespaces", "4.9";
    IPC, "user.max_ipc_namespaces", "user/max_ipc_namespaces", "IPC namespaces", "4.9";
    NET, "user.max_net_namespaces", "user/max_net_namespaces", "network namespaces", "4.9";
    MNT, "user.max_mnt_namespaces", "user/max_mnt_namespaces", "mount namespaces", "4.9";
    CGROUP, "user.max_cgroup_namespaces", "user/max_cgroup_namespaces", "cgroup namespaces", "4.9";
    TIME, "user.max_time_namespaces", "user/max_time_namespaces", "time namespaces", "5.6";
}

/// `create_user_ns()` (kernel/user_namespace.c) refuses below a parent of level 33.
pub static USER_DEPTH: Limit = Limit {
    id: "user namespace depth",
    title: "user namespaces inside each other",
    kind: KnobKind::Other,
    ceiling: Ceiling::Fixed(33),
    unit: "levels",
    counted_per: "user namespace",
    usage: Usage::Hidden,
    default: 33,
    since: "3.11",
    see: "user_namespaces(7); kernel/user_namespace.c, create_user_ns()",
};

/// `create_pid_namespace()` (kernel/pid_namespace.c): MAX_PID_NS_LEVEL.
pub static PID_DEPTH: Limit = Limit {
    id: "pid namespace depth",
    title: "pid namespaces inside each other",
    kind: KnobKind::Other,
    ceiling: Ceiling::Fixed(32),
    unit: "levels",
    counted_per: "pid namespace",
    usage: Usage::Hidden,
    default: 32,
    since: "3.7",
    see: "pid_namespaces(7); kernel/pid_namespace.c, create_pid_namespace()",
};
