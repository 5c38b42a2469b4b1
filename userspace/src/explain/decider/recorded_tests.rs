//! Refusals recorded in guests with what every function returned, and successes made on purpose
//! (`tests/graphs/KERNEL/*.json`): both ways must name the same function, or the difference none.

use super::*;
use crate::model::{Errno, GraphEvidence};

fn evidence(name: &str) -> GraphEvidence {
    let path = format!("{}/tests/graphs/6.12/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// By return value, and by difference without looking at any.
fn both(name: &str, errno: i32) -> (Option<String>, Option<String>, Option<Sureness>) {
    let evidence = evidence(name);
    let by_value = match evidence.failed.root.ret {
        Some(ret) if (ret as i64) < 0 => by_return_value(&evidence, Errno(errno)),
        _ => by_answer(&evidence, Errno(errno)),
    };
    let found = by_difference(&evidence.failed, &evidence.succeeded, &evidence.types);
    (by_value.and_then(|found| found.decider), found.decider, found.sureness)
}

#[test]
fn both_ways_agree() {
    for (name, errno, by_value, by_difference) in [
        ("setuid-without-capability", libc::EPERM, "__sys_setuid", "__sys_setuid"),
        ("sigqueue-over-rlimit", libc::EAGAIN, "__send_signal_locked", "__send_signal_locked"),
        ("unshare-over-max-net", libc::ENOSPC, "copy_net_ns", "copy_net_ns"),
        ("affinity-outside", libc::EINVAL, "__set_cpus_allowed_ptr_locked", "__set_cpus_allowed_ptr_locked"),
        ("netlink-name-too-long", libc::ERANGE, "__rtnl_newlink", "__rtnl_newlink"),
        ("clone3-into-forbidden-cgroup", libc::EACCES, "generic_permission", "generic_permission"),
        (
            "mknod-forbidden-device",
            libc::EPERM,
            "__cgroup_bpf_check_dev_permission",
            "__cgroup_bpf_check_dev_permission",
        ),
        // The difference cannot see that step_into returned what walk_component did.
        ("bind-of-nothing", libc::ENOENT, "step_into", "walk_component"),
    ] {
        let (value, difference, sureness) = both(name, errno);
        assert_eq!(
            (value.as_deref(), difference.as_deref()),
            (Some(by_value), Some(by_difference)),
            "{name}"
        );
        assert!(sureness > Some(Sureness::Low), "{name}: {sureness:?}");
    }
}
