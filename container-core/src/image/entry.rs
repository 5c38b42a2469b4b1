//! One entry of a root file system, wherever it comes from.

use std::io::Read;

/// Extended attributes, name and value, xattr(7).
pub(super) type Xattrs = Vec<(Vec<u8>, Vec<u8>)>;

/// What an entry is.
pub(super) enum Kind<'a> {
    Directory,
    /// Content and its length in bytes.
    File(&'a mut dyn Read, u64),
    /// The target, any text.
    Symlink(Vec<u8>),
    /// Path of an earlier entry, relative to the root of the image.
    Hardlink(Vec<u8>),
    /// Major and minor number.
    CharDevice(u64, u64),
    BlockDevice(u64, u64),
    Fifo,
}

/// An entry with its attributes, inode(7).
pub(super) struct Entry<'a> {
    /// Path from the root of the image; leading slashes and `.` parts mean nothing, `..` is refused.
    pub(super) path: Vec<u8>,
    pub(super) kind: Kind<'a>,
    /// Permission bits with set-user-id, set-group-id and sticky.
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// Seconds and nanoseconds since the epoch.
    pub(super) mtime: (i64, i64),
    pub(super) xattrs: Xattrs,
    /// It comes from a layer, where some names mean that something is gone.
    pub(super) layer: bool,
}

/// The parts of a path; `None` when it climbs (`..`) and so is no path of an image.
pub(super) fn parts(path: &[u8]) -> Option<Vec<&[u8]>> {
    let parts: Vec<&[u8]> =
        path.split(|b| *b == b'/').filter(|part| !part.is_empty() && *part != b".").collect();
    (!parts.contains(&b"..".as_slice())).then_some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_do_not_climb() {
        assert_eq!(parts(b"./usr//bin/").unwrap(), [b"usr".as_slice(), b"bin"]);
        assert_eq!(parts(b"/").unwrap().len(), 0);
        assert!(parts(b"a/../../b").is_none());
        assert!(parts(b"..a/b..").is_some());
    }
}
