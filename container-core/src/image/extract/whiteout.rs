//! Whiteouts: how a layer says that something of the layers below is gone.
//!
//! In an archive it is a file `.wh.NAME` beside which NAME is missing, or `.wh..wh..opq` in a folder of which
//! nothing below counts (OCI image specification, "Whiteouts"). Overlayfs wants a character device 0:0
//! called NAME, or the attribute `trusted.overlay.opaque` on the folder (Documentation/filesystems/overlayfs).

use std::os::fd::OwnedFd;

use nix::errno::Errno;
use nix::fcntl::AtFlags;
use nix::sys::stat::{FileStat, Mode, SFlag, fstatat, mknodat};

use super::{Tree, set_xattr};
use crate::rootless;

const PREFIX: &[u8] = b".wh.";
/// Marks of the file system "aufs", which had whiteouts first. Only the one for "opaque" means something.
const SPECIAL: &[u8] = b".wh..wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";

/// Whether an entry of this name is none but a whiteout.
pub(super) fn is_whiteout(name: &[u8]) -> bool {
    name.starts_with(PREFIX)
}

impl Tree {
    /// The whiteout that the entry `name` in `parent` stands for. It concerns the layers below only: what
    /// this layer itself brings by that name stays, whichever of the two comes first.
    pub(super) fn whiteout(&self, parent: &OwnedFd, name: &[u8]) -> Result<(), String> {
        if name == OPAQUE {
            return set_opaque(parent, b".").map_err(|e| format!("hiding the folder below it: {e}"));
        }
        if name.starts_with(SPECIAL) {
            return Ok(());
        }
        let hidden = &name[PREFIX.len()..];
        if matches!(hidden, b"" | b"." | b"..") {
            return Err("it hides nothing that has a name".to_owned());
        }
        let made = match mknodat(parent, hidden, SFlag::S_IFCHR, Mode::empty(), 0) {
            Err(Errno::EEXIST) if kind(parent, hidden) == Some(SFlag::S_IFDIR) => set_opaque(parent, hidden),
            Err(Errno::EEXIST) => Ok(()),
            done => done,
        };
        made.map_err(|e| format!("hiding {:?}: {e}", String::from_utf8_lossy(hidden)))
    }
}

/// Whether `name` is a whiteout that was made before.
pub(super) fn is_made(parent: &OwnedFd, name: &[u8]) -> bool {
    stat(parent, name).is_some_and(|stat| kind_of(&stat) == SFlag::S_IFCHR && stat.st_rdev == 0)
}

/// Nothing of the layers below shows through this folder.
pub(super) fn set_opaque(parent: &OwnedFd, name: &[u8]) -> Result<(), Errno> {
    // Overlayfs reads the other one in a user namespace, mounted with `userxattr`.
    let key: &[u8] = match rootless::in_user_namespace() {
        true => b"user.overlay.opaque",
        false => b"trusted.overlay.opaque",
    };
    set_xattr(parent, name, key, b"y")
}

fn stat(parent: &OwnedFd, name: &[u8]) -> Option<FileStat> {
    fstatat(parent, name, AtFlags::AT_SYMLINK_NOFOLLOW).ok()
}

fn kind(parent: &OwnedFd, name: &[u8]) -> Option<SFlag> {
    stat(parent, name).map(|stat| kind_of(&stat))
}

fn kind_of(stat: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits())
}

#[cfg(test)]
mod tests {
    use nix::fcntl::{OFlag, open, openat};

    use super::*;

    #[test]
    fn names_are_told_apart() {
        for name in [b".wh.x".as_slice(), b".wh..wh..opq", b".wh..wh.plnk"] {
            assert!(is_whiteout(name));
        }
        assert!(!is_whiteout(b".white") && !is_whiteout(b"x.wh.y"));
    }

    #[test]
    fn a_name_that_is_none_is_refused() {
        let dir = crate::testing::Scratch::new("whiteout");
        let tree = Tree::open(dir.path()).unwrap();
        let parent = open(dir.path(), OFlag::O_PATH, Mode::empty()).unwrap();
        for bad in [b".wh.".as_slice(), b".wh...", b".wh.."] {
            assert!(tree.whiteout(&parent, bad).is_err());
        }
        tree.whiteout(&parent, b".wh..wh.aufs").unwrap();
        assert!(openat(&parent, ".wh.aufs", OFlag::O_PATH, Mode::empty()).is_err());
    }
}
