//! From name patterns to the list that `set_ftrace_filter` takes.
//!
//! The filter accepts names, globs and, since 5.1, index numbers into `available_filter_functions`
//! (`add_rec_by_index()` in kernel/trace/ftrace.c). A name or glob walks all functions and asks kallsyms
//! for each (tens of milliseconds a name under emulation); an index is a direct step. The file lists
//! every record, freed ones as `__ftrace_invalid_address___N`, just so that the numbers stay right.

use super::Family;
use super::families::EVERY;
use super::patterns::{Patterns, glob};
use crate::model::base_name;
use memchr::memmem;
use std::collections::HashSet;

/// A traceable function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Function {
    /// 1-based position in `available_filter_functions`.
    pub(super) index: usize,
    /// As the kernel prints it, with a compiler's suffix, without the module.
    pub(super) name: String,
    /// Where it calls the tracer, in a list with addresses.
    pub(super) address: Option<u64>,
}

/// What is to be armed on this kernel.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Selection {
    pub(super) functions: Vec<Function>,
    /// Names that may be the root of a graph.
    pub(super) roots: HashSet<String>,
}

/// `available` is the list with addresses (`available_filter_functions_addrs`, since 6.5) or without; the order is the same.
pub(super) fn select(available: &str, families: &[&Family], extra: &[String], scoped: bool) -> Selection {
    let mut selection = Selection::default();
    let (roots, wanted) = (Roots::new(families), Wanted::new(families, extra, scoped));
    for (at, line) in available.lines().enumerate() {
        let (address, line) = addressed(line);
        let end = line.bytes().position(|byte| matches!(byte, b'\t' | b' '));
        let name = &line[..end.unwrap_or(line.len())];
        let base = base_name(name);
        let root = roots.has(base);
        if root {
            selection.roots.insert(name.to_owned());
        }
        if root || wanted.take(base) {
            selection.functions.push(Function { index: at + 1, name: name.to_owned(), address });
        }
    }
    selection
}

/// `ffffffff81000000 name [module]`; without the address there is a name first, and `[module]` behind it or nothing.
fn addressed(line: &str) -> (Option<u64>, &str) {
    let Some(space) = memchr::memchr(b' ', line.as_bytes()) else { return (None, line) };
    let (address, rest) = (&line[..space], &line[space + 1..]);
    match u64::from_str_radix(address, 16) {
        Ok(address) if !rest.starts_with('[') => (Some(address), rest),
        _ => (None, line),
    }
}

/// The functions that may be the root of a graph.
struct Roots {
    named: Vec<&'static str>,
    syscalls: HashSet<&'static str>,
    every: bool,
    /// Made ready once for a list of fifty thousand names.
    sys: memmem::Finder<'static>,
}

impl Roots {
    fn new(families: &[&Family]) -> Self {
        let words = |list: fn(&Family) -> &'static str| {
            families.iter().flat_map(move |family| list(family).split(' '))
        };
        let syscalls: HashSet<_> = words(|family| family.syscalls).collect();
        let named = words(|family| family.roots).filter(|name| !name.is_empty()).collect();
        Self { named, every: syscalls.contains(EVERY), syscalls, sys: memmem::Finder::new("sys_") }
    }

    fn has(&self, name: &str) -> bool {
        // `__x64_sys_mount`, `__ia32_compat_sys_mount`, `__arm64_sys_mount`, `__do_sys_inotify_init`
        let stub = name.strip_prefix("__").and_then(|rest| {
            let at = self.sys.find(rest.as_bytes())?;
            Some((&rest[..at], &rest[at + "sys_".len()..]))
        });
        let entry = stub.is_some_and(|(abi, name)| self.every && is_abi(abi) || self.syscalls.contains(name));
        entry || self.named.contains(&name)
    }
}

/// What stands before `sys_` in the name of an entry that user space calls.
fn is_abi(prefix: &str) -> bool {
    matches!(prefix, "x64_" | "ia32_" | "ia32_compat_" | "x32_compat_" | "arm64_" | "arm64_compat_")
}

/// What is armed besides the roots.
struct Wanted<'a> {
    patterns: Patterns<'a>,
    /// What a family does not want although one of its patterns fits.
    not: Patterns<'a>,
}

impl<'a> Wanted<'a> {
    fn new(families: &[&Family], extra: &'a [String], scoped: bool) -> Self {
        let mut sorted = Self { patterns: Patterns::default(), not: Patterns::default() };
        for (of, family) in families.iter().enumerate() {
            let frequent = if scoped { family.frequent } else { "" };
            let patterns = family.functions.iter().map(|(_, patterns)| *patterns).chain([frequent]);
            for pattern in patterns.flat_map(str::split_whitespace) {
                match pattern.strip_prefix('!') {
                    Some(pattern) => sorted.not.add(of, pattern),
                    None => sorted.patterns.add(of, pattern),
                }
            }
        }
        // Asked for by name: no family's business.
        extra.iter().for_each(|pattern| sorted.patterns.add(families.len(), pattern));
        sorted
    }

    fn take(&self, name: &str) -> bool {
        self.patterns.any(name, |of| !self.not.any(name, |not| not == of))
    }
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

    /// They run on the stack of whoever was interrupted, so that their values cannot be told from its own.
    #[test]
    fn what_interrupts_run_is_not_among_the_functions_of_a_tree() {
        let list = "raw_sendmsg\nraw_irqentry_exit_cond_resched\ntcp_orphan_update\ntcp_connect\n";
        let selection = select(list, &[&families::TREE], &[], true);
        let found: Vec<_> = selection.functions.iter().map(|f| f.name.as_str()).collect();
        assert_eq!(found, ["raw_sendmsg", "tcp_connect"]);
    }

    #[test]
    fn a_list_with_addresses_is_the_same_list() {
        let list = "ffffffff81000010 first\nffffffff81000020 __x64_sys_mount\nffffffffc0000014 ovl_fill_super [overlay]\n";
        let selection = select(list, &[&families::MOUNT], &[], false);
        let found: Vec<_> =
            selection.functions.iter().map(|f| (f.index, f.name.as_str(), f.address)).collect();
        let wanted = [
            (2, "__x64_sys_mount", Some(0xffff_ffff_8100_0020)),
            (3, "ovl_fill_super", Some(0xffff_ffff_c000_0014)),
        ];
        assert_eq!(found, wanted);
        // A function whose name could be a number.
        assert_eq!(addressed("add [overlay]"), (None, "add [overlay]"));
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
