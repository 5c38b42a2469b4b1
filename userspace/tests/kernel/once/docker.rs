//! `diag` beside docker: failures inside dockerd, in runc and in containers; live, of one command, and after the fact.

use super::docker_scene::Docker;
use crate::bench_of_one::{Bench, Lowered, Watch, finding, mounts_here, text};
use serde_json::Value;
use std::process::Output;

fn scene() -> Option<(Bench, Docker)> {
    let bench = Bench::open()?;
    let docker = Docker::start(&bench)?;
    Some((bench, docker))
}

fn json(output: &Output) -> Value {
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    serde_json::from_str(&stdout).unwrap_or_else(|e| panic!("{e} in:\n{stdout}\nstderr:\n{stderr}"))
}

/// dockerd mounts the container's first layer before the container is anywhere on disk, and forgets it when that
/// fails: only the client that waits has its name, and may have its answer and be gone before anybody looks.
#[test]
fn a_container_that_dockerd_never_made_has_its_name() {
    let Some((bench, docker)) = scene() else { return };
    let watch = Watch::start(&bench);
    for name in ["first", "second"] {
        let lowered = Lowered::mount_max(mounts_here());
        let run = docker.run(name, &[], &["true"]);
        drop(lowered);
        assert_eq!(run.status.code(), Some(125), "{}", text(&run.stderr));
        let live = watch.next(|v| finding(v)["cause"] == "mount-max");
        let incident = &live["incidents"][0];
        assert_eq!(incident["failure"]["comm"], "dockerd", "{live:#}");
        let container = &incident["container"];
        assert_eq!((&container["name"], &container["image"]), (&name.into(), &"bb:1".into()), "{live:#}");
        assert_eq!((&container["engine"], &container["state"]), (&"docker".into(), &"never created".into()));
    }
    let after = bench.json(1, &["explain", "first", "--json"]);
    assert_eq!(finding(&after)["cause"], "mount-max");
    watch.end();
}

/// Nothing is left of it when its failure is read, and no shape of a path says what `/default/gone` is.
#[test]
fn a_container_of_ctr_is_known_by_the_cgroup_that_its_runtime_made() {
    let Some((bench, docker)) = scene() else { return };
    let watch = Watch::start(&bench);
    watch.hold_still();
    let run = docker.ctr("gone", &["/bin/sh", "-c", "ulimit -n 3; /bin/cat /bin/sh"]);
    watch.go_on();
    assert!(text(&run.stderr).contains("Too many open files"), "{}", text(&run.stderr));
    let told = watch.next(|v| finding(v)["cause"] == "rlimit-nofile");
    let container = &told["incidents"][0]["container"];
    assert_eq!((&container["engine"], &container["id"]), (&"containerd".into(), &"gone".into()), "{told:#}");
    watch.end();
}

