//! docs/benchmarks.md: one section for each benchmark, between marks, so that measuring one leaves the others alone.

use crate::artifacts;
use anyhow::{Context, Result};
use std::fs;
use std::path::Path;
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

/// Type and options of the file system that a folder lies on, as proc_pid_mounts(5) has them: `ext4 (rw,relatime)`.
pub(super) fn file_system(folder: &Path) -> Result<String> {
    let folder = folder.canonicalize().with_context(|| format!("{} is not there", folder.display()))?;
    let text = fs::read_to_string("/proc/self/mounts").context("/proc/self/mounts cannot be read")?;
    Ok(holding(&text, &folder).unwrap_or_else(|| "an unknown file system".to_owned()))
}

/// The mount nearest to the folder; of several at one place the last one counts.
fn holding(mounts: &str, folder: &Path) -> Option<String> {
    let rows = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        Some((fields.next()?, fields.next()?, fields.next()?))
    });
    let nearest = rows.filter(|(point, ..)| folder.starts_with(point)).max_by_key(|(point, ..)| point.len());
    nearest.map(|(_, kind, options)| format!("{kind} ({options})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_mount_holds_a_folder() {
        let mounts = "a / ext4 rw 0 0\nb /data tmpfs rw 0 0\nc /data xfs ro,noatime 0 0\n";
        assert_eq!(holding(mounts, Path::new("/data/x")).as_deref(), Some("xfs (ro,noatime)"));
        assert_eq!(holding(mounts, Path::new("/var")).as_deref(), Some("ext4 (rw)"));
    }

    #[test]
    fn only_the_section_between_the_marks_changes() {
        let whole = "a\n<!-- begin x -->\nold\n<!-- end x -->\nb\n<!-- begin y -->\n<!-- end y -->\n";
        let now = "a\n<!-- begin x -->\n\nnew\n\n<!-- end x -->\nb\n<!-- begin y -->\n<!-- end y -->\n";
        assert_eq!(replaced(whole, "x", "new\n").as_deref(), Some(now));
        assert_eq!(replaced(now, "x", "new").as_deref(), Some(now));
        assert_eq!(replaced(whole, "z", "new"), None);
    }
}
