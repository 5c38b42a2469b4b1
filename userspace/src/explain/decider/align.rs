//! Two lists of calls, aligned by name.

use super::tree::Node;

/// What is aligned.
pub(in crate::explain) trait Alike {
    fn name(&self) -> &str;
    /// Whether both call the same functions in the same order, all the way down.
    fn same(&self, other: &Self) -> bool;
}

impl Alike for Node {
    fn name(&self) -> &str {
        &self.name
    }

    fn same(&self, other: &Self) -> bool {
        Node::same(self, other)
    }
}

/// Cells of the table; beyond that only the common beginning and end are aligned. Such lists are loops
/// over thousands of like calls, where the middle tells nothing.
const MAX_CELLS: usize = 1_000_000;

/// Pairs of indices, ascending in both: a longest common subsequence, in which equal subtrees count more
/// than equal names, and early partners are taken before late ones.
pub(in crate::explain) fn pairs<T: Alike>(a: &[T], b: &[T]) -> Vec<(usize, usize)> {
    let shorter = a.len().min(b.len());
    let head = (0..shorter).take_while(|&i| a[i].name() == b[i].name()).count();
    let like = |i: &usize| a[a.len() - 1 - i].name() == b[b.len() - 1 - i].name();
    let tail = (0..shorter - head).take_while(like).count();
    let (middle_a, middle_b) = (&a[head..a.len() - tail], &b[head..b.len() - tail]);
    let mut pairs: Vec<_> = (0..head).map(|i| (i, i)).collect();
    pairs.extend(middle(middle_a, middle_b).into_iter().map(|(i, j)| (head + i, head + j)));
    pairs.extend((0..tail).rev().map(|i| (a.len() - 1 - i, b.len() - 1 - i)));
    pairs
}

fn middle<T: Alike>(a: &[T], b: &[T]) -> Vec<(usize, usize)> {
    let width = b.len() + 1;
    if a.is_empty() || b.is_empty() || (a.len() + 1).saturating_mul(width) > MAX_CELLS {
        return Vec::new();
    }
    // best[i][j]: the best value of a[i..] against b[j..]
    let mut best = vec![0u32; (a.len() + 1) * width];
    let value = |i: usize, j: usize| match (a[i].same(&b[j]), a[i].name() == b[j].name()) {
        (true, _) => 3,
        (_, true) => 2,
        _ => 0,
    };
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            let skip = best[(i + 1) * width + j].max(best[i * width + j + 1]);
            let take = match value(i, j) {
                0 => 0,
                value => value + best[(i + 1) * width + j + 1],
            };
            best[i * width + j] = skip.max(take);
        }
    }
    let (mut i, mut j, mut pairs) = (0, 0, Vec::new());
    while i < a.len() && j < b.len() {
        let here = best[i * width + j];
        if value(i, j) > 0 && here == value(i, j) + best[(i + 1) * width + j + 1] {
            pairs.push((i, j));
            (i, j) = (i + 1, j + 1);
        } else if here == best[(i + 1) * width + j] {
            i += 1;
        } else {
            j += 1;
        }
    }
    pairs
}

/// How many calls two trees share when their levels are aligned from the root down.
pub(super) fn shared(a: &Node, b: &Node) -> usize {
    if a.same(b) {
        return a.size;
    }
    let below =
        pairs(&a.children, &b.children).into_iter().map(|(i, j)| shared(&a.children[i], &b.children[j]));
    1 + below.sum::<usize>()
}

/// How many calls from the start two trees make alike.
pub(super) fn common_prefix(a: &Node, b: &Node) -> usize {
    if a.same(b) {
        return a.size;
    }
    if a.name != b.name {
        return 0;
    }
    let mut length = 1;
    for (x, y) in a.children.iter().zip(&b.children) {
        length += common_prefix(x, y);
        if !x.same(y) {
            break;
        }
    }
    length
}
