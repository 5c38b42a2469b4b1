//! function_graph for real: needs root and a kernel that allows it.
//!
//! Where it is not to be had the tests say why and pass, unless `DIAG_REQUIRE_FUNCTION_GRAPH=1` (the VM
//! ring sets it on kernels that must have it). The file is one binary without dependencies of its own, so
//! it also runs inside a guest, linked statically.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "the whole file is a test, its helper functions included; why one was skipped is its output"
)]

mod tracing_scene;

use diag::capture::btf::running;
use diag::capture::ftrace::{self, GraphCapture, GraphSpec, families};
use diag::explain::decider;
use diag::model::{Availability, Call, Errno, Graph, GraphEvidence, GraphSource};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};
use tracing_scene::{Controls, MountMax, Scene, monotonic_ns};

/// The tests look at the whole of tracefs: one at a time.
static ALONE: Mutex<()> = Mutex::new(());
/// Time for a graph to arrive under emulation on a busy machine; on an idle one it takes a tenth second.
const DEADLINE: Duration = Duration::from_secs(10);

/// `None` after saying why the test cannot run.
fn ready() -> Option<MutexGuard<'static, ()>> {
    let alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    match ftrace::available() {
        Availability::Yes { .. } => Some(alone),
        Availability::No { why } => {
            let required = std::env::var("DIAG_REQUIRE_FUNCTION_GRAPH").is_ok_and(|value| value == "1");
            assert!(!required, "function_graph is required here but: {why}");
            println!("skipped: {why}");
            None
        }
    }
}

fn arm() -> GraphCapture {
    GraphCapture::arm(GraphSpec::new(&[&families::MOUNT])).unwrap()
}

/// A capture, and what came that nobody has asked for yet.
struct Collector {
    capture: GraphCapture,
    seen: Vec<Graph>,
}

impl Collector {
    fn new(capture: GraphCapture) -> Self {
        Self { capture, seen: Vec::new() }
    }

