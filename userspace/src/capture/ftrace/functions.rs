//! From name patterns to the list that `set_ftrace_filter` takes.
//!
//! The filter accepts names, globs and, since 5.1, index numbers into `available_filter_functions`
//! (`add_rec_by_index()` in kernel/trace/ftrace.c). A name or glob walks all functions and asks kallsyms
//! for each (tens of milliseconds a name under emulation); an index is a direct step. The file lists
//! every record, freed ones as `__ftrace_invalid_address___N`, just so that the numbers stay right.

use super::Family;
use super::families::EVERY;
use crate::model::base_name;
use std::collections::{HashMap, HashSet};

/// A traceable function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Function {
    /// 1-based position in `available_filter_functions`.
    pub(super) index: usize,
    /// As the kernel prints it, with a compiler's suffix, without the module.
    pub(super) name: String,
}

/// What is to be armed on this kernel.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Selection {
    pub(super) functions: Vec<Function>,
    /// Names that may be the root of a graph.
    pub(super) roots: HashSet<String>,
}

pub(super) fn select(available: &str, families: &[&Family], extra: &[String], scoped: bool) -> Selection {
    let mut selection = Selection::default();
    let wanted = Wanted::new(families, scoped);
    for (at, line) in available.lines().enumerate() {
        let name = line.split(['\t', ' ']).next().unwrap_or(line);
        let base = base_name(name);
        let root = families.iter().any(|family| is_root(family, base));
        if root {
            selection.roots.insert(name.to_owned());
        }
        if root || wanted.take(base) || extra.iter().any(|pattern| glob(pattern, base)) {
            selection.functions.push(Function { index: at + 1, name: name.to_owned() });
        }
    }
    selection
}

fn is_root(family: &Family, name: &str) -> bool {
    // `__x64_sys_mount`, `__ia32_compat_sys_mount`, `__arm64_sys_mount`, `__do_sys_inotify_init`
    let stub = name.strip_prefix("__").and_then(|rest| rest.split_once("sys_"));
    let syscall = stub.filter(|(abi, _)| family.syscalls != EVERY || is_abi(abi)).map(|(_, name)| name);
    let named = |syscall: &str| family.syscalls == EVERY || has(family.syscalls, syscall);
    syscall.is_some_and(named) || has(family.roots, name)
}

/// What stands before `sys_` in the name of an entry that user space calls.
fn is_abi(prefix: &str) -> bool {
    matches!(prefix, "x64_" | "ia32_" | "ia32_compat_" | "x32_compat_" | "arm64_" | "arm64_compat_")
}

fn has(words: &str, wanted: &str) -> bool {
    words.split(' ').any(|word| word == wanted)
}

/// The families' patterns, each with the place of its family, sorted so that each of tens of thousands of names is held
/// against a few.
struct Wanted<'a> {
    exact: HashMap<&'a str, Vec<usize>>,
    /// By first letter; those that begin with `*` are under `*`.
    globs: HashMap<u8, Vec<(usize, &'a str)>>,
    /// What a family does not want although one of its patterns fits.
    not: Vec<Vec<&'a str>>,
}

impl Wanted<'static> {
    fn new(families: &[&Family], scoped: bool) -> Self {
        let mut sorted =
            Self { exact: HashMap::new(), globs: HashMap::new(), not: vec![Vec::new(); families.len()] };
        for (of, family) in families.iter().enumerate() {
            let frequent = if scoped { family.frequent } else { "" };
            let patterns = family.functions.iter().map(|(_, patterns)| *patterns).chain([frequent]);
            for pattern in patterns.flat_map(str::split_whitespace) {
                if let Some(pattern) = pattern.strip_prefix('!') {
                    sorted.not[of].push(pattern);
                } else if pattern.contains('*') {
                    sorted.globs.entry(pattern.as_bytes()[0]).or_default().push((of, pattern));
                } else {
                    sorted.exact.entry(pattern).or_default().push(of);
                }
            }
        }
        sorted
    }

    fn take(&self, name: &str) -> bool {
        let globs = |letter: &u8| self.globs.get(letter).into_iter().flatten();
        let letter = name.as_bytes().first().unwrap_or(&b'*');
        let fit = |(of, pattern): &(usize, &str)| glob(pattern, name).then_some(*of);
        let exact = self.exact.get(name).into_iter().flatten().copied();
        let mut found = exact.chain(globs(letter).chain(globs(&b'*')).filter_map(fit));
        found.any(|of| !self.not[of].iter().any(|pattern| glob(pattern, name)))
    }
}

