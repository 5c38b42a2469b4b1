//! Containers that start: what they see, what they print, how they end.

use std::time::{Duration, Instant};

use container_core::events::EventKind;
use container_core::{Attach, Error, ExecSpec, Exit, Limits, Spec, State, User, events};

use crate::scene::Scene;

/// The example of the documentation.
#[allow(dead_code, unreachable_pub, reason = "it is a program of its own, too")]
#[path = "../../examples/hello.rs"]
mod hello;

#[test]
fn the_example_says_hello() {
    let Some(scene) = Scene::new("hello") else { return };
    let said = hello::hello(&scene.dir.join("other"), &scene.dir.join("image")).unwrap();
    assert_eq!(said, ["hello", "hello ended with 0"]);
}

#[test]
fn true_runs_and_leaves_nothing() {
    let Some(scene) = Scene::new("true") else { return };
    let spec = Spec { auto_remove: true, ..Spec::new("busybox", ["/bin/true"]) };
    let finished = scene.run(&spec).unwrap();
    assert_eq!(finished.exit, Exit::with_code(0));
    assert_eq!(finished.trouble, []);
    assert!(scene.engine.list().unwrap().is_empty());
    scene.assert_no_traces();
    let kinds: Vec<EventKind> =
        events::read(scene.engine.root()).unwrap().events.into_iter().map(|event| event.kind).collect();
    let [
        EventKind::Created { .. },
        EventKind::Cgroup { cgroups },
        EventKind::Started { pid, mount_ns, start_ticks },
        EventKind::Exited { exit, oom_killed: false },
        EventKind::Removed,
    ] = kinds.as_slice()
    else {
        panic!("{kinds:?}")
    };
    assert!(cgroups.iter().all(|group| group.id > 1 && group.path.ends_with(&finished.id)));
    assert!(*pid > 0 && *mount_ns > 0 && *start_ticks > 0);
    assert_eq!(*exit, Exit::with_code(0));
}

#[test]
fn exit_codes_and_signals_come_back() {
    let Some(scene) = Scene::new("exit") else { return };
    for (script, expected) in
        [("exit 7", Exit::with_code(7)), ("sh -c 'kill -9 $$'; exit $?", Exit::with_code(137))]
    {
        assert_eq!(scene.run(&scene.sh(script)).unwrap().exit, expected, "{script}");
    }
    let id = scene.sleeper("victim");
    scene.engine.kill(&id, libc::SIGKILL).unwrap();
    let killed = scene.engine.inspect(&id).unwrap().state;
    assert!(matches!(killed, State::Exited { .. }), "a script removes it at once: {killed:?}");
    assert_eq!(scene.engine.wait(&id).unwrap(), Exit::by_signal(9));
    scene.assert_no_traces();
}

#[test]
fn the_workload_sees_a_machine_of_its_own() {
    let Some(scene) = Scene::new("view") else { return };
    let script = "echo pid $$; hostname; pwd; ls /; ls /dev; cat /proc/1/comm; echo > /dev/null && echo null; \
                  grep -c . /proc/self/mountinfo; ls /proc/self/fd; ip addr show lo | grep -o 'inet [0-9./]*'; \
                  echo x > /sys/kernel/x 2>/dev/null || echo sys is read-only; readlink /proc/self/ns/cgroup; \
                  cat /proc/self/cgroup; ls -ld /proc/1/cwd";
    let spec = Spec { hostname: Some("inside".into()), name: Some("view".into()), ..scene.sh(script) };
    assert_eq!(scene.run(&spec).unwrap().exit, Exit::with_code(0));
    let log = scene.log("view");
    for expected in
        ["pid 1\n", "inside\n", "\n/\n", "null\n", "inet 127.0.0.1", "sys is read-only", "ptmx", "urandom"]
    {
        assert!(log.contains(expected), "{expected:?} is missing in\n{log}");
    }
    assert!(!log.contains("/diag/"), "the cgroup namespace hides the path:\n{log}");
    let fds: Vec<&str> = log.lines().filter(|line| line.len() == 1 && line.parse::<u8>().is_ok()).collect();
    assert!(fds.len() <= 5, "descriptors leaked into the workload:\n{log}");
}