    /// The next `count` graphs of a system call by this thread that began at `since` or later.
    fn take(&mut self, root: &str, since: u64, count: usize) -> Vec<Graph> {
        let tid = tracing_scene::tid();
        let begin = Instant::now();
        // The text has microseconds, rounded down.
        let fits = |g: &Graph| g.tid == tid && g.root.name == root && g.start_ns >= since - since % 1000;
        loop {
            self.seen.extend(self.capture.try_recv_all());
            if self.seen.iter().filter(|graph| fits(graph)).count() >= count {
                return self.seen.extract_if(.., |graph| fits(graph)).collect();
            }
            assert!(begin.elapsed() < DEADLINE, "no {count} graphs of {root} among {:?}", names(&self.seen));
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// Graphs without their times.
fn names(graphs: &[Graph]) -> Vec<String> {
    fn write(call: &Call, into: &mut String) {
        into.push_str(&call.name);
        into.push('(');
        call.children.iter().for_each(|child| write(child, into));
        into.push_str(") ");
    }
    let text = |graph: &Graph| {
        let mut text = String::new();
        write(&graph.root, &mut text);
        text
    };
    graphs.iter().map(text).collect()
}

/// The trace's clock may be off against clock_gettime(2) until the next tick after the clock's rate was changed
/// (kernel/time/timekeeping.c `ktime_get_mono_fast_ns`): half a millisecond was seen on an emulated processor.
const FAST_NS: u64 = 2_000_000;

#[test]
fn both_outcomes_of_a_mount_arrive_and_nothing_is_left() {
    let Some(_alone) = ready() else { return };
    let before = Controls::read();
    let armed_at = Instant::now();
    let capture = arm();
    println!(
        "armed {} functions in {:?}: {:?}",
        capture.armed_functions(),
        armed_at.elapsed(),
        capture.source()
    );
    let mut collector = Collector::new(capture);
    Scene::new().play(|scene| {
        let start = monotonic_ns();
        scene.mount_tmpfs("good").unwrap();
        let middle = monotonic_ns();
        scene.mount_tmpfs("missing/directory").unwrap_err();
        let end = monotonic_ns();
        let returned = Instant::now();
        let graphs = collector.take("__x64_sys_mount", start, 2);
        println!("the second graph came {:?} after its end", returned.elapsed());
        let window = |graph: &Graph| (graph.start_ns, graph.end_ns.unwrap());
        let (good, bad) = (window(&graphs[0]), window(&graphs[1]));
        assert!(good.0 < good.1 && bad.0 < bad.1 && good.1 <= bad.0, "{good:?} {bad:?}");
        assert!(start <= good.0 + FAST_NS && good.1 <= middle + FAST_NS, "{start} {good:?} {middle}");
        assert!(middle <= bad.0 + FAST_NS && bad.1 <= end + FAST_NS, "{middle} {bad:?} {end}");
        assert!(graphs[0].root.size() > 10, "{:?}", graphs[0].root);
        assert_eq!(collector.capture.name_of(graphs[0].tid).as_deref(), Some("scene-thread"));
        assert_eq!((graphs[0].lost, graphs[0].root.hole), (0, false));
    });
    assert_eq!(collector.capture.overruns(), 0);
    let disarmed_at = Instant::now();
    collector.capture.disarm().unwrap();
    println!("disarmed in {:?}", disarmed_at.elapsed());
    assert_eq!(Controls::read(), before);
}

/// With neither a success to compare with nor a known cause.
#[test]
fn return_values_name_the_decider_of_the_first_failure() {
    let Some(_alone) = ready() else { return };
    let before = Controls::read();
    let capture = GraphCapture::arm(GraphSpec::new(&[&families::MOUNT]).with_returns()).unwrap();
    if let Availability::No { why } = capture.returns() {
        let required = std::env::var("DIAG_REQUIRE_FUNCTION_GRAPH").is_ok_and(|value| value == "1");
        assert!(!required, "return values are required here but: {why}");
        println!("skipped: {why}");
        return;
    }
    println!("return values by {:?}", capture.returns());
    let mut collector = Collector::new(capture);
    Scene::new().play(|scene| {
        let full = MountMax::exhausted();
        let start = monotonic_ns();
        let error = scene.mount_tmpfs("good").unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENOSPC));
        drop(full);
        let failed = collector.take("__x64_sys_mount", start, 1).remove(0);
        assert_eq!(failed.root.ret, Some(-i64::from(libc::ENOSPC) as u64), "{failed:?}");
        let types = running::prototypes(&failed.root.names());
        let (source, succeeded) = (GraphSource::Instance, Vec::new());
        let evidence = GraphEvidence { source, failed, succeeded, types, probes: None };
        let found = decider::by_return_value(&evidence, Errno::ENOSPC).unwrap();
        assert_eq!(found.decider.as_deref(), Some("count_mounts"), "{found:?}");
        let value = |name: &str| found.returns.iter().find(|r| r.function == name).map(|r| r.value);
        assert_eq!(value("count_mounts"), Some(-i64::from(libc::ENOSPC)));
    });
    collector.capture.disarm().unwrap();
    assert_eq!(Controls::read(), before);
}

#[test]
fn graphs_can_be_awaited() {
    let Some(_alone) = ready() else { return };
    let mut capture = arm();
    let mut receiver = capture.take_receiver().unwrap();
    Scene::new().play(|scene| {
        scene.mount_tmpfs("good").unwrap();
        let tid = tracing_scene::tid();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let wait = async {
            while let Some(graph) = receiver.recv().await {
                if graph.tid == tid {
                    return graph;
                }
            }
            panic!("the reader ended");
        };
        let graph = runtime.block_on(async { tokio::time::timeout(DEADLINE, wait).await }).unwrap();
        assert_eq!(graph.root.name, "__x64_sys_mount");
    });
}

#[test]
fn only_the_chosen_process_is_traced() {
    let Some(_alone) = ready() else { return };
    let mut child = Command::new("/bin/sh");
    child.args(["-c", "read go; mount -t tmpfs none /nonexistent; mount -t tmpfs none /nonexistent"]);
    let mut child = child.stdin(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let spec = GraphSpec::new(&[&families::MOUNT]).of_process(child.id());
    let mut capture = GraphCapture::arm(spec).unwrap();
    Scene::new().play(|scene| scene.mount_tmpfs("good").unwrap());
    drop(child.stdin.take());
    let begin = Instant::now();
    let mut graphs = Vec::new();
    // The shell may run mount itself or in two children.
    while graphs.len() < 2 && begin.elapsed() < DEADLINE {
        graphs.extend(capture.try_recv_all());
        std::thread::sleep(Duration::from_millis(2));
    }
    child.wait().unwrap();
    assert_eq!(graphs.len(), 2, "{graphs:?}");
    assert!(graphs.iter().all(|graph| graph.tid != std::process::id()));
    assert!(graphs.iter().all(|graph| graph.tid >= child.id()), "{graphs:?}");
}

#[test]
fn armed_twice_at_once() {
    let Some(_alone) = ready() else { return };
    let before = Controls::read();
    let first = arm();
    let again = GraphCapture::arm(GraphSpec::new(&[&families::MOUNT]));
    let second = match (first.source(), again) {
        (GraphSource::Top, Err(error)) => {
            assert!(error.to_string().contains("in use"), "{error}");
            drop(first);
            assert_eq!(Controls::read(), before);
            return;
        }
        (_, again) => again.unwrap(),
    };
    let (mut first, mut second) = (Collector::new(first), Collector::new(second));
    Scene::new().play(|scene| {
        let start = monotonic_ns();
        scene.mount_tmpfs("good").unwrap();
        let seen = first.take("__x64_sys_mount", start, 1);
        // Each buffer stamps the same call itself, so the times differ.
        assert_eq!(names(&second.take("__x64_sys_mount", start, 1)), names(&seen));
        // The first one goes: the options that both share must stay for the second.
        drop(first);
        let start = monotonic_ns();
        scene.mount_tmpfs("good").unwrap();
        second.take("__x64_sys_mount", start, 1);
    });
    drop(second);
    assert_eq!(Controls::read(), before);
}

#[test]
fn dropped_in_the_middle_of_the_traffic() {
    let Some(_alone) = ready() else { return };
    let before = Controls::read();
    Scene::new().play(|scene| {
        for _ in 0..3 {
            let capture = arm();
            for _ in 0..20 {
                scene.mount_tmpfs("missing/directory").unwrap_err();
            }
            drop(capture);
        }
    });
    let panicked = std::thread::spawn(|| {
        let _capture = arm();
        std::panic::resume_unwind(Box::new("on purpose"));
    });
    assert!(panicked.join().is_err());
    assert_eq!(Controls::read(), before);
}

/// For how many milliseconds the victim stays armed each time.
const HOLD: &str = "DIAG_TEST_HOLD_MS";

/// Not a test of its own: what the two tests below start and kill.
#[test]
#[ignore = "run by another test"]
fn armed_again_and_again_until_killed() {
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(60) {
        let capture = arm();
        println!("armed");
        let hold = std::env::var(HOLD).unwrap().parse().unwrap();
        std::thread::sleep(Duration::from_millis(hold));
        drop(capture);
    }
}

/// Starts it and waits until it has armed once.
fn start_the_victim(hold_ms: u32) -> Child {
    let mut child = Command::new("/proc/self/exe");
    child.args(["--exact", "armed_again_and_again_until_killed", "--ignored", "--nocapture"]);
    child.env(HOLD, hold_ms.to_string());
    let mut child = child.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("armed")), "the child did not arm");
    child
}

