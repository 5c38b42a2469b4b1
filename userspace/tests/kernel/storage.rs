//! ENOSPC that is the disk, and its neighbours that are not: full file systems, devices, cpusets.

use crate::bench_of_one::{Bench, findings};
use serde_json::Value;

/// Runs a script in a mount namespace of its own, under watch.
pub(crate) fn explain(bench: &Bench, script: &str) -> Value {
    let file = bench.dir.path().join("script.sh");
    std::fs::write(&file, format!("cd \"$1\"\n{script}\n")).unwrap();
    let dir = bench.dir.path().to_str().unwrap();
    let out = bench.run(&["explain", "--json", "--", "unshare", "-m", "sh", file.to_str().unwrap(), dir]);
    serde_json::from_slice(&out.stdout).unwrap()
}

pub(crate) fn findings_of<'a>(answer: &'a Value, cause: &str) -> Vec<&'a Value> {
    let incidents = answer["incidents"].as_array().unwrap().iter();
    let all = incidents.flat_map(|i| i["findings"].as_array().unwrap());
    all.filter(|f| f["cause"] == cause).collect()
}

#[test]
fn full_file_systems_are_proven() {
    let Some(bench) = Bench::open() else { return };
    let answer = bench.provoked("disk-full", &["blocks", "inodes", "fallocate", "overlay"]);
    let mut found = Vec::new();
    for (incident, f) in findings(&answer) {
        let failure = &incident["failure"];
        assert_eq!(failure["errno"], "ENOSPC", "{answer:#}");
        assert_eq!((&f["cause"], &f["confidence"]), (&"disk-full".into(), &"proven".into()), "{answer:#}");
        assert_eq!(f["knob"]["kind"], "mount-option", "{answer:#}");
        let (syscall, knob) = (failure["syscall"].as_str().unwrap(), f["knob"]["name"].as_str().unwrap());
        found.push((syscall, knob, f["limit"].as_u64().unwrap()));
    }
    found.sort_unstable();
    let blocks = |syscall| (syscall, "size=", 65536);
    let wanted = [blocks("fallocate"), ("openat", "nr_inodes=", 16), blocks("write"), blocks("write")];
    assert_eq!(found, wanted, "{answer:#}");
    bench.nothing_left();
}

/// An overlay whose work folder finds no inode: mount(2) says ENOSPC, and no mount is too many.
#[test]
fn the_mount_of_an_overlay_on_a_full_file_system() {
    let Some(bench) = Bench::open() else { return };
    let answer = explain(
        &bench,
        "mkdir small m\nmount -t tmpfs -o size=64k,nr_inodes=5 none small\nmkdir small/l small/u small/w\n: > small/last\n\
         mount -t overlay -o lowerdir=small/l,upperdir=small/u,workdir=small/w none m",
    );
    // Whether the kernel makes do without its index or refuses the mount differs; never is it the mounts.
    assert!(findings_of(&answer, "mount-max").is_empty(), "{answer:#}");
    for f in findings_of(&answer, "disk-full") {
        assert_eq!(f["knob"]["name"], "nr_inodes=", "{answer:#}");
    }
    bench.nothing_left();
}
