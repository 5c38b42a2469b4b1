//! The lower rungs of the ladder: who decided, by return probes on the path of what is refused again, where neither the
//! kernel prints return values nor a breakpoint sees them.

use crate::bench_of_one::{Bench, DEADLINE, Lowered, child, exe, mounts_here, text, wanted};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// What is switched off so that a rung is reached.
const RUNGS: [(&str, &str); 2] = [
    ("kprobe.multi", "funcgraph-retval,breakpoint"),
    ("kretprobe", "funcgraph-retval,breakpoint,kprobe_multi"),
];

/// The rungs that work here, by what `diag doctor` says; those that must and do not fail the test.
pub(crate) fn rungs(bench: &Bench) -> Vec<(&'static str, &'static str)> {
    let checks = bench.run(&["doctor", "--json"]);
    let checks: Vec<Value> = serde_json::from_slice(&checks.stdout).unwrap();
    let says = |way: &str| {
        let row = checks.iter().find(|c| {
            c["what"] == "deciding function" && c["detail"].as_str().unwrap().starts_with(&format!("{way}: "))
        });
        let row = row.unwrap_or_else(|| panic!("doctor does not speak of {way}"));
        (row["verdict"] == "yes", row["detail"].as_str().unwrap().to_owned())
    };
    let required = std::env::var("DIAG_REQUIRE_FUNCTION_GRAPH").is_ok_and(|value| value == "1");
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut found = Vec::new();
    for rung in RUNGS {
        let (works, detail) = says(rung.0);
        println!("{detail}");
        // 5.10 is too old, and Debian builds its 6.1 without CONFIG_FPROBE.
        let absent = rung.0 == "kprobe.multi" && ["5.10", "6.1."].iter().any(|old| release.starts_with(old));
        assert!(works || !required || absent, "{detail}");
        assert!(!(works && absent), "{detail}");
        if works {
            found.push(rung);
        }
    }
    if found.is_empty() {
        println!("skipped: no return probes here");
    }
    found
}

pub(crate) fn explained(bench: &Bench, off: &str, words: &[&str]) -> Value {
    let started = Instant::now();
    let mut diag = bench.diag(words);
    let out = diag.env("DIAG_DISABLE", off).env("DIAG_LOG", "diag=info").output().unwrap();
    println!("{words:?} without {off}: {:?}\n{}", started.elapsed(), text(&out.stderr));
    assert_eq!(out.status.code(), Some(1), "{}{}", text(&out.stdout), text(&out.stderr));
    serde_json::from_slice(&out.stdout).unwrap()
}

/// Explains a fault that can be repeated, and who may be named: builds inline one function or the other.
pub(crate) fn assert_named(bench: &Bench, (way, off): (&str, &str), fault: (&str, &str), deciders: &[&str]) {
    let (cause, variant) = fault;
    let lowered = (cause == "mount-max").then(|| Lowered::mount_max(mounts_here() + 300));
    let answer = explained(bench, off, &["repro", cause, "--variant", variant, "--json"]);
    drop(lowered);
    let incident = &answer["incidents"][0];
    let (path, first) = (&incident["path"], &incident["findings"][0]["cause"]);
    println!("{way} {cause}: {path}");
    assert_eq!(first, cause, "{way}: {answer:#}");
    assert_eq!(path["decider_method"], "return-value", "{way} {cause}: {answer:#}");
    assert!(path["note"].as_str().is_some_and(|note| note.contains(way)), "{way} {cause}: {path:#}");
    let decider = path["decider"].as_str().unwrap();
    assert!(deciders.contains(&decider), "{way} {cause}: {path:#}");
    bench.nothing_left_yet();
}

#[test]
fn who_decided_is_seen_when_it_is_refused_again() {
    let Some(bench) = Bench::open() else { return };
    for rung in rungs(&bench) {
        assert_named(&bench, rung, ("mount-max", "mount"), &["count_mounts"]);
    }
    bench.nothing_left();
}

/// Not a test of its own: asks for the same refused mount again and again, until it is killed.
#[test]
fn child_that_is_refused_again_and_again() {
    if !wanted() {
        return;
    }
    let none = None::<&str>;
    let deadline = Instant::now() + DEADLINE;
    while Instant::now() < deadline {
        let refused = nix::mount::mount(none, "/", Some("no-such-type"), nix::mount::MsFlags::empty(), none);
        assert_eq!(refused, Err(nix::errno::Errno::ENODEV));
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Killed when the test is over, however it is over.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The lines of a stream as they come.
fn lines_of(stream: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (told, lines) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            println!("{line}");
            let _ = told.send(line);
        }
    });
    lines
}

/// The first line that holds all these words.
fn await_line(lines: &mpsc::Receiver<String>, words: &[&str]) -> Option<String> {
    let deadline = Instant::now() + DEADLINE;
    while let Ok(line) = lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
        if words.iter().all(|word| line.contains(word)) {
            return Some(line);
        }
    }
    None
}

#[test]
fn a_watch_looks_closer_at_what_is_refused_again() {
    let Some(bench) = Bench::open() else { return };
    for (way, off) in rungs(&bench).into_iter().take(1) {
        // To people on the older kernels, to programs on the newer ones.
        let json = way == "kprobe.multi";
        let form = if json { &["--json"][..] } else { &[] };
        let mut watch = bench.diag(&[&["watch", "--budget", "100"], form].concat());
        watch.env("DIAG_DISABLE", off).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut watch = Running(watch.spawn().unwrap());
        let (told, says) =
            (lines_of(watch.0.stdout.take().unwrap()), lines_of(watch.0.stderr.take().unwrap()));
        // What is refused before has no path.
        await_line(&says, &["watching"]).expect("the watch starts");
        let exe = exe();
        let words = child(&exe, "probed::child_that_is_refused_again_and_again");
        let mut refused = Command::new(words[0]);
        let refused = Running(refused.args(&words[1..]).stdout(Stdio::null()).spawn().unwrap());
        let closer = if json {
            &["\"return-value\"", "\"decider\""][..]
        } else {
            &["decided in", "return-value", way]
        };
        await_line(&told, closer).expect("the closer look is told");
        drop(refused);
        let pid = nix::unistd::Pid::from_raw(watch.0.id() as i32);
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        watch.0.wait().unwrap();
        bench.nothing_left_yet();
    }
    bench.nothing_left();
}
