//! Importing root file systems: complete, contained, or refused with nothing left behind.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use container_core::{Engine, Error, Spec};
use tar::{Builder, EntryType, Header};

use crate::scene::{Scene, busybox};

/// An archive being written.
struct Archive {
    path: PathBuf,
    builder: Builder<File>,
}

impl Archive {
    fn new(scene: &Scene, name: &str) -> Archive {
        let path = scene.dir.join(name);
        Archive { builder: Builder::new(File::create(&path).unwrap()), path }
    }

    /// Names are written raw: the tar crate refuses to write what an attacker would.
    fn add(&mut self, name: &str, entry_type: EntryType, link: &str, mode: u32, data: &[u8]) -> &mut Archive {
        let mut header = Header::new_gnu();
        header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
        header.as_gnu_mut().unwrap().linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_entry_type(entry_type);
        header.set_mode(mode);
        header.set_uid(7);
        header.set_gid(8);
        header.set_mtime(1_000_000);
        header.set_size(data.len() as u64);
        header.set_device_major(1).unwrap();
        header.set_device_minor(3).unwrap();
        header.set_cksum();
        self.builder.append(&header, data).unwrap();
        self
    }

    fn done(mut self) -> PathBuf {
        self.builder.finish().unwrap();
        self.path
    }
}

fn layer_tree(engine: &Engine, image: &str) -> PathBuf {
    let digest = engine.image(image).unwrap().layers.remove(0);
    engine.root().join("layers").join(digest.replace(':', "-")).join("fs")
}

fn layers(engine: &Engine) -> usize {
    fs::read_dir(engine.root().join("layers")).unwrap().count()
}

#[test]
fn every_kind_of_entry_arrives() {
    let Some(scene) = Scene::new("kinds") else { return };
    let mut archive = Archive::new(&scene, "kinds.tar");
    archive
        .add("./", EntryType::Directory, "", 0o751, b"")
        .add("usr/", EntryType::Directory, "", 0o700, b"")
        .add("usr/lib/", EntryType::Directory, "", 0o555, b"")
        .add("lib", EntryType::Symlink, "usr/lib", 0o777, b"")
        .add("lib/deep/file", EntryType::Regular, "", 0o4755, b"hello")
        .add("hard", EntryType::Link, "usr/lib/deep/file", 0, b"")
        .add("null", EntryType::Char, "", 0o666, b"")
        .add("pipe", EntryType::Fifo, "", 0o600, b"")
        .add("abs", EntryType::Symlink, "/usr", 0o777, b"")
        .add("abs/through", EntryType::Regular, "", 0o600, b"x");
    let path = archive.done();
    let image = scene.engine.import("kinds:1", &path).unwrap();
    assert_eq!((image.name.as_str(), image.entries, image.bytes), ("kinds:1", 10, 6));
    let tree = layer_tree(&scene.engine, "kinds:1");
    let file = fs::metadata(tree.join("usr/lib/deep/file")).unwrap();
    assert_eq!((file.mode() & 0o7777, file.uid(), file.gid(), file.mtime()), (0o4755, 7, 8, 1_000_000));
    assert_eq!((file.nlink(), fs::metadata(tree.join("hard")).unwrap().ino()), (2, file.ino()));
    assert!(fs::metadata(tree.join("null")).unwrap().file_type().is_char_device());
    assert_eq!(fs::metadata(tree.join("null")).unwrap().rdev(), nix::sys::stat::makedev(1, 3));
    assert!(fs::metadata(tree.join("pipe")).unwrap().file_type().is_fifo());
    assert_eq!(fs::read_link(tree.join("abs")).unwrap(), Path::new("/usr"));
    assert!(tree.join("usr/through").exists(), "a link resolves inside the image");
    let lib = fs::metadata(tree.join("usr/lib")).unwrap();
    assert_eq!((lib.mode() & 0o7777, lib.mtime()), (0o555, 1_000_000));
    assert_eq!(fs::metadata(&tree).unwrap().mode() & 0o7777, 0o751);
}

