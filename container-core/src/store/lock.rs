//! flock(2) as a guard: released when dropped, and by the kernel when the process dies.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// An exclusive lock on a file, held until dropped.
///
/// The lock belongs to the open file: a forked child shares it, and it is free once the last copy is closed.
#[derive(Debug)]
pub(crate) struct Lock {
    file: File,
}

impl AsFd for Lock {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Lock {
    /// Wait for the lock on `path`; the file is made if it is not there, its folder is not.
    pub(crate) fn exclusive(path: &Path) -> io::Result<Lock> {
        let file = open(path)?;
        lock_file(&file)?;
        Ok(Lock { file })
    }

    /// The lock on a folder, or `None` when somebody has it.
    pub(crate) fn try_folder(path: &Path) -> io::Result<Option<Lock>> {
        let file = OpenOptions::new().read(true).custom_flags(libc::O_DIRECTORY).open(path)?;
        try_lock(file)
    }

    /// Let go of the lock at once, also where another process has a copy of this handle: one that was forked by another
    /// thread at the wrong moment, and may itself be waiting for us.
    pub(crate) fn release(&self) {
        // Fails for no open file.
        let _ = self.file.unlock();
    }

    /// A second handle on the same lock, for a process about to be forked: it is free once both are dropped.
    pub(crate) fn share(&self) -> io::Result<Lock> {
        Ok(Lock { file: self.file.try_clone()? })
    }

    /// The lock, or `None` when somebody has it.
    pub(crate) fn try_exclusive(path: &Path) -> io::Result<Option<Lock>> {
        try_lock(open(path)?)
    }
}

fn try_lock(file: File) -> io::Result<Option<Lock>> {
    match file.try_lock() {
        Ok(()) => Ok(Some(Lock { file })),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(e)) => Err(e),
    }
}

/// flock(2) that a signal does not interrupt.
pub(crate) fn lock_file(file: &File) -> io::Result<()> {
    loop {
        match file.lock() {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Scratch;

    #[test]
    fn one_at_a_time() {
        let dir = Scratch::new("lock");
        let path = dir.path().join("lock");
        let held = Lock::exclusive(&path).unwrap();
        assert!(Lock::try_exclusive(&path).unwrap().is_none());
        drop(held);
        assert!(Lock::try_exclusive(&path).unwrap().is_some());
    }
}
