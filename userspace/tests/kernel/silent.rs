//! Failures without a failing system call: kills by the kernel and by processes, told apart.

use crate::bench_of_one::{Bench, Watch, child, exe, finding, findings, text, wanted};
use serde_json::Value;

/// An incident with a finding of this cause.
fn of_cause<'a>(answer: &'a Value, cause: &str) -> Option<&'a Value> {
    let incidents = answer["incidents"].as_array()?;
    incidents.iter().find(|i| i["findings"].as_array().is_some_and(|f| f.iter().any(|f| f["cause"] == cause)))
}

/// Touches, in user mode, four times what the container may hold: a page that a system call should fill and
/// cannot is no kill but a short read.
const GREEDY: [&str; 6] = [
    "--memory",
    "16m",
    "bb",
    "busybox",
    "awk",
    "BEGIN { s = \"x\"; for (i = 0; i < 26; i++) s = s s; print length(s) }",
];

fn greedy(name: &str) -> Vec<&str> {
    [&["run", "--name", name][..], &GREEDY].concat()
}

/// Proven on every kernel: by the lock on the cgroup, and without cgroup v1 by the kernel's log.
pub(crate) fn assert_sure(answer: &Value) {
    let failure = &answer["incidents"][0]["failure"];
    assert!(failure["by"]["memcg"].is_string(), "{answer:#}");
    assert_eq!(finding(answer)["confidence"], "proven", "{answer:#}");
}

#[test]
fn memory_max_is_proven_with_its_cgroup_and_numbers() {
    let Some(bench) = Bench::open() else { return };
    bench.image();
    let diag = bench.diag(&[]).get_program().to_str().unwrap().to_string();
    let answer = bench.json(1, &[&["explain", "--json", "--", &diag][..], &greedy("oom-1")].concat());
    let f = finding(&answer);
    assert_eq!(f["cause"], "memory-max", "{answer:#}");
    assert_sure(&answer);
    assert_eq!(f["limit"], 16 << 20, "{answer:#}");
    assert!(f["usage"].as_u64().unwrap() >= 15 << 20, "{answer:#}");
    let failure = &answer["incidents"][0]["failure"];
    assert_eq!((failure["kind"].as_str(), failure["signal"].as_str()), (Some("killed"), Some("SIGKILL")));
    assert_eq!(failure["by"]["who"], "oom");
    assert_eq!(answer["incidents"][0]["container"]["name"], "oom-1", "{answer:#}");
    assert!(of_cause(&answer, "killed-by-process").is_none(), "{answer:#}");
    bench.run(&["rm", "-f", "oom-1"]);
    bench.nothing_left();
}

#[test]
fn watch_tells_an_oom_kill_and_a_kill_from_outside_apart() {
    let Some(bench) = Bench::open() else { return };
    bench.image();
    let watch = Watch::start(&bench);
    let out = bench.run(&greedy("oom-2"));
    assert_eq!(out.status.code(), Some(137), "{}", text(&out.stderr));
    let oom = watch.next(|v| v["incidents"][0]["container"]["name"] == "oom-2");
    assert_eq!(finding(&oom)["cause"], "memory-max", "{oom:#}");
    assert_sure(&oom);

    bench.expect(0, &["run", "-d", "--name", "shot", "bb", "sleep", "300"]);
    let state: Value = serde_json::from_str(&bench.expect(0, &["inspect", "shot"])).unwrap();
    let pid = find_pid(&state).unwrap_or_else(|| panic!("no pid in {state:#}"));
    let killer = std::process::Command::new("sh").args(["-c", &format!("kill -9 {pid}")]).status().unwrap();
    assert!(killer.success());
    let shot = watch.next(|v| v["incidents"][0]["container"]["name"] == "shot");
    assert_eq!(finding(&shot)["cause"], "killed-by-process", "{shot:#}");
    let failure = &shot["incidents"][0]["failure"];
    assert_eq!(
        (failure["by"]["who"].as_str(), failure["by"]["comm"].as_str()),
        (Some("process"), Some("sh"))
    );
    assert!(of_cause(&shot, "memory-max").is_none(), "{shot:#}");
    watch.end();
    for name in ["oom-2", "shot"] {
        bench.run(&["rm", "-f", name]);
    }
    bench.nothing_left();
}

