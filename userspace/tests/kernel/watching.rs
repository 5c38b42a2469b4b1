//! `diag watch` beside the bundled engine: live, after the fact, after a kill -9, and when all is well.

use crate::bench_of_one::{
    Bench, DEADLINE, Lowered, Watch, finding, has_function_graph, has_preemptible_probes, mounts_here, text,
};
use serde_json::Value;
use std::time::{Duration, Instant};

/// Starts containers until one is refused, and returns the refused one's name.
fn fill(bench: &Bench, most: u32) -> String {
    for n in 1..=most {
        let name = format!("web-{n}");
        let out = bench.run(&["run", "-d", "--name", &name, "bb", "sleep", "300"]);
        if !out.status.success() {
            assert_eq!(out.status.code(), Some(125), "{}", text(&out.stderr));
            return name;
        }
    }
    panic!("{most} containers were started and none was refused")
}

fn remove_all(bench: &Bench, most: u32) {
    for n in 1..=most {
        bench.run(&["rm", "-f", &format!("web-{n}")]);
    }
}

#[test]
fn live_then_after_removal_then_after_kill_9() {
    let Some(bench) = Bench::open() else { return };
    bench.image();
    let watch = Watch::start(&bench);
    let lowered = Lowered::mount_max(mounts_here() + 44);
    let refused = fill(&bench, 30);
    let live = watch.next(|v| finding(v)["cause"] == "mount-max");
    // Not before: where the kernel hides its variables the ceiling is read from /proc, as soon as the machine allows.
    drop(lowered);
    assert_eq!(live["incidents"][0]["container"]["name"], refused.as_str(), "{live:#}");
    // Where the kernel may skip a probe, and count that, the engine's own word is what is left.
    let skipped = has_preemptible_probes() && live["loss"]["events_dropped"].as_u64() > Some(0);
    let sure = if skipped { &["proven", "likely", "possible"][..] } else { &["proven"] };
    let as_sure = |answer: &Value| sure.contains(&finding(answer)["confidence"].as_str().unwrap());
    assert!(as_sure(&live), "{live:#}");

    remove_all(&bench, 30);
    let after = bench.json(1, &["explain", &refused, "--json"]);
    assert_eq!(after["container"]["name"], refused.as_str());
    assert_eq!(finding(&after)["cause"], "mount-max");
    assert!(as_sure(&after), "{after:#}");
    let incident = &after["incidents"][0];
    assert!(incident["failure"]["step"].is_string(), "the engine's step is told: {after:#}");
    if finding(&after)["confidence"] == "proven" {
        with_path_and_suspects(&after);
    }

    watch.kill_9();
    let again = bench.json(1, &["explain", &refused, "--json"]);
    assert_eq!(again["incidents"], after["incidents"], "what was acknowledged is there after kill -9");
    // The next command finds and removes what the dead watch left, if it left anything.
    Watch::start(&bench).end();
    bench.nothing_left();
}

fn with_path_and_suspects(after: &Value) {
    let incident = &after["incidents"][0];
    let ruled_out = incident["ruled_out"].as_array().unwrap();
    if has_function_graph(after) {
        assert_eq!(incident["path"]["decider"], "count_mounts", "{after:#}");
        // By what was seen of the kernel at work, and not by the catalogue.
        let method = &incident["path"]["decider_method"];
        assert!(["return-value", "difference"].iter().any(|seen| method == seen), "{after:#}");
    }
    for suspect in ["disk", "inodes"] {
        let told = ruled_out.iter().any(|r| r["suspect"].as_str().unwrap().starts_with(suspect));
        assert!(told, "{suspect} is ruled out: {after:#}");
    }
}

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
