//! Orders of arrival, floods, and graphs that belong to somebody else.

use super::*;
use crate::model::{Abi, Arg, ArgValue, Call, FailureKind, FileKind, Graph, Netlink, OpenFile, Task};

fn failure(tid: u32, at: u64, errno: Errno) -> Failure {
    Failure {
        time: Stamp { mono_ns: at, unix_ns: at as i64 },
        task: Task { pid: tid, tid, ..Task::default() },
        kind: FailureKind::Syscall { name: "mount".into(), nr: 165, abi: Abi::Native, errno, args: vec![] },
        readings: vec![],
    }
}

fn attributed(f: Failure) -> Attributed {
    Attributed {
        failure: f,
        container: None,
        step: None,
        readings: vec![],
        suspects: vec![],
        owners: vec![],
        facts: vec![],
    }
}

fn graph(tid: u32, end: u64, child: &str) -> Graph {
    Graph {
        tid,
        comm: "x".into(),
        cpu: 0,
        start_ns: end - 100,
        end_ns: Some(end),
        root: Call { name: "__x64_sys_mount".into(), children: vec![Call::leaf(child)], ..Call::default() },
        lost: 0,
    }
}

const GRAPH: Expected = Expected { graph: true, entry: true, step: false };

fn no_step(_: &Failure) -> Option<EngineStep> {
    None
}

fn traced() -> Correlator {
    Correlator::new(Host::default(), Ok(GraphSource::Instance))
}

fn incident(stories: Vec<Story>) -> Incident {
    match stories.into_iter().next() {
        Some(Story::New { incident, .. }) => *incident,
        other => panic!("expected a new incident, got {other:?}"),
    }
}

fn flood_of(pid: u32, errno: Errno) -> Repeated {
    Repeated { pid, syscall: "mount".into(), errno, count: 1000 }
}

#[test]
fn the_graph_may_come_after_the_failure() {
    let mut c = traced();
    assert!(c.failure(attributed(failure(7, 1_000, Errno::ENOSPC)), GRAPH).is_none());
    // The thread's previous call ends before the failure too: it must not be taken for it.
    c.graph(graph(7, 500, "the_call_before"));
    assert!(c.due(1_100, 900, no_step).is_empty());
    c.graph(graph(7, 990, "count_mounts"));
    let i = incident(c.due(1_200, 1_001, no_step));
    assert_eq!(i.graph.unwrap().failed.root.children[0].name, "count_mounts");
}

#[test]
fn a_call_that_was_not_entered_is_told_from_one_whose_record_was_lost() {
    let not_entered = |prepare: &dyn Fn(&mut Correlator), up_to: u64| {
        let mut c = traced();
        prepare(&mut c);
        c.failure(attributed(failure(7, LATE + 1_000, Errno::EPERM)), GRAPH);
        incident(c.due(LATE + 1_000 + GRAPH_WAIT_NS, up_to, no_step)).never_entered()
    };
    const LATE: u64 = 10_000_000_000;
    let mut other = graph(7, LATE + 500, "do_prctl");
    other.root.name = "__x64_sys_prctl".into();
    let seen = |c: &mut Correlator| c.graph(other.clone());
    assert!(not_entered(&seen, LATE + 1_001));
    assert!(!not_entered(&seen, LATE + 900), "it may still come");
    assert!(!not_entered(&|_| {}, LATE + 1_001), "the thread is not known to be followed");
    let mut holed = other.clone();
    holed.root.hole = true;
    assert!(!not_entered(&|c| c.graph(holed.clone()), LATE + 1_001));
    let lossy = |c: &mut Correlator| {
        seen(c);
        c.account(Loss { graph_overruns: 1, ..Loss::default() }, Cost::default());
    };
    assert!(!not_entered(&lossy, LATE + 1_001));
    let flooded = |c: &mut Correlator| {
        seen(c);
        (0..200).for_each(|n| c.graph(graph(8, LATE + 600 + n, "count_mounts")));
    };
    assert!(!not_entered(&flooded, LATE + 1_001), "it may have been among those that were forgotten");
}

#[test]
fn a_failure_without_graph_comes_out_when_its_time_is_over() {
    let mut c = traced();
    c.failure(attributed(failure(7, 1_000, Errno::ENOSPC)), GRAPH);
    c.graph(graph(8, 990, "somebody_else"));
    assert!(c.due(1_100, 0, no_step).is_empty());
    let i = incident(c.due(1_000 + GRAPH_WAIT_NS, 0, no_step));
    assert!(i.graph.is_none() && i.no_graph.is_some());
}

