//! What causes about user namespaces share: the caller's capabilities, and maps of ids.

use super::Case;
use crate::model::Fact;

pub(in crate::causes) const CAP_SETGID: u32 = 6;
pub(in crate::causes) const CAP_SETUID: u32 = 7;
pub(in crate::causes) const CAP_SYS_CHROOT: u32 = 18;
pub(in crate::causes) const CAP_SYS_ADMIN: u32 = 21;
pub(in crate::causes) const CAP_SYS_NICE: u32 = 23;
pub(in crate::causes) const CAP_SETFCAP: u32 = 31;

/// `(uid_t) -1`: leave it as it is.
const UNCHANGED: u32 = u32::MAX;

/// Whether the caller has a capability in its own user namespace: at that instant, else as read again.
pub(in crate::causes) fn has(case: &Case<'_>, capability: u32) -> Option<bool> {
    if let Some(credentials) = &case.failure().task.credentials {
        return Some(credentials.has(capability));
    }
    let state = case.state("CapEff").and_then(|s| u64::from_str_radix(&s.value, 16).ok());
    Some(state? >> capability & 1 == 1)
}

/// How the capabilities are cited.
pub(in crate::causes) fn cite(case: &Case<'_>, name: &str, capability: u32) -> Option<String> {
    let has = has(case, capability)?;
    let not = if has { "has" } else { "lacks" };
    let namespace = case.failure().task.user_ns.map_or_else(String::new, |n| format!(" {n}"));
    Some(format!("the caller {not} {name} in its user namespace{namespace}"))
}

/// `SECCOMP_MODE_FILTER`, and the actions that let a call pass (linux/seccomp.h).
const MODE_FILTER: u32 = 2;
const PASSES: [u32; 2] = [0x7fff, 0x7ffc];

/// The rival of every refusal: a seccomp filter may have answered for the kernel.
pub(in crate::causes) fn filter_stands(case: &Case<'_>) -> Option<String> {
    let told = "a seccomp filter may have answered".to_string();
    let Some(filters) = case.failure().task.filters else {
        return Some(format!("{told}: its state was not read"));
    };
    // A graph of this call shows that it did enter the kernel.
    if filters.mode != MODE_FILTER || case.path.is_some_and(|p| p.functions.len() > 1) {
        return None;
    }
    let seen = case.incident.facts.iter().find_map(|fact| match fact {
        Fact::Seccomp(s) => Some(s),
        _ => None,
    });
    let passed = seen.is_some_and(|s| {
        let all = s.filters.is_none_or(|n| n == s.answers.len() as u64) && s.unread.is_none();
        all && !s.answers.is_empty() && s.answers.iter().all(|a| PASSES.contains(&(a.value >> 16)))
    });
    (!passed).then_some(told)
}

/// One range of a map: first id inside, first outside, how many.
pub(in crate::causes) type Range = (u32, u32, u32);

/// The ranges of a map; `None` when a line is none.
pub(in crate::causes) fn ranges(map: &str) -> Option<Vec<Range>> {
    map.lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| {
            let mut numbers = line.split_whitespace().map(|n| n.parse().ok());
            let range = (numbers.next()??, numbers.next()??, numbers.next()??);
            numbers.next().is_none().then_some(range)
        })
        .collect()
}

/// Whether a map has this id of the inside.
pub(in crate::causes) fn has_inside(map: &[Range], id: u32) -> bool {
    id == UNCHANGED || map.iter().any(|(inside, _, count)| id >= *inside && id - inside < *count)
}

/// The id of the inside for one of the outside.
pub(in crate::causes) fn inside_of(map: &[Range], outside: u32) -> Option<u32> {
    map.iter()
        .find(|(_, first, count)| outside >= *first && outside - first < *count)
        .and_then(|(inside, first, _)| inside.checked_add(outside - first))
}

/// The map of the caller's own user namespace, read again.
pub(in crate::causes) fn own_map(case: &Case<'_>, name: &str) -> Option<Vec<Range>> {
    ranges(&case.state(name)?.value)
}

/// The effective id among the four of a line of status(5): real, effective, saved, file system.
pub(in crate::causes) fn effective(line: &str) -> Option<u32> {
    line.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
pub(in crate::causes) mod testing {
    use super::*;
    use crate::causes::case::testing::incident;
    use crate::model::{Arg, ArgValue, Errno, FailureKind, Filters, Incident, State};

    /// A call with these flags, by a task without filters.
    pub(in crate::causes) fn called(name: &str, errno: i32, flags: u64) -> Incident {
        let mut i = incident(name, Errno(errno), vec![]);
        i.failure.task.filters = Some(Filters { mode: 0, count: 0, inherited: false });
        arg(&mut i, "flags", flags);
        i
    }

    /// Sets an argument.
    pub(in crate::causes) fn arg(i: &mut Incident, name: &str, value: u64) {
        if let FailureKind::Syscall { args, .. } = &mut i.failure.kind {
            args.retain(|a| a.name != name);
            args.push(Arg { name: name.into(), value: ArgValue::Number(value) });
        }
    }

    pub(in crate::causes) fn state(i: &mut Incident, name: &str, value: &str) {
        i.facts.push(Fact::State(State {
            name: name.into(),
            of: "caller".into(),
            value: value.into(),
            source: "/proc".into(),
            after_ns: 1,
        }));
    }

    #[test]
    fn maps_are_ranges() {
        let map = ranges("0 1000 1\n1 100000 65536").unwrap();
        assert!(has_inside(&map, 0) && has_inside(&map, 65536) && !has_inside(&map, 65537));
        assert_eq!(inside_of(&map, 1000), Some(0));
        assert_eq!(inside_of(&map, 100_005), Some(6));
        assert_eq!(inside_of(&map, 5), None);
        assert!(ranges("0 a 1").is_none() && ranges("0 1 2 3").is_none());
        assert_eq!(ranges("").unwrap().len(), 0);
    }
}
