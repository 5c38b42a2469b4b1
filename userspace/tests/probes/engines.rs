//! Engines' programs, told of by the kernel: their words outlive them.

use crate::scene::{DEADLINE, watch};
use diag::capture::clock::mono_ns;
use diag::capture::engines::lineage;
use diag::capture::errno_watch::{ErrnoWatch, Scope};
use diag::limits::read::Root;
use diag::model::Task;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

/// A shell that the kernel calls by this name, and that waits for a line.
fn shell(name: &str, script: &str, words: &[&str], dir: &Path) -> Child {
    let at = dir.join(name);
    symlink("/bin/sh", &at).unwrap();
    let mut shell = Command::new(at);
    shell.arg0("sh").args(["-c", script]).args(words).env("DOCKER_HOST", "unix:///here");
    shell.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap()
}

fn go(child: &mut Child) {
    child.stdin.as_mut().unwrap().write_all(b"go\n").unwrap();
}

/// Drains until it is so.
fn until(watch: &mut ErrnoWatch, is_so: impl Fn(&ErrnoWatch) -> bool) {
    let start = Instant::now();
    while !is_so(watch) {
        assert!(start.elapsed() < DEADLINE, "not told of");
        watch.drain();
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

#[test]
fn the_words_of_a_runtime_that_is_gone_are_known() {
    let Some(mut watch) = watch(Scope::Machine, None) else { return };
    let dir = tempfile::tempdir().unwrap();
    let root = Root::default();
    let words = ["create", "--bundle", "/b/moby/ab", "ab"];
    let mut child = shell("runc", "read go", &words, dir.path());
    let pid = child.id();
    until(&mut watch, |watch| watch.engines().at(&root, pid, mono_ns()).is_some());
    let at = mono_ns();
    go(&mut child);
    child.wait().unwrap();

    until(&mut watch, |watch| watch.engines().at(&root, pid, mono_ns()).is_none());
    let task = Task { pid, ppid: 1, ..Task::default() };
    let above = lineage(&root, watch.engines(), &task, at);
    assert_eq!(above[0].words[3..], words);
    assert_eq!((above[0].comm.as_str(), above[0].parent), ("runc", std::process::id()));
    assert_eq!(above[1].pid, std::process::id(), "who started it still lives");
}

#[test]
fn a_client_waits_until_it_becomes_another_program() {
    let Some(mut watch) = watch(Scope::Machine, None) else { return };
    let dir = tempfile::tempdir().unwrap();
    let root = Root::default();
    let mut child = shell("docker", "read go; exec cat", &["run", "--name", "web"], dir.path());
    let pid = child.id();
    let waits = |watch: &ErrnoWatch, at: u64| {
        let clients = watch.engines().clients(&root, at);
        clients.into_iter().find(|client| client.pid == pid).cloned()
    };
    until(&mut watch, |watch| waits(watch, mono_ns()).is_some());
    let at = mono_ns();
    let found = waits(&watch, at).unwrap();
    assert_eq!(found.host.as_deref(), Some("unix:///here"));
    assert_eq!(found.words.last().map(String::as_str), Some("web"));
    assert!(watch.new_clients().iter().any(|client| client.pid == pid));

    go(&mut child);
    until(&mut watch, |watch| waits(watch, mono_ns()).is_none());
    assert!(waits(&watch, at).is_some(), "and what was before stays known");
    drop(child.stdin.take());
    child.wait().unwrap();
}
