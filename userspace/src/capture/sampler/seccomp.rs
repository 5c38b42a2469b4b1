//! What a task's own seccomp filters say to the call that failed: they are read and run again here.
//!
//! A refused call never enters the kernel, so no graph and no reading shows who refused. But a filter is a
//! function of number, architecture and arguments (seccomp(2)), and all three are known. Filters cannot be
//! removed, only added: what says no now said no before, if it was there then. The probe counts them at that
//! instant; where it cannot, how it is known is kept too.

mod bpf;
mod filters;

use super::{Look, Sampled};
use crate::capture::clock;
use crate::limits::read::Root;
use crate::model::{
    Abi, Arg, ArgValue, Errno, Fact, Failure, FailureKind, Seccomp, SeccompAnswer, SeccompSource, Task,
};
use bpf::Call;
use filters::Program;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// Errnos of everyday asking and waiting, for which no task is stopped, and which no profile in use answers.
const EVERYDAY: &[i32] = &[
    libc::ENOENT,
    libc::EEXIST,
    libc::EAGAIN,
    libc::EINTR,
    libc::EINPROGRESS,
    libc::ECHILD,
    libc::ESRCH,
    libc::ENOTTY,
    libc::ENOTDIR,
    libc::EBADF,
    libc::EPIPE,
    libc::ENODATA,
    libc::ETIMEDOUT,
];

/// `SECCOMP_MODE_FILTER` (linux/seccomp.h).
const MODE_FILTER: u32 = 2;

/// Filters of so many processes are remembered.
const MOST_REMEMBERED: usize = 64;

/// The filters of one process, as long as their number stays what it was.
#[derive(Debug, Clone)]
struct Known {
    pid: u32,
    start_ns: u64,
    count: Option<u64>,
    read_at_ns: u64,
    programs: Arc<Vec<Program>>,
    unread: Option<String>,
}

/// A task is stopped for this once, not at each failure.
static REMEMBERED: Mutex<VecDeque<Known>> = Mutex::new(VecDeque::new());

/// What `/proc/PID/status` says of a task's filters and of what it would need to add one.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Status {
    comm: String,
    mode: u32,
    count: Option<u64>,
    no_new_privs: bool,
    sys_admin: bool,
}

/// Whose filters are read, and how they relate to those that were at work.
struct Source {
    from: SeccompSource,
    pid: u32,
    status: Status,
}

pub(super) fn look(look: &Look<'_>, failure: &mut Failure, out: &mut Sampled) {
    out.facts.extend(sample(look.root, failure).map(Fact::Seccomp));
}

/// The verdict of the filters over a failed call; `None` where no filter is at work.
fn sample(root: &Root, failure: &Failure) -> Option<Seccomp> {
    let FailureKind::Syscall { nr, abi, errno, args, .. } = &failure.kind else { return None };
    if EVERYDAY.contains(&errno.0) || *errno == Errno(0) {
        return None;
    }
    let task = &failure.task;
    if task.filters.is_some_and(|filters| filters.mode != MODE_FILTER) {
        return None;
    }
    let source = source(root, task)?;
    let known = known(task, &source);
    let mut programs = known.programs.as_slice();
    let mut before = None;
    let mut filters = source.status.count;
    if let Some(then) = task.filters {
        // Filters are added in front only, so those of that instant are the oldest of today's.
        let count = then.count as usize;
        filters = Some(u64::from(then.count));
        if known.unread.is_none() && programs.len() >= count {
            programs = &programs[programs.len() - count..];
            before = Some(format!("the task had {count} at that instant"));
        }
    } else if known.read_at_ns < failure.time.mono_ns {
        before = Some("they were read before the call".into());
    } else {
        before = installed_before(root, task, &source.status);
    }
    let call = call_of(*nr, *abi, args);
    let answers = (0..).zip(programs).filter_map(|(filter, program)| {
        let ran = bpf::run(program, &call)?;
        let length = u32::try_from(program.len()).unwrap_or(u32::MAX);
        Some(SeccompAnswer { filter, length, value: ran.value, guessed: ran.guessed })
    });
    Some(Seccomp {
        from: source.from,
        pid: source.pid,
        filters,
        before,
        answers: answers.collect(),
        unread: known.unread.clone(),
        after_ns: clock::mono_ns().saturating_sub(failure.time.mono_ns),
    })
}

/// The task itself, or its parent when it is gone: a child has its parent's filters, and maybe more.
fn source(root: &Root, task: &Task) -> Option<Source> {
    if let Some(status) = status(root, task.tid) {
        let is_filtered = status.mode == MODE_FILTER;
        return is_filtered.then_some(Source { from: SeccompSource::Task, pid: task.tid, status });
    }
    let status = status(root, task.ppid).filter(|s| s.mode == MODE_FILTER)?;
    let inherited = task.filters.is_some_and(|filters| filters.inherited);
    let from = if inherited { SeccompSource::Inherited } else { SeccompSource::Relative };
    Some(Source { from, pid: task.ppid, status })
}

