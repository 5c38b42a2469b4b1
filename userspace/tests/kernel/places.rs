//! Bad places: one clear sentence, exit code 2, nothing left behind.

use crate::bench_of_one::{Bench, Watch, has_function_graph, text};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use std::{
    io,
    os::unix::process::CommandExt,
    path::Path,
    process::{Command, Output},
};

fn refused(bench: &Bench, args: &[&str], words: &[&str]) {
    let out = bench.run(args);
    let (stdout, stderr) = (text(&out.stdout), text(&out.stderr));
    assert_eq!(out.status.code(), Some(2), "{args:?}: {stdout}{stderr}");
    for word in words {
        assert!(stderr.contains(word), "{args:?} should say {word:?}: {stderr}");
    }
    assert!(stdout.is_empty(), "stdout is the answer, and there is none: {stdout}");
}

#[test]
fn names_that_do_not_exist() {
    let Some(bench) = Bench::open() else { return };
    refused(&bench, &["explain", "nobody"], &["nobody", "diag watch"]);
    refused(&bench, &["explain", "--", "no-such-command"], &["no-such-command"]);
    refused(&bench, &["explain", "--replay", "/no/such/file.json"], &["/no/such/file.json"]);
    refused(&bench, &["explain", "--cause", "bad-luck"], &["bad-luck", "mount-max"]);
    refused(&bench, &["repro", "bad-luck"], &["bad-luck", "mount-max"]);
    refused(&bench, &["explain"], &["diag explain CONTAINER"]);
    bench.nothing_left();
}

#[test]
fn a_second_watch_on_the_same_journal() {
    let Some(bench) = Bench::open() else { return };
    let watch = Watch::start(&bench);
    refused(&bench, &["watch"], &["another diag watch", "--journal"]);
    assert_eq!(watch.end().0, Some(0), "nothing was found");
    bench.nothing_left();
}

#[test]
fn a_damaged_journal() {
    let Some(bench) = Bench::open() else { return };
    std::fs::write(bench.dir.path().join("journal.db"), "not a journal at all, but long enough to be read")
        .unwrap();
    refused(&bench, &["watch"], &["damaged", "mv "]);
    refused(&bench, &["explain", "web-1"], &["damaged", "mv "]);
    bench.nothing_left();
}

#[test]
fn not_root() {
    let Some(bench) = Bench::open() else { return };
    // The program must be readable by somebody else than root.
    let open = bench.dir.path().join("diag");
    std::fs::copy(bench.diag(&[]).get_program(), &open).unwrap();
    let perms = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(bench.dir.path(), perms).unwrap();
    // And a folder of his own for the journal, so that it is the watch that is refused.
    let theirs = bench.dir.path().join("theirs");
    std::fs::create_dir(&theirs).unwrap();
    std::os::unix::fs::chown(&theirs, Some(65534), Some(65534)).unwrap();
    let journal = theirs.join("journal.db").display().to_string();
    for args in [&["watch", "--journal", &journal][..], &["explain", "--", "true"]] {
        let out = Command::new(&open).args(args).uid(65534).gid(65534).output().unwrap();
        let stderr = text(&out.stderr);
        assert_eq!(out.status.code(), Some(2), "{args:?}: {stderr}");
        assert!(stderr.contains("root") || stderr.contains("CAP_"), "{args:?}: {stderr}");
    }
    bench.nothing_left();
}

/// Runs with `spoil` called between fork and exec.
pub(crate) fn spoiled(
    mut command: Command,
    spoil: impl FnMut() -> io::Result<()> + Send + Sync + 'static,
) -> Output {
    // SAFETY: every caller's `spoil` makes system calls on memory that was prepared before the fork.
    unsafe { command.pre_exec(spoil) };
    command.output().unwrap()
}

/// An empty, unwritable folder over each of these, for this process alone.
fn hidden(folders: &'static [&'static str]) -> impl FnMut() -> io::Result<()> + Send + Sync + 'static {
    move || {
        private_mounts()?;
        for folder in folders.iter().filter(|folder| Path::new(folder).is_dir()) {
            mount(Some("empty"), *folder, Some("tmpfs"), MsFlags::MS_RDONLY, None::<&str>)?;
        }
        Ok(())
    }
}

fn private_mounts() -> io::Result<()> {
    let none = None::<&str>;
    unshare(CloneFlags::CLONE_NEWNS)?;
    Ok(mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?)
}

