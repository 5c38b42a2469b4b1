//! A kernel call graph: what one system call did, as ftrace's function_graph saw it.

use serde::{Deserialize, Serialize};
use std::collections::HashSet;

/// How the graph was recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GraphSource {
    /// function_graph in diag's own tracefs instance.
    Instance,
    /// function_graph in the top-level buffer, because this kernel has it nowhere else.
    Top,
    /// A file the user brought.
    File,
}

/// One traced root call on one thread.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Graph {
    pub tid: u32,
    pub comm: String,
    pub cpu: u32,
    /// `CLOCK_MONOTONIC` at the entry of the root call.
    pub start_ns: u64,
    /// `CLOCK_MONOTONIC` at its exit; `None` when the exit was never seen.
    pub end_ns: Option<u64>,
    pub root: Call,
    /// Events known to be lost while this graph was recorded.
    pub lost: u64,
}

impl Graph {
    /// Whether nothing was lost while it was recorded.
    pub fn is_whole(&self) -> bool {
        self.lost == 0 && !self.root.hole
    }
}

/// One kernel function call.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Call {
    pub name: String,
    /// `CLOCK_MONOTONIC` at its entry, as exact as the text was; not kept with evidence, for which the order is enough.
    #[serde(skip)]
    pub start_ns: Option<u64>,
    pub duration_ns: Option<u64>,
    /// The raw return register, where the kernel prints it (funcgraph-retval). Not yet typed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ret: Option<u64>,
    /// Children in the order they were called.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub children: Vec<Call>,
    /// Set when something is missing below: lost events, or an exit without its entry.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hole: bool,
}

impl Call {
    /// A call without children, for parsers and tests.
    pub fn leaf(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// The functions below, itself included.
    pub fn names(&self) -> HashSet<String> {
        let mut names = HashSet::new();
        let mut stack = vec![self];
        while let Some(call) = stack.pop() {
            if !names.contains(&call.name) {
                names.insert(call.name.clone());
            }
            stack.extend(&call.children);
        }
        names
    }

    /// How many calls the tree holds, itself included.
    pub fn size(&self) -> usize {
        let mut total = 0;
        let mut stack = vec![self];
        while let Some(call) = stack.pop() {
            total += 1;
            stack.extend(&call.children);
        }
        total
    }
}

/// What a function gives back, by the kernel's own types: how the return register is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Gives {
    /// Nothing: the register holds whatever was left there.
    Nothing,
    /// `int` and the like: the lower 32 bits, with a sign. An errno is negative.
    Int,
    /// `long`, `ssize_t`, and `unsigned long`, which mmap and its kind use for addresses and errors alike.
    Long,
    /// A pointer, NULL, or an errno as ERR_PTR (include/linux/err.h).
    Pointer,
    Bool,
    /// A number of this many bytes that is no errno.
    Number(u8),
    /// A structure: not in the register.
    Other,
}

/// A function's type, as far as it tells who decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prototype {
    pub gives: Gives,
    /// What the pointer it returns points to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pointee: Option<String>,
    /// What it is given: what each pointer points to, and `errno` for an `int error`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub takes: Vec<String>,
}

/// What a function was seen to return, by its BTF type: an `int` sign-extended from 32 bits, an ERR_PTR as its
/// errno, a bool as 0 or 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Returned {
    pub function: String,
    pub value: i64,
}

/// A kernel function's name without what the compiler added (`.isra.0`, `.part.0`, `.constprop.0`, `.cold`):
/// builds differ in it, and the source knows only the plain name.
pub fn base_name(name: &str) -> &str {
    name.split_once('.').map_or(name, |(base, _)| base)
}

/// The system call that a kernel function is the entry of, as the kernel calls it.
pub fn entry_of(function: &str) -> Option<&str> {
    let (machine, name) = function.split_once("_sys_")?;
    let known =
        ["__x64", "__ia32", "__ia32_compat", "__x64_compat", "__arm64", "__arm64_compat", "__se", "__do"];
    known.contains(&machine).then_some(if name == "umount" { "umount2" } else { name })
}

/// Whether this kernel function is the entry of that system call: `__x64_sys_mount`, `__ia32_sys_mount`,
/// `__arm64_sys_mount`, `__ia32_compat_sys_mount`.
pub fn is_entry_of(function: &str, syscall: &str) -> bool {
    let Some((_, name)) = function.split_once("_sys_") else { return false };
    // The kernel's own name differs in a few places from the table's.
    name == syscall || name.strip_prefix("new") == Some(syscall) || (name, syscall) == ("umount", "umount2")
}
