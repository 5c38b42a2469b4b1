//! Which functions of a failing path are worth a return probe, and which values were missed when only some had one.
//!
//! Every function that runs may have decided, but not all can have said so: what gives nothing back, and what runs on
//! the machine's behalf rather than the call's, is left out. The rest comes in the order in which it is likely to
//! tell, for where probes cost so much that there are only a few of them.

use super::noise;
use crate::model::{Call, Gives, Prototype, base_name};
use std::collections::{BTreeMap, HashSet};

type Types = BTreeMap<String, Prototype>;

/// Functions of this call tree, the most telling first.
pub fn worth_probing(failed: &Call, types: &Types) -> Vec<String> {
    let mut names = vec![failed.name.clone()];
    // Where the error most likely came up, and beside that way: each step's last calls before its first.
    let (mut at, mut way) = (failed, Vec::new());
    while let Some(next) = guess(at) {
        names.push(next.name.clone());
        way.push(at);
        at = next;
    }
    way.push(at);
    for caller in way.iter().rev() {
        names.extend(caller.children.iter().rev().map(|call| call.name.clone()));
    }
    below(failed, &mut names);
    let mut known = HashSet::new();
    names.retain(|name| known.insert(name.clone()) && says_something(name, types));
    // What only undoes comes last: it rarely decides.
    let (undoing, mut telling): (Vec<_>, Vec<_>) =
        names.into_iter().skip(1).partition(|name| noise::cleans_up(base_name(name)));
    telling.insert(0, failed.name.clone());
    telling.extend(undoing);
    telling
}

/// The last call that is neither noise nor clean-up.
fn guess(call: &Call) -> Option<&Call> {
    let work = |name: &str| !noise::is_noise(name) && !noise::cleans_up(name);
    call.children.iter().rev().find(|child| work(base_name(&child.name)))
}

/// All functions below, but not what interrupts and schedulers called.
fn below(call: &Call, into: &mut Vec<String>) {
    for child in call.children.iter().filter(|child| !noise::is_noise(base_name(&child.name))) {
        into.push(child.name.clone());
        below(child, into);
    }
}

fn says_something(name: &str, types: &Types) -> bool {
    !noise::is_noise(base_name(name))
        && types.get(name).is_none_or(|prototype| !matches!(prototype.gives, Gives::Nothing | Gives::Other))
}

/// Whether a call of this function whose value was not seen may have returned an errno.
pub(super) fn may_have_told(call: &Call, types: &Types) -> bool {
    call.ret.is_none()
        && !noise::is_noise(base_name(&call.name))
        && !noise::releases(base_name(&call.name))
        && types
            .get(&call.name)
            .is_none_or(|prototype| matches!(prototype.gives, Gives::Int | Gives::Long | Gives::Pointer))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(name: &str, children: Vec<Call>) -> Call {
        Call { children, ..Call::leaf(name) }
    }

    fn types(list: &[(&str, Gives)]) -> Types {
        let one = |(name, gives): &(&str, Gives)| {
            ((*name).to_owned(), Prototype { gives: *gives, pointee: None, takes: Vec::new() })
        };
        list.iter().map(one).collect()
    }

    #[test]
    fn the_way_of_the_error_comes_first_and_what_says_nothing_not_at_all() {
        let attach = call("attach_recursive_mnt.isra.0", vec![call("count_mounts", vec![])]);
        let lock = call("do_lock_mount", vec![call("__mutex_lock", vec![call("inner", vec![])])]);
        let path_mount = vec![call("ns_capable", vec![]), lock, attach, call("unlock_mount", vec![])];
        let root = call(
            "__x64_sys_mount",
            vec![call("copy_mount_options", vec![]), call("path_mount", path_mount), call("kfree", vec![])],
        );
        let types = types(&[
            ("ns_capable", Gives::Bool),
            ("unlock_mount", Gives::Int),
            ("do_lock_mount", Gives::Nothing),
        ]);
        let expected = [
            "__x64_sys_mount",
            "path_mount",
            "attach_recursive_mnt.isra.0",
            "count_mounts",
            "ns_capable",
            "copy_mount_options",
            "unlock_mount",
        ];
        assert_eq!(worth_probing(&root, &types), expected);
    }

    #[test]
    fn what_was_not_seen_may_have_told_unless_its_type_or_name_says_otherwise() {
        let types = types(&[("free_space", Gives::Number(4)), ("try_it", Gives::Int)]);
        assert!(may_have_told(&Call::leaf("try_it"), &types));
        assert!(may_have_told(&Call::leaf("unknown.part.0"), &types));
        assert!(!may_have_told(&Call { ret: Some(0), ..Call::leaf("try_it") }, &types));
        for other in ["free_space", "mutex_lock", "unlock_mount"] {
            assert!(!may_have_told(&Call::leaf(other), &types), "{other}");
        }
    }
}
