//! Graphs that wait for their failure, and the successes to hold it against.

use crate::model::{Call, Failure, FailureKind, Graph, GraphEvidence, GraphSource, is_entry_of};
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

/// Graphs kept per root function. Siblings are picked among them, so a busy kernel must not flush them
/// out within the wait for a failure record.
const MOST_PER_ROOT: usize = 128;
/// Successes that travel with an incident.
const MOST_SIBLINGS: usize = 4;
/// `sys_exit` is traced this shortly after the root function returned.
const EXIT_WINDOW_NS: u64 = 50_000_000;
/// Unless the processor was taken away in between (a throttled cgroup waits a tenth of a second, an emulated processor
/// longer): then what it returned must tell that it is the same call, or that its thread was not seen to make another.
const LATE_EXIT_NS: u64 = 2_000_000_000;
const MOST_FAILED: usize = 4096;
/// A netlink request is sent this shortly before its answer is fetched.
const ANSWER_WINDOW_NS: u64 = 1_000_000_000;
/// What sends such a request, and the sender's work on it (net/netlink/af_netlink.c).
const SENDERS: [&str; 4] = ["sendmsg", "sendto", "sendmmsg", "write"];
const REQUEST: &str = "netlink_unicast";

/// Recent graphs by root function.
#[derive(Debug, Default)]
pub struct Graphs {
    by_root: HashMap<String, VecDeque<Graph>>,
    failed: VecDeque<(u32, String, u64)>,
    /// Tasks whose failures the kernel counts without sending them: none of their graphs is a known success.
    distrusted: HashSet<(u32, String)>,
}

impl Graphs {
    pub(super) fn push(&mut self, graph: Graph) {
        let recent = self.by_root.entry(graph.root.name.clone()).or_default();
        if recent.len() == MOST_PER_ROOT {
            recent.pop_front();
        }
        recent.push_back(graph);
    }

    pub(super) fn failed(&mut self, tid: u32, syscall: &str, mono_ns: u64) {
        if self.failed.len() == MOST_FAILED {
            self.failed.pop_front();
        }
        self.failed.push_back((tid, syscall.into(), mono_ns));
    }

    pub(super) fn distrust(&mut self, tid: u32, syscall: &str) {
        if self.distrusted.len() < MOST_FAILED {
            self.distrusted.insert((tid, syscall.into()));
        }
    }

    /// The failed call's graph with its siblings.
    pub(super) fn evidence(&self, failure: &Failure, source: GraphSource) -> Option<GraphEvidence> {
        let failed = self.of(failure)?;
        let mut succeeded: Vec<Graph> = Vec::new();
        let same_task_first = |g: &&Graph| g.tid != failed.tid;
        let mut candidates: Vec<&Graph> = self.by_root.get(&failed.root.name)?.iter().rev().collect();
        candidates.sort_by_key(same_task_first);
        for graph in candidates {
            let known = succeeded.iter().any(|s| same_shape(&s.root, &graph.root));
            // Of a later call it is not yet known that no failure was reported for it.
            let earlier = graph.end_ns < failed.end_ns;
            if succeeded.len() < MOST_SIBLINGS && earlier && self.succeeded(graph) && !known {
                succeeded.push(graph.clone());
            }
        }
        // Records hold no names, and text only the beginning.
        let failed = Graph { comm: failure.task.comm.clone(), ..failed.clone() };
        Some(GraphEvidence { source, failed, succeeded, types: BTreeMap::new(), probes: None })
    }