#[test]
fn of_a_command_a_graph_is_waited_for_until_the_end() {
    let mut c = traced().patient();
    c.failure(attributed(failure(7, 1_000, Errno::ENOSPC)), GRAPH);
    let late = 1_000 + 3 * GRAPH_WAIT_NS;
    assert!(c.due(late, 900, no_step).is_empty(), "the reader is behind");
    c.graph(graph(7, 990, "count_mounts"));
    assert!(incident(c.due(late, 1_001, no_step)).graph.is_some());
    c.failure(attributed(failure(8, late, Errno::ENOSPC)), GRAPH);
    assert!(incident(c.flush(no_step)).graph.is_none(), "as it is");
}

#[test]
fn only_calls_that_did_not_fail_are_siblings() {
    let mut c = traced();
    c.graph(graph(7, 100, "attach"));
    c.mark_failed(&failure(7, 110, Errno::EINVAL));
    c.graph(graph(7, 60_000_000, "attach_and_commit"));
    c.graph(graph(7, 300_000_000, "count_mounts"));
    c.failure(attributed(failure(7, 300_000_010, Errno::ENOSPC)), GRAPH);
    let siblings = incident(c.due(300_000_020, u64::MAX, no_step)).graph.unwrap().succeeded;
    let names: Vec<_> = siblings.iter().map(|g| g.root.children[0].name.as_str()).collect();
    assert_eq!(names, ["attach_and_commit"]);
}

#[test]
fn the_call_just_before_a_failure_is_still_a_success() {
    let mut c = traced();
    c.graph(graph(7, 900, "attach_and_commit"));
    c.graph(graph(7, 1_100, "count_mounts"));
    c.failure(attributed(failure(7, 1_110, Errno::ENOSPC)), GRAPH);
    let evidence = incident(c.due(1_120, 1_120, no_step)).graph.unwrap();
    assert_eq!(evidence.failed.root.children[0].name, "count_mounts");
    assert_eq!(evidence.succeeded.len(), 1);
    assert_eq!(evidence.succeeded[0].root.children[0].name, "attach_and_commit");
}

#[test]
fn a_task_whose_failures_are_only_counted_gives_no_sibling() {
    let mut c = traced();
    c.graph(graph(9, 100, "attach"));
    assert!(c.repeated(&flood_of(9, Errno::EBUSY), Stamp::default()).is_none());
    c.graph(graph(7, 300_000_000, "count_mounts"));
    c.failure(attributed(failure(7, 300_000_010, Errno::ENOSPC)), GRAPH);
    assert!(incident(c.due(300_000_020, u64::MAX, no_step)).graph.unwrap().succeeded.is_empty());
}

#[test]
fn words_and_files_that_the_kernel_refuses_are_told_apart_and_numbers_are_not() {
    let mut c = Correlator::new(Host::default(), Err("lockdown".into()));
    let mut is_new = |at: u64, name: &str, word: &str| {
        let file = OpenFile {
            kind: FileKind::Regular,
            name: name.into(),
            device: "0:26".into(),
            magic: 0x6367_7270,
            inode: 5,
            folder: 4,
        };
        let args = vec![
            Arg { name: "fd".into(), value: ArgValue::Descriptor { raw: 3, file } },
            Arg { name: "written".into(), value: ArgValue::Text(word.into()) },
        ];
        let kind = FailureKind::Syscall {
            name: "write".into(),
            nr: 1,
            abi: Abi::Native,
            errno: Errno::ENOENT,
            args,
        };
        let write = Failure { kind, ..failure(7, at, Errno::ENOENT) };
        matches!(c.failure(attributed(write), GRAPH), Some(Story::New { .. }))
    };
    assert!(is_new(1, "cgroup.subtree_control", "+pids\n"));
    assert!(!is_new(2, "cgroup.subtree_control", "+pids"));
    assert!(is_new(3, "cgroup.subtree_control", "+memory"));
    assert!(is_new(4, "cgroup.procs", "17"));
    assert!(!is_new(5, "cgroup.procs", "18\n"));
}

