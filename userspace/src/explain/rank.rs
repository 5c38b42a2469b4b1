//! Which incident comes first: what made the container or the command fail, before what was handled.

mod asking;
mod place;

use crate::model::{Confidence, Errno, Explained, FailureKind, Killer};
use place::Place;
use std::cmp::Reverse;

/// Most significant first. What was only asked, or came of something else, is last whatever is known about it; then a
/// resource that ran out before other refusals, a proven cause before a likely one. Among equals the deepest process
/// comes first (it started last), and of its failures the last one.
pub fn sort(explained: &mut [Explained]) {
    let mut keys: Vec<_> = explained.iter().enumerate().map(|(at, e)| (key(e, explained), at)).collect();
    keys.sort_by_key(|(key, _)| *key);
    let mut order: Vec<usize> = keys.into_iter().map(|(_, at)| at).collect();
    // Cycles of the permutation are walked in place, as incidents are large and not cheap to copy.
    for start in 0..order.len() {
        let mut at = start;
        while order[at] != start {
            let next = order[at];
            explained.swap(at, next);
            order[at] = at;
            at = next;
        }
        order[at] = at;
    }
}

type Key = (Reverse<Place>, Reverse<bool>, Reverse<u8>, Reverse<u8>, Reverse<u64>, Reverse<u64>);

fn key(e: &Explained, all: &[Explained]) -> Key {
    let confidence = e.findings.first().map_or(0, |f| f.confidence as u8 + 1);
    (
        Reverse(place::of(e, all)),
        Reverse(e.incident.step.is_some()),
        Reverse(lifted(e)),
        Reverse(confidence),
        Reverse(e.incident.failure.task.start_ns),
        Reverse(e.incident.last.mono_ns),
    )
}

/// What is known to have a cause was more than a question.
fn lifted(e: &Explained) -> u8 {
    let known = !is_question(e) && e.findings.first().is_some_and(|f| f.confidence >= Confidence::Likely);
    if known { weight(e).max(2) } else { weight(e) }
}

/// The weight of a resource that ran out.
const RAN_OUT: u8 = 3;

fn weight(e: &Explained) -> u8 {
    if matches!(&e.incident.failure.kind, FailureKind::Killed { by: Killer::Oom { .. }, .. }) {
        return RAN_OUT;
    }
    if is_question(e) {
        return 0;
    }
    let Some((syscall, errno)) = e.incident.failure.syscall() else { return 2 };
    if asking::only_asked(syscall, errno) || asking::only_waited(syscall, errno) {
        return 0;
    }
    match errno {
        Errno::ENOSPC | Errno::EDQUOT | Errno::EMFILE | Errno::ENFILE => RAN_OUT,
        Errno::ENOMEM | Errno::EAGAIN | Errno(libc::ENOBUFS) => RAN_OUT,
        _ => 2,
    }
}

/// Whatever is known of it, the answer was looked for.
fn is_question(e: &Explained) -> bool {
    asking::asks_a_helper(&e.incident.failure)
        || asking::is_masking(&e.incident.failure)
        || asking::learns_the_kind(&e.incident.failure)
        || asks_for_the_interface(e)
        || place::was_found_elsewhere(e)
}

/// Programs ask so whether the kernel knows a call or a request at all: Rust's standard library for statx(2), with
/// pointers to nothing; iproute2 for RTM_NEWLINK, with a request that names no interface (ip/iplink.c
/// `iplink_have_newlink`); libcap for the last capability, by prctl(PR_CAPBSET_READ) of ever other numbers
/// (libcap/cap_alloc.c `_libcap_initialize`); engines by PR_CAPBSET_DROP of one number after the other.
fn asks_for_the_interface(e: &Explained) -> bool {
    match &e.incident.failure.kind {
        FailureKind::Syscall { name, errno, .. } if name == "prctl" => {
            let operation = e.incident.failure.number_arg("op");
            let asks = [libc::PR_CAPBSET_READ, libc::PR_CAPBSET_DROP].map(|asks| Some(asks as u64));
            *errno == Errno::EINVAL && asks.contains(&operation)
        }
        FailureKind::Syscall { name, .. } if name == "openat" => {
            asking::looks_for_a_terminal(&e.incident.failure)
        }
        FailureKind::Syscall { name, errno, .. } => name == "statx" && *errno == Errno(libc::EFAULT),
        FailureKind::Netlink(refused) => {
            refused.errno == Errno(libc::ENODEV)
                && (refused.names_nothing() || refused.request == "RTM_NEWLINK" && refused.is_unread())
        }
        _ => false,
    }
}

