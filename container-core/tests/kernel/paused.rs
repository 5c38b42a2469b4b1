//! Pausing a container and reading what it uses.

use std::time::{Duration, Instant};

use container_core::{Attach, Error, ExecSpec, Limits, Spec};

use crate::scene::Scene;

#[test]
fn a_paused_container_stands_still_and_goes_on() {
    let Some(scene) = Scene::new("paused") else { return };
    let spec = Spec { name: Some("p".into()), ..scene.sh("while :; do echo tick; sleep 0.02; done") };
    let id = scene.engine.create(&spec).unwrap().id().to_owned();
    scene.engine.start(&id).unwrap();
    let ticks = || scene.log("p").lines().count();
    let more_than = |count: usize| {
        let deadline = Instant::now() + Duration::from_secs(20);
        while ticks() <= count {
            assert!(Instant::now() < deadline, "it does not run");
            std::thread::sleep(Duration::from_millis(10));
        }
    };
    more_than(0);
    if let Err(error) = scene.engine.pause("p") {
        // Only where there is no cgroup v2.
        assert!(error.to_string().contains("freeze container"), "{error}");
        return;
    }
    assert!(scene.engine.is_paused("p").unwrap());
    // What was written before the pause may still be on its way to the log.
    std::thread::sleep(Duration::from_millis(200));
    let count = ticks();
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(ticks(), count);
    let exec = ExecSpec { args: vec!["/bin/true".into()], ..ExecSpec::default() };
    let refused = scene.engine.exec("p", &exec, &Attach::nothing());
    assert!(matches!(refused, Err(Error::WrongState { state: "paused", .. })), "{refused:?}");
    scene.engine.unpause("p").unwrap();
    assert!(!scene.engine.is_paused("p").unwrap());
    more_than(count);
    // A paused container can be removed by force.
    scene.engine.pause("p").unwrap();
    scene.engine.remove("p", true).unwrap();
    assert!(matches!(scene.engine.pause("p"), Err(Error::NoSuchContainer { .. })));
    scene.assert_no_traces();
}

#[test]
fn what_it_uses_is_read_from_its_group() {
    let Some(scene) = Scene::new("usage") else { return };
    let limits = Limits { pids: Some(50), memory_bytes: Some(64 << 20), ..Limits::default() };
    // The shell becomes its last command, so two tasks are left.
    let spec = Spec { name: Some("u".into()), limits, ..scene.sh("sleep 1000 & sleep 1000") };
    let id = scene.engine.create(&spec).unwrap().id().to_owned();
    assert!(matches!(scene.engine.usage(&id), Err(Error::WrongState { .. })));
    scene.engine.start(&id).unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let usage = scene.engine.usage(&id).unwrap();
        assert_eq!((usage.tasks_limit, usage.memory_limit_bytes), (Some(50), Some(64 << 20)));
        if usage.tasks == Some(2) {
            assert!(usage.memory_bytes.unwrap() > 0 && usage.cpu_ns.unwrap() > 0, "{usage:?}");
            break;
        }
        assert!(Instant::now() < deadline, "{usage:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
