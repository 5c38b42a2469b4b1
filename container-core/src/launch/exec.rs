//! A further command in a running container: join its cgroups and namespaces, then execute.
//!
//! Two processes are needed. The first joins: setns(2) of a mount namespace is refused to a process that shares
//! its root folder with threads, so the engine cannot do it itself. A joined pid namespace only takes
//! effect for children, so the first clones the second, as a sibling (CLONE_PARENT), for the engine to wait for.

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sched::CloneFlags;
use nix::sys::wait::waitpid;
use nix::unistd::{Pid, pipe2};

use super::output::{self, Attach};
use super::relay::Relay;
use super::report::{self, Report, Reports};
use super::stamps::Stamps;
use super::supervise::{pass_on, reap};
use super::workload::Workload;
use super::{open_pidfd, time_namespace, unprepared};
use crate::cgroup::Entrance;
use crate::error::StepError;
use crate::isolate::privileges::Privileges;
use crate::isolate::streams::{self, ChildStreams};
use crate::isolate::{Failure, c_path, standing};
use crate::lifecycle::Exit;
use crate::steps::Step;
use crate::sys::{self, Cloned};
use crate::terminal::direct::{self, Terminal};
use crate::terminal::near;

/// Everything the two processes need, prepared.
struct Plan<'a> {
    target: &'a OwnedFd,
    /// The flags for its time and user namespaces, if there are such.
    own: CloneFlags,
    groups: Vec<(OwnedFd, CString)>,
    streams: ChildStreams,
    working_dir: CString,
    privileges: Privileges,
    workload: Workload,
}

/// How the command meets the caller.
pub(crate) struct Meeting<'a> {
    pub(crate) attach: &'a Attach,
    /// By a terminal of its own.
    pub(crate) terminal: bool,
    /// The user who is to own it.
    pub(crate) owner: u32,
    /// CLONE_NEWUSER for a container that has one of its own.
    pub(crate) user_namespace: CloneFlags,
}

/// The command to run, complete.
pub(crate) struct Command<'a> {
    pub(crate) args: &'a [String],
    pub(crate) env: &'a [String],
    pub(crate) working_dir: &'a str,
    pub(crate) privileges: Privileges,
}

/// Run `command` in the container whose first process is `target`; returns how it ended.
pub(crate) fn exec(
    target: &OwnedFd,
    entrance: Entrance,
    command: Command<'_>,
    meeting: &Meeting<'_>,
) -> Result<Exit, StepError> {
    let (read, write) =
        pipe2(OFlag::O_CLOEXEC).map_err(|e| StepError::here(Step::CreateReportPipe, "pipe2", "", e))?;
    let mut groups = Vec::new();
    for (file, path) in entrance.doors {
        groups.push((file, c_path(&path).map_err(unprepared)?));
    }
    let (door, streams) = match meeting.terminal {
        true => {
            let (door, streams) = output::open_door(near::window(meeting.attach), meeting.owner, false)?;
            (Some(door), streams)
        }
        false => (None, output::open_direct(meeting.attach)?),
    };
    let plan = Plan {
        target,
        own: time_namespace() | meeting.user_namespace,
        groups,
        streams,
        working_dir: c_path(Path::new(command.working_dir)).map_err(unprepared)?,
        privileges: command.privileges,
        workload: Workload::new(command.args, command.env).map_err(unprepared)?,
    };
    let relay = Relay::install();
    let unified: Option<BorrowedFd<'_>> = entrance.unified.as_ref().map(AsFd::as_fd);
    // SAFETY: the child calls join_and_fork, which keeps to signal-safe calls and never returns.
    let first = match unsafe { sys::clone_process(0, unified) } {
        Ok((Cloned::Child, inside)) => join_and_fork(&plan, &write, usize::from(inside)),
        Ok((Cloned::Parent(pid, _), _)) => pid,
        Err(errno) => return Err(StepError::here(Step::ForkInside, "clone3", "", errno)),
    };
    drop((plan, write));
    let second = await_execution(Reports::new(read), first)?;
    let pidfd = open_pidfd(second)?;
    if let Some(door) = door {
        let terminal = Terminal::new(output::receive_terminal(&door)?)?;
        direct::converse(terminal, meeting.attach, &pidfd, relay.as_ref())?;
        return reap(&pidfd);
    }
    wait_with_signals(&pidfd, relay.as_ref())
}