#[test]
fn a_flood_is_one_incident_with_a_count() {
    let mut c = Correlator::new(Host::default(), Err("lockdown".into()));
    let first = c.failure(attributed(failure(7, 1, Errno::ENOSPC)), GRAPH);
    assert!(matches!(first, Some(Story::New { .. })));
    let again = c.failure(attributed(failure(7, 2, Errno::ENOSPC)), GRAPH);
    assert!(matches!(again, Some(Story::Again { count: 2, .. })), "{again:?}");
    let flood = c.repeated(&flood_of(7, Errno::ENOSPC), Stamp { mono_ns: 3, unix_ns: 3 });
    assert!(matches!(flood, Some(Story::Again { count: 1_002, .. })));
    // Another errno in the middle is its own incident.
    assert!(matches!(c.failure(attributed(failure(7, 4, Errno::EPERM)), GRAPH), Some(Story::New { .. })));
    // And after a while the same failure is news again.
    let later = failure(7, 4 + FOLD_NS, Errno::ENOSPC);
    assert!(matches!(c.failure(attributed(later), GRAPH), Some(Story::New { .. })));
}

#[test]
fn without_function_graph_the_reason_is_kept() {
    let mut c = Correlator::new(Host::default(), Err("lockdown refuses it".into()));
    let Some(Story::New { incident, .. }) = c.failure(attributed(failure(7, 1, Errno::ENOSPC)), GRAPH) else {
        panic!("no incident")
    };
    assert_eq!(incident.no_graph.as_deref(), Some("lockdown refuses it"));
}

#[test]
fn an_engine_s_step_is_waited_for_shortly() {
    let mut c = Correlator::new(Host::default(), Err("lockdown".into()));
    let expected = Expected { graph: false, entry: false, step: true };
    assert!(c.failure(attributed(failure(7, 1_000, Errno::ENOSPC)), expected).is_none());
    assert!(c.due(1_001, 0, no_step).is_empty());
    assert_eq!(c.due(1_000 + STEP_WAIT_NS, 0, no_step).len(), 1);

    assert!(c.failure(attributed(failure(7, 2_000, Errno::EMFILE)), expected).is_none());
    let told = |f: &Failure| {
        Some(EngineStep {
            time: f.time,
            container_id: "aaaa".into(),
            step: "mount proc".into(),
            syscall: "mount".into(),
            object: "/proc".into(),
            errno: Errno::EMFILE,
            pid: 7,
        })
    };
    assert_eq!(incident(c.due(2_001, 0, told)).step.unwrap().step, "mount proc");
}

#[test]
fn a_refused_netlink_request_has_the_path_of_what_sent_it() {
    let mut c = traced();
    let sent = |end, inside: &str| {
        let root = Call { children: vec![Call::leaf(inside)], ..Call::leaf("__x64_sys_sendto") };
        Graph { root, ..graph(7, end, "") }
    };
    c.graph(sent(600, "netlink_unicast"));
    c.graph(sent(700, "udp_sendmsg"));
    let request = Netlink {
        protocol: "NETLINK_ROUTE".into(),
        request: "RTM_NEWLINK".into(),
        errno: Errno(libc::EBUSY),
        flags: 0,
        message: None,
        interface: None,
        link_kind: None,
        index: None,
        net_ns: None,
    };
    let refused = Failure { kind: FailureKind::Netlink(request), ..failure(7, 1_000, Errno::ENOSPC) };
    c.failure(attributed(refused), GRAPH);
    let i = incident(c.due(1_200, 1_001, no_step));
    assert_eq!(i.graph.unwrap().failed.end_ns, Some(600));
}

#[test]
fn a_processor_taken_away_between_return_and_report_does_not_lose_the_path() {
    let late = |ret: i64| {
        let mut c = traced();
        let mut slow = graph(7, 1_000, "count_mounts");
        slow.root.ret = Some(ret as u64);
        c.graph(slow);
        c.failure(attributed(failure(7, 900_000_000, Errno::ENOSPC)), GRAPH);
        incident(c.due(900_000_100, 900_000_001, no_step)).graph
    };
    assert!(late(-28).is_some());
    assert!(late(0).is_none(), "an earlier call that succeeded");
}

