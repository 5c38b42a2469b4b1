//! Where an incident stands among the others of its answer: a cause of the failure, or something that was handled,
//! asked, or done in consequence.

use crate::model::{Confidence, Errno, Explained, Fact, FailureKind, Killer, ObjectKind, State};

/// The better, the further down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// Done because something else had failed, or a search that went on.
    Beside,
    /// Nothing says that it was handled.
    Before,
}

pub(super) fn of(e: &Explained, all: &[Explained]) -> Place {
    if is_cleared_away(e, all) || went_on(e, all) || was_helper(e, all) {
        Place::Beside
    } else {
        Place::Before
    }
}

/// Killed by its own parent, or by that of others that failed: that is how a supervisor ends what has failed, a script its helpers, and a shell what runs
/// in its background. Why the parent did so is told by something else, if anything.
fn is_cleared_away(e: &Explained, all: &[Explained]) -> bool {
    let task = &e.incident.failure.task;
    match &e.incident.failure.kind {
        FailureKind::Killed { by: Killer::Process { pid, .. }, .. } => {
            let related = |other: &Explained| {
                [other.incident.failure.task.pid, other.incident.failure.task.ppid].contains(pid)
            };
            *pid != 0 && (*pid == task.ppid || all.iter().any(related))
        }
        _ => false,
    }
}

/// A program that was not found where it was looked for first: the same process has become another one since, or has
/// tried again.
fn went_on(e: &Explained, all: &[Explained]) -> bool {
    if !is_exec(e)
        || errno(e) != Some(Errno::ENOENT)
        || missing_program(e).is_none_or(|kind| kind == ObjectKind::Regular)
    {
        return false;
    }
    let (task, last) = (&e.incident.failure.task, e.incident.last.mono_ns);
    all.iter().any(|other| {
        let theirs = &other.incident.failure.task;
        let later = other.incident.failure.time.mono_ns > last;
        let became = theirs.comm != task.comm;
        theirs.pid == task.pid && theirs.start_ns == task.start_ns && later && (became || is_exec(other))
    })
}

/// A helper that is not there, of a program that was refused something itself, for a reason that is known: mount(8)
/// tries mount.TYPE in a child, before or after it mounts by itself, as fsck, mkfs and git do with theirs.
fn was_helper(e: &Explained, all: &[Explained]) -> bool {
    if missing_program(e) != Some(ObjectKind::Absent) {
        return false;
    }
    let task = &e.incident.failure.task;
    let name = e.incident.failure.text_arg("pathname").and_then(|path| path.rsplit('/').next());
    let rest = name.and_then(|name| name.strip_prefix(task.comm.as_str()));
    if task.comm.is_empty() || !rest.is_some_and(|rest| rest.starts_with(['.', '-'])) {
        return false;
    }
    all.iter().any(|other| {
        let theirs = &other.incident.failure.task;
        let known = other.findings.first().is_some_and(|f| f.confidence >= Confidence::Likely);
        task.ppid == theirs.pid && task.comm == theirs.comm && known && !is_exec(other)
    })
}

fn is_exec(e: &Explained) -> bool {
    e.incident.failure.syscall().is_some_and(|(name, _)| matches!(name, "execve" | "execveat"))
}

fn errno(e: &Explained) -> Option<Errno> {
    e.incident.failure.syscall().map(|(_, errno)| errno)
}

/// A program that was looked for elsewhere next, and found: the same process was seen to run it.
pub(super) fn was_found_elsewhere(e: &Explained) -> bool {
    let ran = |fact: &Fact| matches!(fact, Fact::State(state) if state.name == State::RAN_INSTEAD);
    is_exec(e) && errno(e) == Some(Errno::ENOENT) && e.incident.facts.iter().any(ran)
}

/// What lay at the path of a program that could not be started with ENOENT; taken for absent where nobody looked.
pub(super) fn missing_program(e: &Explained) -> Option<ObjectKind> {
    if !is_exec(e) || errno(e) != Some(Errno::ENOENT) {
        return None;
    }
    let found = e.incident.facts.iter().find_map(|fact| match fact {
        Fact::PathObject(object) => Some(object.kind),
        _ => None,
    });
    Some(match found {
        Some(ObjectKind::NoWay | ObjectKind::Absent) | None => ObjectKind::Absent,
        Some(kind) => kind,
    })
}
