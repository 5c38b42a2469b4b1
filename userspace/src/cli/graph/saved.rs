//! Calls that somebody recorded: the ones asked for, and what there is to ask for.

use super::MOST;
use crate::{
    capture::saved,
    cli::outcome,
    explain::picture::{self, Asked},
    model::{Graph, Seen},
};
use std::collections::BTreeMap;
use std::path::Path;

/// Calls kept of all graphs together; what comes after that is counted.
const MOST_CALLS: usize = 2_000_000;
/// Functions listed by name; a trace of a whole kernel has fewer.
const MOST_NAMES: usize = 100_000;

/// The graphs of a file that hold calls of `what`; without any, some others, to say what there is.
pub(super) fn graphs(file: &Path, what: &str) -> anyhow::Result<Vec<Graph>> {
    let (mut wanted, mut others) = (Vec::new(), Vec::new());
    let (mut room, mut left_out) = (MOST_CALLS, 0);
    let seen = saved::read(file, &mut |graph| {
        if picture::calls(std::slice::from_ref(&graph), what).is_empty() {
            if others.len() < MOST {
                others.push(Graph { root: crate::model::Call::leaf(graph.root.name.clone()), ..graph });
            }
            return;
        }
        match room.checked_sub(graph.root.size()) {
            Some(less) if wanted.len() < MOST => {
                room = less;
                wanted.push(graph);
            }
            _ => left_out += 1,
        }
    })?;
    remark(file, &seen);
    if left_out > 0 {
        outcome::say(&format!("{left_out} further graphs with {what} are left out: there are too many"));
    }
    Ok(if wanted.is_empty() { others } else { wanted })
}

/// What kinds of calls a file holds.
pub(super) fn overview(file: &Path) -> anyhow::Result<Vec<Seen>> {
    let mut kinds: BTreeMap<String, Seen> = BTreeMap::new();
    let nothing = BTreeMap::new();
    let seen = saved::read(file, &mut |graph| {
        let root = graph.root;
        if !kinds.contains_key(&root.name) {
            if kinds.len() >= MOST_NAMES {
                return;
            }
            kinds.insert(root.name.clone(), Seen { function: root.name.clone(), ..Seen::default() });
        }
        let Some(kind) = kinds.get_mut(&root.name) else { return };
        let asked = Asked { what: &root.name, types: &nothing };
        kind.calls += 1;
        kind.inside += root.size() as u64 - 1;
        kind.failed += u64::from(picture::errno(&root, &asked).is_some());
        kind.total_ns += root.duration_ns.unwrap_or(0);
        kind.longest_ns = kind.longest_ns.max(root.duration_ns.unwrap_or(0));
    })?;
    remark(file, &seen);
    let mut kinds: Vec<Seen> = kinds.into_values().collect();
    kinds.sort_by(|a, b| b.total_ns.cmp(&a.total_ns).then_with(|| a.function.cmp(&b.function)));
    Ok(kinds)
}

/// What is missing in the answer because it is missing in the file.
fn remark(file: &Path, seen: &saved::Seen) {
    let file = file.display();
    if let Some(why) = &seen.broken {
        outcome::say(&format!("{file} is damaged ({why}): what can be read is shown"));
    }
    if seen.lost > 0 {
        outcome::say(&format!("{} events are missing in {file}: calls they belong to are marked", seen.lost));
    }
    if seen.nameless {
        outcome::say(&format!(
            "{file} has no names of functions: it was recorded where kernel addresses are hidden \
             (kernel.kptr_restrict); record it as root"
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_file_holds() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let text = " 0)   1.000 us    |  a(); /* = -28 */\n 0)               |  b() {\n 0)   0.500 us    |    c();\n \
                    0)   9.000 us    |  }\n 0)   3.000 us    |  a();\n";
        std::fs::write(file.path(), text).unwrap();
        let kinds = overview(file.path()).unwrap();
        let told: Vec<_> = kinds.iter().map(|k| (k.function.as_str(), k.calls, k.failed, k.inside)).collect();
        assert_eq!(told, [("b", 1, 0, 1), ("a", 2, 1, 0)]);
        assert_eq!((kinds[1].total_ns, kinds[1].longest_ns), (4000, 3000));
        assert_eq!(graphs(file.path(), "c").unwrap().len(), 1);
        assert_eq!(graphs(file.path(), "nothing").unwrap().len(), 3);
    }
}
