//! Making `fs.mount-max` refuse the mount that a test wants refused, without hurting the rest of the machine.
//!
//! The limit is one number for all mount namespaces, but each is counted alone. So the test's thread moves into a mount
//! namespace of its own, fills that with mounts until it holds far more than any other, and only then lowers the
//! limit to just above its own count. The guard puts the limit back, also on panic.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::RwLockWriteGuard;

use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};

use crate::scene::MACHINE;

const MOUNT_MAX: &str = "/proc/sys/fs/mount-max";
/// Doublings of a tmpfs: 2^11 mounts.
const DOUBLINGS: u32 = 11;

pub(crate) struct Crowd {
    before: String,
    probe: PathBuf,
    _alone: RwLockWriteGuard<'static, ()>,
}

impl Crowd {
    /// Must be called on a thread that ends with the test: it never leaves its mount namespace.
    pub(crate) fn gather() -> Crowd {
        let alone = MACHINE.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        unshare(CloneFlags::CLONE_NEWNS).unwrap();
        let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
        mount(None::<&str>, "/", None::<&str>, private, None::<&str>).unwrap();
        let base = std::env::temp_dir().join(format!("container-core-crowd-{}", std::process::id()));
        fs::create_dir_all(&base).unwrap();
        mount(Some("tmpfs"), &base, Some("tmpfs"), MsFlags::empty(), None::<&str>).unwrap();
        let (all, probe) = (base.join("all"), base.join("probe"));
        fs::create_dir(&probe).unwrap();
        fs::create_dir(&all).unwrap();
        mount(Some("tmpfs"), &all, Some("tmpfs"), MsFlags::empty(), None::<&str>).unwrap();
        for round in 0..DOUBLINGS {
            let copy = all.join(round.to_string());
            fs::create_dir(&copy).unwrap();
            mount(Some(&all), &copy, None::<&str>, MsFlags::MS_BIND | MsFlags::MS_REC, None::<&str>).unwrap();
        }
        let before = fs::read_to_string(MOUNT_MAX).unwrap();
        Crowd { before, probe, _alone: alone }
    }

    /// Let exactly `room` more mounts into this namespace.
    pub(crate) fn leave_room_for(&self, room: u32) {
        let mut limit = fs::read_to_string("/proc/thread-self/mountinfo").unwrap().lines().count() as u32;
        assert!(limit > 1 << DOUBLINGS);
        // mountinfo does not show all that count: find the limit at which one mount more just fits.
        loop {
            fs::write(MOUNT_MAX, limit.to_string()).unwrap();
            match try_mount(&self.probe) {
                Ok(()) => break,
                Err(errno) => assert_eq!(errno, Errno::ENOSPC),
            }
            limit += 1;
        }
        fs::write(MOUNT_MAX, (limit - 1 + room).to_string()).unwrap();
    }
}

fn try_mount(dir: &Path) -> Result<(), Errno> {
    mount(Some("tmpfs"), dir, Some("tmpfs"), MsFlags::empty(), None::<&str>)?;
    umount2(dir, MntFlags::empty())
}

impl Drop for Crowd {
    fn drop(&mut self) {
        let restored = fs::write(MOUNT_MAX, &self.before);
        assert!(restored.is_ok() || std::thread::panicking(), "{MOUNT_MAX} is not restored: {restored:?}");
    }
}