/// The programs of a source, remembered or read now.
fn known(task: &Task, source: &Source) -> Known {
    let start_ns = if source.from == SeccompSource::Task { task.start_ns } else { 0 };
    recall(source.pid, start_ns, source.status.count).unwrap_or_else(|| {
        let (programs, unread) = filters::read(source.pid);
        let known = Known {
            pid: source.pid,
            start_ns,
            count: source.status.count,
            read_at_ns: clock::mono_ns(),
            programs: Arc::new(programs),
            unread,
        };
        remember(known.clone());
        known
    })
}

fn recall(pid: u32, start_ns: u64, count: Option<u64>) -> Option<Known> {
    let all = REMEMBERED.lock().unwrap_or_else(PoisonError::into_inner);
    let fits = |k: &&Known| {
        // A number that is not known, or a process that could be another one, is read again.
        k.pid == pid && k.start_ns == start_ns && start_ns != 0 && count.is_some() && k.count == count
    };
    all.iter().find(fits).cloned()
}

fn remember(known: Known) {
    let mut all = REMEMBERED.lock().unwrap_or_else(PoisonError::into_inner);
    all.retain(|k| k.pid != known.pid);
    if all.len() == MOST_REMEMBERED {
        all.pop_front();
    }
    all.push_back(known);
}

/// Why the filters cannot have come between the call and this reading.
fn installed_before(root: &Root, task: &Task, now: &Status) -> Option<String> {
    let parent = status(root, task.ppid);
    if now.count.is_some() && parent.is_some_and(|p| p.mode == MODE_FILTER && p.count == now.count) {
        return Some("its parent has as many, so they were inherited".into());
    }
    // seccomp_prepare_filter() (kernel/seccomp.c) wants one of the two; who has neither got its filters from
    // whoever started it, and has been this program since before the call.
    (!now.no_new_privs && !now.sys_admin && now.comm == task.comm)
        .then(|| "it may not install any itself (neither no_new_privs nor CAP_SYS_ADMIN)".into())
}

fn status(root: &Root, pid: u32) -> Option<Status> {
    let text = std::fs::read_to_string(root.join(format!("proc/{pid}/status"))).ok()?;
    parse(&text)
}

/// `None` for a zombie: it has let go of its filters (`seccomp_filter_release()`).
fn parse(text: &str) -> Option<Status> {
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    if field("State:")?.starts_with(['Z', 'X']) {
        return None;
    }
    Some(Status {
        comm: field("Name:")?.to_string(),
        mode: field("Seccomp:")?.parse().ok()?,
        count: field("Seccomp_filters:").and_then(|n| n.parse().ok()),
        no_new_privs: field("NoNewPrivs:").is_none_or(|n| n != "0"),
        sys_admin: u64::from_str_radix(field("CapEff:")?, 16).ok()? & (1 << 21) != 0,
    })
}

/// `struct seccomp_data` of the failed call, as far as it is known.
fn call_of(nr: u32, abi: Abi, args: &[Arg]) -> Call {
    let mut words = [None; 6];
    for (word, arg) in words.iter_mut().zip(args) {
        *word = match &arg.value {
            ArgValue::Number(n) | ArgValue::Descriptor { raw: n, .. } | ArgValue::Socket { raw: n, .. } => {
                Some(*n)
            }
            // Shown sign-extended, and whether the register was is not known.
            ArgValue::Flags { raw, .. } => Some(*raw).filter(|raw| *raw <= u64::from(u32::MAX)),
            ArgValue::Null => Some(0),
            ArgValue::Withheld { at } => Some(*at),
            ArgValue::Text(_)
            | ArgValue::Address(_)
            | ArgValue::Bytes(_)
            | ArgValue::Unread
            | ArgValue::Redacted => None,
        };
    }
    Call { nr, arch: bpf::arch(abi), args: words }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_of_a_container_and_of_a_zombie() {
        let text = "Name:\tsh\nState:\tS (sleeping)\nCapEff:\t00000000a80425fb\nNoNewPrivs:\t0\nSeccomp:\t2\nSeccomp_filters:\t1\n";
        let status = parse(text).unwrap();
        assert_eq!((status.mode, status.count), (2, Some(1)));
        assert!(!status.no_new_privs && !status.sys_admin);
        assert_eq!(parse(&text.replace("S (sleeping)", "Z (zombie)")), None);
        assert_eq!(parse(&text.replace("Seccomp_filters:\t1\n", "")).unwrap().count, None);
    }

    #[test]
    fn pointers_are_not_known() {
        let arg = |value| Arg { name: "x".into(), value };
        let args = [
            arg(ArgValue::Text("/".into())),
            arg(ArgValue::Number(7)),
            arg(ArgValue::Null),
            arg(ArgValue::Flags { raw: i64::from(libc::AT_FDCWD) as u64, words: "AT_FDCWD".into() }),
        ];
        let call = call_of(165, Abi::Native, &args);
        assert_eq!(call.args, [None, Some(7), Some(0), None, None, None]);
    }
}
