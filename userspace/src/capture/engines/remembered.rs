//! What engines remember of a container after the fact: how it ended, and what they were told then.

use super::{containerd, docker, podman};
use crate::limits::read::Root;
use crate::model::Container;

/// One container, from its engine's files.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Remembered {
    pub container: Container,
    /// The last error, in the engine's words.
    pub error: Option<String>,
    pub exit_code: Option<i64>,
    pub oom_killed: bool,
    /// Its first process, if it runs.
    pub pid: Option<u32>,
    /// The memory it may have, in bytes.
    pub memory_max: Option<u64>,
    /// When that was: the end, else the start, else the making of it.
    pub unix_ns: i64,
}

/// Containers by name, id, or the beginning of an id, whichever engine has them; the newest first.
pub fn remembered(root: &Root, target: &str) -> Vec<Remembered> {
    let mut all = docker::remembered(root, target);
    all.extend(podman::remembered(root, target));
    all.extend(containerd::remembered(root, target));
    all.sort_by_key(|one| std::cmp::Reverse(one.unix_ns));
    all
}

/// Whether people may call a container so: by name, by the last parts of `namespace/pod/container`, by id.
pub(super) fn is_called(target: &str, name: Option<&str>, id: &str) -> bool {
    let by_name = name.is_some_and(|name| {
        name == target || name.strip_suffix(target).is_some_and(|before| before.ends_with('/'))
    });
    by_name || id == target || target.len() >= 4 && id.starts_with(target)
}

/// An engine's time (RFC 3339), 0 where it was never set.
pub(super) fn nanoseconds(text: Option<&str>) -> i64 {
    let time = text.and_then(|text| text.parse::<jiff::Timestamp>().ok());
    time.and_then(|time| i64::try_from(time.as_nanosecond()).ok()).filter(|ns| *ns > 0).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_call_containers_in_several_ways() {
        assert!(is_called("web", Some("web"), "abcdef"));
        assert!(is_called("web-7/app", Some("shop/web-7/app"), "abcdef"));
        assert!(is_called("abcd", None, "abcdef"));
        for other in ["abc", "eb", "app-2", "x"] {
            assert!(!is_called(other, Some("shop/web-7/app"), "abcdef"), "{other}");
        }
    }

    #[test]
    fn a_time_that_was_never_set_is_none() {
        assert_eq!(nanoseconds(Some("0001-01-01T00:00:00Z")), 0);
        assert_eq!(nanoseconds(Some("1970-01-01T00:00:01.5Z")), 1_500_000_000);
        assert_eq!(nanoseconds(None), 0);
    }
}