#[test]
fn output_is_kept_and_forwarded() {
    let Some(scene) = Scene::new("output") else { return };
    let (read, write) = nix::unistd::pipe().unwrap();
    let attach = Attach { stdout: Some(write), ..Attach::default() };
    let spec = Spec { name: Some("talker".into()), ..scene.sh("echo out; echo err >&2; printf tail") };
    scene.engine.run(&spec, &attach).unwrap();
    drop(attach);
    assert_eq!(std::io::read_to_string(std::fs::File::from(read)).unwrap(), "out\ntail");
    let log = scene.log("talker");
    assert!(log.contains("out\n") && log.contains("err\n") && log.contains("tail\n"), "{log}");
}

#[test]
fn a_reader_that_leaves_ends_a_talkative_workload() {
    let Some(scene) = Scene::new("leaver") else { return };
    let (read, write) = nix::unistd::pipe().unwrap();
    drop(read);
    let attach = Attach { stdout: Some(write), ..Attach::default() };
    let finished = scene.engine.run(&scene.sh("while echo more; do :; done; exit 6"), &attach).unwrap();
    assert_eq!(finished.exit, Exit::with_code(6));
}

#[test]
fn a_detached_container_lives_on_and_is_stopped() {
    let Some(scene) = Scene::new("detached") else { return };
    let id = scene.sleeper("web");
    let container = scene.engine.inspect("web").unwrap();
    let State::Running { init, supervisor, mount_ns, .. } = &container.state else { panic!("{container:?}") };
    assert!(init.is_alive() && supervisor.is_alive() && *mount_ns > 0);
    assert!(matches!(scene.engine.start(&id), Err(Error::WrongState { .. })));
    assert!(matches!(scene.engine.remove(&id, false), Err(Error::WrongState { .. })));
    let again = Spec { name: Some("web".into()), ..Spec::new("busybox", ["true"]) };
    assert!(matches!(scene.engine.create(&again), Err(Error::NameTaken { .. })));
    let begin = Instant::now();
    // sleep(1) as pid 1 has no handler for SIGTERM: it takes the kill.
    let exit = scene.engine.stop("web", Duration::from_millis(200)).unwrap();
    assert_eq!(exit, Some(Exit::by_signal(9)));
    assert!(begin.elapsed() < Duration::from_secs(5));
    scene.assert_no_traces();
    assert_eq!(scene.engine.stop("web", Duration::ZERO).unwrap(), None);
    // What has ended can be started again, on the same files.
    scene.engine.start("web").unwrap();
    scene.engine.remove("web", true).unwrap();
    assert!(matches!(scene.engine.inspect("web"), Err(Error::NoSuchContainer { .. })));
    scene.assert_no_traces();
}

