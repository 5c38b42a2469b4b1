//! An engine to which a part of the cgroup tree was handed stays in that part, and whoever stands elsewhere finds its
//! containers there.

use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use container_core::{Attach, Engine, ExecSpec, Limits, Spec, State};

use crate::network::until;
use crate::scene::{Scene, busybox};

const STORE: &str = "DIAG_DELEGATED_STORE";

/// Not a test of its own: the engine that runs in the delegated group.
#[test]
fn tenant() {
    let Some(store) = std::env::var_os(STORE) else { return };
    let engine = Engine::open(Path::new(&store)).unwrap();
    let limits = Limits { pids: Some(30), ..Limits::default() };
    let spec = Spec { name: Some("tenant".into()), limits, ..Spec::new("busybox", ["/bin/sleep", "1000"]) };
    let container = engine.create(&spec).unwrap();
    if let Err(error) = engine.start(container.id()) {
        panic!("{error}");
    }
}

/// A v2 group marked as systemd marks those of units with `Delegate=yes`; removed with all below it when dropped.
struct Delegated {
    group: PathBuf,
    /// v2 is all there is, and so has the controllers.
    alone: bool,
}

impl Delegated {
    /// `None` on a machine without v2.
    fn make() -> Option<Delegated> {
        let hybrid = Path::new("/sys/fs/cgroup/unified");
        let alone = !hybrid.exists();
        let root = if alone { Path::new("/sys/fs/cgroup") } else { hybrid };
        if !root.join("cgroup.procs").exists() || !root.join("cgroup.controllers").exists() {
            println!("skipped: no cgroup v2 here");
            return None;
        }
        let group = root.join(format!("diag-test-delegated-{}", std::process::id()));
        fs::create_dir(&group).unwrap();
        let path = CString::new(group.as_os_str().as_bytes()).unwrap();
        // SAFETY: terminated strings, and a value as long as it says.
        let marked = unsafe {
            libc::setxattr(path.as_ptr(), c"trusted.delegate".as_ptr(), c"1".as_ptr().cast(), 1, 0)
        };
        assert_eq!(marked, 0, "{}", std::io::Error::last_os_error());
        Some(Delegated { group, alone })
    }

    /// A program that starts in the group.
    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(busybox());
        let enter = format!("echo 0 > {}/cgroup.procs && exec \"$@\"", self.group.display());
        command.args(["sh", "-c", &enter, "sh"]).args(words);
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }

    fn tenant(&self, store: &Path) -> std::process::Output {
        let program = std::env::current_exe().unwrap().display().to_string();
        let mut command = self.command(&[&program, "--exact", "delegated::tenant", "--nocapture"]);
        command.env(STORE, store).output().unwrap()
    }

    fn groups_of(&self, id: &str) -> PathBuf {
        self.group.join("diag").join(id)
    }

    fn processes(&self, group: &str) -> Vec<String> {
        let text = fs::read_to_string(self.group.join(group).join("cgroup.procs")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

impl Drop for Delegated {
    fn drop(&mut self) {
        for group in ["diag", "diag-engine", ""] {
            let path = self.group.join(group);
            until("the group is still in use", || fs::remove_dir(&path).is_ok() || !path.exists());
        }
    }
}

/// Killed and reaped when dropped.
struct Bystander(Child);

impl Drop for Bystander {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn a_delegated_engine_stays_in_its_part_of_the_tree() {
    let Some(scene) = Scene::new("delegated") else { return };
    let Some(delegated) = Delegated::make() else { return };
    let output = delegated.tenant(scene.engine.root());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let container = scene.engine.inspect("tenant").unwrap();
    let State::Running { init, supervisor, .. } = &container.state else { panic!("{:?}", container.state) };
    let group = delegated.groups_of(container.id());
    let inside = fs::read_to_string(group.join("cgroup.procs")).unwrap();
    assert_eq!(inside.trim(), init.pid.to_string());
    if delegated.alone {
        assert_eq!(fs::read_to_string(group.join("pids.max")).unwrap().trim(), "30");
        // It was in the way of its own containers' controllers.
        assert_eq!(delegated.processes("diag-engine"), [supervisor.pid.to_string()]);
    }
    // This process is somewhere else in the tree, and finds it all the same.
    let script = "> /there; exec sleep 1000";
    let exec =
        ExecSpec { args: ["/bin/sh", "-c", script].map(str::to_owned).to_vec(), ..ExecSpec::default() };
    let engine = scene.engine.clone();
    let visitor = std::thread::spawn(move || engine.exec("tenant", &exec, &Attach::nothing()).unwrap());
    until("the command does not run", || container.bundle.join("upper/there").exists());
    assert_eq!(delegated.processes(&format!("diag/{}", container.id())).len(), 2);
    scene.engine.pause("tenant").unwrap();
    scene.engine.unpause("tenant").unwrap();
    scene.engine.remove("tenant", true).unwrap();
    assert_eq!(visitor.join().unwrap().signal, Some(libc::SIGKILL));
    assert!(!group.exists());
}

#[test]
fn who_is_in_the_way_of_controllers_is_named() {
    let Some(scene) = Scene::new("inway") else { return };
    let Some(delegated) = Delegated::make() else { return };
    if !delegated.alone {
        println!("skipped: the controllers are on v1 here, which has no such rule");
        return;
    }
    let busybox = busybox().display().to_string();
    let bystander = Bystander(delegated.command(&[&busybox, "sleep", "1000"]).spawn().unwrap());
    let pid = bystander.0.id().to_string();
    until("it has not entered", || delegated.processes("") == [pid.as_str()]);
    let output = delegated.tenant(scene.engine.root());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("enable cgroup controllers"), "{said}");
    assert!(said.contains(&format!("the group itself has processes, {pid}:")), "{said}");
    drop(bystander);
    scene.engine.remove("tenant", true).unwrap();
}