/// The first process: from the engine's namespaces to the container's. As in `child::run`, it may have been born
/// in the first group.
fn join_and_fork(plan: &Plan<'_>, report: &OwnedFd, first_group: usize) -> ! {
    sys::default_signals();
    sys::hide_from_inspection();
    let joined = standing::join_cgroups(plan.groups.get(first_group..).unwrap_or_default()).and_then(|()| {
        let all = CloneFlags::CLONE_NEWNS
            | CloneFlags::CLONE_NEWPID
            | CloneFlags::CLONE_NEWUTS
            | CloneFlags::CLONE_NEWIPC
            | CloneFlags::CLONE_NEWNET
            | CloneFlags::CLONE_NEWCGROUP
            | plan.own;
        standing::join_namespaces(plan.target, all)
    });
    if let Err(failure) = joined {
        report::send_failure(report.as_fd(), &failure);
        sys::exit_now(125);
    }
    // SAFETY: the child keeps to signal-safe calls and never returns.
    match unsafe { sys::clone_sibling() } {
        Ok(0) => become_command(plan, report),
        Ok(pid) => {
            report::send_born(report.as_fd(), pid);
            sys::exit_now(0)
        }
        Err(errno) => {
            let failure = Failure { step: Step::ForkInside, syscall: "clone", errno, object: c"" };
            report::send_failure(report.as_fd(), &failure);
            sys::exit_now(125)
        }
    }
}

/// The second process, inside: from the engine's program to the command.
fn become_command(plan: &Plan<'_>, report: &OwnedFd) -> ! {
    let settled = standing::start_new_session()
        .and_then(|()| standing::join_new_keyring())
        .and_then(|()| streams::connect(&plan.streams))
        .and_then(|()| standing::enter_working_dir(&plan.working_dir))
        .and_then(|()| standing::close_descriptors(report));
    match settled {
        Err(failure) => report::send_failure(report.as_fd(), &failure),
        Ok(number) => {
            // SAFETY: close_descriptors has just put the report pipe there, until execve closes it.
            let report = unsafe { BorrowedFd::borrow_raw(number) };
            if let Err(failure) = plan.privileges.apply(None) {
                report::send_failure(report, &failure);
            } else {
                report::send_executing(report, 0, &Stamps::new());
                report::send_failure(report, &plan.workload.execute());
            }
        }
    }
    sys::exit_now(125)
}

/// Reap the first process and read until the second has executed the command.
fn await_execution(mut reports: Reports, first: i32) -> Result<i32, StepError> {
    let mut second = None;
    let mut executing = false;
    let mut failed = None;
    while let Some(report) = reports.next()? {
        match report {
            Report::Born { pid } => second = Some(pid),
            Report::Executing { .. } => executing = true,
            Report::Failed(error) => failed = Some(error),
        }
    }
    reap_pid(first)?;
    if let Some(error) = failed {
        if let Some(pid) = second {
            reap_pid(pid)?;
        }
        return Err(StepError { pid: second.unwrap_or(first), ..error });
    }
    match second.filter(|_| executing) {
        Some(pid) => Ok(pid),
        None => {
            if let Some(pid) = second {
                reap_pid(pid)?;
            }
            let object = "nothing: the process was killed before it executed the command";
            Err(StepError::here(Step::ReadReport, "read", object, Errno::ECHILD))
        }
    }
}

fn reap_pid(pid: i32) -> Result<(), StepError> {
    loop {
        match waitpid(Pid::from_raw(pid), None) {
            Ok(_) | Err(Errno::ECHILD) => return Ok(()),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(StepError::here(Step::WaitWorkload, "wait4", pid, errno)),
        }
    }
}

/// Wait for the command, passing on what the engine is told meanwhile.
fn wait_with_signals(pidfd: &OwnedFd, relay: Option<&Relay>) -> Result<Exit, StepError> {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    let Some(relay) = relay else { return reap(pidfd) };
    let mut insistence = 0;
    loop {
        let mut fds =
            [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN), PollFd::new(relay.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(StepError::here(Step::WaitWorkload, "poll", "", errno)),
        }
        let [ended, signalled] = fds.map(|fd| fd.any().unwrap_or(false));
        if signalled {
            pass_on(relay, pidfd, &mut insistence);
        }
        if ended {
            return reap(pidfd);
        }
    }
}
