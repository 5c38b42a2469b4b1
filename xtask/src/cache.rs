//! The build cache: one folder per user, shared by every clone, that holds what setup downloads and builds.
//!
//! Layout (others rely on it):
//!
//! ```text
//! tools/<rustc version>/bin/bpf-linker      the linker of the probes, tied to one toolchain's LLVM
//! rust-src/<rustc version>/library/         the standard library's source, when rustup could not bring it
//! kernels/<series>/{vmlinuz,release,modules/}   kernels of the guests
//! busybox/busybox                           static, for guests and the demo's root file system
//! apt/<suite>/                              private package lists and archives, apart from the system's
//! logs/                                     what each step of setup printed
//! ```

use anyhow::{Context, Result};
use std::env;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

const SCRATCH_LIVES: Duration = Duration::from_secs(12 * 3600);

/// The cache folder, made when it is missing.
#[derive(Clone, Debug)]
pub(crate) struct Cache {
    root: PathBuf,
}

impl Cache {
    pub(crate) fn open() -> Result<Self> {
        let root = choose_root(&|name| env::var_os(name).map(PathBuf::from))
            .context("no place for the build cache: set DIAG_BUILD_CACHE, XDG_CACHE_HOME or HOME")?;
        fs::create_dir_all(&root).with_context(|| format!("cannot make {}", root.display()))?;
        // Absolute, because tools are started in other folders.
        Ok(Self { root: fs::canonicalize(&root)? })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Tools built against one toolchain; another toolchain gets another folder.
    pub(crate) fn tools(&self, rustc_version: &str) -> PathBuf {
        self.root.join("tools").join(rustc_version)
    }

    pub(crate) fn rust_src(&self, rustc_version: &str) -> PathBuf {
        self.root.join("rust-src").join(rustc_version)
    }

    pub(crate) fn kernel(&self, series: &str) -> PathBuf {
        self.root.join("kernels").join(series)
    }

    pub(crate) fn busybox(&self) -> PathBuf {
        self.root.join("busybox").join("busybox")
    }

    pub(crate) fn apt(&self, suite: &str) -> PathBuf {
        self.root.join("apt").join(suite)
    }

    pub(crate) fn log(&self, name: &str) -> PathBuf {
        self.root.join("logs").join(format!("{name}.log"))
    }

    /// A fresh folder on the cache's own file system, so that what is built in it can be renamed into place.
    pub(crate) fn scratch(&self) -> Result<tempfile::TempDir> {
        let parent = self.root.join("scratch");
        fs::create_dir_all(&parent)?;
        sweep(&parent);
        Ok(tempfile::Builder::new().prefix("x").tempdir_in(parent)?)
    }

    /// Only one setup works at a time; the lock goes with the returned file, also when the process is killed.
    pub(crate) fn lock(&self) -> Result<File> {
        let path = self.root.join("lock");
        let file = File::create(&path).with_context(|| format!("cannot make {}", path.display()))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                eprintln!("another setup is at work on {}; waiting for it", self.root.display());
                file.lock()?;
            }
            Err(TryLockError::Error(error)) => return Err(error).context(path.display().to_string()),
        }
        Ok(file)
    }
}

/// Removes what runs that were killed have left; nothing at work is that old.
fn sweep(scratch: &Path) {
    for entry in fs::read_dir(scratch).into_iter().flatten().flatten() {
        let age = entry.metadata().and_then(|data| data.modified()).ok().and_then(|time| time.elapsed().ok());
        if age.is_some_and(|age| age > SCRATCH_LIVES) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn choose_root(variable: &dyn Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    let set = |name| variable(name).filter(|path| !path.as_os_str().is_empty());
    set("DIAG_BUILD_CACHE")
        .or_else(|| Some(set("XDG_CACHE_HOME")?.join("diag-build")))
        .or_else(|| Some(set("HOME")?.join(".cache").join("diag-build")))
}

/// Puts a finished folder in the place of an older one; readers see the old or the new, hardly ever nothing.
pub(crate) fn replace_folder(new: &Path, place: &Path) -> Result<()> {
    if let Some(parent) = place.parent() {
        fs::create_dir_all(parent)?;
    }
    let old = place.with_extension("old");
    let _ = fs::remove_dir_all(&old);
    if place.exists() {
        fs::rename(place, &old)?;
    }
    fs::rename(new, place).with_context(|| format!("cannot move to {}", place.display()))?;
    let _ = fs::remove_dir_all(&old);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_variable_wins_then_xdg_then_home() {
        let both = |name: &str| match name {
            "XDG_CACHE_HOME" => Some(PathBuf::from("/xdg")),
            "HOME" => Some(PathBuf::from("/elsewhere/u")),
            _ => None,
        };
        assert_eq!(choose_root(&both), Some(PathBuf::from("/xdg/diag-build")));
        let home = |name: &str| (name == "HOME").then(|| PathBuf::from("/elsewhere/u"));
        assert_eq!(choose_root(&home), Some(PathBuf::from("/elsewhere/u/.cache/diag-build")));
        let own = |name: &str| Some(PathBuf::from(if name == "DIAG_BUILD_CACHE" { "/c" } else { "/x" }));
        assert_eq!(choose_root(&own), Some(PathBuf::from("/c")));
        assert_eq!(choose_root(&|_| Some(PathBuf::new())), None);
    }

    #[test]
    fn replacing_a_folder_leaves_no_old_one() {
        let dir = tempfile::tempdir().unwrap();
        let (place, new) = (dir.path().join("a"), dir.path().join("n"));
        for text in ["1", "2"] {
            fs::create_dir(&new).unwrap();
            fs::write(new.join("f"), text).unwrap();
            replace_folder(&new, &place).unwrap();
            assert_eq!(fs::read_to_string(place.join("f")).unwrap(), text);
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
