//! Restart policies: what is started again, what is not, and how to end it.

use std::time::{Duration, Instant};

use container_core::events::EventKind;
use container_core::{Attach, Error, Exit, RestartPolicy, Spec, State, events};

use crate::scene::Scene;

const PATIENCE: Duration = Duration::from_secs(120);

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn policy(scene: &Scene, name: &str, text: &str, script: &str) -> Spec {
    let restart = text.parse().unwrap();
    Spec { name: Some(name.into()), restart, ..scene.sh(script) }
}

#[test]
fn a_failure_is_tried_again_so_many_times() {
    let Some(scene) = Scene::new("onfailure") else { return };
    let spec = policy(&scene, "f", "on-failure:2", "echo run; exit 3");
    scene.engine.create(&spec).unwrap();
    scene.engine.start("f").unwrap();
    assert_eq!(scene.engine.wait("f").unwrap(), Exit::with_code(3));
    assert_eq!(scene.log("f"), "run\nrun\nrun\n");
    let restarts: Vec<(u32, u64)> = events::read(scene.engine.root())
        .unwrap()
        .events
        .into_iter()
        .filter_map(|event| match event.kind {
            EventKind::Restarting { restarts, after_ms } => Some((restarts, after_ms)),
            _ => None,
        })
        .collect();
    assert_eq!(restarts, [(1, 100), (2, 200)]);
    // In the foreground too, and not after a success.
    let spec = policy(&scene, "g", "on-failure", "echo x >>/count; test $(wc -l </count) -ge 3");
    assert_eq!(scene.run(&spec).unwrap().exit, Exit::with_code(0));
    scene.assert_no_traces();
}

#[test]
fn what_is_stopped_stays_stopped() {
    let Some(scene) = Scene::new("unless") else { return };
    let spec = policy(&scene, "u", "unless-stopped", "echo run; exec sleep 1000");
    let id = scene.engine.create(&spec).unwrap().id().to_owned();
    scene.engine.start("u").unwrap();
    let init = |scene: &Scene| match scene.engine.inspect("u").unwrap().state {
        State::Running { init, .. } => Some(init),
        _ => None,
    };
    let first = init(&scene).unwrap();
    // Killed by somebody else: that is no stop.
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(first.pid), nix::sys::signal::SIGKILL).unwrap();
    until("it is started again", || init(&scene).is_some_and(|now| now != first));
    assert!(matches!(scene.engine.remove("u", false), Err(Error::WrongState { .. })));
    scene.engine.stop("u", Duration::ZERO).unwrap();
    assert!(matches!(scene.engine.inspect("u").unwrap().state, State::Exited { .. }));
    scene.assert_no_traces();
    // After a boot it stays where it is; `always` would not.
    assert_eq!(scene.engine.start_after_boot().unwrap().len(), 0);
    let spec = policy(&scene, "a", "always", "exec sleep 1000");
    scene.engine.create(&spec).unwrap();
    scene.engine.start("a").unwrap();
    scene.engine.kill("a", libc::SIGKILL).unwrap();
    assert!(scene.engine.wait("a").unwrap().signal.is_some());
    let started = scene.engine.start_after_boot().unwrap();
    assert!(matches!(started.as_slice(), [(name, None)] if name == "a"), "{started:?}");
    scene.engine.remove("a", true).unwrap();
    scene.engine.remove(&id, false).unwrap();
    scene.assert_no_traces();
}

#[test]
fn a_container_between_two_runs_can_be_stopped_and_removed() {
    let Some(scene) = Scene::new("between") else { return };
    for (name, by_stop) in [("s", true), ("r", false)] {
        let spec = policy(&scene, name, "always", "exit 1");
        scene.engine.create(&spec).unwrap();
        scene.engine.start(name).unwrap();
        let supervisor = || match scene.engine.inspect(name).unwrap().state {
            // Late enough that the pause lasts.
            State::Restarting { supervisor, restarts, .. } if restarts > 3 => Some(supervisor),
            _ => None,
        };
        let mut waiting = None;
        until("it waits for a restart", || {
            waiting = supervisor();
            waiting.is_some()
        });
        scene.assert_no_traces();
        assert!(matches!(scene.engine.start(name), Err(Error::WrongState { state: "restarting", .. })));
        match by_stop {
            true => assert_eq!(scene.engine.stop(name, Duration::ZERO).unwrap(), Some(Exit::with_code(1))),
            false => scene.engine.remove(name, true).unwrap(),
        }
        let waiting = waiting.unwrap();
        until("its supervisor leaves", || !waiting.is_alive());
        assert_eq!(scene.engine.inspect(name).is_ok(), by_stop);
        scene.assert_no_traces();
    }
    // A supervisor that is killed while it waits leaves an ended container.
    scene.engine.create(&policy(&scene, "k", "always", "exit 1")).unwrap();
    scene.engine.start("k").unwrap();
    until("it waits", || match scene.engine.inspect("k").unwrap().state {
        State::Restarting { supervisor, restarts, .. } if restarts > 3 => {
            let pid = nix::unistd::Pid::from_raw(supervisor.pid);
            nix::sys::signal::kill(pid, nix::sys::signal::SIGKILL).unwrap();
            until("it is dead", || !supervisor.is_alive());
            true
        }
        _ => false,
    });
    let State::Exited { exit, .. } = scene.engine.inspect("k").unwrap().state else { panic!() };
    assert_eq!(exit, Exit::with_code(1));
}

#[test]
fn removing_itself_and_restarting_exclude_each_other() {
    let Some(scene) = Scene::new("exclusive") else { return };
    let spec = Spec { auto_remove: true, restart: RestartPolicy::Always, ..scene.sh("true") };
    assert!(matches!(scene.engine.run(&spec, &Attach::nothing()), Err(Error::InvalidSpec(_))));
}
