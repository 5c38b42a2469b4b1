//! Reading kernel files, under a root that tests can replace.

use super::{Ceiling, Limit};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Where `/proc` and `/sys` are looked up: `/` in production, a temporary folder in tests.
#[derive(Debug, Clone)]
pub struct Root(PathBuf);

impl Default for Root {
    fn default() -> Self {
        Self("/".into())
    }
}

impl Root {
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// `rel` below this root.
    pub fn join(&self, rel: impl AsRef<Path>) -> PathBuf {
        let rel = rel.as_ref();
        self.0.join(rel.strip_prefix("/").unwrap_or(rel))
    }

    /// A file's single number.
    pub fn number(&self, rel: impl AsRef<Path>) -> io::Result<u64> {
        let text = fs::read_to_string(self.join(rel))?;
        let text = text.trim();
        text.parse().map_err(|_| {
            io::Error::new(io::ErrorKind::InvalidData, format!("expected a number, found {text:?}"))
        })
    }

    /// The number of a line `Name:  123 kB` of a file, in bytes where it is in kB.
    pub fn line(&self, rel: impl AsRef<Path>, name: &str) -> io::Result<u64> {
        let text = fs::read_to_string(self.join(rel))?;
        let missing = || io::Error::new(io::ErrorKind::InvalidData, format!("no line {name}"));
        let line = text.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(':')).ok_or_else(missing)?;
        let mut words = line.split_ascii_whitespace();
        let number: u64 = words.next().and_then(|w| w.parse().ok()).ok_or_else(missing)?;
        Ok(if words.next() == Some("kB") { number.saturating_mul(1024) } else { number })
    }

    /// The numbers of a file that holds several.
    pub fn numbers(&self, rel: impl AsRef<Path>) -> io::Result<Vec<u64>> {
        let text = fs::read_to_string(self.join(rel))?;
        Ok(text.split_ascii_whitespace().map_while(|word| word.parse().ok()).collect())
    }

    /// The ceiling of a limit right now.
    pub fn ceiling(&self, limit: &Limit) -> io::Result<u64> {
        match limit.ceiling {
            Ceiling::Sysctl(_) => self.number(limit.path()),
            Ceiling::Fixed(ceiling) => Ok(ceiling),
            // One for each cgroup or process: there is no single answer.
            Ceiling::File(file, line) => self.line(file, line),
            Ceiling::Cgroup(_) | Ceiling::Rlimit(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::mount::MOUNT_MAX;

    #[test]
    fn reads_below_a_replaced_root() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("proc/sys/fs")).unwrap();
        fs::write(dir.path().join("proc/sys/fs/mount-max"), "123\n").unwrap();
        assert_eq!(Root::at(dir.path()).ceiling(&MOUNT_MAX).unwrap(), 123);
    }

    #[test]
    fn says_what_it_found_instead_of_a_number() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("x"), "max\n").unwrap();
        let err = Root::at(dir.path()).number("x").unwrap_err();
        assert!(err.to_string().contains("\"max\""), "{err}");
    }
}