fn find_pid(state: &Value) -> Option<u64> {
    match state {
        Value::Object(map) => {
            map.get("pid").and_then(Value::as_u64).or_else(|| map.values().find_map(find_pid))
        }
        Value::Array(all) => all.iter().find_map(find_pid),
        _ => None,
    }
}

#[test]
fn a_kill_in_a_tree_names_the_sender_and_an_ended_helper_is_no_failure() {
    let Some(bench) = Bench::open() else { return };
    let script = "sleep 300 & sh -c \"kill -9 $!\"; wait $!";
    let answer = bench.json(1, &["explain", "--json", "--", "sh", "-c", script]);
    let killed = of_cause(&answer, "killed-by-process").unwrap_or_else(|| panic!("{answer:#}"));
    assert_eq!(killed["failure"]["by"]["comm"], "sh", "{answer:#}");
    assert!(of_cause(&answer, "memory-max").is_none(), "{answer:#}");

    let out = bench.run(&["explain", "--", "sh", "-c", "sleep 300 & kill -9 $!; true"]);
    assert_eq!(out.status.code(), Some(0), "{}", text(&out.stdout));
    bench.nothing_left();
}

/// Nothing comes after the end of the command itself, so what is known of its kill must be waited for.
#[test]
fn a_command_that_the_kernel_ends_for_its_processor_time_is_told() {
    let Some(bench) = Bench::open() else { return };
    let spin = "ulimit -t 1; while :; do :; done";
    let answer = bench.json(1, &["explain", "--json", "--", "sh", "-c", spin]);
    let f = finding(&answer);
    assert_eq!(
        (&f["cause"], &f["knob"]["name"]),
        (&"killed-by-kernel".into(), &"RLIMIT_CPU".into()),
        "{answer:#}"
    );
    bench.nothing_left();
}

#[test]
fn a_set_user_id_bit_without_effect_is_its_own_proof() {
    let Some(bench) = Bench::open() else { return };
    let answer = bench.provoked("set-user-id-ignored", &["no-new-privs", "nosuid", "group"]);
    let mut knobs = Vec::new();
    for (incident, f) in findings(&answer) {
        assert_eq!(
            (&f["cause"], &f["confidence"]),
            (&"set-user-id-ignored".into(), &"proven".into()),
            "{answer:#}"
        );
        assert_eq!(incident["failure"]["kind"], "silent", "{answer:#}");
        knobs.push(f["knob"]["name"].as_str().unwrap());
    }
    knobs.sort_unstable();
    assert_eq!(knobs, ["no_new_privs", "no_new_privs", "nosuid"], "{answer:#}");
    bench.nothing_left();
}

#[test]
fn child_that_touches_a_truncated_file() {
    if !wanted() {
        return;
    }
    let file = tempfile::tempfile().unwrap();
    file.set_len(8192).unwrap();
    // SAFETY: a mapping of our own, read once; the default action of SIGBUS is what is wanted.
    unsafe {
        libc::signal(libc::SIGBUS, libc::SIG_DFL);
        let fd = std::os::fd::AsRawFd::as_raw_fd(&file);
        let at = libc::mmap(std::ptr::null_mut(), 8192, libc::PROT_READ, libc::MAP_SHARED, fd, 0);
        assert_ne!(at, libc::MAP_FAILED);
        file.set_len(0).unwrap();
        println!("{}", at.cast::<u8>().add(4096).read_volatile());
    }
}

#[test]
fn a_full_tmpfs_is_named_for_sigbus_and_a_truncated_file_names_none() {
    let Some(bench) = Bench::open() else { return };
    let answer = bench.provoked("sigbus", &["full", "truncated"]);
    let found = findings(&answer);
    assert!(found.len() == 2 && found.iter().all(|(_, f)| f["cause"] == "sigbus"), "{answer:#}");
    let is_full =
        |f: &Value| f["knob"]["path"] == "/tmp" && f["limit"] == 65536 && f["confidence"] == "likely";
    assert_eq!(found.iter().filter(|(_, f)| is_full(f)).count(), 1, "{answer:#}");
    bench.nothing_left();
}

