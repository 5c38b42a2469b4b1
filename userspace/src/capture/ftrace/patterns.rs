//! Name patterns against the names of tens of thousands of kernel functions.
//!
//! Held against each name one after the other, the thousand patterns of a followed tree were a sixth of all that a
//! start of diag computes. By letters, in a trie, a name meets the few that begin (or end) as it does.

/// `*` stands for anything; there is nothing else.
pub(super) fn glob(pattern: &str, name: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == name };
    name.strip_prefix(head).is_some_and(|name| rest_fits(rest, name))
}

/// Whether `name` is anything followed by what stands behind a pattern's first `*`.
fn rest_fits(rest: &str, mut name: &str) -> bool {
    let Some((middle, tail)) = rest.rsplit_once('*') else { return name.ends_with(rest) };
    for part in middle.split('*') {
        let Some(at) = name.find(part) else { return false };
        name = &name[at + part.len()..];
    }
    name.ends_with(tail)
}

/// Patterns, each with the place of who wants it.
#[derive(Default)]
pub(super) struct Patterns<'a> {
    /// By their letters up to the first `*`, or all of them.
    by_head: Trie<End<'a>>,
    /// Those that begin with `*`, by their letters behind the last one, read backwards.
    by_tail: Trie<(usize, &'a str)>,
}

/// How a pattern goes on behind its letters.
enum End<'a> {
    Whole(usize),
    Glob(usize, &'a str),
}

impl<'a> Patterns<'a> {
    pub(super) fn add(&mut self, of: usize, pattern: &'a str) {
        match pattern.split_once('*') {
            None => self.by_head.add(pattern.bytes(), End::Whole(of)),
            Some(("", rest)) => {
                let tail = rest.rsplit_once('*').map_or(rest, |(_, tail)| tail);
                self.by_tail.add(tail.bytes().rev(), (of, rest));
            }
            Some((head, rest)) => self.by_head.add(head.bytes(), End::Glob(of, rest)),
        }
    }

    /// Whether a pattern fits that is wanted by somebody for whom `test` says yes.
    pub(super) fn any(&self, name: &str, mut test: impl FnMut(usize) -> bool) -> bool {
        self.by_head.any(name.bytes(), |letters, end| match *end {
            End::Whole(of) => letters == name.len() && test(of),
            End::Glob(of, rest) => rest_fits(rest, &name[letters..]) && test(of),
        }) || self.by_tail.any(name.bytes().rev(), |_, &(of, rest)| rest_fits(rest, name) && test(of))
    }
}

/// What is kept under words, found by all words that another one begins with.
struct Trie<T> {
    /// The first is the root.
    nodes: Vec<Node<T>>,
}

struct Node<T> {
    children: Vec<(u8, usize)>,
    kept: Vec<T>,
}

impl<T> Default for Node<T> {
    fn default() -> Self {
        Self { children: Vec::new(), kept: Vec::new() }
    }
}

impl<T> Default for Trie<T> {
    fn default() -> Self {
        Self { nodes: vec![Node::default()] }
    }
}

impl<T> Trie<T> {
    fn add(&mut self, word: impl Iterator<Item = u8>, value: T) {
        let mut at = 0;
        for letter in word {
            at = self.child(at, letter).unwrap_or_else(|| {
                self.nodes.push(Node::default());
                let new = self.nodes.len() - 1;
                self.nodes[at].children.push((letter, new));
                new
            });
        }
        self.nodes[at].kept.push(value);
    }

    fn child(&self, at: usize, letter: u8) -> Option<usize> {
        self.nodes[at].children.iter().find(|(of, _)| *of == letter).map(|(_, child)| *child)
    }

    /// Whether `test` says yes to something kept under the first so many letters of the word, none included.
    fn any(&self, word: impl Iterator<Item = u8>, mut test: impl FnMut(usize, &T) -> bool) -> bool {
        let mut word = word;
        let (mut at, mut letters) = (0, 0);
        loop {
            if self.nodes[at].kept.iter().any(|value| test(letters, value)) {
                return true;
            }
            let Some(child) = word.next().and_then(|letter| self.child(at, letter)) else { return false };
            (at, letters) = (child, letters + 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATTERNS: [&str; 12] = [
        "count_mounts",
        "security_sb_*",
        "*_can_attach",
        "a*b*c",
        "mount",
        "ab*ba",
        "*rlimit*",
        "ip_*",
        "ipv6_*sockopt*",
        "*",
        "is_*overlimit",
        "*a*b",
    ];
    const NAMES: [&str; 15] = [
        "count_mounts",
        "count_mount",
        "security_sb_mount",
        "pids_can_attach",
        "a_b_c",
        "a_c",
        "mounts",
        "aba",
        "abba",
        "do_prlimit64",
        "ip_",
        "ipv6_set_sockopt",
        "is_rlimit_overlimit",
        "",
        "aab",
    ];

    #[test]
    fn globs() {
        let fits = |pattern, name| assert!(glob(pattern, name), "{pattern} {name}");
        let fits_not = |pattern, name| assert!(!glob(pattern, name), "{pattern} {name}");
        fits("count_mounts", "count_mounts");
        fits("security_sb_*", "security_sb_mount");
        fits("*_can_attach", "pids_can_attach");
        fits("a*b*c", "a_b_c");
        fits_not("a*b*c", "a_c");
        fits_not("mount", "mounts");
        fits_not("ab*ba", "aba");
    }

    #[test]
    fn together_they_fit_what_each_fits() {
        let mut patterns = Patterns::default();
        for (of, pattern) in PATTERNS.into_iter().enumerate() {
            patterns.add(of, pattern);
        }
        for name in NAMES {
            for (of, pattern) in PATTERNS.into_iter().enumerate() {
                let found = patterns.any(name, |wants| wants == of);
                assert_eq!(found, glob(pattern, name), "{pattern} {name}");
            }
        }
        assert!(!patterns.any("mount", |_| false));
    }
}