    /// Whether a call was answered before its function was entered (seccomp, a tracer): other calls of its thread were
    /// recorded before it, all of them whole, and this one was not. To be asked when everything up to it has been read,
    /// and nothing was lost.
    pub(super) fn never_entered(&self, failure: &Failure) -> bool {
        let Some((syscall, _)) = failure.syscall() else { return false };
        let at = failure.time.mono_ns;
        let entry = |root: &str| is_entry_of(root, syscall);
        // Where more calls are made than are kept, this one may have been and gone.
        let kept = |graphs: &VecDeque<Graph>| {
            graphs.len() < MOST_PER_ROOT
                || graphs.front().is_some_and(|oldest| oldest.start_ns + LATE_EXIT_NS < at)
        };
        let could_be = |graph: &Graph| graph.end_ns.is_none_or(|end| at.saturating_sub(end) < LATE_EXIT_NS);
        let entries = || self.by_root.iter().filter(|(root, _)| entry(root)).map(|(_, graphs)| graphs);
        let mut of_thread =
            self.by_root.values().flatten().filter(|graph| graph.tid == failure.task.tid).peekable();
        let followed = of_thread.peek().is_some();
        followed
            && of_thread.all(Graph::is_whole)
            && entries().all(kept)
            && !entries().flatten().any(|graph| graph.tid == failure.task.tid && could_be(graph))
    }

    /// The last request that the thread sent before its answer, which told of the refusal, was fetched.
    fn request(&self, failure: &Failure) -> Option<&Graph> {
        let at = failure.time.mono_ns;
        let sender = |root: &str| SENDERS.iter().any(|syscall| is_entry_of(root, syscall));
        let senders = self.by_root.iter().filter(|(root, _)| sender(root)).flat_map(|(_, graphs)| graphs);
        senders
            .filter(|g| g.tid == failure.task.tid && g.end_ns.is_some_and(|end| end <= at))
            .filter(|g| g.end_ns.is_some_and(|end| at - end < ANSWER_WINDOW_NS))
            .filter(|g| g.root.names().contains(REQUEST))
            .max_by_key(|g| g.end_ns)
    }

    /// The graph that ended just before this failure was reported, on the same thread.
    fn of(&self, failure: &Failure) -> Option<&Graph> {
        if matches!(failure.kind, FailureKind::Netlink(_)) {
            return self.request(failure);
        }
        let (syscall, errno) = failure.syscall()?;
        let at = failure.time.mono_ns;
        let returned = |g: &Graph| g.root.ret.map(|ret| ret as i64) == Some(-i64::from(errno.0));
        let just_before = |g: &Graph| {
            let late = returned(g) || g.root.ret.is_none() && self.is_last_of_its_thread(g, at);
            let most = if late { LATE_EXIT_NS } else { EXIT_WINDOW_NS };
            g.end_ns.is_some_and(|end| end <= at && at - end < most)
        };
        self.by_root
            .iter()
            .filter(|(root, _)| is_entry_of(root, syscall))
            .flat_map(|(_, graphs)| graphs)
            .filter(|g| g.tid == failure.task.tid && just_before(g))
            .max_by_key(|g| g.end_ns)
    }

    /// Whether its thread is not known to have made another call before this instant, and nothing was lost that could be
    /// one.
    fn is_last_of_its_thread(&self, graph: &Graph, before: u64) -> bool {
        let Some(end) = graph.end_ns else { return false };
        let since = |g: &&Graph| g.start_ns < before && g.end_ns.is_none_or(|other| other > end);
        let mut others = self.by_root.values().flatten().filter(since);
        graph.is_whole() && others.all(|g| g.tid != graph.tid && g.is_whole())
    }

    fn succeeded(&self, graph: &Graph) -> bool {
        let Some(end) = graph.end_ns else { return false };
        let this = |tid: u32, syscall: &str| tid == graph.tid && is_entry_of(&graph.root.name, syscall);
        // A failure belongs to the last call of its thread that ended before it, and to no earlier one.
        let last_before = |at: u64| {
            let same =
                self.by_root.get(&graph.root.name).into_iter().flatten().filter(|g| g.tid == graph.tid);
            !same.filter_map(|g| g.end_ns).any(|other| other > end && other <= at)
        };
        // Told late, it is a failure all the same.
        graph.is_whole()
            && !self.failed.iter().any(|(tid, s, at)| {
                this(*tid, s) && *at >= end && at - end < LATE_EXIT_NS && last_before(*at)
            })
            && !self.distrusted.iter().any(|(tid, s)| this(*tid, s))
    }
}

fn same_shape(a: &Call, b: &Call) -> bool {
    a.name == b.name
        && a.children.len() == b.children.len()
        && a.children.iter().zip(&b.children).all(|(x, y)| same_shape(x, y))
}
