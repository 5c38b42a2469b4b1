//! A cause is one file and one registration line, and its slug is its file's name.

use super::{Complaint, Source};

const FOLDER: &str = "userspace/src/causes/";
const LIST: &str = "userspace/src/causes/mod.rs";

/// Files of the folder that are not causes: what causes are written with.
const NOT_CAUSES: [&str; 2] = ["mod", "case"];

pub(super) fn check(sources: &[Source]) -> Vec<Complaint> {
    let Some(list) = sources.iter().find(|source| source.path == LIST) else { return Vec::new() };
    let mut found = Vec::new();
    for source in sources {
        let Some(stem) = cause_of(&source.path) else { continue };
        if !is_registered(&list.text, stem) {
            found.push(source.complaint(1, format!("the cause is not in the list of {LIST}")));
        }
        let slug = format!("\"{}\"", stem.replace('_', "-"));
        if !source.text.contains(&slug) {
            found.push(source.complaint(1, format!("its slug should be {slug}, after the file's name")));
        }
    }
    found
}

/// The stem of a cause's file; a file of tests belongs to the cause beside it.
fn cause_of(path: &str) -> Option<&str> {
    let stem = path.strip_prefix(FOLDER)?.strip_suffix(".rs")?;
    (!stem.contains('/') && !stem.ends_with("_tests") && !NOT_CAUSES.contains(&stem)).then_some(stem)
}

fn is_registered(list: &str, stem: &str) -> bool {
    list.lines().any(|line| line.trim().trim_end_matches(',') == stem)
}

#[cfg(test)]
mod tests {
    use super::super::tests::source;
    use super::*;

    #[test]
    fn unregistered_causes_and_other_slugs_are_found() {
        let sources = [
            source(LIST, "register! {\n    pids_max,\n    mount_max,\n}\n"),
            source("userspace/src/causes/pids_max.rs", "slug: \"pids-max\""),
            source("userspace/src/causes/mount_max.rs", "slug: \"mounts\""),
            source("userspace/src/causes/other.rs", "slug: \"other\""),
            source("userspace/src/causes/pids_max_tests.rs", ""),
            source("userspace/src/causes/case.rs", ""),
        ];
        let found: Vec<String> = check(&sources).into_iter().map(|complaint| complaint.path).collect();
        assert_eq!(found, ["userspace/src/causes/mount_max.rs", "userspace/src/causes/other.rs"]);
    }
}
