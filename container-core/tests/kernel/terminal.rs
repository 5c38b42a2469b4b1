//! Terminals: what the workload sees of its own, what becomes of the caller's, and coming back later.
//!
//! The caller is a process of its own with a controlling terminal, whose other side the test holds: what it reads there
//! is what a person would see, what it writes is what a person would type.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use container_core::terminal::{DetachKeys, Parting};
use container_core::{Attach, Engine, Error, ExecSpec, Exit, Spec, State};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::{OpenptyResult, openpty};
use nix::sys::termios::{LocalFlags, tcgetattr};

use crate::scene::Scene;

const STORE: &str = "DIAG_CALLER_STORE";
const VERB: &str = "DIAG_CALLER_VERB";
const NAME: &str = "DIAG_CALLER_NAME";

/// Guests are emulated.
const PATIENCE: Duration = Duration::from_secs(120);

/// Not a test of its own: what the tests below run as another process.
#[test]
fn caller() {
    let Some(store) = std::env::var_os(STORE) else { return };
    let (verb, name) = (std::env::var(VERB).unwrap(), std::env::var(NAME).unwrap());
    let engine = Engine::open(Path::new(&store)).unwrap();
    let attach = Attach::own_streams(true).unwrap();
    let parting = match verb.as_str() {
        "start" => engine.start_interactive(&name, &attach, DetachKeys::default()),
        "attach" => engine.attach(&name, &attach, DetachKeys::default()),
        _ => {
            let args = ["/bin/sh".to_owned()].to_vec();
            let exec = ExecSpec { args, tty: true, ..ExecSpec::default() };
            engine.exec(&name, &exec, &attach).map(Parting::Ended)
        }
    };
    println!("parted: {parting:?}");
}

/// A caller and the other side of his terminal.
struct Seat {
    screen: File,
    /// Kept open, so that the terminal outlives the caller.
    _terminal: OwnedFd,
    child: Child,
    heard: String,
}

impl Seat {
    fn take(scene: &Scene, verb: &str, name: &str) -> Seat {
        let OpenptyResult { master, slave } = openpty(&size(30, 90), None).unwrap();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "terminal::caller", "--nocapture"]);
        command.env(STORE, scene.engine.root()).env(VERB, verb).env(NAME, name);
        let stream = || slave.try_clone().unwrap();
        command.stdin(stream()).stdout(stream()).stderr(stream());
        // SAFETY: both calls are signal-safe.
        unsafe {
            command.pre_exec(|| {
                libc::setsid();
                libc::ioctl(0, libc::TIOCSCTTY as _, 0);
                Ok(())
            });
        }
        let child = command.spawn().unwrap();
        Seat { screen: File::from(master), _terminal: slave, child, heard: String::new() }
    }

    fn type_in(&mut self, text: &str) {
        self.screen.write_all(text.as_bytes()).unwrap();
    }

    /// Wait until `text` is on the screen; what came up to there is forgotten.
    fn expect(&mut self, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.heard.find(text) {
                let rest = self.heard.split_off(at + text.len());
                return std::mem::replace(&mut self.heard, rest);
            }
            assert!(Instant::now() < deadline, "{text:?} did not come, but {:?}", self.heard);
            let mut fds = [PollFd::new(self.screen.as_fd(), PollFlags::POLLIN)];
            if poll(&mut fds, PollTimeout::from(200u8)).is_ok_and(|count| count > 0) {
                let mut buffer = [0; 4096];
                let count = self.screen.read(&mut buffer).unwrap_or(0);
                self.heard.push_str(&String::from_utf8_lossy(&buffer[..count]));
            }
        }
    }

    /// Whether the caller's terminal edits lines, as it does outside of a conversation.
    fn is_cooked(&self) -> bool {
        let flags = tcgetattr(&self.screen).unwrap().local_flags;
        flags.contains(LocalFlags::ICANON | LocalFlags::ECHO | LocalFlags::ISIG)
    }

    fn signal(&self, signal: i32) {
        let pid = nix::unistd::Pid::from_raw(self.child.id() as i32);
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::try_from(signal).unwrap()).unwrap();
    }

    fn leave(&mut self) {
        self.child.wait().unwrap();
        assert!(self.is_cooked(), "the caller's terminal is as it was");
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn size(rows: u16, columns: u16) -> nix::pty::Winsize {
    nix::pty::Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }
}

fn shell(name: &str) -> Spec {
    let spec = Spec::new("busybox", ["/bin/sh"]);
    Spec { name: Some(name.into()), tty: true, open_stdin: true, ..spec }
}

