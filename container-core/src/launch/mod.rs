//! Starting a container: the engine's side, step by step, each undone when a later one fails.

pub(crate) mod child;
pub(crate) mod detach;
pub(crate) mod exec;
pub(crate) mod gate;
pub(crate) mod output;
pub(crate) mod relay;
pub(crate) mod report;
pub(crate) mod rootfs;
pub(crate) mod stamps;
pub(crate) mod supervise;
pub(crate) mod undo;
pub(crate) mod user;
pub(crate) mod userns;
pub(crate) mod volume;
pub(crate) mod workload;

use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sched::CloneFlags;
use nix::unistd::pipe2;

use crate::cgroup::{Cgroup, Entrance, Hierarchies, home};
use crate::clock;
use crate::container::{Config, ContainerRef};
use crate::error::{Error, LaunchError, StepError};
use crate::events::{self, EventKind};
use crate::isolate::c_path;
use crate::lifecycle::State;
use crate::network::{self, Lease};
use crate::observe::Observer;
use crate::process::ProcessId;
use crate::spec::Network;
use crate::steps::Step;
use crate::store::Store;
use crate::store::bundle::Bundle;
use crate::sys::{self, Cloned};
use crate::terminal::Window;
use crate::terminal::audience::Audience;
use child::{Plan, Prepared};
use gate::Gate;
use output::{Attach, OutputPipes, Wishes};
use report::{Report, Reports};
use undo::Undo;

/// One start of one container, with all it needs to know.
pub(crate) struct Job<'a> {
    pub(crate) store: &'a Store,
    pub(crate) bundle: &'a Bundle,
    pub(crate) config: &'a Config,
    pub(crate) observer: &'a dyn Observer,
    /// Where the workload's output goes besides the log, and where its input comes from.
    pub(crate) attach: &'a Attach,
    /// Size of the terminal of the one who starts it.
    pub(crate) window: Option<Window>,
}

/// A container whose workload was executed.
pub(crate) struct Launched {
    pub(crate) init: ProcessId,
    pub(crate) pidfd: OwnedFd,
    pub(crate) cgroup: Cgroup,
    pub(crate) pipes: OutputPipes,
    pub(crate) audience: Audience,
    /// Keeps its published ports from others.
    pub(crate) lease: Option<Lease>,
}

impl Job<'_> {
    pub(crate) fn container(&self) -> &ContainerRef {
        &self.config.container
    }

    /// Announce the step that comes next.
    pub(crate) fn step(&self, step: Step) {
        self.observer.step(self.container(), step);
    }

    /// Step "record state".
    fn record_state(&self, state: &State) -> Result<(), StepError> {
        self.step(Step::RecordState);
        self.bundle
            .write_state(state)
            .map_err(|e| StepError::from_io(Step::RecordState, "write", self.bundle.dir(), &e))
    }

    /// Step "record event".
    pub(crate) fn record(&self, kind: EventKind) -> Result<(), StepError> {
        self.step(Step::RecordEvent);
        let event = events::now(self.container(), kind);
        self.observer.event(&event);
        events::append(self.store.root(), &event)
            .map_err(|e| StepError::from_io(Step::RecordEvent, "write", &events::path(self.store.root()), &e))
    }
}

/// From a created container to an executed workload. On failure nothing is left of the attempt, or what is
/// left is named in the error.
pub(crate) fn launch(job: &Job<'_>) -> Result<Launched, LaunchError> {
    let mut undo = Undo::default();
    steps(job, &mut undo).map_err(|first| LaunchError { first, cleanup: undo.run() })
}

