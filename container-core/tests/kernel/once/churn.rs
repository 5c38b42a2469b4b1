//! Many containers at a time, and engines that are killed among them: afterwards nothing is left.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use container_core::{Attach, Engine, Leftover, Limits, Spec};

use crate::network;
use crate::scene::Scene;

const STORE: &str = "DIAG_CHURN_STORE";
/// Of one life: on the bridge network.
const BRIDGE: &str = "DIAG_CHURN_BRIDGE";
/// Lives in all; 500 is what the engine promises to survive.
const COUNT: &str = "DIAG_TEST_CHURN";
/// At a time.
const SIDE_BY_SIDE: usize = 16;
/// One of so many is killed.
const KILLED: usize = 4;
/// One of so many is on the bridge network. No multiple of the above, or only the killed would be, or none of them.
const CONNECTED: usize = 3;
/// Until the end of a life that nobody kills; emulated guests are slow.
const PATIENCE: Duration = Duration::from_secs(300);

/// Not a test of its own: one engine process, which makes a container, runs it to its end and removes it.
#[test]
fn life() {
    let Some(store) = std::env::var_os(STORE) else { return };
    let engine = Engine::open(Path::new(&store)).unwrap();
    let limits = Limits { pids: Some(20), memory_bytes: Some(64 << 20), ..Limits::default() };
    let plain = Spec { limits, ..Spec::new("busybox", ["/bin/sh", "-c", "echo it lives"]) };
    let spec = match std::env::var_os(BRIDGE) {
        Some(_) => network::connected(plain, &["80"]),
        None => plain,
    };
    // A third detached, with a supervisor of its own that outlives its maker.
    if std::process::id().is_multiple_of(3) {
        let container = engine.create(&spec).unwrap();
        engine.start(container.id()).unwrap();
        engine.wait(container.id()).unwrap();
        engine.remove(container.id(), false).unwrap();
    } else {
        let finished = engine.run(&spec, &Attach::nothing()).unwrap();
        assert_eq!(finished.exit.code, Some(0));
        engine.remove(&finished.id, false).unwrap();
    }
}

/// The next number of a small generator (splitmix64).
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn engine_process(store: &Path, connected: bool) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "once::churn::life", "--nocapture", "--test-threads=1"]);
    if connected {
        command.env(BRIDGE, "1");
    }
    command.env(STORE, store).stdout(Stdio::null()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

/// A whole life; how long it took.
fn live(store: &Path, connected: bool) -> Duration {
    let begin = Instant::now();
    let output = engine_process(store, connected).wait_with_output().unwrap();
    assert!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    assert!(begin.elapsed() < PATIENCE);
    begin.elapsed()
}

/// A life that is cut off after `after`; where it was shorter than that, another one, earlier.
fn die(store: &Path, connected: bool, mut after: Duration) {
    loop {
        let mut child = engine_process(store, connected);
        // The instant is the point here, not a condition to wait for.
        thread::sleep(after);
        child.kill().unwrap();
        if child.wait().unwrap().signal() == Some(libc::SIGKILL) {
            return;
        }
        after /= 2;
    }
}

/// Processes that have to do with the store: engines, supervisors, and what they started.
fn processes(store: &Path) -> Vec<String> {
    let mark = format!("{STORE}={}", store.display());
    let has_mark = |dir: &Path| {
        fs::read(dir.join("environ")).is_ok_and(|text| text.split(|b| *b == 0).any(|v| v == mark.as_bytes()))
    };
    let entries = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    entries.filter(|dir| has_mark(dir)).map(|dir| dir.display().to_string()).collect()
}

#[test]
fn many_lives_and_killed_engines_leave_nothing() {
    let Some(scene) = Scene::new("churn") else { return };
    network::apart();
    // lo, and on some kernels tunnels that every network has.
    let links = network::links();
    let bridge = network::is_possible(&scene);
    let count: usize = std::env::var(COUNT).map_or(48, |text| text.parse().unwrap());
    let store = scene.engine.root().to_owned();
    // How long a life takes here, to spread the kills over it: with so many at a time it takes longer.
    let usual = live(&store, bridge);
    let longest = usual * SIDE_BY_SIDE as u32 / 2;
    let work = Mutex::new((0..count).collect::<Vec<usize>>());
    let seed = Mutex::new(u64::from(std::process::id()));
    let worker = || {
        while let Some(number) = { work.lock().unwrap().pop() } {
            let random = (next(&mut seed.lock().unwrap()) >> 11) as f64 / (1u64 << 53) as f64;
            let connected = bridge && number % CONNECTED == 0;
            match number % KILLED {
                0 => die(&store, connected, longest.mul_f64(random)),
                _ => drop(live(&store, connected)),
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..SIDE_BY_SIDE.min(count) {
            scope.spawn(worker);
        }
    });

    // What `rm --all` does.
    for container in scene.engine.list().unwrap() {
        scene.engine.remove(container.id(), true).unwrap();
    }
    let deadline = Instant::now() + PATIENCE;
    while !processes(&store).is_empty() {
        // Supervisors of killed makers end on their own once their container has.
        assert!(Instant::now() < deadline, "{:?}", processes(&store));
        thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(scene.engine.check().unwrap(), Vec::<Leftover>::new());
    scene.assert_no_traces();
    assert_eq!(network::links(), links);
    for folder in ["containers", "names"] {
        let left: Vec<_> = fs::read_dir(store.join(folder)).unwrap().flatten().collect();
        assert!(left.is_empty(), "{folder}: {left:?}");
    }
    let mut files: Vec<_> = fs::read_dir(&store).unwrap().flatten().map(|entry| entry.file_name()).collect();
    files.sort();
    let known = [
        "containers",
        "events.jsonl",
        "images.json",
        "layers",
        "lock",
        "names",
        "network.json",
        "network.lock",
    ];
    files.retain(|file| !known.contains(&file.to_str().unwrap()));
    assert!(files.is_empty(), "{files:?}");
    let killed = count.div_ceil(KILLED);
    println!("{count} lives, {killed} of them killed; one alone took {} ms", usual.as_millis());
}

#[test]
fn what_a_killed_engine_left_is_found_and_repaired() {
    let Some(scene) = Scene::new("check") else { return };
    let engine = &scene.engine;
    assert_eq!(engine.check().unwrap(), Vec::<Leftover>::new());
    let root = engine.root();
    // No process has a pid so large (kernel: PID_MAX_LIMIT).
    fs::create_dir(root.join("containers/.new-4194305-1-x")).unwrap();
    fs::create_dir(root.join("layers/.gone-4194305-1-x")).unwrap();
    fs::write(root.join("images.json.4194305-0"), "").unwrap();
    fs::create_dir_all(root.join(format!("layers/sha256-{}/fs", "0".repeat(64)))).unwrap();
    std::os::unix::fs::symlink("0".repeat(64), root.join("names/nobody")).unwrap();
    let found = engine.check().unwrap();
    assert_eq!(found.len(), 5, "{found:?}");
    assert_eq!(engine.repair_store().unwrap(), Vec::<Leftover>::new());
    // Something a repair cannot bring back.
    let image = engine.image("busybox").unwrap();
    let layer = root.join("layers").join(image.layers[0].replacen(':', "-", 1));
    let aside = root.join("layers/aside");
    fs::rename(&layer, &aside).unwrap();
    let left = engine.repair_store().unwrap();
    assert!(matches!(left.as_slice(), [Leftover::Missing(text)] if text.contains("busybox")), "{left:?}");
    fs::rename(&aside, &layer).unwrap();
    assert_eq!(engine.check().unwrap(), Vec::<Leftover>::new());
}