#[test]
fn a_workload_that_listens_stops_by_itself() {
    let Some(scene) = Scene::new("graceful") else { return };
    let script = "trap 'echo bye; exit 3' TERM; echo ready; while :; do sleep 0.05; done";
    let container = scene.engine.create(&Spec { name: Some("polite".into()), ..scene.sh(script) }).unwrap();
    scene.engine.start(container.id()).unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    while !scene.log("polite").contains("ready") {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(scene.engine.stop("polite", Duration::from_secs(10)).unwrap(), Some(Exit::with_code(3)));
    assert!(scene.log("polite").contains("bye"));
}

#[test]
fn exec_joins_everything() {
    let Some(scene) = Scene::new("exec") else { return };
    let id = scene.sleeper("host");
    let (read, write) = nix::unistd::pipe().unwrap();
    let attach = Attach { stdout: Some(write), ..Attach::default() };
    let script = "hostname; echo $WHO; ps -o pid,args | grep -c '[s]leep'; cat /proc/self/cgroup; exit 5";
    let spec = ExecSpec {
        args: ["/bin/sh", "-c", script].map(str::to_owned).to_vec(),
        env: vec!["WHO=me".into()],
        ..ExecSpec::default()
    };
    assert_eq!(scene.engine.exec("host", &spec, &attach).unwrap(), Exit::with_code(5));
    drop(attach);
    let text = std::io::read_to_string(std::fs::File::from(read)).unwrap();
    assert!(text.starts_with(&format!("{}\nme\n1\n", &id[..12])), "{text}");
    assert!(!text.contains("/diag/"), "{text}");
    let missing = ExecSpec { args: vec!["nothing-here".into()], ..ExecSpec::default() };
    let error = scene.engine.exec("host", &missing, &Attach::nothing()).unwrap_err();
    let step = error.step().unwrap();
    assert_eq!((step.step.name(), step.errno), ("execute workload", libc::ENOENT));
    assert!(scene.engine.inspect("host").unwrap().state.is_live());
}

#[test]
fn limits_are_in_force() {
    let Some(scene) = Scene::new("limits") else { return };
    let limits =
        Limits { pids: Some(3), memory_bytes: Some(32 << 20), cpu_millis: Some(500), ..Limits::default() };
    let script = "for i in 1 2 3 4; do sleep 1000 & done; echo survived";
    let spec = Spec { limits, name: Some("small".into()), ..scene.sh(script) };
    let finished = scene.run(&spec).unwrap();
    assert_ne!(finished.exit, Exit::with_code(0));
    assert!(scene.log("small").contains("can't fork"), "{}", scene.log("small"));
    let eater = Spec { limits, ..scene.sh("head -c 200m /dev/zero | sort | wc -c; busybox dd if=/dev/zero of=/dev/null bs=128m count=1; exit 9") };
    let finished = scene
        .run(&Spec { name: Some("eater".into()), limits: Limits { pids: None, ..limits }, ..eater })
        .unwrap();
    assert!(finished.oom_killed, "{finished:?}\n{}", scene.log("eater"));
}

#[test]
fn limits_are_written_where_the_event_says() {
    let Some(scene) = Scene::new("files") else { return };
    let cpus = Some("0".parse().unwrap());
    let limits = Limits { pids: Some(7), memory_bytes: Some(64 << 20), cpu_millis: Some(250), cpus };
    let container =
        scene.engine.create(&Spec { limits, ..Spec::new("busybox", ["/bin/sleep", "1000"]) }).unwrap();
    scene.engine.start(container.id()).unwrap();
    let events = events::read(scene.engine.root()).unwrap().events;
    let cgroups = events.into_iter().find_map(|event| match event.kind {
        EventKind::Cgroup { cgroups } => Some(cgroups),
        _ => None,
    });
    let read = |file: &str| {
        let mut texts =
            cgroups.iter().flatten().filter_map(|group| std::fs::read_to_string(group.path.join(file)).ok());
        texts.next().map(|text| text.trim().to_owned())
    };
    assert_eq!(read("pids.max").as_deref(), Some("7"));
    let memory = read("memory.max").or_else(|| read("memory.limit_in_bytes"));
    assert_eq!(memory, Some((64 << 20).to_string()));
    let cpu = read("cpu.max").or_else(|| read("cpu.cfs_quota_us"));
    assert!(cpu.as_deref().is_some_and(|text| text.starts_with("25000")), "{cpu:?}");
    assert_eq!(read("cpuset.cpus").as_deref(), Some("0"));
    let State::Running { init, .. } = scene.engine.inspect(container.id()).unwrap().state else { panic!() };
    let allowed = std::fs::read_to_string(format!("/proc/{}/status", init.pid)).unwrap();
    assert!(allowed.contains("Cpus_allowed_list:\t0\n"), "{allowed}");
    for group in cgroups.iter().flatten() {
        use std::os::unix::fs::MetadataExt;
        assert_eq!(std::fs::metadata(&group.path).unwrap().ino(), group.id);
        let members = std::fs::read_to_string(group.path.join("cgroup.procs")).unwrap();
        assert!(
            members.lines().any(|pid| pid == init.pid.to_string()),
            "{}: {members:?}",
            group.path.display()
        );
    }
}

#[test]
fn many_threads_may_start_containers_at_once() {
    let Some(scene) = Scene::new("many") else { return };
    let spec = Spec { auto_remove: true, ..scene.sh("echo $$; exit 4") };
    std::thread::scope(|threads| {
        for _ in 0..8 {
            threads.spawn(|| {
                for _ in 0..4 {
                    let finished = scene.run(&spec).unwrap();
                    assert_eq!((finished.exit, finished.trouble), (Exit::with_code(4), Vec::new()));
                }
            });
        }
    });
    assert!(scene.engine.list().unwrap().is_empty());
    scene.assert_no_traces();
}

#[test]
fn a_workload_may_be_nobody() {
    let Some(scene) = Scene::new("user") else { return };
    let spec = Spec {
        user: Some(User { uid: 1234, gid: 4321 }),
        working_dir: Some("/tmp".into()),
        env: vec!["COLOUR=red".into()],
        name: Some("nobody".into()),
        ..scene.sh("id -u; id -g; pwd; echo $COLOUR $HOME")
    };
    scene.run(&spec).unwrap();
    assert_eq!(scene.log("nobody"), "1234\n4321\n/tmp\nred /root\n");
}
