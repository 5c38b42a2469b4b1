//! No cause claims the incident: say what would raise the answer.

use crate::model::{Errno, Fact, FailureKind, FileKind, Incident, Path};

/// What the user can do next, most useful first.
pub(super) fn next(incident: &Incident, path: Option<&Path>) -> Vec<String> {
    let mut out = Vec::new();
    if let FailureKind::Fault { signal, .. } = &incident.failure.kind {
        out.push(match signal.as_str() {
            "SIGBUS" => {
                "a mapped file was truncated below the process, or its file system had no room for the \
                         page: look at the size of /dev/shm and of the tmpfs mounts the process has"
                    .into()
            }
            _ => "a seccomp filter does not allow this system call: compare the container's profile".into(),
        });
    }
    if let Some(hint) = unseen_file(incident) {
        out.push(hint);
    }
    match (path.and_then(|p| p.decider.as_deref()), &incident.no_graph) {
        (Some(decider), _) => {
            out.push(format!("look up {decider}() in the source of kernel {}", incident.host.kernel))
        }
        (None, Some(_)) => {
            out.push(
                "run the same where function_graph works: there diag names the deciding kernel function"
                    .into(),
            );
        }
        (None, None) if path.is_some() => {
            out.push("let a comparable call succeed while diag watches, then fail again: the difference names the decider".into());
        }
        (None, None) => {}
    }
    if incident.loss.events_dropped + incident.loss.graph_overruns > 0 {
        out.push(format!(
            "{} events and {} graph records were lost: fewer containers at once leave more evidence",
            incident.loss.events_dropped, incident.loss.graph_overruns
        ));
    }
    out
}

/// Calls that write to a descriptor.
const WRITES: &[&str] = &[
    "write",
    "pwrite64",
    "writev",
    "pwritev",
    "pwritev2",
    "fallocate",
    "ftruncate",
    "copy_file_range",
    "sendfile",
];

/// Behind a descriptor there may be a file, a device, a pipe; each has a limit of its own.
fn unseen_file(incident: &Incident) -> Option<String> {
    let (call, errno) = incident.failure.syscall()?;
    let seen = incident.facts.iter().any(|fact| matches!(fact, Fact::FileSystem(_) | Fact::Cpuset(_)));
    let known = incident.failure.file().is_some_and(|file| file.kind == FileKind::Other);
    if errno != Errno::ENOSPC || !WRITES.contains(&call) || seen || known {
        return None;
    }
    let fd =
        ["fd", "fd_out", "out_fd"].iter().find_map(|name| incident.failure.number_arg(name))? as u32 as i32;
    let who = &incident.failure.task.comm;
    Some(format!(
        "descriptor {fd} of {call} could not be looked at, because {who} had closed it or ended: df -h and df -i \
         where {who} writes"
    ))
}