#[test]
fn a_command_is_followed_into_the_daemon() {
    let Some((bench, docker)) = scene() else { return };
    let file = bench.dir.path().join("kept.diag").display().to_string();
    let lowered = Lowered::mount_max(mounts_here() + 3);
    let run = ["--name", "web", "bb:1", "true"];
    let answer = docker.explain(&bench, &["--json", "--exit-code", "--save", &file], &run);
    drop(lowered);
    assert_eq!(answer.status.code(), Some(125), "docker's own code\n{}", text(&answer.stderr));
    let answer = json(&answer);
    let incident = &answer["incidents"][0];
    assert_eq!(finding(&answer)["cause"], "mount-max", "{answer:#}");
    assert_eq!(incident["container"]["name"], "web", "{answer:#}");
    let told = &incident["told"];
    assert_eq!(told["keeps_errno"], true, "{answer:#}");
    let links: Vec<&str> = told["links"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(links[0].starts_with("docker"), "{links:?}");
    assert!(links.iter().any(|link| link.starts_with("mount(2) of ")), "{links:?}");

    // Elsewhere and later, byte for byte: in JSON, and in words.
    let again = bench.json(1, &["explain", "--json", &file]);
    assert_eq!(again, answer);
    let first = bench.expect(1, &["explain", "--all", &file]);
    assert_eq!(bench.expect(1, &["explain", "--all", &file]), first);

    let fine = docker.explain(&bench, &[], &["--rm", "bb:1", "true"]);
    assert_eq!(fine.status.code(), Some(0), "{}", text(&fine.stdout));
}

/// dockerd compares the processors itself: no system call fails, and the answer says whose words it is.
#[test]
fn words_that_no_system_call_is_behind_are_the_engines_own() {
    let Some((bench, docker)) = scene() else { return };
    let run = ["--rm", "--cpuset-cpus=4000", "bb:1", "true"];
    let answer = docker.explain(&bench, &["--json"], &run);
    assert_eq!(answer.status.code(), Some(1), "{}", text(&answer.stderr));
    let answer = json(&answer);
    let incident = &answer["incidents"][0];
    assert_eq!(incident["failure"]["kind"], "userspace-text", "{answer:#}");
    assert!(incident["failure"]["text"].as_str().unwrap().contains("Requested CPUs are not available"));
    let next = incident["next"][0].as_str().unwrap();
    assert!(next.contains("dockerd (pid") && next.contains("by itself"), "{next}");
}

#[test]
fn of_fifty_at_once_only_the_one_that_fails_is_named() {
    let Some((bench, docker)) = scene() else { return };
    let watch = Watch::start(&bench);
    // The first process lives on for a moment after its child was refused one: whose it was can then be read.
    let script = ["sh", "-c", "(sleep 0 & wait); i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done"];
    std::thread::scope(|scope| {
        for n in 0..50 {
            let docker = &docker;
            scope.spawn(move || {
                let options: &[&str] = if n == 23 { &["--pids-limit=2"] } else { &[] };
                docker.run(&format!("many-{n}"), options, &script);
            });
        }
    });
    let told = watch.next(|v| finding(v)["cause"] == "pids-max");
    assert_eq!(told["incidents"][0]["container"]["name"], "many-23", "{told:#}");
    let mut all = watch.so_far();
    all.extend(watch.end().1);
    for other in all.iter().filter(|v| finding(v)["cause"].is_string()) {
        assert_eq!(other["incidents"][0]["container"]["name"], "many-23", "{other:#}");
    }
    let after = bench.json(1, &["explain", "many-23", "--json"]);
    assert_eq!(finding(&after)["cause"], "pids-max");
    for n in [0, 22, 24, 49] {
        let out = bench.run(&["explain", &format!("many-{n}"), "--json"]);
        // Known by a failure that every start has and handles, or not at all: nothing is found either way.
        assert_ne!(out.status.code(), Some(1), "many-{n}: {}", text(&out.stdout));
        assert!(!text(&out.stdout).contains("\"cause\""), "many-{n}: {}", text(&out.stdout));
    }
}

#[test]
fn without_a_watch_what_docker_remembers_is_told_as_likely() {
    let Some((bench, docker)) = scene() else { return };
    let run = docker.run("greedy", &["--memory=16m", "--memory-swap=16m"], &["busybox", "tail", "/dev/zero"]);
    assert_eq!(run.status.code(), Some(137), "{}", text(&run.stderr));
    let answer = bench.json(1, &["explain", "greedy", "--json"]);
    assert_eq!(finding(&answer)["cause"], "memory-max", "{answer:#}");
    assert_eq!(finding(&answer)["confidence"], "likely", "{answer:#}");
    assert_eq!(answer["container"]["image"], "bb:1");
    assert!(answer["container"]["state"].as_str().unwrap().starts_with("exited (137"), "{answer:#}");

    let lowered = Lowered::mount_max(mounts_here() + 3);
    let run = docker.run("cold", &[], &["true"]);
    drop(lowered);
    assert_eq!(run.status.code(), Some(125), "{}", text(&run.stderr));
    let answer = bench.json(1, &["explain", "cold", "--json"]);
    assert_eq!(finding(&answer)["cause"], "mount-max", "{answer:#}");
    assert_ne!(finding(&answer)["confidence"], "proven", "{answer:#}");
    assert_eq!(answer["incidents"][0]["told"]["by"], "docker", "{answer:#}");
    let nobody = bench.run(&["explain", "never-heard-of"]);
    assert_eq!(nobody.status.code(), Some(2));
}