#[test]
fn a_workload_has_a_terminal_and_the_callers_is_put_back() {
    let Some(scene) = Scene::new("terminal") else { return };
    scene.engine.create(&shell("t")).unwrap();
    let mut seat = Seat::take(&scene, "start", "t");
    seat.expect("# ");
    assert!(!seat.is_cooked());
    seat.type_in("busybox tty; busybox stty size; ls -l /dev/console; echo $TERM\n");
    let text = seat.expect("xterm");
    for expected in ["/dev/pts/0", "30 90", "136,   0"] {
        assert!(text.contains(expected), "{expected:?} is missing in {text}");
    }
    // Ctrl-C reaches the workload's foreground process, not the caller.
    // What comes before the shell's line editor is done belongs to that.
    seat.type_in("echo g''o; cat\n");
    seat.expect("go\r\n");
    // Once as the terminal's echo, once as what cat(1) answers.
    seat.type_in("hello\n");
    seat.expect("hello\r\nhello\r\n");
    seat.type_in("\x03");
    seat.expect("# ");
    // The size follows.
    let winsize = size(44, 133);
    // SAFETY: winsize is only read.
    unsafe { libc::ioctl(seat.screen.as_raw_fd(), libc::TIOCSWINSZ as _, &raw const winsize) };
    let deadline = Instant::now() + PATIENCE;
    loop {
        seat.type_in("busybox stty size; echo asked\n");
        // The first is the echo of what was typed.
        seat.expect("asked\r\n");
        if seat.expect("asked\r\n").contains("44 133") {
            break;
        }
        assert!(Instant::now() < deadline);
    }
    seat.type_in("exit 7\n");
    seat.expect("parted: Ok(Ended(Exit { code: Some(7), signal: None }))");
    seat.leave();
    assert!(scene.log("t").contains("44 133"), "what is shown is logged too");
    scene.assert_no_traces();
}

#[test]
fn one_may_leave_and_come_back() {
    let Some(scene) = Scene::new("leave") else { return };
    scene.engine.create(&shell("t")).unwrap();
    let mut seat = Seat::take(&scene, "start", "t");
    seat.expect("# ");
    seat.type_in("kept=yes\n");
    seat.expect("# ");
    seat.type_in("\x10\x11");
    seat.expect("parted: Ok(Detached)");
    seat.leave();
    assert!(matches!(scene.engine.inspect("t").unwrap().state, State::Running { .. }));
    // Two at a time see the same.
    let (mut first, mut second) = (Seat::take(&scene, "attach", "t"), Seat::take(&scene, "attach", "t"));
    first.type_in("echo it is $kept\n");
    first.expect("it is yes");
    second.type_in("\n");
    second.expect("# ");
    first.type_in("echo both see th''is\n");
    second.expect("both see this");
    // A signal to the caller ends his conversation and puts his terminal back; the container goes on.
    second.signal(libc::SIGTERM);
    second.expect("parted: Ok(Interrupted(15))");
    second.leave();
    first.type_in("exit 0\n");
    first.expect("parted: Ok(Ended(Exit { code: Some(0), signal: None }))");
    first.leave();
    assert!(matches!(
        scene.engine.attach("t", &Attach::nothing(), DetachKeys::default()),
        Err(Error::WrongState { state: "exited", .. })
    ));
    scene.assert_no_traces();
}

#[test]
fn a_supervisor_that_is_killed_takes_leave_for_its_workload() {
    let Some(scene) = Scene::new("killed-attached") else { return };
    scene.engine.create(&shell("t")).unwrap();
    let mut seat = Seat::take(&scene, "start", "t");
    seat.expect("# ");
    let State::Running { supervisor, .. } = scene.engine.inspect("t").unwrap().state else { panic!() };
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(supervisor.pid), nix::sys::signal::SIGKILL).unwrap();
    seat.expect("parted: Ok(Ended(Exit { code: None, signal: None }))");
    seat.leave();
    scene.assert_no_traces();
}

#[test]
fn exec_has_a_terminal_of_its_own() {
    let Some(scene) = Scene::new("exec-terminal") else { return };
    scene.sleeper("host");
    let mut seat = Seat::take(&scene, "exec", "host");
    seat.expect("# ");
    assert!(!seat.is_cooked());
    seat.type_in("busybox tty; busybox stty size; echo $TERM\n");
    let text = seat.expect("xterm\r\n");
    assert!(text.contains("/dev/pts/0") && text.contains("30 90"), "{text}");
    seat.type_in("exit 9\n");
    seat.expect("parted: Ok(Ended(Exit { code: Some(9), signal: None }))");
    seat.leave();
    assert!(scene.engine.inspect("host").unwrap().state.is_live());
}

#[test]
fn attaching_needs_no_terminal() {
    let Some(scene) = Scene::new("attach") else { return };
    let script = "while read line; do echo heard $line; echo aside >&2; done; exit 4";
    let spec = Spec { name: Some("reader".into()), open_stdin: true, ..scene.sh(script) };
    scene.engine.create(&spec).unwrap();
    scene.engine.start("reader").unwrap();
    let (input, mut typed) = nix::unistd::pipe().map(|(read, write)| (read, File::from(write))).unwrap();
    let (shown, output) = nix::unistd::pipe().unwrap();
    let (aside, errors) = nix::unistd::pipe().unwrap();
    let attach = Attach { stdin: Some(input), stdout: Some(output), stderr: Some(errors) };
    // More than a pipe or a socket holds, with nobody reading meanwhile but the workload.
    let line = "x".repeat(1000);
    let reader = std::thread::spawn(move || std::io::read_to_string(File::from(shown)).unwrap());
    let aside = std::thread::spawn(move || std::io::read_to_string(File::from(aside)).unwrap());
    let writer = std::thread::spawn(move || {
        for _ in 0..500 {
            writeln!(typed, "{line}").unwrap();
        }
    });
    let parting = scene.engine.attach("reader", &attach, DetachKeys::default()).unwrap();
    assert_eq!(parting, Parting::Ended(Exit::with_code(4)));
    drop(attach);
    writer.join().unwrap();
    assert_eq!(reader.join().unwrap().lines().filter(|line| line.starts_with("heard xxx")).count(), 500);
    assert_eq!(aside.join().unwrap().lines().count(), 500);
    scene.assert_no_traces();
}
