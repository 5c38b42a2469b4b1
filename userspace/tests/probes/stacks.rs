//! Which code made a failed call: real programs, seen by the probe.

use crate::scene::{Child, Seen, c, collect_until, mount, skip, watch};
use diag::capture::errno_watch::{ErrnoWatch, Scope};
use diag::capture::user_stack;
use diag::limits::read::Root;
use diag::model::{Errno, Failure, UserStack};
use std::hint::black_box;
use std::io::Write;
use std::process::{Command, Stdio};

#[inline(never)]
fn asks_for_what_is_not_there() -> i32 {
    let (none, there, kind) = (c("none"), c("/no/such/folder"), c("tmpfs"));
    let errno = mount(&none, &there, &kind, 0, &c(""));
    black_box(i32::from(errno != libc::ENOENT))
}

#[inline(never)]
fn wants_it_mounted() -> i32 {
    black_box(asks_for_what_is_not_there()) * black_box(1)
}

fn stack_of(watch: &mut ErrnoWatch, mut failure: Failure) -> UserStack {
    let root = Root::default();
    user_stack::look(&root, &mut failure).unwrap().with(watch.recorded()).named(&root)
}

fn refused(watch: &mut ErrnoWatch, pid: u32) -> Failure {
    let mut seen = Seen::default();
    let wanted = ("mount", Errno::ENOENT);
    collect_until(watch, &mut seen, "mount", |seen, _| !seen.of(pid, wanted.0, wanted.1).is_empty());
    (*seen.of(pid, wanted.0, wanted.1)[0]).clone()
}

fn assert_named(stack: &UserStack) {
    let place = |name: &str| {
        let named =
            |frame: &diag::model::UserFrame| frame.function.as_ref().is_some_and(|f| f.contains(name));
        stack.frames.iter().position(named).unwrap_or_else(|| panic!("no {name}: {stack:#?}"))
    };
    assert!(place("asks_for_what_is_not_there") < place("wants_it_mounted"), "{stack:#?}");
    assert!(stack.frames[0].address != 0 && stack.frames[0].module.is_some(), "{stack:#?}");
}

#[test]
fn the_functions_that_made_the_call_have_names() {
    let Some(mut watch) = watch(Scope::Machine, None) else { return };
    let mut child = Child::start(|gate| {
        let code = wants_it_mounted();
        gate.wait();
        code
    });
    child.at_gate();
    let failure = refused(&mut watch, child.pid);
    let stack = stack_of(&mut watch, failure);
    assert_named(&stack);
    child.open_gate();
    assert_eq!(child.end(), 0);
}

#[test]
fn a_child_that_is_gone_has_the_map_of_its_parent_or_a_reason() {
    let Some(mut watch) = watch(Scope::Machine, None) else { return };
    let child = Child::start(|_| wants_it_mounted());
    let pid = child.pid;
    assert_eq!(child.end(), 0);
    let mut failure = refused(&mut watch, pid);
    assert_named(&stack_of(&mut watch, failure.clone()));
    failure.task.ppid = 0;
    let stack = stack_of(&mut watch, failure);
    assert!(stack.frames.iter().all(|frame| frame.address != 0 && frame.function.is_none()), "{stack:#?}");
    assert!(stack.note.as_ref().unwrap().contains("gone before its memory map"), "{stack:#?}");
}

#[test]
fn a_stripped_program_has_addresses_and_says_why() {
    let Some(busybox) = std::env::var_os("DIAG_BUSYBOX") else { return skip("needs DIAG_BUSYBOX") };
    let Some(mut watch) = watch(Scope::Tree, None) else { return };
    // The child of the shell is gone at once; the shell itself waits until it is told to go on.
    let mut shell = Command::new(busybox);
    shell.args(["sh", "-c", "read word; /no/such/program; read word"]);
    let mut shell = shell.stdin(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    watch.follow(shell.id()).unwrap();
    let mut words = shell.stdin.take().unwrap();
    words.write_all(b"go\n").unwrap();
    let wanted = |f: &&Failure| {
        f.syscall() == Some(("execve", Errno::ENOENT)) && f.text_arg("pathname") == Some("/no/such/program")
    };
    let mut seen = Seen::default();
    collect_until(&mut watch, &mut seen, "execve", |seen, _| seen.failures.iter().any(|f| wanted(&f)));
    let failure = seen.failures.iter().find(wanted).unwrap().clone();
    let stack = stack_of(&mut watch, failure);
    drop(words);
    shell.wait().unwrap();
    let first = &stack.frames[0];
    assert!(first.function.is_none() && first.at.is_some() && first.module.is_some(), "{stack:#?}");
    assert!(stack.note.as_ref().unwrap().contains("stripped"), "{stack:#?}");
    println!("{stack:#?}");
}

/// Run by the next test as a program of its own.
#[test]
fn program_that_asks_for_a_mount() {
    if std::env::var_os("DIAG_TEST_ASKS").is_some() {
        let mut word = String::new();
        std::io::stdin().read_line(&mut word).unwrap();
        assert_eq!(wants_it_mounted(), 0);
    }
}

#[test]
fn a_program_that_is_gone_has_the_map_that_was_recorded() {
    let Some(mut watch) = watch(Scope::Tree, None) else { return };
    // The shell becomes the program, so that the program's map is not the one it had when it was followed.
    let own = std::env::current_exe().unwrap();
    let program = "stacks::program_that_asks_for_a_mount";
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", "read word; exec \"$0\" --exact \"$1\"", own.to_str().unwrap(), program]);
    shell.env("DIAG_TEST_ASKS", "1").stdin(Stdio::piped()).stdout(Stdio::null());
    let mut shell = shell.spawn().unwrap();
    let pid = shell.id();
    watch.follow(pid).unwrap();
    shell.stdin.take().unwrap().write_all(b"go\ngo\n").unwrap();
    assert!(shell.wait().unwrap().success());
    let failure = refused(&mut watch, pid);
    assert_named(&stack_of(&mut watch, failure));
}