#[test]
fn what_a_killed_process_left_is_swept() {
    let Some(_alone) = ready() else { return };
    let before = Controls::read();
    let mut child = start_the_victim(60_000);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_ne!(Controls::read(), before, "the killed process left nothing: the test tests nothing");
    assert_eq!(ftrace::sweep().unwrap(), 1);
    assert_eq!(Controls::read(), before);
    assert_eq!(ftrace::sweep().unwrap(), 0);
}

#[test]
fn killed_at_any_instant_of_arming_and_disarming() {
    let Some(_alone) = ready() else { return };
    let before = Controls::read();
    for round in 0..12 {
        let mut child = start_the_victim(20);
        // Steps that share no divisor with the cycle reach its different parts.
        std::thread::sleep(Duration::from_millis(round * 37));
        child.kill().unwrap();
        child.wait().unwrap();
        ftrace::sweep().unwrap();
        assert_eq!(Controls::read(), before, "killed after {} ms", round * 37);
    }
}

/// No catalogue, no return value: the graph of the refused call against that of one that worked.
#[test]
fn mount_max_is_decided_in_count_mounts() {
    let Some(_alone) = ready() else { return };
    let mut collector = Collector::new(arm());
    Scene::new().play(|scene| {
        let start = monotonic_ns();
        scene.mount_tmpfs("good").unwrap();
        scene.mount_bind("good", "other").unwrap();
        scene.move_mount_tmpfs("good").unwrap();
        let mounts = collector.take("__x64_sys_mount", start, 2);
        let moves = collector.take("__x64_sys_move_mount", start, 1);

        let guard = MountMax::exhausted();
        let start = monotonic_ns();
        let plain = scene.mount_tmpfs("good").unwrap_err();
        let bind = scene.mount_bind("good", "other").unwrap_err();
        let moved = scene.move_mount_tmpfs("good").unwrap_err();
        drop(guard);
        for error in [plain, bind, moved] {
            assert_eq!(error.raw_os_error(), Some(libc::ENOSPC));
        }
        let mut failed = collector.take("__x64_sys_mount", start, 2);
        failed.extend(collector.take("__x64_sys_move_mount", start, 1));
        for (graph, succeeded) in failed.iter().zip([&mounts, &mounts, &moves]) {
            let found = decider::by_difference(graph, succeeded, &std::collections::BTreeMap::new());
            assert_eq!(
                found.decider.as_deref(),
                Some("count_mounts"),
                "{found:?}\n{:?}\n{:?}",
                names(std::slice::from_ref(graph)),
                names(succeeded)
            );
            let path = &found.path;
            assert!(path.iter().any(|function| function == "attach_recursive_mnt"), "{path:?}");
            println!("{}", path.join(" > "));
        }
    });
}