#[test]
fn no_archive_leaves_its_folder() {
    let Some(scene) = Scene::new("hostile") else { return };
    let outside = scene.dir.join("outside");
    fs::write(&outside, "untouched").unwrap();
    let up = format!("{}{}", "../".repeat(9), outside.display());
    type Fill<'a> = &'a dyn Fn(&mut Archive) -> &mut Archive;
    let hostile: [(&str, Fill<'_>); 5] = [
        ("dots", &|a| a.add("a/../../x", EntryType::Regular, "", 0o600, b"evil")),
        ("hardlink", &|a| a.add("x", EntryType::Link, &up, 0, b"")),
        ("hardlink-abs", &|a| a.add("x", EntryType::Link, &outside.to_string_lossy(), 0, b"")),
        ("odd-type", &|a| a.add("x", EntryType::new(b'Q'), "", 0o600, b"")),
        ("file-as-folder", &|a| {
            let a = a.add("x", EntryType::Regular, "", 0o600, b"x");
            a.add("x/y", EntryType::Regular, "", 0o600, b"evil")
        }),
    ];
    let before = layers(&scene.engine);
    for (name, fill) in hostile {
        let mut archive = Archive::new(&scene, name);
        fill(&mut archive);
        let error = scene.engine.import("hostile", &archive.done()).unwrap_err();
        assert!(matches!(error, Error::NotAnImage { .. }), "{name}: {error}");
        assert_eq!(layers(&scene.engine), before, "{name} left something");
    }
    // These stay inside without being an error: absolute paths and links mean the image's root.
    let mut archive = Archive::new(&scene, "inside");
    archive
        .add("link", EntryType::Symlink, &outside.parent().unwrap().to_string_lossy(), 0o777, b"")
        .add("up", EntryType::Symlink, "../../../../../../../../..", 0o777, b"")
        .add("up/landed", EntryType::Regular, "", 0o600, b"in")
        .add("/outside", EntryType::Regular, "", 0o600, b"in");
    scene.engine.import("inside", &archive.done()).unwrap();
    assert!(layer_tree(&scene.engine, "inside").join("landed").exists());
    assert_eq!(fs::read_to_string(&outside).unwrap(), "untouched");
    assert!(scene.engine.image("hostile").is_err());
}

#[test]
fn what_is_no_image_is_refused() {
    let Some(scene) = Scene::new("noimage") else { return };
    let before = layers(&scene.engine);
    let empty_folder = scene.dir.join("empty");
    fs::create_dir(&empty_folder).unwrap();
    let text = scene.dir.join("text");
    fs::write(&text, "this is no archive\n".repeat(100)).unwrap();
    let nothing = scene.dir.join("nothing");
    fs::write(&nothing, "").unwrap();
    let zeroes = scene.dir.join("zeroes");
    fs::write(&zeroes, [0; 10240]).unwrap();
    let mut archive = Archive::new(&scene, "whole.tar");
    archive.add("file", EntryType::Regular, "", 0o600, &[1; 5000]);
    let whole = fs::read(archive.done()).unwrap();
    let torn = scene.dir.join("torn.tar");
    fs::write(&torn, &whole[..3000]).unwrap();
    for path in [&empty_folder, &text, &nothing, &zeroes, &torn] {
        let error = scene.engine.import("bad", path).unwrap_err();
        assert!(matches!(error, Error::NotAnImage { .. }), "{}: {error}", path.display());
    }
    assert!(matches!(scene.engine.import("bad", Path::new("/no/such")), Err(Error::Store { .. })));
    assert_eq!(layers(&scene.engine), before);
    assert!(matches!(scene.engine.create(&Spec::new("bad", ["true"])), Err(Error::NoSuchImage { .. })));
}

#[test]
fn layers_are_shared_and_collected() {
    let Some(scene) = Scene::new("layers") else { return };
    let folder = scene.engine.import("again", &scene.dir.join("image")).unwrap();
    assert_eq!(folder.layers, scene.engine.image("busybox").unwrap().layers, "one content, one layer");
    let mut plain = Archive::new(&scene, "plain.tar");
    plain.add("bin/", EntryType::Directory, "", 0o755, b"");
    plain.add("bin/busybox", EntryType::Regular, "", 0o755, &fs::read(busybox()).unwrap());
    let plain = plain.done();
    let packed = scene.dir.join("packed.tar.gz");
    let mut gzip = flate2::write::GzEncoder::new(File::create(&packed).unwrap(), flate2::Compression::fast());
    gzip.write_all(&fs::read(&plain).unwrap()).unwrap();
    gzip.finish().unwrap();
    let one = scene.engine.import("one", &plain).unwrap();
    let two = scene.engine.import("two", &packed).unwrap();
    assert_eq!(one.layers, two.layers, "the digest is that of the uncompressed archive");
    assert_eq!(layers(&scene.engine), 2);
    let finished = scene.run(&Spec::new("two", ["/bin/busybox", "true"])).unwrap();
    assert_eq!(finished.exit.code, Some(0));
    assert!(matches!(scene.engine.remove_image("two"), Err(Error::ImageInUse { .. })));
    scene.engine.remove(&finished.id, false).unwrap();
    assert_eq!(scene.engine.remove_image("two").unwrap(), Vec::<String>::new(), "still used by one");
    assert_eq!(scene.engine.remove_image("one").unwrap(), one.layers);
    assert_eq!(layers(&scene.engine), 1);
}