#[test]
fn a_repetition_is_looked_at_once_when_its_path_is_probed() {
    let mut c = traced();
    let at = |at| attributed(failure(7, at, Errno::ENOSPC));
    let returned = |end| {
        let mut graph = graph(7, end, "count_mounts");
        graph.root.ret = Some(-28i64 as u64);
        graph
    };
    c.failure(at(1_000), GRAPH);
    c.graph(graph(7, 990, "count_mounts"));
    let Some(Story::New { key, .. }) = c.due(1_100, 1_001, no_step).into_iter().next() else { panic!() };
    // Nobody asked for it yet.
    assert!(matches!(c.failure(at(2_000), GRAPH), Some(Story::Again { count: 2, .. })));
    assert!(!c.is_waiting());

    c.look_closer(&key, true);
    // Counted at once, told when its path is there; without values there is nothing to tell.
    assert!(matches!(c.failure(at(3_000), GRAPH), Some(Story::Again { count: 3, .. })));
    c.graph(graph(7, 2_990, "count_mounts"));
    assert!(c.due(3_100, 3_001, no_step).is_empty());
    assert!(matches!(c.failure(at(4_000), GRAPH), Some(Story::Again { count: 4, .. })));
    c.graph(returned(3_990));
    let closer = c.due(4_100, 4_001, no_step);
    let [Story::Closer { key: of, graph }] = closer.as_slice() else { panic!("{closer:?}") };
    assert_eq!((of, graph.failed.end_ns), (&key, Some(3_990)));

    assert!(matches!(c.failure(at(5_000), GRAPH), Some(Story::Again { count: 5, .. })));
    assert!(!c.is_waiting());
}

#[test]
fn without_values_the_last_call_of_a_thread_is_the_one_that_was_told_late() {
    let late = |others: &[Graph]| {
        let mut c = traced();
        c.graph(graph(7, 1_000, "count_mounts"));
        others.iter().for_each(|other| c.graph(other.clone()));
        c.failure(attributed(failure(7, 900_000_000, Errno::ENOSPC)), GRAPH);
        incident(c.due(900_000_200, 900_000_101, no_step)).graph
    };
    let of = |root: &str, graph: Graph| Graph { root: Call { name: root.into(), ..graph.root }, ..graph };
    let stranger = of("__x64_sys_openat", graph(8, 500_000, "do_filp_open"));
    let later = of("__x64_sys_close", graph(7, 950_000_000, "close_fd"));
    assert!(late(&[stranger.clone(), later]).is_some());
    let between = of("__x64_sys_openat", graph(7, 500_000, "do_filp_open"));
    assert!(late(&[between]).is_none(), "the call that failed was lost");
    assert!(
        late(&[Graph { lost: 3, ..stranger }]).is_none(),
        "what was lost may have been the one that failed"
    );
}

#[test]
fn a_failure_that_is_told_late_makes_no_success_of_its_path() {
    let mut c = traced();
    c.graph(graph(7, 1_000, "count_mounts"));
    c.failure(attributed(failure(7, 100_000_000, Errno::EPERM)), GRAPH);
    c.graph(graph(7, 200_000_000, "count_mounts_now"));
    c.failure(attributed(failure(7, 200_000_100, Errno::ENOSPC)), GRAPH);
    for story in c.due(200_000_300, 200_000_200, no_step) {
        let Story::New { incident, .. } = story else { panic!() };
        assert!(incident.graph.unwrap().succeeded.is_empty());
    }
}

#[test]
fn a_path_that_was_lost_is_told_when_the_same_is_refused_again() {
    let mut c = traced();
    let at = |at| attributed(failure(7, at, Errno::ENOSPC));
    c.failure(at(1_000), GRAPH);
    c.graph(Graph { lost: 9, ..graph(7, 990, "count_mounts") });
    let Some(Story::New { key, .. }) = c.due(1_100, 1_001, no_step).into_iter().next() else { panic!() };
    assert!(matches!(c.failure(at(2_000), GRAPH), Some(Story::Again { count: 2, .. })));
    assert!(c.due(2_100, 2_001, no_step).is_empty(), "lost again");
    c.failure(at(3_000), GRAPH);
    c.graph(graph(7, 2_990, "count_mounts"));
    let closer = c.due(3_100, 3_001, no_step);
    let [Story::Closer { key: of, graph: path }] = closer.as_slice() else { panic!("{closer:?}") };
    assert_eq!((of, path.failed.end_ns), (&key, Some(2_990)));
    c.failure(at(4_000), GRAPH);
    assert!(!c.is_waiting(), "once is enough");
}

#[test]
fn a_path_that_is_lost_each_time_is_not_waited_for_forever() {
    let mut c = traced();
    c.failure(attributed(failure(7, 1_000, Errno::ENOSPC)), GRAPH);
    assert_eq!(c.due(1_100, 1_001, no_step).len(), 1);
    let mut waited = 0;
    for n in 2..30 {
        let at = n * 1_000;
        c.failure(attributed(failure(7, at, Errno::ENOSPC)), GRAPH);
        waited += u32::from(c.is_waiting());
        assert!(c.due(at + 100, at + 1, no_step).is_empty());
    }
    assert_eq!(waited, MOST_PATHS_TRIED);
}
