//! A followed process, its descendants, and nobody else.

use crate::scene::{Child, Seen, c, collect_until, watch};
use diag::capture::errno_watch::{CaptureError, Scope};
use diag::model::Errno;

/// mkdir of something that exists: a failure of every machine, every day.
fn fail() {
    // SAFETY: a constant NUL-terminated string.
    unsafe { libc::mkdir(c"/proc".as_ptr(), 0o755) };
}

#[test]
fn a_grandchild_is_seen_and_a_stranger_is_not() {
    let Some(mut watch) = watch(Scope::Tree, None) else { return };
    let mut stranger = Child::start(|gate| {
        gate.wait();
        fail();
        0
    });
    let mut root = Child::start(|gate| {
        gate.wait();
        // SAFETY: the children only make system calls and exit.
        unsafe {
            if libc::fork() == 0 {
                if libc::fork() == 0 {
                    // The grandchild outlives its parent.
                    fail();
                    libc::_exit(0);
                }
                libc::_exit(0);
            }
            while libc::wait(std::ptr::null_mut()) > 0 {}
        }
        0
    });
    root.at_gate();
    stranger.at_gate();
    watch.follow(root.pid).unwrap();
    let (root_pid, stranger_pid) = (root.pid, stranger.pid);
    stranger.open_gate();
    assert_eq!(stranger.end(), 0);
    root.open_gate();
    assert_eq!(root.end(), 0);
    let mut seen = Seen::default();
    let mkdirs =
        |seen: &Seen| seen.failures.iter().filter(|f| f.syscall() == Some(("mkdir", Errno::EEXIST))).count();
    collect_until(&mut watch, &mut seen, "the grandchild", |seen, _| mkdirs(seen) == 1);
    let grandchild =
        seen.failures.iter().find(|f| f.syscall().is_some_and(|(name, _)| name == "mkdir")).unwrap();
    assert!(![root_pid, stranger_pid, std::process::id()].contains(&grandchild.task.pid));
    assert_eq!(grandchild.text_arg("pathname"), Some("/proc"));
    assert!(seen.failures.iter().all(|failure| failure.task.pid != stranger_pid));
}

#[test]
fn every_errno_of_a_tree_travels() {
    let Some(mut watch) = watch(Scope::Tree, None) else { return };
    let nowhere = c("/no/such/file");
    let mut child = Child::start(|gate| {
        gate.wait();
        // SAFETY: a NUL-terminated string that outlives the call; descriptor -1 is refused.
        unsafe {
            libc::open(nowhere.as_ptr(), libc::O_RDONLY);
            libc::close(-1);
        }
        0
    });
    child.at_gate();
    let pid = child.pid;
    watch.follow(pid).unwrap();
    child.open_gate();
    assert_eq!(child.end(), 0);
    let mut seen = Seen::default();
    collect_until(&mut watch, &mut seen, "close", |seen, _| {
        !seen.of(pid, "close", Errno(libc::EBADF)).is_empty()
    });
    let opened = seen.of(pid, "openat", Errno::ENOENT);
    assert_eq!(opened.len(), 1);
    assert_eq!(opened[0].text_arg("pathname"), Some("/no/such/file"));
}

#[test]
fn a_watch_of_the_machine_follows_nobody() {
    let Some(mut watch) = watch(Scope::Machine, None) else { return };
    assert!(matches!(watch.follow(1), Err(CaptureError::NotATree)));
}