/// `*` stands for anything; there is nothing else.
pub(super) fn glob(pattern: &str, name: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut name) = name.strip_prefix(head) else { return false };
    let Some((middle, tail)) = rest.rsplit_once('*') else { return name.ends_with(rest) };
    for part in middle.split('*') {
        let Some(at) = name.find(part) else { return false };
        name = &name[at + part.len()..];
    }
    name.ends_with(tail)
}

impl Selection {
    /// Armed functions that may be roots as well, by glob.
    pub(super) fn add_roots(&mut self, patterns: &[String]) {
        for function in &self.functions {
            if patterns.iter().any(|pattern| glob(pattern, base_name(&function.name))) {
                self.roots.insert(function.name.clone());
            }
        }
    }

    /// The text for `set_ftrace_filter` by number: one line a function, one open and one close.
    pub(super) fn by_index(&self) -> String {
        self.functions.iter().map(|function| format!("{}\n", function.index)).collect()
    }

    /// The same by name, for a kernel whose numbers do not fit its list.
    pub(super) fn by_name(&self) -> String {
        self.functions.iter().map(|function| format!("{}\n", function.name)).collect()
    }

    /// Whether the filter read back holds what was asked for and nothing else.
    pub(super) fn is_set(&self, filter: &str) -> bool {
        let asked: HashSet<_> = self.functions.iter().map(|function| function.name.as_str()).collect();
        let mut set = 0;
        for line in filter.lines() {
            let name = line.split([' ', '\t', ':']).next().unwrap_or(line);
            if !asked.contains(name) {
                return false;
            }
            set += 1;
        }
        set > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::ftrace::families;

    #[test]
    fn globs() {
        assert!(glob("count_mounts", "count_mounts"));
        assert!(glob("security_sb_*", "security_sb_mount"));
        assert!(glob("*_can_attach", "pids_can_attach"));
        assert!(glob("a*b*c", "a_b_c"));
        assert!(!glob("a*b*c", "a_c"));
        assert!(!glob("mount", "mounts"));
        assert!(!glob("ab*ba", "aba"));
    }

    /// They run on the stack of whoever was interrupted, so that their values cannot be told from its own.
    #[test]
    fn what_interrupts_run_is_not_among_the_functions_of_a_tree() {
        let list = "raw_sendmsg\nraw_irqentry_exit_cond_resched\ntcp_orphan_update\ntcp_connect\n";
        let selection = select(list, &[&families::TREE], &[], true);
        let found: Vec<_> = selection.functions.iter().map(|f| f.name.as_str()).collect();
        assert_eq!(found, ["raw_sendmsg", "tcp_connect"]);
    }

    #[test]
    fn functions_are_found_with_their_place() {
        let list = "first\n__ftrace_invalid_address___496\nattach_recursive_mnt.isra.0\n__x64_sys_mount\n\
                    __ia32_compat_sys_keyctl\nsecurity_sb_statfs\novl_fill_super [overlay]\nmntput\n";
        let selection = select(list, &[&families::MOUNT], &["first".to_owned()], false);
        let found: Vec<_> = selection.functions.iter().map(|f| (f.index, f.name.as_str())).collect();
        let wanted =
            [(1, "first"), (3, "attach_recursive_mnt.isra.0"), (4, "__x64_sys_mount"), (7, "ovl_fill_super")];
        assert_eq!(found, wanted);
        assert_eq!(selection.roots, HashSet::from(["__x64_sys_mount".to_owned()]));
        assert_eq!(selection.by_index(), "1\n3\n4\n7\n");
        let scoped = select("link_path_walk\n", &[&families::MOUNT], &[], true);
        assert_eq!(scoped.functions.len(), 1);
        assert!(select("link_path_walk\n", &[&families::MOUNT], &[], false).functions.is_empty());
        assert!(selection.is_set("first\novl_fill_super [overlay]\n"));
        assert!(!selection.is_set("#### all functions enabled ####\n"));
        assert!(!selection.is_set("first\nmntput\n"));
        assert!(!selection.is_set(""));
    }
}
