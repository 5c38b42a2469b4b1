//! `diag watch` beside the bundled engine: live, after the fact, after a kill -9.

use crate::bench_of_one::{
    Bench, Lowered, Watch, finding, has_function_graph, has_preemptible_probes, mounts_here, text,
};
use serde_json::Value;

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
