//! Incidents to judge, for the tests of causes.

use super::Case;
use super::tasks::POLICY;
use crate::causes::Cause;
use crate::limits::{Limit, tasks};
use crate::model::{
    Abi, Arg, ArgValue, Confidence, Errno, FIRST_USER_NAMESPACE, Fact, Failure, FailureKind, FileKind,
    Filters, Finding, Host, Identity, Incident, MountSeen, ObjectKind, OpenFile, Path, PathObject,
    Permissions, Place, PlaceKind, PlaceMount, Reading, Stamp, State, Taken, Task,
};

pub(in crate::causes) fn reading(limit: &Limit, usage: u64, ceiling: u64) -> Reading {
    Reading {
        limit: limit.id.into(),
        scope: String::new(),
        ceiling: Some(ceiling),
        usage: Some(usage),
        adds: Some(1),
        hits: None,
        unit: limit.unit.into(),
        taken: Taken::AtInstant,
        source: "probe".into(),
    }
}

/// Readings of everything but one limit, all with room.
pub(in crate::causes) fn unlimited(but: &Limit) -> Vec<Reading> {
    let mut policy = reading(&tasks::PID_MAX, 0, 0);
    policy.limit = POLICY.into();
    [
        reading(&tasks::PIDS_MAX, 10, 4_194_305),
        reading(&tasks::NPROC, 10, u64::MAX),
        reading(&tasks::THREADS_MAX, 100, 60_000),
        reading(&tasks::PID_MAX, 100, 32_768),
        policy,
    ]
    .into_iter()
    .filter(|r| r.limit != but.id)
    .collect()
}

pub(in crate::causes) fn incident(syscall: &str, errno: Errno, readings: Vec<Reading>) -> Incident {
    let args = vec![Arg { name: "flags".into(), value: ArgValue::Number(17) }];
    Incident {
        host: Host::default(),
        container: None,
        failure: Failure {
            time: Stamp::default(),
            task: Task { comm: "java".into(), ..Task::default() },
            kind: FailureKind::Syscall { name: syscall.into(), nr: 56, abi: Abi::Native, errno, args },
            readings,
        },
        count: 1,
        last: Stamp::default(),
        step: None,
        graph: None,
        no_graph: None,
        readings: vec![],
        suspects: vec![],
        owners: vec![],
        facts: Default::default(),
        loss: Default::default(),
        cost: None,
    }
}

/// A path on which this function was seen to decide.
pub(in crate::causes) fn decided_by(function: &str) -> Path {
    Path {
        functions: vec![function.into()],
        decider: Some(function.into()),
        decider_method: Some("return-value".into()),
        ..Path::default()
    }
}

pub(in crate::causes) fn judge_with(cause: &Cause, incident: &Incident) -> Option<Finding> {
    cause.judge(&Case { incident, path: None })
}

/// An incident of a task without filters in the first user namespace, with values as the probe reads them.
pub(in crate::causes) fn valued(
    syscall: &str,
    errno: Errno,
    args: &[(&str, u64)],
    values: &[(&str, u64)],
    readings: Vec<Reading>,
) -> Incident {
    let mut incident = incident(syscall, errno, readings);
    let task = &mut incident.failure.task;
    task.user_ns = Some(0xefff_fffd);
    task.filters = Some(Filters { mode: 0, count: 0, inherited: false });
    for (name, value) in values {
        let mut reading = reading(&tasks::PID_MAX, *value, 0);
        (reading.limit, reading.ceiling, reading.adds) = ((*name).into(), None, None);
        incident.failure.readings.push(reading);
    }
    if let FailureKind::Syscall { args: kept, .. } = &mut incident.failure.kind {
        kept.retain(|arg| !args.iter().any(|(name, _)| *name == arg.name));
        kept.extend(
            args.iter().map(|(name, value)| Arg { name: (*name).into(), value: ArgValue::Number(*value) }),
        );
    }
    incident
}

/// A reading that is over its ceiling by what the call adds.
pub(in crate::causes) fn over(limit: &Limit, usage: u64, ceiling: u64, adds: u64) -> Reading {
    Reading { adds: Some(adds), ..reading(limit, usage, ceiling) }
}

/// What a cause makes of one reading, while those of its other limits show room, as the probe reads them all.
pub(in crate::causes) fn judge_alone(
    cause: &Cause,
    call: &str,
    errno: Errno,
    reading: Reading,
) -> Option<Confidence> {
    let mut readings: Vec<Reading> = cause.reads.iter().map(|limit| over(limit, 0, u64::MAX, 1)).collect();
    readings.retain(|other| other.limit != reading.limit);
    readings.push(reading);
    judge_with(cause, &valued(call, errno, &[], &[], readings)).map(|f| f.confidence)
}

