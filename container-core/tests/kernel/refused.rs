//! Starts that the kernel refuses: the right step is named, and nothing is left but its memory.

use std::os::unix::fs::symlink;
use std::time::Duration;

use container_core::events::EventKind;
use container_core::{Attach, Error, Limits, Spec, State, StepError, events};

use crate::crowd::Crowd;
use crate::scene::{Scene, fill_rootfs, is_root};

/// The step that a start failed in; also checks that it is remembered and that nothing else is.
fn failed_step(scene: &Scene, spec: &Spec) -> StepError {
    let container = scene.engine.create(spec).unwrap();
    let error = scene.engine.start(container.id()).unwrap_err();
    let Error::Launch(launch) = error else { panic!("{error}") };
    assert_eq!(launch.cleanup, []);
    let State::Failed { error: kept, .. } = scene.engine.inspect(container.id()).unwrap().state else {
        panic!()
    };
    assert_eq!(kept, launch);
    assert!(events::read(scene.engine.root()).unwrap().events.iter().any(|event| {
        event.container.id == container.id()
            && matches!(&event.kind, EventKind::StepFailed { error, .. } if *error == launch.first)
    }));
    scene.assert_no_traces();
    scene.engine.remove(container.id(), false).unwrap();
    launch.first
}

#[test]
fn what_is_not_there_cannot_be_executed() {
    let Some(scene) = Scene::new("missing") else { return };
    let error = failed_step(&scene, &Spec::new("busybox", ["no-such-command"]));
    assert_eq!((error.step.name(), error.syscall.as_str()), ("execute workload", "execve"));
    assert_eq!((error.object.as_str(), error.errno), ("no-such-command", libc::ENOENT));
    assert!(error.pid > 1);
    let error = failed_step(&scene, &Spec::new("busybox", ["/etc/passwd"]));
    assert_eq!((error.step.name(), error.errno), ("execute workload", libc::EACCES));
    let spec = Spec { working_dir: Some("/nowhere".into()), ..Spec::new("busybox", ["true"]) };
    let error = failed_step(&scene, &spec);
    assert_eq!((error.step.name(), error.object.as_str()), ("enter working directory", "/nowhere"));
}

#[test]
fn a_foreground_start_fails_the_same_way_and_removes_itself() {
    let Some(scene) = Scene::new("foreground") else { return };
    let spec = Spec { auto_remove: true, ..Spec::new("busybox", ["/none"]) };
    let error = scene.engine.run(&spec, &Attach::nothing()).unwrap_err();
    let text = "step \"execute workload\" failed: execve /none: No such file or directory (ENOENT)";
    assert_eq!(error.to_string(), text);
    assert!(scene.engine.list().unwrap().is_empty());
    scene.assert_no_traces();
}

#[test]
fn a_link_is_no_mount_point() {
    let Some(scene) = Scene::new("link") else { return };
    let rootfs = scene.dir.join("evil");
    fill_rootfs(&rootfs);
    symlink("/../../../../../etc", rootfs.join("proc")).unwrap();
    scene.engine.import("evil", &rootfs).unwrap();
    let error = failed_step(&scene, &Spec::new("evil", ["true"]));
    assert_eq!((error.step.name(), error.object.as_str()), ("open mount point", "proc"));
    assert_eq!(error.errno, libc::ELOOP);
}

#[test]
fn a_limit_the_kernel_rejects_is_named() {
    let Some(scene) = Scene::new("badlimit") else { return };
    // More tasks than PIDS_MAX, kernel/cgroup/pids.c.
    let limits = Limits { pids: Some(1 << 40), ..Limits::default() };
    let error = failed_step(&scene, &Spec { limits, ..Spec::new("busybox", ["true"]) });
    assert_eq!(
        (error.step.name(), error.syscall.as_str(), error.errno),
        ("set cgroup limit", "write", libc::EINVAL)
    );
    assert!(error.object.contains("pids.max"), "{error}");
}

/// The canonical failure of this project: "no space left on device" that is no disk's.
#[test]
fn mount_max_is_met_at_each_mount_in_turn() {
    if !is_root() {
        return;
    }
    // A thread of its own: it moves to another mount namespace for good.
    std::thread::spawn(|| {
        let crowd = Crowd::gather();
        let scene = Scene::unguarded("mountmax", None);
        let spec = Spec::new("busybox", ["true"]);
        let expected = [
            "mount overlay rootfs",
            "bind rootfs",
            "mount proc inside the new root",
            "mount sysfs inside the new root",
        ];
        for (room, name) in expected.iter().enumerate() {
            crowd.leave_room_for(room as u32);
            let error = failed_step(&scene, &spec);
            assert_eq!((error.step.name(), error.errno), (*name, libc::ENOSPC), "with room for {room}");
            assert_eq!(error.syscall, "mount");
            assert!(error.object.contains("/containers/") && error.object.contains("/rootfs"), "{error}");
        }
        crowd.leave_room_for(40);
        let container = scene.engine.create(&spec).unwrap();
        scene.engine.start(container.id()).unwrap();
        scene.engine.wait(container.id()).unwrap();
        // Running containers add up, each with one mount of the engine's namespace, until one is refused.
        crowd.leave_room_for(40);
        let mut started = 0;
        let refused = loop {
            let container = scene.engine.create(&Spec::new("busybox", ["/bin/sleep", "1000"])).unwrap();
            match scene.engine.start(container.id()) {
                Ok(_) => started += 1,
                Err(error) => break error,
            }
            assert!(started <= 40);
        };
        assert_eq!(refused.step().unwrap().errno, libc::ENOSPC, "{refused}");
        assert!(started >= 5, "only {started} containers started: {refused}");
        for container in scene.engine.list().unwrap() {
            scene.engine.stop(container.id(), Duration::ZERO).unwrap();
        }
        scene.assert_no_traces();
    })
    .join()
    .unwrap();
}
