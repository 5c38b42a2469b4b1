//! The canonical failure, provoked and explained: through mount(2) and move_mount(2), on the first failure,
//! with the decider found by difference where the kernel shows its path.

use crate::bench_of_one::{Bench, Lowered, finding, has_function_graph, mounts_here};
use serde_json::Value;

fn assert_proven(answer: &Value, syscall: &str) {
    let incident = &answer["incidents"][0];
    assert_eq!(incident["failure"]["syscall"], syscall, "{answer:#}");
    assert_eq!(incident["failure"]["errno"], "ENOSPC");
    assert_eq!(incident["failure"]["ret"], -28);
    let f = finding(answer);
    assert_eq!(f["cause"], "mount-max", "{answer:#}");
    assert_eq!(f["confidence"], "proven", "{answer:#}");
    assert_eq!(f["knob"]["name"], "fs.mount-max");
    assert!(f["usage"].as_u64() >= f["limit"].as_u64(), "{answer:#}");
    if has_function_graph(answer) {
        assert_eq!(incident["path"]["decider"], "count_mounts", "{answer:#}");
        assert!(is_seen(&incident["path"]["decider_method"]), "{answer:#}");
    }
}

/// By what was seen of the kernel at work, and not by the catalogue.
fn is_seen(method: &Value) -> bool {
    ["return-value", "difference"].iter().any(|seen| method == seen)
}

#[test]
fn repro_is_proven_through_mount() {
    let Some(bench) = Bench::open() else { return };
    let limit = mounts_here() + 300;
    let lowered = Lowered::mount_max(limit);
    let answer = bench.json(1, &["repro", "mount-max", "--json"]);
    let cost = &answer["cost"];
    assert!(cost["programs"]["runs"].as_u64() > Some(0), "the kernel's own statistics: {cost}");
    assert!(
        cost["cpu_seconds"].as_f64() > Some(0.0) && cost["peak_memory_bytes"].as_u64() > Some(1 << 20),
        "{cost}"
    );
    drop(lowered);
    assert_proven(&answer, "mount");
    assert_eq!(finding(&answer)["limit"], limit);
    bench.nothing_left();
}

#[test]
fn repro_is_proven_through_move_mount() {
    let Some(bench) = Bench::open() else { return };
    let lowered = Lowered::mount_max(mounts_here() + 300);
    let answer = bench.json(1, &["repro", "mount-max", "--variant", "move_mount", "--json"]);
    drop(lowered);
    assert_proven(&answer, "move_mount");
    bench.nothing_left();
}

#[test]
fn no_catalogue_still_names_the_decider() {
    let Some(bench) = Bench::open() else { return };
    let lowered = Lowered::mount_max(mounts_here() + 300);
    let args = ["explain", "--json", "--no-catalogue", "--decider", "difference", "--"];
    let diag = bench.diag(&[]).get_program().to_str().unwrap().to_string();
    let answer = bench.json(1, &[&args[..], &[&diag, "repro", "mount-max", "--provoke"]].concat());
    drop(lowered);
    assert!(answer["incidents"][0]["findings"].as_array().unwrap().is_empty());
    if has_function_graph(&answer) {
        assert_eq!(answer["incidents"][0]["path"]["decider"], "count_mounts", "{answer:#}");
        assert_eq!(answer["incidents"][0]["path"]["decider_method"], "difference");
    }
    bench.nothing_left();
}

/// The same system call and errno, another cause: a full file system below the work directory of an overlay.
#[test]
fn a_full_disk_below_an_overlay_is_not_called_mount_max() {
    let Some(bench) = Bench::open() else { return };
    let script = bench.dir.path().join("full.sh");
    std::fs::write(
        &script,
        "set -e\ncd \"$1\"\nmkdir small\nmount -t tmpfs -o size=64k,nr_inodes=4 none small\n\
         mkdir small/l small/u small/w\nmkdir m\n\
         mount -t overlay -o lowerdir=small/l,upperdir=small/u,workdir=small/w none m\n",
    )
    .unwrap();
    let dir = bench.dir.path().to_str().unwrap();
    let out = bench.run(&["explain", "--json", "--", "unshare", "-m", "sh", script.to_str().unwrap(), dir]);
    let answer: Value = serde_json::from_slice(&out.stdout).unwrap();
    for incident in answer["incidents"].as_array().unwrap() {
        for f in incident["findings"].as_array().unwrap() {
            assert_ne!(f["cause"], "mount-max", "{answer:#}");
        }
    }
    bench.nothing_left();
}
