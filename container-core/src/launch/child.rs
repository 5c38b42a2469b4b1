//! The container's first process between clone(2) and execve(2): the whole story of a container, in order.
//!
//! Runs in a copy of a possibly multi-threaded program: see `isolate` for what it may do. Read from top to
//! bottom, this is what "starting a container" means to the kernel.

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::path::Path;

use nix::sys::stat::{Mode, umask};

use super::stamps::Stamps;
use super::user::Account;
use super::workload::Workload;
use super::{gate, report};
use crate::error::Error;
use crate::isolate::devices::Devices;
use crate::isolate::mounts::Mounts;
use crate::isolate::paths::SystemPaths;
use crate::isolate::privileges::Privileges;
use crate::isolate::rootfs::{self, Rootfs};
use crate::isolate::streams::{self, ChildStreams};
use crate::isolate::sysctls::Sysctls;
use crate::isolate::volumes::{self, Volume};
use crate::isolate::{Failure, c_path, c_string, init, loopback, standing};
use crate::spec::{Network, Spec, complete_env};
use crate::steps::Step;
use crate::sys;

/// Everything the child needs, prepared by the parent.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The doors of the groups to enter, already open.
    pub(crate) groups: Vec<(OwnedFd, CString)>,
    pub(crate) streams: ChildStreams,
    /// Ends of pipes that are the engine's alone. The child has copies of them, and as long as it does no pipe tells
    /// that the engine is gone.
    pub(super) engine_ends: Vec<RawFd>,
    /// Where to wait for the engine.
    pub(super) gate: Option<OwnedFd>,
    rootfs: Rootfs,
    mounts: Mounts,
    devices: Devices,
    sysctls: Sysctls,
    paths: SystemPaths,
    volumes: Vec<Volume>,
    read_only: bool,
    hostname: CString,
    own_network: bool,
    /// On the bridge network.
    connected: bool,
    /// In a user namespace of its own.
    mapped: bool,
    working_dir: CString,
    privileges: Privileges,
    init: bool,
    workload: Workload,
}

/// What the parent has found out or opened for the child besides the specification.
pub(crate) struct Prepared<'a> {
    pub(crate) rootfs: &'a Path,
    /// The host name when none is given.
    pub(crate) hostname: &'a str,
    /// Whether v2 is the only hierarchy.
    pub(crate) cgroup2: bool,
    pub(crate) streams: ChildStreams,
    pub(crate) volumes: Vec<Volume>,
    pub(crate) account: Account,
}

impl Plan {
    pub(crate) fn prepare(spec: &Spec, prepared: Prepared<'_>) -> Result<Plan, Error> {
        let Prepared { rootfs, hostname, cgroup2, streams, volumes, account } = prepared;
        let env = complete_env(&spec.env, account.home.as_deref(), spec.tty);
        Ok(Plan {
            groups: Vec::new(),
            streams,
            engine_ends: Vec::new(),
            gate: None,
            rootfs: Rootfs::new(rootfs)?,
            mounts: Mounts::prepare(rootfs, cgroup2)?,
            devices: Devices::prepare(rootfs, &spec.devices)?,
            sysctls: Sysctls::prepare(rootfs, &spec.sysctls)?,
            paths: SystemPaths::prepare(rootfs, spec.security.unmask_system_paths)?,
            volumes,
            read_only: spec.read_only,
            hostname: c_string(spec.hostname.as_deref().unwrap_or(hostname))?,
            connected: spec.network == Network::Bridge,
            mapped: spec.user_namespace.is_some(),
            own_network: spec.network != Network::Host,
            working_dir: c_path(Path::new(spec.working_dir.as_deref().unwrap_or("/")))?,
            privileges: Privileges::prepare(&spec.security, &account.identity, &spec.resource_limits)?,
            init: spec.init,
            workload: Workload::new(&spec.args, &env)?,
        })
    }
}

