//! One container's folder: its files by name, its config and its state.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use super::json::{self, Durability};
use super::lock::Lock;
use crate::container::{Config, Container};
use crate::error::Error;
use crate::lifecycle::State;

/// `<root>/containers/<id>`, or that of a container being made.
#[derive(Debug, Clone)]
pub(crate) struct Bundle {
    dir: PathBuf,
}

impl Bundle {
    pub(crate) fn at(dir: PathBuf) -> Bundle {
        Bundle { dir }
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where the overlay is mounted.
    pub(crate) fn rootfs(&self) -> PathBuf {
        self.dir.join("rootfs")
    }

    /// What the container changed.
    pub(crate) fn upper(&self) -> PathBuf {
        self.dir.join("upper")
    }

    /// Overlayfs' own scratch folder, on the same file system as `upper`.
    pub(crate) fn work(&self) -> PathBuf {
        self.dir.join("work")
    }

    /// The container's own volumes, numbered.
    pub(crate) fn volumes(&self) -> PathBuf {
        self.dir.join("volumes")
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.dir.join("log")
    }

    /// The image's layers with owners mapped, while the overlay is being mounted on them.
    pub(crate) fn shifted(&self) -> PathBuf {
        self.dir.join("shifted")
    }

    /// Where the supervisor lets people in.
    pub(crate) fn attach_socket(&self) -> PathBuf {
        self.dir.join("attach")
    }

    /// There while the container is stopped because somebody asked for it.
    fn stopped_file(&self) -> PathBuf {
        self.dir.join("stopped")
    }

    /// Remember, or forget, that the container is not to run. A restart policy heeds it.
    pub(crate) fn mark_stopped(&self, stopped: bool) -> Result<(), Error> {
        let path = self.stopped_file();
        let done = match stopped {
            true => fs::write(&path, ""),
            false => fs::remove_file(&path),
        };
        match done {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(Error::store("write", &path)(e)),
            _ => Ok(()),
        }
    }

    pub(crate) fn is_marked_stopped(&self) -> bool {
        self.stopped_file().exists()
    }

    fn config_file(&self) -> PathBuf {
        self.dir.join("config.json")
    }

    fn state_file(&self) -> PathBuf {
        self.dir.join("state.json")
    }

    fn lock_file(&self) -> PathBuf {
        self.dir.join("lock")
    }

    /// Make folder and files. `like` is the image's own root folder, whose owner and mode the merged root
    /// shows through `upper`.
    pub(crate) fn fill(&self, config: &Config, like: &Path) -> Result<(), Error> {
        for dir in [&self.dir, &self.rootfs(), &self.upper(), &self.work()] {
            fs::DirBuilder::new().mode(0o700).create(dir).map_err(Error::store("create", dir))?;
        }
        copy_owner_and_mode(like, &self.upper()).map_err(Error::store("prepare", &self.upper()))?;
        // A container that removes itself means nothing after a power cut: not worth waiting for the disk.
        let durability = if config.spec.auto_remove { Durability::Replaced } else { Durability::Flushed };
        // No state file: that is what "created" looks like.
        json::write(&self.config_file(), config, durability)
            .map_err(Error::store("write", &self.config_file()))
    }

    /// Wait for the container's lock. `None` when the container is gone.
    pub(crate) fn lock(&self) -> Result<Option<Lock>, Error> {
        let path = self.lock_file();
        match Lock::exclusive(&path) {
            // `rm` renames the folder away under this lock: whoever waited may hold the lock of nothing.
            Ok(lock) => Ok(self.exists().then_some(lock)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(Error::store("lock", &path)(e)),
        }
    }

    /// The container's lock if nobody has it.
    pub(crate) fn try_lock(&self) -> Result<Option<Lock>, Error> {
        let path = self.lock_file();
        match Lock::try_exclusive(&path) {
            Ok(lock) => Ok(lock.filter(|_| self.exists())),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(Error::store("lock", &path)(e)),
        }
    }

    pub(crate) fn exists(&self) -> bool {
        self.config_file().exists()
    }

    /// The config; `None` when the container is gone.
    pub(crate) fn config(&self) -> Result<Option<Config>, Error> {
        json::read(&self.config_file())
    }

    /// The state as it was last written; none was before the first start. One that a power cut destroyed counts as created: nothing survived.
    pub(crate) fn state(&self) -> Result<State, Error> {
        match json::read(&self.state_file()) {
            Ok(state) => Ok(state.unwrap_or(State::Created)),
            Err(Error::Damaged { .. }) => Ok(State::Created),
            Err(e) => Err(e),
        }
    }

    pub(crate) fn write_state(&self, state: &State) -> io::Result<()> {
        json::write(&self.state_file(), state, Durability::Replaced)
    }

    /// Config and state together; `None` when the container is gone.
    pub(crate) fn container(&self) -> Result<Option<Container>, Error> {
        let Some(config) = self.config()? else { return Ok(None) };
        Ok(Some(Container { config, state: self.state()?, bundle: self.dir.clone() }))
    }
}

fn copy_owner_and_mode(from: &Path, to: &Path) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt;
    let like = fs::metadata(from)?;
    chown(to, Some(like.uid()), Some(like.gid()))?;
    fs::set_permissions(to, fs::Permissions::from_mode(like.mode() & 0o7777))
}
