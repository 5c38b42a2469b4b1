//! From a recorded graph to its picture: types give the words, the ladder of deciders the roles.

use super::decider::{self, Sureness};
use crate::model::{
    Call, Drawn, Errno, Graph, GraphEvidence, GraphSource, Picture, Prototype, Role, base_name, is_entry_of,
};
use std::collections::BTreeMap;

/// What is drawn.
pub struct Asked<'a> {
    /// A system call, or a kernel function.
    pub what: &'a str,
    /// Of the functions whose returns were recorded; empty for a recording of another kernel.
    pub types: &'a BTreeMap<String, Prototype>,
}

/// Every call of what was asked for, in the order of the graphs; of calls inside each other the outermost.
pub fn calls<'a>(graphs: &'a [Graph], what: &str) -> Vec<(&'a Graph, &'a Call)> {
    let mut found = Vec::new();
    for graph in graphs {
        let mut stack = vec![&graph.root];
        while let Some(call) = stack.pop() {
            if base_name(&call.name) == what || is_entry_of(&call.name, what) {
                found.push((graph, call));
            } else {
                stack.extend(call.children.iter().rev());
            }
        }
    }
    found
}

/// The error that a call returned, where that was recorded.
pub fn errno(call: &Call, asked: &Asked<'_>) -> Option<Errno> {
    decider::errno(call, asked.types)
}

/// Draws one call; `others` are the calls it may be held against.
pub fn draw(graph: &Graph, call: &Call, others: &[(&Graph, &Call)], asked: &Asked<'_>) -> Picture {
    let errno = errno(call, asked);
    let evidence = GraphEvidence {
        source: GraphSource::File,
        failed: Graph { root: call.clone(), ..graph.clone() },
        succeeded: others
            .iter()
            .filter(|(_, other)| other.ret.is_some() && decider::errno(other, asked.types).is_none())
            .map(|(graph, other)| Graph { root: (*other).clone(), ..(*graph).clone() })
            .collect(),
        types: asked.types.clone(),
        probes: None,
    };
    let answer = errno.map(|errno| answer(&evidence, errno)).unwrap_or_default();
    let way: Vec<&str> = answer.path.iter().map(String::as_str).collect();
    Picture {
        comm: graph.comm.clone(),
        tid: graph.tid,
        cpu: graph.cpu,
        errno,
        decider: answer.decider,
        decider_method: answer.method.map(str::to_owned),
        note: answer.note,
        lost: graph.lost,
        root: drawn(call, asked.types, &way),
    }
}

#[derive(Default)]
struct Answer {
    decider: Option<String>,
    method: Option<&'static str>,
    /// Outermost first, the decider last; empty without one.
    path: Vec<String>,
    note: Option<String>,
}

fn answer(evidence: &GraphEvidence, errno: Errno) -> Answer {
    if let Some(seen) = decider::by_return_value(evidence, errno)
        && seen.decider.is_some()
    {
        return Answer {
            decider: seen.decider,
            method: Some("return-value"),
            path: seen.path,
            note: seen.note,
        };
    }
    let found = decider::by_difference(&evidence.failed, &evidence.succeeded, &evidence.types);
    let sure = found.sureness.is_some_and(|sureness| sureness > Sureness::Low);
    let note = (!found.notes.is_empty()).then(|| found.notes.join("; "));
    match found.decider {
        Some(decider) if sure => {
            Answer { decider: Some(decider), method: Some("difference"), path: found.path, note }
        }
        Some(hint) => Answer { note: Some(format!("possibly decided in {hint}")), ..Answer::default() },
        None => Answer { note, ..Answer::default() },
    }
}

/// `way` is what is left of the way to the decider, this call first, if it is on it.
fn drawn(call: &Call, types: &BTreeMap<String, Prototype>, way: &[&str]) -> Drawn {
    let name = base_name(&call.name);
    let on_way = way.first().is_some_and(|first| *first == name);
    let rest = if on_way { &way[1..] } else { &[] };
    let role = match (on_way, rest.is_empty()) {
        (true, true) => Role::Decider,
        (true, false) => Role::Failing,
        _ if decider::is_noise(name) => Role::Noise,
        _ => Role::Plain,
    };
    // Of several calls of that name the last one failed: what came after it would not have been reached.
    let next = rest.first().and_then(|next| call.children.iter().rposition(|c| base_name(&c.name) == *next));
    let children = call
        .children
        .iter()
        .enumerate()
        .map(|(at, child)| drawn(child, types, if Some(at) == next { rest } else { &[] }))
        .collect();
    Drawn {
        function: call.name.clone(),
        start_ns: call.start_ns,
        duration_ns: call.duration_ns,
        returned: decider::words(call, types),
        role,
        hole: call.hole,
        children,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Gives;

    fn call(name: &str, ret: i64, children: Vec<Call>) -> Call {
        Call { ret: Some(ret as u64), children, ..Call::leaf(name) }
    }

    fn graph(root: Call) -> Graph {
        Graph { tid: 7, comm: "mount".into(), cpu: 0, start_ns: 1, end_ns: Some(2), root, lost: 0 }
    }

    fn types(names: &[(&str, Gives)]) -> BTreeMap<String, Prototype> {
        names
            .iter()
            .map(|(name, gives)| {
                ((*name).to_owned(), Prototype { gives: *gives, pointee: None, takes: vec![] })
            })
            .collect()
    }

    #[test]
    fn the_way_of_the_error_is_marked_and_told_in_words() {
        let failed = graph(call(
            "__x64_sys_mount",
            -28,
            vec![
                call("mutex_lock", 5, vec![]),
                call("get_tree", 0, vec![]),
                call("graft", 0xffff_ffe4, vec![call("count_mounts.isra.0", 0xffff_ffe4, vec![])]),
                call("kfree", 0, vec![]),
            ],
        ));
        let types = types(&[("graft", Gives::Int), ("get_tree", Gives::Pointer), ("kfree", Gives::Nothing)]);
        let asked = Asked { what: "mount", types: &types };
        let graphs = [failed];
        let found = calls(&graphs, "mount");
        assert_eq!(found.len(), 1);
        let picture = draw(found[0].0, found[0].1, &found, &asked);
        assert_eq!(picture.errno, Some(Errno::ENOSPC));
        assert_eq!(picture.decider.as_deref(), Some("count_mounts"));
        let told: Vec<_> =
            picture.root.children.iter().map(|c| (c.role, c.returned.as_deref().unwrap_or(""))).collect();
        assert_eq!(
            told,
            [
                (Role::Noise, ""),
                (Role::Plain, "NULL"),
                (Role::Failing, "ENOSPC"),
                // Its type says that it returns nothing; its name, that it only lets go of something.
                (Role::Noise, "")
            ]
        );
        assert_eq!(picture.root.children[2].children[0].role, Role::Decider);
    }

    #[test]
    fn a_function_is_found_wherever_it_is_called() {
        let graphs = [
            graph(call("__x64_sys_mount", 0, vec![call("path_mount", 0, vec![])])),
            graph(call("__x64_sys_umount", 0, vec![])),
        ];
        assert_eq!(calls(&graphs, "path_mount").len(), 1);
        assert_eq!(calls(&graphs, "umount2").len(), 1);
        assert!(calls(&graphs, "nothing_like_it").is_empty());
        let asked = Asked { what: "path_mount", types: &BTreeMap::new() };
        let (graph, call) = calls(&graphs, "path_mount")[0];
        let picture = draw(graph, call, &[], &asked);
        assert_eq!((picture.errno, picture.decider, picture.root.role), (None, None, Role::Plain));
    }
}
