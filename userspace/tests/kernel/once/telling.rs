//! What is told of the bundled engine's containers: of those that are well nothing, of a word of the engine's what it is
//! worth, and from kept evidence the same as live.

use crate::bench_of_one::{Bench, DEADLINE, Lowered, Watch, finding, mounts_here, text};
use std::time::{Duration, Instant};

/// A command that the image does not have: nobody watches execve(2) for ENOENT, which is how PATH is searched, so
/// the engine's own word is all there is.
#[test]
fn what_only_the_engine_saw_is_told() {
    let Some(bench) = Bench::open() else { return };
    bench.image();
    let watch = Watch::start(&bench);
    bench.expect(127, &["run", "--name", "typo", "bb", "/bin/no-such-command"]);
    let told = watch.next(|v| v["incidents"][0]["container"]["name"] == "typo");
    let failure = &told["incidents"][0]["failure"];
    assert_eq!((&failure["syscall"], &failure["errno"]), (&"execve".into(), &"ENOENT".into()), "{told:#}");
    assert!(failure["step"].is_string(), "{told:#}");
    watch.end();
    bench.expect(0, &["rm", "-f", "typo"]);
    bench.nothing_left();
}

#[test]
fn evidence_taken_away_explains_the_same() {
    let Some(bench) = Bench::open() else { return };
    let lowered = Lowered::mount_max(mounts_here() + 300);
    let file = bench.dir.path().join("kept.json");
    let diag = bench.diag(&[]).get_program().to_str().unwrap().to_string();
    let words = ["explain", "--json", "--save", file.to_str().unwrap(), "--"];
    let first = bench.json(1, &[&words[..], &[&diag, "repro", "mount-max", "--provoke"]].concat());
    drop(lowered);
    let replayed = bench.json(1, &["explain", "--json", "--all", "--replay", file.to_str().unwrap()]);
    assert_eq!(replayed["incidents"][0], first["incidents"][0]);
    bench.nothing_left();
}

#[test]
fn a_healthy_start_gives_no_finding() {
    let Some(bench) = Bench::open() else { return };
    bench.image();
    let watch = Watch::start(&bench);
    for n in 1..=3 {
        bench.expect(0, &["run", "--rm", "--name", &format!("fine-{n}"), "bb", "true"]);
    }
    // Not only silence: a failure of somebody else's marks the end of what was seen.
    let _ = std::process::Command::new("mount").args(["-t", "no-such-type", "none", "/"]).output();
    let until = Instant::now() + Duration::from_secs(3).min(DEADLINE);
    while Instant::now() < until {
        std::thread::sleep(Duration::from_millis(100));
    }
    let mut all = watch.so_far();
    all.extend(watch.end().1);
    all.retain(|v| v["incidents"][0]["failure"]["args"]["fstype"] != "no-such-type");
    for v in &all {
        assert!(v["incidents"][0]["findings"].as_array().unwrap().is_empty(), "{v:#}");
        assert!(v["incidents"][0]["container"].is_null(), "a healthy container has no incident: {v:#}");
    }
    let out = bench.run(&["explain", "--", "true"]);
    assert_eq!(out.status.code(), Some(0), "{}", text(&out.stdout));
    bench.nothing_left();
}

#[test]
fn cold_explain_says_what_the_engine_remembers() {
    let Some(bench) = Bench::open() else { return };
    bench.image();
    let lowered = Lowered::mount_max(mounts_here());
    let out = bench.run(&["run", "--name", "cold-1", "bb", "true"]);
    drop(lowered);
    assert_eq!(out.status.code(), Some(125), "{}", text(&out.stderr));
    let answer = bench.json(1, &["explain", "cold-1", "--json"]);
    assert_eq!(finding(&answer)["cause"], "mount-max", "{answer:#}");
    assert_eq!(finding(&answer)["confidence"], "possible", "nothing was read at that instant: {answer:#}");
    bench.run(&["rm", "-f", "cold-1"]);
    bench.nothing_left();
}