/// Sets string and number arguments of the failed call.
pub(in crate::causes) fn set_args(incident: &mut Incident, texts: &[(&str, &str)], numbers: &[(&str, u64)]) {
    if let FailureKind::Syscall { args, .. } = &mut incident.failure.kind {
        args.clear();
        args.extend(
            texts
                .iter()
                .map(|(name, text)| Arg { name: (*name).into(), value: ArgValue::Text((*text).into()) }),
        );
        args.extend(
            numbers.iter().map(|(name, n)| Arg { name: (*name).into(), value: ArgValue::Number(*n) }),
        );
    }
}

/// A folder on a mount with these flags, where the mount begins.
pub(in crate::causes) fn place(role: &str, path: &str, flags: &str) -> Place {
    Place {
        role: role.into(),
        path: path.into(),
        kind: PlaceKind::Folder,
        error: None,
        mount_root: Some(true),
        immutable: false,
        append_only: false,
        mode: 0o755,
        uid: 0,
        gid: 0,
        links: 2,
        rdev: String::new(),
        mount: Some(PlaceMount {
            point: path.into(),
            fstype: "tmpfs".into(),
            flags: flags.into(),
            options: "rw".into(),
            ..PlaceMount::default()
        }),
        project: None,
        folder: Some((0o755, 0)),
        after_ns: 1,
    }
}

/// A regular file of root's, reached through folders open to all.
pub(in crate::causes) fn file(path: &str, mode: u32) -> PathObject {
    let open = |path: &str, mode: u32| Permissions {
        path: path.into(),
        mode,
        uid: 0,
        gid: 0,
        acl: false,
        immutable: Some(false),
        append_only: Some(false),
    };
    PathObject {
        role: "pathname".into(),
        path: path.into(),
        kind: ObjectKind::Regular,
        own: Some(open(path, mode)),
        folders: vec![open("/", 0o755)],
        mount: Some(MountSeen {
            point: "/".into(),
            fstype: "ext4".into(),
            flags: "rw,relatime".into(),
            options: "rw".into(),
        }),
        head: None,
        device: None,
        running: vec![],
        writing: vec![],
        whole: None,
        after_ns: 2_000_000,
    }
}

/// A refusal without seccomp filters, and its object.
pub(in crate::causes) fn with_object(syscall: &str, errno: Errno, object: PathObject) -> Incident {
    let mut out = incident(syscall, errno, vec![]);
    out.failure.task.filters = Some(Filters { mode: 0, count: 0, inherited: false });
    out.facts.push(Fact::PathObject(Box::new(object)));
    out
}

/// The same by an unprivileged user of the first user namespace.
pub(in crate::causes) fn by_user(mut incident: Incident, uid: u32, effective: u64) -> Incident {
    incident.facts.push(Fact::Identity(Box::new(Identity {
        uids: [uid; 4],
        gids: [uid; 4],
        effective,
        user_ns: Some(FIRST_USER_NAMESPACE),
        first_user_ns: Some(true),
        seccomp: Some(0),
        modules: Some("lockdown,capability,yama".into()),
        ..Identity::default()
    })));
    incident
}

/// A state that was read again.
pub(in crate::causes) fn state(name: &str, of: &str, value: &str) -> Fact {
    Fact::State(State {
        name: name.into(),
        of: of.into(),
        value: value.into(),
        source: "/proc".into(),
        after_ns: 1,
    })
}

/// Sets an argument of the failed call.
pub(in crate::causes) fn argument(incident: &mut Incident, name: &str, value: ArgValue) {
    if let FailureKind::Syscall { args, .. } = &mut incident.failure.kind {
        args.retain(|arg| arg.name != name);
        args.push(Arg { name: name.into(), value });
    }
}

/// Makes the call one that wrote `text` to a file of that name.
pub(in crate::causes) fn written_to(incident: &mut Incident, name: &str, magic: u64, text: &str) {
    let file = OpenFile {
        kind: FileKind::Regular,
        name: name.into(),
        device: "0:5".into(),
        magic,
        inode: 1,
        folder: 2,
    };
    argument(incident, "fd", ArgValue::Descriptor { raw: 3, file });
    argument(incident, "written", ArgValue::Text(text.into()));
}
