//! Two pictures of the same call as one tree: what both do, what only one does.

use super::decider::align::{Alike, pairs};
use crate::model::{Compared, Drawn, Role, Side, base_name};
use std::hash::{DefaultHasher, Hash, Hasher};

/// A drawn call with a fingerprint of all it calls.
struct Branch<'a> {
    call: &'a Drawn,
    children: Vec<Branch<'a>>,
    fingerprint: u64,
}

impl<'a> Branch<'a> {
    /// Noise takes no part: it would make the same call look different.
    fn of(call: &'a Drawn, noise_too: bool) -> Self {
        let kept = |child: &&Drawn| noise_too || child.role != Role::Noise;
        let children: Vec<_> = call.children.iter().filter(kept).map(|c| Self::of(c, noise_too)).collect();
        let mut hasher = DefaultHasher::new();
        (base_name(&call.function), &call.returned).hash(&mut hasher);
        children.iter().for_each(|child| child.fingerprint.hash(&mut hasher));
        Self { call, children, fingerprint: hasher.finish() }
    }

    fn alone(&self, is_a: bool) -> Compared {
        let side = Some(side(self.call));
        let (a, b) = if is_a { (side, None) } else { (None, side) };
        let children = self.children.iter().map(|child| child.alone(is_a)).collect();
        Compared { function: self.call.function.clone(), a, b, alike: false, children }
    }
}

impl Alike for Branch<'_> {
    fn name(&self) -> &str {
        base_name(&self.call.function)
    }

    fn same(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }
}

/// The roots are taken for the same call, whatever they are called.
pub fn compare(a: &Drawn, b: &Drawn, noise_too: bool) -> Compared {
    both(&Branch::of(a, noise_too), &Branch::of(b, noise_too))
}

fn both(a: &Branch<'_>, b: &Branch<'_>) -> Compared {
    let mut children = Vec::new();
    let (mut i, mut j) = (0, 0);
    let end = (a.children.len(), b.children.len());
    for (next_i, next_j) in pairs(&a.children, &b.children).into_iter().chain([end]) {
        children.extend(a.children[i..next_i].iter().map(|child| child.alone(true)));
        children.extend(b.children[j..next_j].iter().map(|child| child.alone(false)));
        if let (Some(ours), Some(theirs)) = (a.children.get(next_i), b.children.get(next_j)) {
            children.push(both(ours, theirs));
        }
        (i, j) = (next_i + 1, next_j + 1);
    }
    Compared {
        function: a.call.function.clone(),
        a: Some(side(a.call)),
        b: Some(side(b.call)),
        alike: a.same(b),
        children,
    }
}

fn side(call: &Drawn) -> Side {
    Side { duration_ns: call.duration_ns, returned: call.returned.clone(), role: call.role }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(function: &str, returned: &str, children: Vec<Drawn>) -> Drawn {
        let role = if function.starts_with("lock") { Role::Noise } else { Role::Plain };
        Drawn {
            function: function.into(),
            start_ns: None,
            duration_ns: Some(5),
            returned: (!returned.is_empty()).then(|| returned.into()),
            role,
            hole: false,
            children,
        }
    }

    /// `-` only in the first, `+` only in the second, `=` all alike.
    fn draw(tree: &Compared) -> String {
        let mark = match (&tree.a, &tree.b, tree.alike) {
            (Some(_), None, _) => "-",
            (None, _, _) => "+",
            (_, _, true) => "=",
            _ => "",
        };
        let children: Vec<_> = tree.children.iter().map(draw).collect();
        let inside = if children.is_empty() { String::new() } else { format!("({})", children.join(" ")) };
        format!("{mark}{}{inside}", tree.function)
    }

    #[test]
    fn what_only_one_does_is_told() {
        let a =
            call("mount", "0", vec![call("x", "", vec![call("y", "", vec![])]), call("graft", "0", vec![])]);
        let b = call(
            "mount",
            "ENOSPC",
            vec![
                call("lock", "", vec![]),
                call("x", "", vec![call("y", "", vec![])]),
                call("graft", "ENOSPC", vec![call("count", "ENOSPC", vec![])]),
                call("put", "", vec![]),
            ],
        );
        assert_eq!(draw(&compare(&a, &b, false)), "mount(=x(=y) graft(+count) +put)");
        assert_eq!(draw(&compare(&a, &b, true)), "mount(+lock =x(=y) graft(+count) +put)");
        assert_eq!(draw(&compare(&b, &a, false)), "mount(=x(=y) graft(-count) -put)");
        assert!(compare(&a, &a, false).alike);
    }

    #[test]
    fn a_suffix_of_the_compiler_is_no_difference() {
        let (a, b) = (call("f.isra.0", "", vec![]), call("f", "", vec![]));
        let (a, b) = (call("r", "", vec![a]), call("r", "", vec![b]));
        assert_eq!(draw(&compare(&a, &b, false)), "=r(=f.isra.0)");
    }
}
