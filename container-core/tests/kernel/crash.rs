//! The engine is killed: at each of its steps, and at any instant. `ps` and `rm` must be able to finish the job.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use container_core::steps::Step;
use container_core::{Attach, ContainerRef, Engine, Observer, Spec, State};

use crate::network;
use crate::scene::Scene;
use crate::users;

const STORE: &str = "DIAG_CRASH_STORE";
const STEP: &str = "DIAG_CRASH_STEP";
const KIND: &str = "DIAG_CRASH_KIND";

/// Kills its own process when a step is about to be taken.
struct Suicide(Option<Step>);

impl Observer for Suicide {
    fn step(&self, _: &ContainerRef, step: Step) {
        if self.0 == Some(step) {
            let _ = nix::sys::signal::kill(nix::unistd::getpid(), nix::sys::signal::SIGKILL);
        }
    }
}

/// Not a test of its own: what the tests below run as another process.
#[test]
fn victim() {
    let Some(store) = std::env::var_os(STORE) else { return };
    let step = std::env::var(STEP).ok().and_then(|name| Step::from_name(&name));
    let engine = Engine::open(Path::new(&store)).unwrap().with_observer(Arc::new(Suicide(step)));
    let plain = Spec::new("busybox", ["/bin/sleep", "1000"]);
    let spec = match std::env::var(KIND).as_deref() {
        Ok("bridge") => network::connected(plain, &["18:80"]),
        Ok("users") => users::mapped(plain),
        _ => plain,
    };
    let _ = engine.run(&spec, &Attach::nothing());
}

fn victim_command(scene: &Scene) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "crash::victim", "--nocapture"]).stdout(Stdio::null()).stderr(Stdio::null());
    command.env(STORE, scene.engine.root());
    command
}

/// The steps that every start announces, in the engine's process.
const STEPS: [Step; 15] = [
    Step::RecordState,
    Step::FindCgroups,
    Step::EnableControllers,
    Step::CreateCgroup,
    Step::SetLimit,
    Step::RecordEvent,
    Step::MountOverlay,
    Step::WriteNames,
    Step::FindUser,
    Step::OpenStreams,
    Step::OpenAttachSocket,
    Step::CreateReportPipe,
    Step::OpenCgroup,
    Step::CloneNamespaces,
    Step::ReadReport,
];

/// Those of a start on the bridge network.
const NETWORK_STEPS: [Step; 9] = [
    Step::RecordNetwork,
    Step::WriteNames,
    Step::CreateBridge,
    Step::EnableForwarding,
    Step::TranslateAddresses,
    Step::CreateVeth,
    Step::EnterNetwork,
    Step::ConfigureNetwork,
    Step::ReadReport,
];

/// Those of a start in a user namespace of its own.
const USER_STEPS: [Step; 5] =
    [Step::LetIn, Step::ShiftLayers, Step::MountOverlay, Step::MapIds, Step::ReadReport];

#[test]
fn killed_at_every_step_the_store_opens_and_rm_cleans() {
    let Some(scene) = Scene::new("steps") else { return };
    die_at(&scene, &STEPS, "");
}

#[test]
fn killed_while_connecting_it_no_link_lease_or_rule_stays() {
    let Some(scene) = Scene::new("netsteps") else { return };
    network::apart();
    if network::is_possible(&scene) {
        die_at(&scene, &NETWORK_STEPS, "bridge");
    }
}

#[test]
fn killed_while_mapping_its_users_no_mount_stays() {
    let Some(scene) = Scene::new("usersteps") else { return };
    if users::is_possible(&scene) {
        die_at(&scene, &USER_STEPS, "users");
    }
}

fn die_at(scene: &Scene, steps: &[Step], kind: &str) {
    for step in steps {
        let status = victim_command(scene).env(STEP, step.name()).env(KIND, kind).status().unwrap();
        assert_eq!(status.signal(), Some(libc::SIGKILL), "{step} was not reached");
        let engine = Engine::open(scene.engine.root()).unwrap();
        let listed = engine.list().unwrap();
        assert_eq!(listed.len(), 1, "after {step}");
        assert!(!listed[0].state.is_live(), "after {step}: {:?}", listed[0].state);
        scene.assert_no_traces();
        engine.remove(listed[0].id(), false).unwrap();
    }
}

#[test]
fn killed_at_any_instant_rm_cleans() {
    let Some(scene) = Scene::new("instants") else { return };
    for tenths_ms in (0..200).step_by(9) {
        let mut child = victim_command(&scene).spawn().unwrap();
        std::thread::sleep(Duration::from_micros(1000 + tenths_ms * 100));
        child.kill().unwrap();
        child.wait().unwrap();
        for container in scene.engine.list().unwrap() {
            scene.engine.remove(container.id(), true).unwrap();
        }
        assert!(scene.engine.list().unwrap().is_empty());
        scene.assert_no_traces();
    }
    let containers = scene.engine.root().join("containers");
    let deadline = Instant::now() + Duration::from_secs(10);
    // A victim may have left the deletion of its files to another process just before it was killed.
    while let Some(left) = std::fs::read_dir(&containers).unwrap().next() {
        assert!(Instant::now() < deadline, "{left:?}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_container_ends_with_its_supervisor() {
    let Some(scene) = Scene::new("orphan") else { return };
    let id = scene.sleeper("orphan");
    let State::Running { init, supervisor, .. } = scene.engine.inspect(&id).unwrap().state else { panic!() };
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(supervisor.pid), nix::sys::signal::SIGKILL).unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    while init.is_alive() {
        assert!(Instant::now() < deadline, "the workload outlived its supervisor");
        std::thread::sleep(Duration::from_millis(1));
    }
    let State::Exited { exit, .. } = scene.engine.inspect(&id).unwrap().state else { panic!() };
    assert_eq!((exit.code, exit.signal), (None, None), "nobody saw how");
    scene.assert_no_traces();
    scene.engine.remove(&id, false).unwrap();
}
