//! Layers that lie: none leaves its folder, none goes off, and what is meant arrives as meant.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::PathBuf;

use container_core::Error;
use tar::EntryType;

use crate::saved::{Tar, base_layer, config, layout, load, pack, reason, save};
use crate::scene::Scene;

/// The top layer's tree of an image with one hostile layer above the usual one.
fn with_layer(scene: &Scene, layer: Vec<u8>) -> Result<PathBuf, Error> {
    let all = [base_layer(), layer];
    let files = layout(&config(&[&all[0], &all[1]]), &all);
    let image = load(&scene.engine, &save(scene, "hostile.tar", &pack(&files)))?.remove(0);
    let digest = image.layers.last().unwrap().replace(':', "-");
    Ok(scene.engine.root().join("layers").join(digest).join("fs"))
}

#[test]
fn no_layer_leaves_its_folder() {
    let Some(scene) = Scene::new("contained") else { return };
    let outside = scene.dir.join("outside");
    fs::write(&outside, "untouched").unwrap();
    let up = format!("{}{}", "../".repeat(12), outside.display());
    let far = outside.display().to_string();
    for (name, layer) in [
        ("dots", Tar::new().file("a/../../x", b"evil")),
        ("whiteout with dots", Tar::new().file("../.wh.x", b"")),
        ("hard link up", Tar::new().add("x", EntryType::Link, &up, b"")),
        ("hard link away", Tar::new().add("x", EntryType::Link, &far, b"")),
        ("pax path", Tar::new().pax(&[("path", b"../../x")]).file("x", b"evil")),
        ("pax link", Tar::new().pax(&[("linkpath", up.as_bytes())]).add("x", EntryType::Link, "y", b"")),
        (
            "sparse name",
            Tar::new().pax(&[("GNU.sparse.name", b"../x"), ("GNU.sparse.size", b"0")]).file("x", b""),
        ),
        ("unnamed whiteout", Tar::new().file(".wh.", b"")),
    ] {
        let refused = with_layer(&scene, layer.done());
        assert!(matches!(refused, Err(Error::NotAnImage { .. })), "{name}: {refused:?}");
    }
    // These stay inside without being an error: a link's target counts from the image's root.
    let folder = scene.dir.to_string_lossy().into_owned();
    let tree = with_layer(
        &scene,
        Tar::new()
            .file(&far, b"inside")
            .add("away", EntryType::Symlink, &folder, b"")
            .add("up", EntryType::Symlink, &"../".repeat(12), b"")
            .file("away/outside", b"inside")
            .file("up/landed", b"inside")
            .file("away/.wh.outside-too", b"")
            .done(),
    )
    .unwrap();
    assert!(tree.join("landed").exists());
    assert_eq!(fs::read_to_string(tree.join(far.trim_start_matches('/'))).unwrap(), "inside");
    assert_eq!(fs::read_to_string(&outside).unwrap(), "untouched");
    assert!(!scene.dir.join("outside-too").exists());
}

#[test]
fn nodes_whiteouts_and_attributes_arrive_as_meant() {
    let Some(scene) = Scene::new("nodes") else { return };
    let tree = with_layer(
        &scene,
        Tar::new()
            .add("null", EntryType::Char, "", b"")
            .file(".wh.srv", b"")
            .dir("srv/")
            .file("srv/fresh", b"")
            .dir("etc/")
            .file(".wh.etc", b"")
            .file(".wh.bin", b"")
            .file("kept", b"mine")
            .file(".wh.kept", b"")
            .pax(&[("SCHILY.xattr.trusted.overlay.redirect", b"/etc"), ("SCHILY.xattr.trusted.note", b"yes")])
            .dir("noted/")
            .pax(&[("GNU.sparse.map", b"0,1,1048576,1"), ("GNU.sparse.size", b"1048577")])
            .file("sparse", b"ab")
            .pax(&[("uid", b"4000000000"), ("gid", b"7"), ("mtime", b"1000000.5")])
            .file("owned", b"")
            .done(),
    )
    .unwrap();
    let node = fs::metadata(tree.join("null")).unwrap();
    assert!(node.file_type().is_char_device() && node.rdev() == nix::sys::stat::makedev(1, 3));
    assert_eq!(fs::metadata(tree.join("bin")).unwrap().rdev(), 0, "hidden");
    assert!(fs::metadata(tree.join("bin")).unwrap().file_type().is_char_device());
    assert_eq!(fs::read(tree.join("kept")).unwrap(), b"mine", "a whiteout concerns the layers below");
    let attribute = |file: &str, name: &std::ffi::CStr| {
        let path = std::ffi::CString::new(tree.join(file).to_str().unwrap()).unwrap();
        let mut value = [0u8; 16];
        // SAFETY: both strings are null-terminated, pointer and length describe `value`.
        let length = unsafe { libc::lgetxattr(path.as_ptr(), name.as_ptr(), value.as_mut_ptr().cast(), 16) };
        usize::try_from(length).ok().map(|length| value[..length].to_vec())
    };
    assert_eq!(attribute("srv", c"trusted.overlay.opaque").unwrap(), b"y", "whiteout first");
    assert_eq!(attribute("etc", c"trusted.overlay.opaque").unwrap(), b"y", "folder first");
    assert_eq!(attribute("noted", c"trusted.note").unwrap(), b"yes");
    assert_eq!(attribute("noted", c"trusted.overlay.redirect"), None);
    let sparse = fs::read(tree.join("sparse")).unwrap();
    assert_eq!((sparse.len(), sparse[0], sparse[1], sparse[1 << 20]), (1_048_577, b'a', 0, b'b'));
    let owned = fs::metadata(tree.join("owned")).unwrap();
    assert_eq!((owned.uid(), owned.gid(), owned.mtime_nsec()), (4_000_000_000, 7, 500_000_000));
}

#[test]
fn a_bomb_does_not_go_off() {
    let Some(scene) = Scene::new("bomb") else { return };
    let size = (1u64 << 40).to_string();
    let pieces = Tar::new().pax(&[("GNU.sparse.map", b"0,1"), ("GNU.sparse.size", size.as_bytes())]);
    let text = reason(with_layer(&scene, pieces.file("huge", b"x").done()));
    assert!(text.contains("more than"), "{text}");
    // Claims more than there is: ends early, instead of waiting or filling up.
    let mut short = Tar::new().file("short", b"x").done();
    let mut header = Tar::header("short", EntryType::Regular, "", 1);
    header.set_size(1 << 30);
    header.set_cksum();
    short[..512].copy_from_slice(header.as_bytes());
    assert!(with_layer(&scene, short).is_err());
    let deep = "d/".repeat(45);
    assert!(with_layer(&scene, Tar::new().dir(&deep).done()).unwrap().join(&deep).is_dir());
    let nested = Tar::new().pax(&[("path", "d/".repeat(3000).as_bytes())]).dir("d/").done();
    assert!(with_layer(&scene, nested).is_err(), "longer than PATH_MAX");
}