#[test]
fn sigbus_is_a_failure_of_its_own_kind() {
    let Some(bench) = Bench::open() else { return };
    let exe = exe();
    let words = child(&exe, "silent::child_that_touches_a_truncated_file");
    let answer = bench.json(1, &[&["explain", "--json", "--"][..], &words].concat());
    let incidents = answer["incidents"].as_array().unwrap();
    let fault = incidents.iter().find(|i| i["failure"]["kind"] == "fault");
    let failure = &fault.unwrap_or_else(|| panic!("{answer:#}"))["failure"];
    assert_eq!(failure["signal"], "SIGBUS", "{answer:#}");
    assert_eq!(failure["code"], "BUS_ADRERR", "{answer:#}");
    assert!(failure["address"].as_str().is_some_and(|a| a.ends_with("000")), "{answer:#}");
    bench.nothing_left();
}

/// `struct io_uring_params` as 32-bit words: sq_entries first, the submission ring's offsets from word 10 on.
#[test]
fn child_that_opens_by_io_uring() {
    if !wanted() {
        return;
    }
    let mut params = [0_u32; 30];
    // SAFETY: the kernel fills the parameters; the three mappings have the sizes it names; what is written
    // to them is one submission entry for an open that finds no descriptor free.
    unsafe {
        let ring = libc::syscall(libc::SYS_io_uring_setup, 4, params.as_mut_ptr()) as i32;
        if ring < 0 {
            println!("no io_uring: {}", std::io::Error::last_os_error());
            std::process::exit(77);
        }
        let map = |bytes: usize, offset: i64| {
            let prot = libc::PROT_READ | libc::PROT_WRITE;
            let at = libc::mmap(std::ptr::null_mut(), bytes, prot, libc::MAP_SHARED, ring, offset);
            assert_ne!(at, libc::MAP_FAILED);
            at.cast::<u8>()
        };
        let (tail, array) = (params[11] as usize, params[16] as usize);
        let rings = map(array + 4 * params[0] as usize, 0);
        let entry = map(64 * params[0] as usize, 0x1000_0000);
        let limit = libc::rlimit { rlim_cur: 1, rlim_max: 1024 };
        assert_eq!(libc::setrlimit(libc::RLIMIT_NOFILE, &limit), 0);
        // struct io_uring_sqe: opcode, flags, ioprio, fd, off, addr, len, open_flags, user_data
        entry.write(18);
        entry.add(4).cast::<i32>().write(libc::AT_FDCWD);
        entry.add(16).cast::<u64>().write(c"/proc/self/status".as_ptr() as u64);
        entry.add(32).cast::<u64>().write(0xd1a6);
        rings.add(array).cast::<u32>().write(0);
        std::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst);
        rings.add(tail).cast::<u32>().write_volatile(1);
        libc::syscall(libc::SYS_io_uring_enter, ring, 1, 1, 1, 0, 0);
    }
    std::process::exit(9);
}

#[test]
fn a_failing_open_by_io_uring_is_seen_without_a_failing_call() {
    let Some(bench) = Bench::open() else { return };
    let exe = exe();
    let words = child(&exe, "silent::child_that_opens_by_io_uring");
    let out = bench.run(&[&["explain", "--json", "--all", "--"][..], &words].concat());
    let answer: Value =
        serde_json::from_slice(&out.stdout).unwrap_or_else(|e| panic!("{e}: {}", text(&out.stdout)));
    let incidents = answer["incidents"].as_array().unwrap();
    if incidents.iter().any(|i| i["failure"]["syscall"] == "io_uring_setup") {
        println!("skipped: no io_uring on this kernel");
        return;
    }
    let ring = incidents.iter().find(|i| i["failure"]["kind"] == "io_uring");
    let failure = &ring.unwrap_or_else(|| panic!("{answer:#}"))["failure"];
    assert_eq!(
        (failure["errno"].as_str(), failure["ret"].as_i64()),
        (Some("EMFILE"), Some(-24)),
        "{answer:#}"
    );
    assert_eq!(failure["user_data"], "0xd1a6");
    assert!(failure["op"].is_null() || failure["op"] == "openat", "{answer:#}");
    assert_eq!(answer["host"]["capture"]["io_uring"], "yes");
    bench.nothing_left();
}
