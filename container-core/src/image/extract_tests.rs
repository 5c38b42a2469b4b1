//! Tests of the writer: its bounds, holes, and what overrides what. They need no root.

use std::fs;
use std::os::unix::fs::MetadataExt;

use super::*;
use crate::testing::Scratch;

fn entry<'a>(path: &str, kind: Kind<'a>) -> Entry<'a> {
    // Owned by whoever runs the test, so that chown(2) is allowed.
    let (uid, gid) = (nix::unistd::getuid().as_raw(), nix::unistd::getgid().as_raw());
    let path = path.as_bytes().to_vec();
    Entry { path, kind, mode: 0o755, uid, gid, mtime: (1, 0), xattrs: Vec::new(), layer: true }
}

fn bounded(dir: &Scratch, entries: u64, bytes: u64) -> Tree {
    Tree { bounds: Bounds { entries, bytes }, ..Tree::open(dir.path()).unwrap() }
}

#[test]
fn more_entries_than_allowed_are_refused() {
    let dir = Scratch::new("many");
    let mut tree = bounded(&dir, 2, 100);
    tree.add(entry("a", Kind::Directory)).unwrap();
    // The same name again counts again: a bomb may consist of one name.
    tree.add(entry("a", Kind::Directory)).unwrap();
    assert_eq!(tree.add(entry("a", Kind::Directory)).unwrap_err(), "it has more than 2 entries");
}

#[test]
fn more_bytes_than_allowed_are_refused_before_they_are_written() {
    let dir = Scratch::new("large");
    let mut tree = bounded(&dir, 10, 100);
    tree.add(entry("a", Kind::File(&mut io::repeat(1), 60))).unwrap();
    let error = tree.add(entry("b", Kind::File(&mut io::repeat(1), 60))).unwrap_err();
    assert_eq!(error, "its files hold more than 100 bytes");
    assert!(!dir.path().join("b").exists());
    // Sizes that overflow when added up.
    assert!(tree.add(entry("c", Kind::File(&mut io::repeat(1), u64::MAX))).is_err());
}

#[test]
fn zeroes_become_holes_and_the_content_stays() {
    let dir = Scratch::new("holes");
    let mut tree = Tree::open(dir.path()).unwrap();
    let mut content = vec![0u8; 3 << 20];
    content[1 << 20] = 7;
    content[(1 << 20) + 70_001] = 8;
    let length = content.len() as u64;
    tree.add(entry("sparse", Kind::File(&mut content.as_slice(), length))).unwrap();
    let path = dir.path().join("sparse");
    assert!(fs::read(&path).unwrap() == content, "the content differs");
    assert!(fs::metadata(&path).unwrap().blocks() * 512 < 1 << 20, "no holes");
    let error = tree.add(entry("short", Kind::File(&mut [1u8; 5].as_slice(), 9))).unwrap_err();
    assert_eq!(error, "it ends after 5 of 9 bytes");
}

#[test]
fn bookkeeping_of_overlayfs_is_no_part_of_an_image() {
    assert!(!belongs_to_image(b"trusted.overlay.redirect"));
    assert!(!belongs_to_image(b"user.overlay.metacopy"));
    assert!(belongs_to_image(b"security.capability") && belongs_to_image(b"user.note"));
}

#[test]
fn a_folder_is_replaced_only_when_empty() {
    let dir = Scratch::new("replace");
    let mut tree = Tree::open(dir.path()).unwrap();
    tree.add(entry("a/b", Kind::Directory)).unwrap();
    assert!(tree.add(entry("a", Kind::Symlink(b"/etc".to_vec()))).is_err());
    tree.add(entry("a/b", Kind::Symlink(b"/etc".to_vec()))).unwrap();
    // What is named through the link stays inside, and the link itself is replaced by a folder.
    assert!(tree.add(entry("a/b/passwd", Kind::File(&mut [1u8].as_slice(), 1))).is_err());
    tree.add(entry("a/b", Kind::Directory)).unwrap();
    tree.add(entry("a/b/passwd", Kind::File(&mut [1u8].as_slice(), 1))).unwrap();
    assert!(dir.path().join("a/b/passwd").is_file());
}
