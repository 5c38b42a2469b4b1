//! `docs/steps.md`: the engine's steps, their system calls, and which causes of the catalogue refuse those.
//! Written from the code, compared with what is committed; `DIAG_BLESS=1` writes it.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use container_core::steps::{Side, StepInfo, TABLE};

use crate::causes;

const HEAD: &str = "# The engine's steps

Every kernel-facing step of the bundled engine, in the order in which a start meets them; clean-up last. The name is what
an error carries. The last column lists the causes (`diag causes`) that show as a failure of one of the step's system
calls; any other refusal is told with the step's name, the object and the kernel's reason all the same.

This file is generated: `DIAG_BLESS=1 cargo test -p diag --lib steps_doc` writes it.

| step | by | system calls | what it is for | what can refuse it |
| --- | --- | --- | --- | --- |
";

fn row(step: &StepInfo) -> String {
    let by = match step.side {
        Side::Engine => "engine",
        Side::Child => "container",
    };
    let calls: Vec<String> = step.syscalls.iter().map(|call| format!("`{call}`")).collect();
    let refusals: BTreeSet<String> = causes::ALL
        .iter()
        .flat_map(|cause| cause.shows_as.iter().map(move |(call, errno)| (cause.slug, *call, *errno)))
        .filter(|(_, call, _)| step.syscalls.contains(call))
        .map(|(slug, call, errno)| format!("{slug} ({call} {errno})"))
        .collect();
    let refusals: Vec<String> = refusals.into_iter().collect();
    format!("| {} | {by} | {} | {} | {} |\n", step.name, calls.join(", "), step.about, refusals.join(", "))
}

#[test]
fn the_committed_table_is_the_one_the_code_gives() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/steps.md");
    let mut now = HEAD.to_owned();
    for step in TABLE {
        let _ = write!(now, "{}", row(step));
    }
    if std::env::var_os("DIAG_BLESS").is_some() {
        std::fs::write(&path, now).unwrap();
        return;
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == now, "docs/steps.md is not what the code says; DIAG_BLESS=1 writes it");
}
