//! Containers of a normal user: what works for him, and the sentences about what does not.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use container_core::{Attach, Engine, Error, ExecSpec, Limits, Network, Spec, rootless};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};

use crate::network::connected;
use crate::scene::{MACHINE, fill_rootfs, is_root};

const HOME: &str = "DIAG_ROOTLESS_HOME";
const WHAT: &str = "DIAG_ROOTLESS_WHAT";
/// The first of 65536 ids that the machine's files give him in the second test.
const FIRST: u32 = 300_000;
/// Nobody's number on any machine, and in no subuid file.
const USER: u32 = 54_321;

/// Not a test of its own: the normal user's program. Tests have threads, and it takes a process of one to enter a user
/// namespace: so in a forked one.
#[test]
fn user() {
    let Some(home) = std::env::var_os(HOME).map(PathBuf::from) else { return };
    let what = std::env::var(WHAT).unwrap();
    // SAFETY: the child goes on alone, with an allocator that glibc keeps usable.
    match unsafe { fork() }.unwrap() {
        ForkResult::Parent { child } => {
            assert_eq!(waitpid(child, None).unwrap(), WaitStatus::Exited(child, 0))
        }
        ForkResult::Child => {
            let done = std::panic::catch_unwind(|| live(&home, &what));
            // SAFETY: ends this copy without the test harness' own end.
            unsafe { libc::_exit(i32::from(done.is_err())) }
        }
    }
}

fn live(home: &Path, what: &str) {
    if what == "ranges" {
        return live_with_ranges(home);
    }
    assert!(rootless::is_normal_user());
    let store = home.join("store");
    if what == "exec" {
        // From outside of the user namespace.
        let engine = Engine::open(&store).unwrap();
        let exec = ExecSpec {
            args: vec!["/bin/sh".into(), "-c".into(), "test $(id -u) = 0 && test -f /here".into()],
            ..ExecSpec::default()
        };
        assert_eq!(engine.exec("sleeper", &exec, &Attach::nothing()).unwrap().code, Some(0));
        engine.kill("sleeper", libc::SIGKILL).unwrap();
        assert_eq!(engine.wait("sleeper").unwrap().signal, Some(libc::SIGKILL));
        return;
    }
    assert_eq!(rootless::enter().unwrap(), rootless::Entered::Alone);
    let engine = Engine::open(&store).unwrap();
    let print = |error: &Error| println!("refused: {error}");
    match what {
        "run" => {
            engine.import("busybox", &home.join("image")).unwrap();
            let script = "echo $(id -u) $$ $(wc -l < /proc/mounts); echo x > /made; echo y > /dev/null; ls /sys/class/net; \
                          mount -t tmpfs x /tmp || echo no mount";
            let spec = Spec { name: Some("first".into()), ..Spec::new("busybox", ["/bin/sh", "-c", script]) };
            match engine.run(&spec, &Attach::nothing()) {
                Ok(finished) => assert_eq!(finished.exit.code, Some(0)),
                // A kernel without overlayfs for users says so.
                Err(error) => return print(&error),
            }
            let said: Vec<String> =
                engine.logs("first").unwrap().read_new().unwrap().into_iter().map(|line| line.text).collect();
            assert!(said[0].starts_with("0 1 "), "{said:?}");
            assert!(["lo", "no mount"].iter().all(|line| said.iter().any(|text| text == line)), "{said:?}");
            engine.remove("first", false).unwrap();
            let host =
                Spec { network: Network::Host, auto_remove: true, ..Spec::new("busybox", ["/bin/true"]) };
            assert_eq!(engine.run(&host, &Attach::nothing()).unwrap().exit.code, Some(0));
            println!("ran");
        }
        "start" => {
            let spec = Spec {
                name: Some("sleeper".into()),
                ..Spec::new("busybox", ["/bin/sh", "-c", "> /here; exec sleep 1000"])
            };
            let container = engine.create(&spec).unwrap();
            engine.start(container.id()).unwrap();
        }
        "remove" => {
            engine.remove("sleeper", false).unwrap();
            engine.remove_image("busybox").unwrap();
            assert_eq!(engine.check().unwrap(), []);
        }
        "limits" | "bridge" => print(&refused(&engine, what)),
        other => panic!("{other}"),
    }
}

/// What a normal user cannot have.
fn refused(engine: &Engine, what: &str) -> Error {
    let plain = Spec { auto_remove: true, ..Spec::new("busybox", ["/bin/true"]) };
    let spec = match what {
        "limits" => Spec { limits: Limits { pids: Some(10), ..Limits::default() }, ..plain },
        _ => connected(plain, &[]),
    };
    engine.run(&spec, &Attach::nothing()).unwrap_err()
}

