//! A refusal by a seccomp filter, told without a kernel path; and the same errno without one.

use crate::bench_of_one::{Bench, child, exe, findings, has_function_graph, wanted};

#[test]
fn a_filter_is_read_and_run_again() {
    let Some(bench) = Bench::open() else { return };
    let answer = bench.provoked("seccomp", &["eperm", "enosys", "argument", "stacked"]);
    let mut errnos = Vec::new();
    for (incident, f) in findings(&answer) {
        let failure = &incident["failure"];
        assert_eq!(failure["syscall"], "keyctl", "{answer:#}");
        errnos.push(failure["errno"].as_str().unwrap().to_owned());
        assert_eq!(f["cause"], "seccomp", "{answer:#}");
        assert_eq!(f["confidence"], "proven", "{answer:#}");
        assert_eq!((&f["knob"]["kind"], &f["knob"]["name"]), (&"seccomp".into(), &"seccomp".into()));
    }
    errnos.sort();
    assert_eq!(errnos, ["EACCES", "EACCES", "ENOSYS", "EPERM"], "{answer:#}");
    bench.nothing_left();
}

/// From here on a filter answers this call with EPERM, and without capabilities the kernel refuses what needs them.
fn refuse_and_drop(call: libc::c_long) {
    let op = |code: u16, jt: u8, jf: u8, k: u32| libc::sock_filter { code, jt, jf, k };
    let mut program = [
        op(0x20, 0, 0, 0),
        op(0x15, 0, 1, call as u32),
        op(0x06, 0, 0, libc::SECCOMP_RET_ERRNO | libc::EPERM as u32),
        op(0x06, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let filter = libc::sock_fprog { len: 4, filter: program.as_mut_ptr() };
    // SAFETY: the filter lives across the calls, and nothing else is passed by pointer.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        assert_eq!(libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const filter), 0);
        assert_eq!(libc::syscall(libc::SYS_setresuid, 65_534, 65_534, 65_534), 0);
    }
}

/// Refused by a filter of its own, and gone before anybody can look.
#[test]
fn child_that_ends_with_its_refusal() {
    if !wanted() {
        return;
    }
    refuse_and_drop(libc::SYS_sethostname);
    // SAFETY: a constant name; the process ends without running anything of the test's.
    unsafe {
        libc::sethostname(c"never".as_ptr(), 5);
        libc::_exit(1);
    }
}

#[test]
fn a_filter_that_nobody_could_read_is_told_by_the_call_that_was_not_entered() {
    let Some(bench) = Bench::open() else { return };
    let exe = exe();
    let words = child(&exe, "seccomp::child_that_ends_with_its_refusal");
    let answer = bench.json(1, &[&["explain", "--json", "--all", "--"][..], &words].concat());
    let incidents = answer["incidents"].as_array().unwrap();
    let refused = incidents.iter().find(|i| i["failure"]["syscall"] == "sethostname");
    let refused = refused.unwrap_or_else(|| panic!("{answer:#}"));
    let findings = refused["findings"].as_array().unwrap();
    if has_function_graph(&answer) {
        assert_eq!(findings.len(), 1, "no capability was asked for: {answer:#}");
        assert_ne!(findings[0]["confidence"], "possible", "{answer:#}");
    }
    // Without a path nobody can tell it from the missing capability.
    assert!(findings.iter().any(|finding| finding["cause"] == "seccomp"), "{answer:#}");
    bench.nothing_left();
}

/// Under a filter that refuses keyctl with EPERM, but another call: its EPERM is the kernel's own.
#[test]
fn child_whose_filter_allows_what_the_kernel_refuses() {
    if !wanted() {
        return;
    }
    refuse_and_drop(libc::SYS_keyctl);
    // SAFETY: a constant name.
    assert_eq!(unsafe { libc::sethostname(c"never".as_ptr(), 5) }, -1);
    assert_eq!(std::io::Error::last_os_error().raw_os_error(), Some(libc::EPERM));
    // Long enough for its filters to be read and run.
    std::thread::sleep(std::time::Duration::from_millis(500));
}

#[test]
fn a_missing_capability_under_a_filter_is_not_the_filter() {
    let Some(bench) = Bench::open() else { return };
    let exe = exe();
    let words = child(&exe, "seccomp::child_whose_filter_allows_what_the_kernel_refuses");
    let out = bench.run(&[&["explain", "--json", "--all", "--"][..], &words].concat());
    let answer: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    let incidents = answer["incidents"].as_array().unwrap();
    let refused = incidents.iter().find(|i| i["failure"]["syscall"] == "sethostname");
    let failure = &refused.unwrap_or_else(|| panic!("{answer:#}"))["failure"];
    assert_eq!(failure["errno"], "EPERM", "{answer:#}");
    for f in incidents.iter().flat_map(|i| i["findings"].as_array().unwrap()) {
        assert_ne!(f["cause"], "seccomp", "{answer:#}");
    }
    bench.nothing_left();
}
