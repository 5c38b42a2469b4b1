//! `docs/steps.md`: the engine's steps, their system calls, and which causes of the catalogue refuse those.
//! Written from the code, compared with what is committed; `DIAG_BLESS=1` writes it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use container_core::steps::{Side, StepInfo, TABLE};

use crate::causes;

const HEAD: &str = "# The engine's steps

Every kernel-facing step of the bundled engine, in the order in which a start meets them; clean-up last. The name is what
an error carries. Which causes (`diag causes`) refuse a step is told by its system calls, in the second table; any
other refusal is told with the step's name, the object and the kernel's reason all the same.

This file is generated: `DIAG_BLESS=1 cargo test -p diag --lib steps_doc` writes it.

| step | by | system calls | what it is for |
| --- | --- | --- | --- |
";

const REFUSALS: &str = "
## What refuses them

| system call | errno | causes |
| --- | --- | --- |
";

fn row(step: &StepInfo) -> String {
    let by = match step.side {
        Side::Engine => "engine",
        Side::Child => "container",
    };
    let calls: Vec<String> = step.syscalls.iter().map(|call| format!("`{call}`")).collect();
    format!("| {} | {by} | {} | {} |\n", step.name, calls.join(", "), step.about)
}

/// By system call and errno, the causes that show so.
fn refusals() -> BTreeMap<(&'static str, &'static str), BTreeSet<&'static str>> {
    let used: BTreeSet<&str> = TABLE.iter().flat_map(|step| step.syscalls.iter().copied()).collect();
    let mut refusals: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for cause in causes::ALL {
        for (call, errno) in cause.shows_as.iter().filter(|(call, _)| used.contains(call)) {
            refusals.entry((*call, *errno)).or_default().insert(cause.slug);
        }
    }
    refusals
}

#[test]
fn the_committed_table_is_the_one_the_code_gives() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/steps.md");
    let mut now = HEAD.to_owned();
    for step in TABLE {
        now += &row(step);
    }
    now += REFUSALS;
    for ((call, errno), causes) in refusals() {
        let causes: Vec<&str> = causes.into_iter().collect();
        let _ = writeln!(now, "| `{call}` | {errno} | {} |", causes.join(", "));
    }
    if std::env::var_os("DIAG_BLESS").is_some() {
        std::fs::write(&path, now).unwrap();
        return;
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == now, "docs/steps.md is not what the code says; DIAG_BLESS=1 writes it");
}