pub(crate) fn assert_refused(out: &Output, words: &[&str]) {
    let (stdout, stderr) = (text(&out.stdout), text(&out.stderr));
    assert_eq!(out.status.code(), Some(2), "{stdout}{stderr}");
    for word in words {
        assert!(stderr.contains(word), "should say {word:?}: {stderr}");
    }
    assert!(stdout.is_empty(), "stdout is the answer, and there is none: {stdout}");
}

#[test]
fn no_kernel_types() {
    let Some(bench) = Bench::open() else { return };
    for args in [&["watch"][..], &["explain", "--", "true"]] {
        let out = spoiled(bench.diag(args), hidden(&["/sys/kernel/btf"]));
        assert_refused(&out, &["/sys/kernel/btf/vmlinux", "CONFIG_DEBUG_INFO_BTF"]);
    }
    bench.nothing_left();
}

#[test]
fn without_tracefs_there_is_an_answer_without_a_path() {
    let Some(bench) = Bench::open() else { return };
    let command = bench.diag(&["explain", "--json", "--", "true"]);
    // Mounting it is what diag would do; without a /sys that takes it, it cannot.
    let out = spoiled(command, hidden(&["/sys/kernel/tracing", "/sys/kernel/debug"]));
    assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
    let answer: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(answer["host"]["capture"]["errno_watch"], true, "{answer:#}");
    println!("function_graph: {}", answer["host"]["capture"]["function_graph"]);
    bench.nothing_left();
}

#[test]
fn somebody_else_traces() {
    let Some(bench) = Bench::open() else { return };
    let answer = bench.json(0, &["explain", "--json", "--", "true"]);
    if !has_function_graph(&answer) || answer["host"]["capture"]["function_graph"] != "top" {
        println!("skipped: this kernel traces in an instance of diag's own, or not at all");
        return;
    }
    let tracer = "/sys/kernel/tracing/current_tracer";
    std::fs::write(tracer, "function").unwrap();
    let beside = bench.run(&["explain", "--json", "--", "true"]);
    let kept = std::fs::read_to_string(tracer).unwrap();
    std::fs::write(tracer, "nop").unwrap();
    assert_eq!(kept.trim(), "function", "somebody else's trace goes on");
    let answer: serde_json::Value = serde_json::from_slice(&beside.stdout).unwrap();
    let state = answer["host"]["capture"]["function_graph"].as_str().unwrap();
    assert!(state.contains("in use"), "{state}");
    bench.nothing_left();
}

#[test]
fn a_journal_that_cannot_be_written() {
    let Some(bench) = Bench::open() else { return };
    Watch::start(&bench).end();
    let place = bench.dir.path().to_owned();
    let read_only = move || {
        let none = None::<&str>;
        private_mounts()?;
        mount(Some(&place), &place, none, MsFlags::MS_BIND, none)?;
        let flags = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
        Ok(mount(none, &place, none, flags, none)?)
    };
    assert_refused(&spoiled(bench.diag(&["watch"]), read_only.clone()), &["journal", "ead-only file system"]);
    // What is in it can still be read.
    assert_refused(&spoiled(bench.diag(&["explain", "nobody"]), read_only), &["nobody"]);
    bench.nothing_left();
}

#[test]
fn an_image_that_is_none() {
    let Some(bench) = Bench::open() else { return };
    let file = bench.dir.path().join("holiday.tar");
    std::fs::write(&file, "not an image").unwrap();
    let path = file.to_str().unwrap();
    refused(&bench, &["import", path, "photo"], &[path, "not an image"]);
    let images = bench.expect(0, &["images"]);
    assert!(!images.contains("photo"), "{images}");
    bench.nothing_left();
}

#[test]
fn a_kernel_that_is_too_old() {
    let Some(bench) = Bench::open() else { return };
    // uname(2) then says 2.6.something (kernel/sys.c `override_release`).
    const UNAME26: libc::c_ulong = 0x0002_0000;
    for args in [&["watch"][..], &["explain", "--", "true"]] {
        let out = spoiled(bench.diag(args), || {
            // SAFETY: takes a number only.
            if unsafe { libc::personality(UNAME26) } < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
        });
        assert_refused(&out, &["too old", "5.10"]);
    }
    bench.nothing_left();
}