/// In a mount namespace whose /etc knows him, and still as root: files of several users in the image.
fn live_with_ranges(home: &Path) {
    nix::unistd::setgroups(&[]).unwrap();
    nix::unistd::setgid(USER.into()).unwrap();
    nix::unistd::setuid(USER.into()).unwrap();
    match rootless::enter() {
        Ok(entered) => assert_eq!(entered, rootless::Entered::WithRanges),
        Err(error) => panic!("{error}"),
    }
    let engine = Engine::open(home.join("store")).unwrap();
    engine.import("busybox", &home.join("image")).unwrap();
    let spec = Spec {
        name: Some("other".into()),
        user_name: Some("33:33".into()),
        ..Spec::new(
            "busybox",
            ["/bin/sh", "-c", "echo $(id -u) $(stat -c %u:%g /etc/other) $(cat /etc/other)"],
        )
    };
    assert_eq!(engine.run(&spec, &Attach::nothing()).unwrap().exit.code, Some(0));
    let lines = engine.logs("other").unwrap().read_new().unwrap();
    assert_eq!(lines[0].text, "33 33:33 secret");
    engine.remove("other", false).unwrap();
    engine.remove_image("busybox").unwrap();
    assert_eq!(engine.check().unwrap(), []);
}

/// A home of the user's, with an image in it that is his.
struct Home(PathBuf);

impl Home {
    fn make(name: &str) -> Home {
        let base = std::env::var_os("DIAG_TEST_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
        let home = base.join(format!("rootless-{name}-{}", std::process::id()));
        fs::create_dir_all(&home).unwrap();
        fill_rootfs(&home.join("image"));
        own(&home);
        Home(home)
    }

    fn as_user(&self, what: &str) -> Output {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "rootless::user", "--nocapture"]).env(HOME, &self.0).env(WHAT, what);
        // Groups are dropped by std when a user is set by root.
        command.uid(USER).gid(USER).current_dir("/").output().unwrap()
    }

    /// What he was told; he must have done what he was to do.
    fn told(&self, what: &str) -> String {
        let output = self.as_user(what);
        let said =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{what}: {said}");
        said
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn own(path: &Path) {
    std::os::unix::fs::lchown(path, Some(USER), Some(USER)).unwrap();
    if path.is_dir() && !path.is_symlink() {
        fs::read_dir(path).unwrap().flatten().for_each(|entry| own(&entry.path()));
    }
    let _ = chown(path, Some(USER), Some(USER));
}

#[test]
fn a_normal_user_runs_containers() {
    if !is_root() {
        return;
    }
    let _shared = MACHINE.read().unwrap_or_else(|poisoned| poisoned.into_inner());
    let home = Home::make("run");
    let said = home.told("run");
    if said.contains("refused: ") {
        assert!(said.contains("overlayfs for a normal user needs kernel 5.11"), "{said}");
        println!("{said}");
        return;
    }
    assert!(said.contains("ran"), "{said}");
    home.told("start");
    home.told("exec");
    let said = home.told("limits");
    assert!(said.contains("Delegate=yes"), "{said}");
    let said = home.told("bridge");
    assert!(said.contains("a normal user's containers have --network none or host"), "{said}");
    home.told("remove");
}

#[test]
fn ranges_of_ids_give_a_normal_user_others_in_his_containers() {
    if !is_root() {
        return;
    }
    let is_there = |path: &str| Path::new(path).exists();
    if !["/etc/passwd", "/etc/subuid", "/etc/subgid", "/usr/bin/newuidmap", "/usr/bin/newgidmap"]
        .into_iter()
        .all(is_there)
    {
        println!("skipped: newuidmap or its files are not here");
        return;
    }
    let _shared = MACHINE.read().unwrap_or_else(|poisoned| poisoned.into_inner());
    let home = Home::make("ranges");
    let other = home.0.join("image/etc/other");
    fs::write(&other, "secret\n").unwrap();
    fs::set_permissions(&other, fs::Permissions::from_mode(0o400)).unwrap();
    chown(&other, Some(FIRST + 32), Some(FIRST + 32)).unwrap();
    fs::write(home.0.join("passwd"), format!("someone:x:{USER}:{USER}::/:/bin/sh\n")).unwrap();
    for file in ["subuid", "subgid"] {
        fs::write(home.0.join(file), format!("someone:{FIRST}:65536\n")).unwrap();
    }
    // Only what runs below sees these files in /etc.
    let script = "for file in passwd subuid subgid; do mount --bind $DIAG_ROOTLESS_HOME/$file /etc/$file || exit 1; done; exec \"$@\"";
    let mut command = Command::new("unshare");
    command
        .args(["-m", "--propagation", "private", "sh", "-c", script, "sh"])
        .arg(std::env::current_exe().unwrap());
    command.args(["--exact", "rootless::user", "--nocapture"]).env(HOME, &home.0).env(WHAT, "ranges");
    let output = command.output().unwrap();
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}
