//! A BPF map takes no further entry, or no change at all.

use super::case::claim::{cite_state, knob, look, step};
use super::case::switch::FILTER;
use super::{Case, Cause, Fault, Proof};
use crate::model::{Confidence, Errno, KnobKind, Remedy, spaced};

const E2BIG: Errno = Errno(libc::E2BIG);
const FULL: &[&str] = &[
    "htab_map_update_elem",
    "__htab_map_update_elem",
    "alloc_htab_elem",
    "array_map_update_elem",
    "bpf_percpu_array_update",
    "htab_lock_bucket",
    "sock_map_update_common",
    "sock_hash_update_common",
    "bpf_fd_array_map_update_elem",
    "queue_stack_map_push_elem",
];
const CALLERS: &[&str] = &[
    "bpf_map_update_value",
    "map_update_elem",
    "__sys_bpf",
    "__x64_sys_bpf",
    "__do_sys_bpf",
    "htab_percpu_map_update_elem",
    "htab_lru_map_update_elem",
];
const ENTRIES: &str = "bpf map entries";
const TYPE: &str = "bpf map type";
const FROZEN: &str = "bpf map frozen";
/// BPF_MAP_UPDATE_ELEM, BPF_MAP_DELETE_ELEM (include/uapi/linux/bpf.h).
const UPDATE: u64 = 2;
const DELETE: u64 = 3;

pub(super) static CAUSE: Cause = Cause {
    slug: "bpf-map-full",
    title: "the BPF map takes no further entry, or is frozen",
    about: "\
bpf(2) with BPF_MAP_UPDATE_ELEM fails with E2BIG, \"Argument list too long\", and no argument is too long: the map has max_entries \
entries, a number that was fixed when it was made, or the index is past the end of an array. EPERM, \"Operation not permitted\", is a \
map that was frozen (BPF_MAP_FREEZE), which nobody may change from user space any more, root neither.

CNI plugins and security agents keep services, backends, policies, identities and connections in such maps: with more endpoints, \
rules or connections than they were sized for, \"unable to update map: argument list too long\" stands in the agent's log, and traffic \
of new pods is dropped.",
    shows_as: &[("bpf", "E2BIG"), ("bpf", "EPERM")],
    deciders: &["htab_map_update_elem", "alloc_htab_elem", "array_map_update_elem"],
    reads: &[],
    rivals: &[FILTER],
    explain,
    remedy,
    fault: Fault::Action {
        about: "puts a third entry into a map for two, or one into a map that it froze",
        risk: "none: the maps go with the process",
        variants: &["full", "frozen"],
    },
    see: &["bpf(2), E2BIG, EPERM", "kernel/bpf/hashtab.c: alloc_htab_elem(); kernel/bpf/arraymap.c: array_map_update_elem(); kernel/bpf/syscall.c: map_update_elem()"],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    let command = case.failure().number_arg("cmd")?;
    let who = &case.failure().task.comm;
    if case.denied(&["bpf"], Errno::EPERM).is_some() && [UPDATE, DELETE].contains(&command) {
        let frozen = case.state(FROZEN).filter(|s| s.value == "1")?;
        return Some(proof(
            case,
            Confidence::Proven,
            format!("{who} changes a BPF map ({}) that is frozen: it can be read only.", frozen.of),
            "BPF_MAP_FREEZE",
            vec![],
        ));
    }
    case.denied(&["bpf"], E2BIG)?;
    if command != UPDATE {
        return None;
    }
    let seen = case.verdict(FULL).is_some();
    if case.decided_elsewhere(FULL).is_some_and(|f| !CALLERS.contains(&f)) {
        return None;
    }
    let most = case.state(ENTRIES).and_then(|s| s.value.parse::<u64>().ok());
    let (confidence, missing) = match (seen, most) {
        (true, Some(_)) => (Confidence::Proven, vec![]),
        (_, Some(_)) => {
            (Confidence::Likely, vec!["how many entries the map had at that instant".to_string()])
        }
        (true, None) => (Confidence::Likely, vec!["the map's size".to_string()]),
        (false, None) => (Confidence::Possible, vec!["the map's size and what it held".to_string()]),
    };
    let sentence = match most {
        Some(most) => format!(
            "{who} adds to a BPF map that holds {} entries and has no room for another.",
            spaced(most)
        ),
        None => format!("{who} adds to a BPF map that has no room for another entry."),
    };
    let mut proof = proof(case, confidence, sentence, "max_entries", missing);
    (proof.limit, proof.unit) = (most, "entries".into());
    Some(proof)
}

fn proof(
    case: &Case<'_>,
    confidence: Confidence,
    sentence: String,
    name: &str,
    missing: Vec<String>,
) -> Proof {
    let path = case.state(TYPE).map(|s| s.source.clone()).unwrap_or_default();
    let mut evidence: Vec<String> =
        [TYPE, ENTRIES, FROZEN].iter().filter_map(|name| cite_state(case, name)).collect();
    evidence.extend(case.verdict(FULL).map(|v| format!("{} said no (found by {})", v.function, v.method)));
    Proof {
        confidence,
        sentence,
        knob: knob(KnobKind::Other, name, path),
        limit: None,
        usage: None,
        unit: String::new(),
        evidence,
        missing,
    }
}

fn remedy(_: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let list = look(
        "bpftool map show; bpftool map dump id ID | tail",
        "the maps of the machine with their sizes, and what one holds",
    );
    if proof.knob.name == "BPF_MAP_FREEZE" {
        return vec![
            list,
            step(
                "for good",
                "make the map anew with the other content, and load its programs again",
                "a frozen map stays so until its last user is gone",
                "none needed",
            ),
        ];
    }
    let double = proof.limit.unwrap_or(65_536).saturating_mul(2);
    vec![
        list,
        step(
            "for good",
            format!("make the map anew with max_entries of {double}"),
            "by its program's own option (Cilium: bpf-lb-map-max, bpf-ct-global-tcp-max, bpf-policy-map-max; Calico: bpfMapSize…); a map cannot grow",
            "the same with the old number",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{judge_with, state, valued};

    fn judged(errno: Errno, cmd: u64, facts: &[(&str, &str)]) -> Option<(Confidence, Option<u64>)> {
        let mut i = valued("bpf", errno, &[("cmd", cmd)], &[], vec![]);
        i.facts.extend(facts.iter().map(|(name, value)| state(name, "descriptor 5", value)));
        judge_with(&CAUSE, &i).map(|f| (f.confidence, f.limit))
    }

    #[test]
    fn full_and_frozen_maps() {
        assert_eq!(judged(E2BIG, UPDATE, &[(ENTRIES, "512")]), Some((Confidence::Likely, Some(512))));
        assert_eq!(judged(E2BIG, UPDATE, &[]), Some((Confidence::Possible, None)));
        assert_eq!(judged(Errno::EPERM, UPDATE, &[(FROZEN, "1")]), Some((Confidence::Proven, None)));
    }

    #[test]
    fn other_commands_and_maps_that_may_be_changed_are_not_claimed() {
        assert_eq!(judged(E2BIG, 5, &[(ENTRIES, "512")]), None, "a program that is too long");
        assert_eq!(judged(Errno::EPERM, UPDATE, &[(FROZEN, "0")]), None);
        assert_eq!(judged(Errno::EPERM, 0, &[(FROZEN, "1")]), None);
    }
}