fn steps(job: &Job<'_>, undo: &mut Undo) -> Result<Launched, StepError> {
    let supervisor = ProcessId::current();
    job.record_state(&State::Starting { owner: supervisor.clone() })?;
    let hierarchies = create_cgroups(job, undo)?;
    let cgroup = Cgroup::of(&hierarchies, &job.config.container.id).entered_with(&job.config.spec.limits);
    let layers: Vec<PathBuf> =
        job.config.layers.iter().map(|l| crate::image::layer_tree(job.store, l)).collect();
    mount_rootfs(job, layers, undo)?;

    let lease = lease(job, undo)?;
    job.step(Step::WriteNames);
    let hostname = job.config.spec.hostname.as_deref().unwrap_or(job.container().short_id());
    let address = lease.as_ref().map(|lease| lease.connection.address);
    let names = network::name_mounts(job.bundle.dir(), &job.config.spec, hostname, address)?;
    let volumes = volume::open(job, names)?;
    job.step(Step::FindUser);
    let account = user::of(&job.config.spec, &job.bundle.rootfs())?;

    job.step(Step::OpenStreams);
    let (ends, streams) = output::open(&Wishes {
        attach: job.attach,
        terminal: job.config.spec.tty,
        open_stdin: job.config.spec.open_stdin,
        window: job.window,
        owner: account.identity.uid,
    })?;
    job.step(Step::OpenAttachSocket);
    let audience = Audience::open(job.bundle)?;
    job.step(Step::CreateReportPipe);
    let (read, write) =
        pipe2(OFlag::O_CLOEXEC).map_err(|e| StepError::here(Step::CreateReportPipe, "pipe2", "", e))?;

    let prepared = Prepared {
        rootfs: &job.bundle.rootfs(),
        hostname,
        cgroup2: hierarchies.is_unified_only(),
        streams,
        volumes,
        account,
    };
    let mut plan = Plan::prepare(&job.config.spec, prepared).map_err(unprepared)?;
    plan.engine_ends.push(read.as_raw_fd());
    job.step(Step::OpenCgroup);
    let entrance = cgroup.open()?;
    let waits = lease.is_some() || job.config.spec.user_namespace.is_some();
    let gate = waits.then(|| Gate::open(&mut plan)).transpose()?;
    let (pid, pidfd) = clone_into_namespaces(job, &mut plan, entrance, &write)?;
    undo.born(pid);
    // The child's ends must be closed here, or the pipes never end.
    drop((plan, write));
    let pidfd = pidfd.map_or_else(|| open_pidfd(pid), Ok)?;

    serve_child(job, lease.as_ref(), gate.as_ref(), pid, &pidfd)?;
    job.step(Step::ReadReport);
    let (mount_ns, stamps) = await_execution(Reports::new(read), pid)?;
    stamps.into_iter().for_each(|(step, ns)| job.observer.passed(job.container(), step, ns));
    let pipes = ends.ready()?;
    let init = ProcessId::of(pid).unwrap_or(ProcessId { pid, start_ticks: 0, boot: String::new() });
    job.record_state(&State::Running {
        init: init.clone(),
        supervisor,
        mount_ns,
        network: lease.as_ref().map(|lease| lease.connection.clone()),
        started_unix_ns: clock::unix_ns(),
    })?;
    job.record(EventKind::Started { pid, mount_ns, start_ticks: init.start_ticks })?;
    Ok(Launched { init, pidfd, cgroup, pipes, audience, lease })
}

/// What the child waits for at the gate: its ids, then its network.
fn serve_child(
    job: &Job<'_>,
    lease: Option<&Lease>,
    gate: Option<&Gate>,
    pid: i32,
    pidfd: &OwnedFd,
) -> Result<(), StepError> {
    let Some(gate) = gate else { return Ok(()) };
    if let Some(namespace) = &job.config.spec.user_namespace {
        job.step(Step::MapIds);
        userns::map_ids(pid, namespace)?;
        gate.pass();
    }
    if let Some(lease) = lease {
        lease.connect(job.store, &job.container().id, pid, pidfd.as_fd(), &|step| job.step(step))?;
        gate.pass();
    }
    Ok(())
}

/// Step "mount overlay rootfs", on layers with mapped owners where the container has a user namespace of its own.
fn mount_rootfs(job: &Job<'_>, mut layers: Vec<PathBuf>, undo: &mut Undo) -> Result<(), StepError> {
    undo.mounted(job.bundle);
    if let Some(namespace) = &job.config.spec.user_namespace {
        job.step(Step::LetIn);
        userns::let_in(job.store, job.bundle, namespace)?;
        job.step(Step::ShiftLayers);
        layers = userns::shift_layers(job.bundle, &layers, namespace)?;
    }
    job.step(Step::MountOverlay);
    rootfs::mount_overlay(job.bundle, &layers, job.config.spec.auto_remove)?;
    // The overlay has copies of these mounts for itself.
    userns::detach_shifted(job.bundle)
}

/// An address in the bridge network, where one was asked for.
fn lease(job: &Job<'_>, undo: &mut Undo) -> Result<Option<Lease>, StepError> {
    if job.config.spec.network != Network::Bridge {
        return Ok(None);
    }
    job.step(Step::RecordNetwork);
    undo.networked(job.store, &job.container().id);
    network::lease(job.store, &job.container().id, &job.config.spec.ports).map(Some)
}