/// Whether a command that went well may have suffered from it all the same. Refusals are how programs find out what
/// they may do and what is there, and they go on; what ran out is missing, whoever got over it.
pub fn outlasts_success(e: &Explained) -> bool {
    match &e.incident.failure.kind {
        FailureKind::Syscall { .. } | FailureKind::IoUring { .. } | FailureKind::Netlink(_) => {
            weight(e) == RAN_OUT
        }
        _ => true,
    }
}

/// Whether an incident is only somebody asking whether something is there.
pub fn is_noise(e: &Explained) -> bool {
    asking::is_masking(&e.incident.failure)
        || place::was_found_elsewhere(e)
        || e.findings.is_empty() && e.incident.step.is_none() && weight(e) == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        Abi, Arg, ArgValue, Fact, Failure, Finding, Host, Incident, Killer, Knob, KnobKind, Loss, Netlink,
        Stamp, State, Task,
    };

    fn failed(syscall: &str, errno: i32, start_ns: u64, at: u64) -> Explained {
        let time = Stamp { mono_ns: at, unix_ns: at as i64 };
        let kind = FailureKind::Syscall {
            name: syscall.into(),
            nr: 0,
            abi: Abi::Native,
            errno: Errno(errno),
            args: vec![],
        };
        let incident = Incident {
            host: Host::default(),
            container: None,
            failure: Failure { time, task: Task { start_ns, ..Task::default() }, kind, readings: vec![] },
            count: 1,
            last: time,
            step: None,
            graph: None,
            no_graph: None,
            readings: vec![],
            suspects: vec![],
            owners: vec![],
            facts: vec![],
            loss: Loss::default(),
            cost: None,
        };
        Explained { incident, path: None, findings: vec![], ruled_out: vec![], next: vec![], chain: None }
    }

    fn finding(confidence: Confidence) -> Finding {
        Finding {
            cause: "a-cause".into(),
            title: String::new(),
            confidence,
            sentence: String::new(),
            knob: Knob { kind: KnobKind::Other, name: String::new(), path: String::new() },
            limit: None,
            usage: None,
            unit: String::new(),
            evidence: vec![],
            missing: vec![],
            remedy: vec![],
        }
    }

    fn order(mut list: Vec<Explained>) -> Vec<String> {
        sort(&mut list);
        list.iter().filter_map(|e| e.incident.failure.syscall().map(|(name, _)| name.to_string())).collect()
    }

    #[test]
    fn the_deepest_process_s_last_refusal_comes_before_what_its_parents_asked() {
        let list = vec![
            failed("wait4", libc::ECHILD, 10, 99),
            failed("mount", libc::EBUSY, 20, 50),
            failed("umount2", libc::EBUSY, 20, 40),
            failed("setsockopt", libc::EPERM, 10, 60),
            failed("openat", libc::ENOENT, 20, 98),
        ];
        assert_eq!(order(list), ["mount", "umount2", "setsockopt", "openat", "wait4"]);
    }

    #[test]
    fn what_a_runtime_asks_of_each_file_hides_nothing() {
        let mut asked = failed("epoll_ctl", libc::EPERM, 30, 90);
        asked.findings.push(finding(Confidence::Proven));
        assert!(!is_noise(&asked), "alone it is told");
        assert_eq!(order(vec![asked, failed("prlimit64", libc::EPERM, 20, 50)]), ["prlimit64", "epoll_ctl"]);
    }

    #[test]
    fn a_search_of_path_and_a_kill_by_the_own_parent_come_last() {
        let mut later = failed("openat", libc::EACCES, 30, 60);
        later.incident.failure.task.comm = "app".into();
        let list = order(vec![failed("execve", libc::ENOENT, 30, 50), later]);
        assert_eq!(list, ["openat", "execve"], "it was found in the end: another program fails");
        let list = vec![failed("execve", libc::ENOENT, 30, 50), failed("setsockopt", libc::EPERM, 20, 60)];
        assert_eq!(
            order(list),
            ["execve", "setsockopt"],
            "nothing was found, and the deepest process ended with it"
        );
        let mut killed = failed("kill", 0, 30, 99);
        killed.incident.failure.kind = FailureKind::Killed {
            signal: "SIGKILL".into(),
            by: Killer::Process {
                pid: 7,
                comm: "sh".into(),
                uid: 0,
                cgroups: vec![],
                container: None,
                without_call: false,
            },
        };
        killed.incident.failure.task.ppid = 7;
        let mut list = vec![killed, failed("mount", libc::EBUSY, 20, 50)];
        sort(&mut list);
        assert!(list[0].incident.failure.syscall().is_some());
    }

    #[test]
    fn a_helper_that_is_not_there_does_not_hide_what_its_program_met() {
        let mut helper = failed("execve", libc::ENOENT, 30, 50);
        (helper.incident.failure.task.pid, helper.incident.failure.task.ppid) = (8, 7);
        helper.findings.push(finding(Confidence::Proven));
        let mut parent = failed("mount", libc::EINVAL, 20, 40);
        parent.incident.failure.task.pid = 7;
        parent.findings.push(finding(Confidence::Proven));
        for task in [&mut helper.incident.failure.task, &mut parent.incident.failure.task] {
            task.comm = "mount".into();
        }
        let named = |path: &str| {
            let mut helper = helper.clone();
            if let FailureKind::Syscall { args, .. } = &mut helper.incident.failure.kind {
                args.push(Arg { name: "pathname".into(), value: ArgValue::Text(path.into()) });
            }
            helper
        };
        assert_eq!(order(vec![named("/sbin/mount.overlay"), parent.clone()]), ["mount", "execve"]);
        assert_eq!(order(vec![named("/sbin/other"), parent.clone()]), ["execve", "mount"]);
        parent.findings.clear();
        assert_eq!(
            order(vec![named("/sbin/mount.overlay"), parent]),
            ["execve", "mount"],
            "what has no known cause hides nothing"
        );
    }

    #[test]
    fn the_c_library_s_question_for_its_cache_is_no_failure() {
        let asked = |path: &str| {
            let mut e = failed("connect", libc::ENOENT, 20, 1);
            if let FailureKind::Syscall { args, .. } = &mut e.incident.failure.kind {
                let value = ArgValue::Address(crate::model::Address::Local { path: path.into() });
                args.push(Arg { name: "addr".into(), value });
            }
            e.findings.push(finding(Confidence::Proven));
            order(vec![e, failed("mount", libc::EBUSY, 10, 2)])
        };
        assert_eq!(asked("/var/run/nscd/socket"), ["mount", "connect"]);
        assert_eq!(asked("/run/docker.sock"), ["connect", "mount"]);
    }

    #[test]
    fn a_shell_that_looks_for_its_terminal_was_refused_nothing() {
        let opened = |flags: i32| {
            let mut e = failed("openat", libc::ENXIO, 20, 1);
            if let FailureKind::Syscall { args, .. } = &mut e.incident.failure.kind {
                args.push(Arg { name: "pathname".into(), value: ArgValue::Text("/dev/tty".into()) });
                args.push(Arg { name: "flags".into(), value: ArgValue::Number(flags as u64) });
            }
            e
        };
        assert!(is_noise(&opened(libc::O_RDWR | libc::O_NONBLOCK)));
        assert!(!is_noise(&opened(libc::O_RDWR)));
    }

    #[test]
    fn any_order_is_sorted_whole() {
        let list: Vec<_> = [5, 1, 9, 3, 7].map(|at| failed("mount", libc::EBUSY, 20, at)).into();
        let mut sorted = list;
        sort(&mut sorted);
        let times: Vec<u64> = sorted.iter().map(|e| e.incident.failure.time.mono_ns).collect();
        assert_eq!(times, [9, 7, 5, 3, 1]);
    }

    #[test]
    fn an_engine_that_covers_a_path_that_is_not_there_is_no_failure() {
        let mut masking = failed("mount", libc::ENOENT, 20, 1);
        if let FailureKind::Syscall { args, .. } = &mut masking.incident.failure.kind {
            args.push(Arg { name: "source".into(), value: ArgValue::Text("/dev/null".into()) });
        }
        assert!(is_noise(&masking));
        assert!(!is_noise(&failed("mount", libc::ENOENT, 20, 1)));
    }

    #[test]
    fn only_what_ran_out_is_told_of_a_command_that_went_well() {
        assert!(outlasts_success(&failed("write", libc::ENOSPC, 1, 1)));
        assert!(!outlasts_success(&failed("mount", libc::EPERM, 1, 1)));
        let mut killed = failed("kill", 0, 1, 1);
        let by = Killer::Kernel;
        killed.incident.failure.kind = FailureKind::Killed { signal: "SIGKILL".into(), by };
        assert!(outlasts_success(&killed));
    }

    #[test]
    fn a_program_that_looks_for_the_last_capability_was_refused_nothing() {
        let mut asked = failed("prctl", libc::EINVAL, 10, 1);
        assert!(!is_noise(&asked), "of another operation it is a refusal");
        if let FailureKind::Syscall { args, .. } = &mut asked.incident.failure.kind {
            args.push(Arg { name: "op".into(), value: ArgValue::Number(libc::PR_CAPBSET_READ as u64) });
        }
        assert!(is_noise(&asked));
    }

    #[test]
    fn a_read_that_found_nothing_yet_is_no_resource_that_ran_out() {
        let list =
            vec![failed("recvmsg", libc::EAGAIN, 30, 50), failed("connect", libc::EINPROGRESS, 10, 60)];
        assert_eq!(order(list), ["connect", "recvmsg"]);
        assert!(is_noise(&failed("recvmsg", libc::EAGAIN, 30, 50)));
        assert!(!outlasts_success(&failed("read", libc::EAGAIN, 30, 50)));
        assert!(outlasts_success(&failed("clone", libc::EAGAIN, 30, 50)));
    }

    #[test]
    fn a_link_request_that_names_nothing_only_asks_for_the_request() {
        let mut asked = failed("sendmsg", 0, 30, 50);
        asked.incident.failure.kind = FailureKind::Netlink(Netlink {
            protocol: "NETLINK_ROUTE".into(),
            request: "RTM_NEWLINK".into(),
            errno: Errno(libc::ENODEV),
            flags: 0,
            message: None,
            interface: None,
            link_kind: None,
            index: Some(0),
            net_ns: None,
        });
        assert!(is_noise(&asked));
        if let FailureKind::Netlink(refused) = &mut asked.incident.failure.kind {
            refused.index = Some(7);
        }
        assert!(!is_noise(&asked));
        // Nor is one of which nothing is known more than a question, beside what ran out.
        if let FailureKind::Netlink(refused) = &mut asked.incident.failure.kind {
            refused.index = None;
        }
        let mut list = vec![asked, failed("sendto", libc::ENOBUFS, 1, 1)];
        sort(&mut list);
        assert!(list[0].incident.failure.syscall().is_some());
    }

    #[test]
    fn memory_that_ran_out_comes_before_a_refusal_that_was_handled() {
        let mut killed = failed("kill", 0, 1, 1);
        let by = Killer::Oom { cgroup: None, witness: None, asked: String::new() };
        killed.incident.failure.kind = FailureKind::Killed { signal: "SIGKILL".into(), by };
        let mut list = vec![failed("setrlimit", libc::EPERM, 20, 50), killed];
        sort(&mut list);
        assert!(list[0].incident.failure.syscall().is_none());
    }

    #[test]
    fn waiting_is_no_failure() {
        let waits = failed("read", libc::EAGAIN, 30, 9);
        assert!(is_noise(&waits));
        assert_eq!(order(vec![waits, failed("prlimit64", libc::EPERM, 10, 1)]), ["prlimit64", "read"]);
        assert!(!is_noise(&failed("clone", libc::EAGAIN, 1, 1)));
    }

    #[test]
    fn a_program_that_was_found_elsewhere_was_only_looked_for() {
        let mut searched = failed("execve", libc::ENOENT, 1, 1);
        assert!(!is_noise(&searched));
        searched.incident.facts.push(Fact::State(State::ran_instead("/sbin/sh", "sh")));
        assert!(is_noise(&searched));
    }

    #[test]
    fn what_ran_out_comes_first() {
        let list = vec![failed("mount", libc::EBUSY, 20, 50), failed("write", libc::ENOSPC, 10, 1)];
        assert_eq!(order(list), ["write", "mount"]);
        assert!(is_noise(&failed("readlink", libc::EINVAL, 1, 1)));
        assert!(is_noise(&failed("umount2", libc::EINVAL, 1, 1)));
        assert!(!is_noise(&failed("umount2", libc::EBUSY, 1, 1)));
        assert!(!is_noise(&failed("mount", libc::EINVAL, 1, 1)));
        assert!(is_noise(&failed("wait4", libc::ECHILD, 1, 1)));
        assert!(!is_noise(&failed("mount", libc::ENOENT, 1, 1)));
    }
}
