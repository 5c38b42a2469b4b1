//! docs/benchmarks.md: one section for each benchmark, between marks, so that measuring one leaves the others alone.

use crate::artifacts;
use anyhow::{Context, Result};
use std::fs;
use std::process::Command;

/// Put `text` in the place of what the section of that name had.
pub(super) fn put(name: &str, text: &str) -> Result<()> {
    let file = artifacts::workspace().join("docs/benchmarks.md");
    let read = || fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()));
    let whole = replaced(&read()?, name, text)
        .with_context(|| format!("{} has no marks for {name:?}", file.display()))?;
    fs::write(&file, whole).with_context(|| format!("cannot write {}", file.display()))?;
    println!("written to docs/benchmarks.md");
    Ok(())
}

fn replaced(whole: &str, name: &str, text: &str) -> Option<String> {
    let (begin, end) = (format!("<!-- begin {name} -->\n"), format!("<!-- end {name} -->\n"));
    let (before, rest) = whole.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{before}{begin}\n{}\n\n{end}{after}", text.trim()))
}

/// Kernel, processor, day, and what else ran: figures without them mean nothing.
pub(super) fn machine() -> String {
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let count = info.lines().filter(|line| line.starts_with("processor")).count();
    let day = Command::new("date").args(["-u", "+%Y-%m-%d"]).output();
    let day = day.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default();
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or_default().to_owned();
    format!(
        "{day}, Linux {}, {count} × {}, load average {load}",
        kernel.trim(),
        model.trim_start_matches([' ', '\t', ':'])
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_section_between_the_marks_changes() {
        let whole = "a\n<!-- begin x -->\nold\n<!-- end x -->\nb\n<!-- begin y -->\n<!-- end y -->\n";
        let now = "a\n<!-- begin x -->\n\nnew\n\n<!-- end x -->\nb\n<!-- begin y -->\n<!-- end y -->\n";
        assert_eq!(replaced(whole, "x", "new\n").as_deref(), Some(now));
        assert_eq!(replaced(now, "x", "new").as_deref(), Some(now));
        assert_eq!(replaced(whole, "z", "new"), None);
    }
}
