//! Folders on their way in or out of the store, and what to do with those whose maker was killed.

use std::fs;
use std::path::{Path, PathBuf};

use super::lock::Lock;
use crate::error::Error;
use crate::process::ProcessId;

/// Names of passing folders carry who made them: `.new-<pid>-<start ticks>-<what>`.
pub(crate) struct Maker {
    tag: String,
}

impl Maker {
    pub(crate) fn current(process: &ProcessId) -> Maker {
        Maker { tag: format!("{}-{}", process.pid, process.start_ticks) }
    }

    /// Name for something being made.
    pub(crate) fn being_made(&self, what: &str) -> String {
        format!(".new-{}-{what}", self.tag)
    }

    /// Name for something being deleted.
    pub(crate) fn being_deleted(&self, what: &str) -> String {
        format!(".gone-{}-{what}", self.tag)
    }
}

/// Delete passing folders in `dir` whose maker no longer runs. What another sweeper deletes first is fine.
pub(crate) fn sweep(dir: &Path) -> Result<(), Error> {
    for path in abandoned(dir)? {
        match fs::remove_dir_all(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::store("remove", &path)(e));
            }
            _ => {}
        }
    }
    Ok(())
}

/// The passing folders in `dir` whose maker no longer runs, but for those that another process deletes: it holds the
/// folder's lock.
pub(crate) fn abandoned(dir: &Path) -> Result<Vec<PathBuf>, Error> {
    let entries = fs::read_dir(dir).map_err(Error::store("read", dir))?.flatten();
    let is_passing = |entry: &fs::DirEntry| entry.file_name().to_str().is_some_and(is_abandoned);
    let is_free = |path: &PathBuf| matches!(Lock::try_folder(path), Ok(Some(_)));
    Ok(entries.filter(is_passing).map(|entry| entry.path()).filter(is_free).collect())
}

/// Whether this is the name of a passing folder whose maker is gone.
fn is_abandoned(name: &str) -> bool {
    let Some(rest) = name.strip_prefix(".new-").or_else(|| name.strip_prefix(".gone-")) else { return false };
    let mut parts = rest.splitn(3, '-');
    let (Some(Ok(pid)), Some(Ok(start_ticks))) =
        (parts.next().map(str::parse::<i32>), parts.next().map(str::parse::<u64>))
    else {
        return false;
    };
    // No boot in the name: after a reboot the same pid with the same start time would only delay the sweep.
    ProcessId::of(pid).is_none_or(|now| now.start_ticks != start_ticks)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Scratch;

    #[test]
    fn only_the_folders_of_the_dead_go() {
        let dir = Scratch::new("sweep");
        let me = ProcessId::current();
        let mine = Maker::current(&me).being_made("x");
        let past = Maker::current(&ProcessId { start_ticks: me.start_ticks + 1, ..me });
        for name in [&mine, &past.being_made("x"), &past.being_deleted("x"), "kept", ".new-odd"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        sweep(dir.path()).unwrap();
        let mut left: Vec<String> = fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(left, [mine, ".new-odd".to_owned(), "kept".to_owned()]);
    }

    #[test]
    fn what_somebody_deletes_is_his() {
        let dir = Scratch::new("deleted");
        let me = ProcessId::current();
        let past = Maker::current(&ProcessId { start_ticks: me.start_ticks + 1, ..me });
        let path = dir.path().join(past.being_deleted("x"));
        fs::create_dir(&path).unwrap();
        let held = Lock::try_folder(&path).unwrap().unwrap();
        assert_eq!(abandoned(dir.path()).unwrap(), Vec::<PathBuf>::new());
        drop(held);
        assert_eq!(abandoned(dir.path()).unwrap(), [path]);
    }
}