/// All cgroup steps, and the event that announces the groups before anything is charged to them.
fn create_cgroups(job: &Job<'_>, undo: &mut Undo) -> Result<Hierarchies, StepError> {
    job.step(Step::FindCgroups);
    let hierarchies = Hierarchies::find()?;
    // Before the first group: whoever cleans up after us may stand elsewhere.
    home::record(job.bundle.dir(), &hierarchies)
        .map_err(|e| StepError::from_io(Step::FindCgroups, "openat", job.bundle.dir(), &e))?;
    job.step(Step::EnableControllers);
    Cgroup::enable_controllers(&hierarchies, &job.config.spec.limits)?;
    let cgroup = Cgroup::of(&hierarchies, &job.container().id).entered_with(&job.config.spec.limits);
    undo.grouped(Cgroup::of(&hierarchies, &job.container().id));
    job.step(Step::CreateCgroup);
    cgroup.create()?;
    job.step(Step::SetLimit);
    cgroup.set_limits(&job.config.spec.limits)?;
    job.step(Step::RestrictDevices);
    cgroup.restrict_devices(&job.config.spec.devices)?;
    job.record(EventKind::Cgroup { cgroups: cgroup.describe()? })?;
    Ok(hierarchies)
}

/// Step "clone into namespaces". The cgroup namespace is missing on purpose: isolate::standing says why.
fn clone_into_namespaces(
    job: &Job<'_>,
    plan: &mut Plan,
    entrance: Entrance,
    report: &OwnedFd,
) -> Result<(i32, Option<OwnedFd>), StepError> {
    let mut flags = CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWIPC;
    if job.config.spec.network != Network::Host {
        flags |= CloneFlags::CLONE_NEWNET;
    }
    flags |= time_namespace();
    flags.set(CloneFlags::CLONE_NEWUSER, job.config.spec.user_namespace.is_some());
    let groups: Result<Vec<(OwnedFd, CString)>, Error> =
        entrance.doors.into_iter().map(|(file, path)| Ok((file, c_path(&path)?))).collect();
    plan.groups = groups.map_err(unprepared)?;
    job.step(Step::CloneNamespaces);
    let unified: Option<BorrowedFd<'_>> = entrance.unified.as_ref().map(AsFd::as_fd);
    // SAFETY: the child calls child::run, which keeps to signal-safe calls and never returns.
    match unsafe { sys::clone_process(flags.bits() as u64, unified) } {
        Ok((Cloned::Child, inside)) => child::run(plan, report, usize::from(inside)),
        Ok((Cloned::Parent(pid, pidfd), _)) => Ok((pid, pidfd)),
        Err(errno) => Err(StepError::here(Step::CloneNamespaces, "clone3", namespace_names(flags), errno)),
    }
}

/// The flag for a time namespace, where the kernel has them (CONFIG_TIME_NS).
pub(crate) fn time_namespace() -> CloneFlags {
    match Path::new("/proc/self/ns/time").exists() {
        true => CloneFlags::from_bits_retain(sys::CLONE_NEWTIME as i32),
        false => CloneFlags::empty(),
    }
}

/// Step "open pidfd", where clone(2) did not hand one out.
pub(crate) fn open_pidfd(pid: i32) -> Result<OwnedFd, StepError> {
    sys::pidfd_open(pid).map_err(|e| StepError::here(Step::OpenPidfd, "pidfd_open", pid, e))
}

/// Step "read launch report": until the pipe ends. The child's mount namespace, and when it took its steps.
fn await_execution(mut reports: Reports, pid: i32) -> Result<(u64, Vec<(Step, u64)>), StepError> {
    let mut executing = None;
    loop {
        match reports.next()? {
            Some(Report::Executing { mount_ns, stamps }) => executing = Some((mount_ns, stamps)),
            Some(Report::Failed(error)) => return Err(StepError { pid, ..error }),
            Some(Report::Born { .. }) => {}
            None => break,
        }
    }
    // Without a word: killed on its way, by the memory limit for example.
    executing.ok_or_else(|| {
        let object = "nothing: the container's first process was killed before it executed the workload";
        StepError::here(Step::ReadReport, "read", object, Errno::ECHILD)
    })
}

/// A string with a NUL byte: `Spec::validate` has refused those, and paths of the store have none.
pub(crate) fn unprepared(error: Error) -> StepError {
    StepError::here(Step::ExecuteWorkload, "execve", error, Errno::EINVAL)
}

/// `mnt pid uts ipc net time user`
fn namespace_names(flags: CloneFlags) -> String {
    let names = [
        (CloneFlags::CLONE_NEWUSER, "user"),
        (CloneFlags::CLONE_NEWNS, "mnt"),
        (CloneFlags::CLONE_NEWPID, "pid"),
        (CloneFlags::CLONE_NEWUTS, "uts"),
        (CloneFlags::CLONE_NEWIPC, "ipc"),
        (CloneFlags::CLONE_NEWNET, "net"),
        (CloneFlags::from_bits_retain(sys::CLONE_NEWTIME as i32), "time"),
    ];
    let set: Vec<&str> =
        names.iter().filter(|(flag, _)| flags.contains(*flag)).map(|(_, name)| *name).collect();
    set.join(" ")
}