/// The child's main function. It enters the groups from `first_group` on: it may have been born in the first.
pub(crate) fn run(plan: &Plan, report: &OwnedFd, first_group: usize) -> ! {
    sys::default_signals();
    sys::hide_from_inspection();
    for end in &plan.engine_ends {
        // SAFETY: this process never drops the values that own these descriptors.
        unsafe { libc::close(*end) };
    }
    let mut stamps = Stamps::new();
    let isolated =
        isolate(plan, report, first_group, &mut stamps).and_then(|()| standing::close_descriptors(report));
    match isolated {
        Err(failure) => report::send_failure(report.as_fd(), &failure),
        Ok(number) => {
            // SAFETY: close_descriptors has just put the report pipe there, until execve closes it.
            let report = unsafe { BorrowedFd::borrow_raw(number) };
            report::send_failure(report, &become_workload(plan, report, &mut stamps));
        }
    }
    sys::exit_now(125)
}

/// From the engine's namespaces to the container's.
fn isolate<'a>(
    plan: &'a Plan,
    report: &OwnedFd,
    first_group: usize,
    stamps: &mut Stamps,
) -> Result<(), Failure<'a>> {
    stamps.mark(Step::DieWithEngine);
    standing::die_with_engine(report.as_fd())?;
    stamps.mark(Step::JoinCgroup);
    standing::join_cgroups(plan.groups.get(first_group..).unwrap_or_default())?;
    if plan.mapped {
        stamps.mark(Step::AwaitMaps);
        gate::wait(plan.gate.as_ref(), Step::AwaitMaps)?;
        standing::become_mapped_root()?;
        // A change of credentials clears what prctl(PR_SET_PDEATHSIG) set.
        standing::die_with_engine(report.as_fd())?;
    }
    stamps.mark(Step::UnshareCgroups);
    standing::unshare_cgroup_namespace()?;
    standing::start_new_session()?;
    standing::join_new_keyring()?;
    // Modes below are meant as written.
    umask(Mode::empty());
    build_root(plan, stamps)?;
    stamps.mark(Step::PivotRoot);
    plan.rootfs.pivot()?;
    umask(Mode::from_bits_truncate(0o022));
    stamps.mark(Step::MountVolume);
    volumes::attach(&plan.volumes)?;
    if plan.read_only {
        rootfs::make_read_only()?;
    }
    standing::set_hostname(&plan.hostname)?;
    if plan.own_network {
        stamps.mark(Step::RaiseLoopback);
        loopback::raise()?;
    }
    if plan.connected {
        stamps.mark(Step::AwaitNetwork);
        gate::wait(plan.gate.as_ref(), Step::AwaitNetwork)?;
    }
    streams::connect(&plan.streams)
}

/// The root file system with the kernel's file systems in it.
fn build_root<'a>(plan: &'a Plan, stamps: &mut Stamps) -> Result<(), Failure<'a>> {
    stamps.mark(Step::MakePrivate);
    plan.rootfs.make_mounts_private()?;
    plan.rootfs.bind()?;
    let top = plan.rootfs.open_top()?;
    stamps.mark(Step::MountProc);
    plan.mounts.mount_proc(&top)?;
    stamps.mark(Step::MountSysfs);
    plan.mounts.mount_sysfs(&top)?;
    plan.mounts.mount_cgroup2()?;
    stamps.mark(Step::MountDev);
    plan.mounts.mount_dev(&top)?;
    stamps.mark(Step::MountDevpts);
    plan.mounts.mount_devpts()?;
    stamps.mark(Step::MountShm);
    plan.mounts.mount_shm()?;
    stamps.mark(Step::MountMqueue);
    plan.mounts.mount_mqueue()?;
    stamps.mark(Step::CreateDeviceNode);
    plan.devices.create_nodes()?;
    plan.devices.create_links()?;
    plan.sysctls.write()?;
    stamps.mark(Step::MaskPath);
    plan.paths.mask()?;
    stamps.mark(Step::ProtectPath);
    plan.paths.protect()
}

/// From the engine's program to the workload's.
fn become_workload<'a>(plan: &'a Plan, report: BorrowedFd<'_>, stamps: &mut Stamps) -> Failure<'a> {
    let mount_ns = standing::mount_namespace();
    stamps.mark(Step::LoadSeccomp);
    let ready = standing::enter_working_dir(&plan.working_dir)
        .and_then(|()| plan.privileges.apply(Some(report)))
        .and_then(|()| if plan.init { init::stay_above_workload() } else { Ok(()) });
    if let Err(failure) = ready {
        return failure;
    }
    stamps.mark(Step::ExecuteWorkload);
    report::send_executing(report, mount_ns, stamps);
    plan.workload.execute()
}
