//! What a registry does not have, and a disk that has no room.

use std::path::PathBuf;

use container_core::{Engine, Error, PullOptions, Refusal, Spec};
use nix::mount::{MntFlags, MsFlags, mount, umount2};

use crate::made::nobody;
use crate::saved::{Tar, base_layer};
use crate::scene::Scene;
use crate::served::Registry;
use crate::shared::push;

fn refusal(engine: &Engine, name: &str) -> Refusal {
    match engine.pull(name, &PullOptions::default(), &nobody()) {
        Err(Error::Pull { refusal, .. }) => *refusal,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_name_or_a_tag_that_is_not_there_is_told_apart() {
    let Some(scene) = Scene::new("missing") else { return };
    let registry = Registry::open(&scene.dir.join("registry"));
    push(&scene, &registry.image("team/app:1"), &[base_layer()]);
    push(&scene, &registry.image("team/app:1.1"), &[base_layer()]);
    match refusal(&scene.engine, &registry.image("team/app:2")) {
        Refusal::NoTag { tag, tags, .. } => assert_eq!((tag.as_str(), tags.len()), ("2", 2)),
        other => panic!("{other}"),
    }
    let other = refusal(&scene.engine, &registry.image("team/ap:1"));
    assert!(matches!(other, Refusal::NoRepository { .. }), "{other}");
    let bad = scene.engine.pull("Not A Name", &PullOptions::default(), &nobody());
    assert!(matches!(bad, Err(Error::InvalidSpec(_))), "{bad:?}");
}

/// A small file system for a store, gone with the test.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: PathBuf, options: &str) -> SmallDisk {
        std::fs::create_dir(&at).unwrap();
        mount(Some("tmpfs"), &at, Some("tmpfs"), MsFlags::empty(), Some(options)).unwrap();
        SmallDisk(at)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = umount2(&self.0, MntFlags::MNT_DETACH);
    }
}

#[test]
fn a_full_disk_is_named_and_what_came_is_kept() {
    let Some(scene) = Scene::new("full") else { return };
    let registry = Registry::open(&scene.dir.join("registry"));
    let name = registry.image("app:1");
    // Four megabytes of zeroes, next to nothing on the wire: unpacking fills the disk, not downloading.
    push(&scene, &name, &[base_layer(), Tar::new().file("much", &[1; 4_000_000]).done()]);
    let disk = SmallDisk::mount(scene.dir.join("disk"), "size=4m");
    let engine = Engine::open(disk.0.join("store")).unwrap();
    match refusal(&engine, &name) {
        Refusal::Disk { source, .. } => assert_eq!(source.raw_os_error(), Some(libc::ENOSPC)),
        other => panic!("{other}"),
    }
    assert!(engine.images().unwrap().is_empty());
    // With room it goes on without asking for the layers again.
    let asked = registry.log().matches("/blobs/").count();
    mount(None::<&str>, &disk.0, None::<&str>, MsFlags::MS_REMOUNT, Some("size=64m")).unwrap();
    engine.pull(&name, &PullOptions::default(), &nobody()).unwrap();
    assert_eq!(registry.log().matches("/blobs/").count(), asked);

    let disk = SmallDisk::mount(scene.dir.join("smaller"), "size=512k");
    let engine = Engine::open(disk.0.join("store")).unwrap();
    let said = refusal(&engine, &name);
    assert!(matches!(said, Refusal::Disk { .. }), "{said}");
    assert!(said.to_string().contains("No space left on device"), "{said}");
    drop((engine, disk));
    let spec = Spec::new("busybox", ["/bin/true"]);
    assert_eq!(scene.run(&spec).unwrap().exit.code, Some(0), "the other store is not touched");
}
