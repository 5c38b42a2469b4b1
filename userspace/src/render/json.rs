//! The published JSON: schema `diag.explanation/1`. Its types are its own, so that the model can change
//! without breaking anybody; the schema file in `docs/` is generated from here and compared in the tests.

mod document;

use super::rfc3339;
use crate::model::{self, ArgValue, Availability, Confidence, Explained, FailureKind, KnobKind};

pub use document::*;

pub const SCHEMA: &str = "diag.explanation/1";

/// The contract's form of an explanation.
pub fn explanation(e: &model::Explanation) -> Explanation {
    Explanation {
        schema: SCHEMA.into(),
        host: host(&e.host),
        container: e.container.as_ref().map(container),
        incidents: e.incidents.iter().map(incident).collect(),
        loss: Loss { events_dropped: e.loss.events_dropped, graph_overruns: e.loss.graph_overruns },
        cost: e.cost.as_ref().map(cost),
        trial: None,
    }
}

/// A way out that was tried.
pub fn trial(t: &model::Trial) -> Trial {
    Trial {
        cause: t.cause.clone(),
        command: t.command.clone(),
        done: t.done.clone(),
        before: t.before.clone(),
        after: t.after.clone(),
        works: t.after.is_none(),
    }
}

/// The JSON schema of [`Explanation`], as committed in `docs/`.
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(Explanation).into()
}

fn cost(c: &model::Cost) -> Cost {
    let seconds = |ns: u64| ns as f64 / 1e9;
    let programs = |p: &model::Programs| Programs {
        measured_seconds: seconds(p.measured_ns),
        runs: p.runs,
        nanoseconds: p.ran_ns,
        share: p.per_million().map(|share| share as f64 / 1e6),
    };
    Cost {
        watched_seconds: seconds(c.watched_ns),
        programs: c.programs.as_ref().map(programs),
        cpu_seconds: seconds(c.cpu_ns),
        peak_memory_bytes: c.peak_bytes,
    }
}

fn availability(a: &Availability) -> String {
    match a {
        Availability::Yes { detail } => detail.clone(),
        Availability::No { why } => format!("unavailable: {why}"),
    }
}

fn host(h: &model::Host) -> Host {
    Host {
        kernel: h.kernel.clone(),
        diag: h.diag_version.clone(),
        capture: Capture {
            errno_watch: h.capture.errno_watch.is_yes(),
            function_graph: availability(&h.capture.function_graph),
            return_values: availability(&h.capture.returns),
            mount_count: availability(&h.capture.mount_count),
            kills: availability(&h.capture.kills),
            io_uring: availability(&h.capture.io_uring),
            netlink: availability(&h.capture.netlink),
            daemons: availability(&h.capture.daemons),
        },
    }
}

fn container(c: &model::Container) -> Container {
    Container {
        id: c.id.clone(),
        name: c.name.clone(),
        engine: c.engine.clone(),
        image: c.image.clone(),
        cgroup: c.cgroup.clone(),
        state: c.state.clone(),
    }
}

fn incident(e: &Explained) -> Incident {
    let i = &e.incident;
    Incident {
        time: rfc3339(i.failure.time.unix_ns),
        count: i.count,
        container: i.container.as_ref().map(container),
        failure: failure(i),
        path: e.path.as_ref().map(|p| Path {
            source: "function_graph".into(),
            functions: p.functions.clone(),
            decider: p.decider.clone(),
            decider_method: p.decider_method.clone(),
            note: p.note.clone(),
            returns: p
                .returns
                .iter()
                .map(|r| Returned { function: r.function.clone(), value: r.value })
                .collect(),
        }),
        called_from: i.failure.task.stack.as_deref().map(called_from),
        findings: e.findings.iter().map(finding).collect(),
        ruled_out: e
            .ruled_out
            .iter()
            .map(|r| RuledOut { suspect: r.suspect.clone(), reading: r.reading.clone() })
            .collect(),
        owners: i
            .owners
            .iter()
            .map(|o| Owner { limit: o.limit.clone(), name: o.name.clone(), amount: o.amount })
            .collect(),
        next: e.next.clone(),
        told: e.chain.as_ref().map(|c| Told {
            by: c.by.clone(),
            text: c.text.clone(),
            links: c.links.clone(),
            keeps_errno: c.keeps_errno,
        }),
    }
}

fn called_from(stack: &model::UserStack) -> CalledFrom {
    let frame = |frame: &model::UserFrame| Frame {
        function: frame.function.clone(),
        offset: frame.offset,
        module: frame.module.clone(),
        at: frame.at.map(|at| format!("{at:#x}")),
        build_id: frame.build_id.clone(),
        address: format!("{:#x}", frame.address),
    };
    CalledFrom { frames: stack.frames.iter().map(frame).collect(), note: stack.note.clone() }
}

fn failure(i: &model::Incident) -> Failure {
    let t = &i.failure.task;
    match &i.failure.kind {
        FailureKind::Syscall { name, errno, args, .. } => Failure::Syscall {
            syscall: name.clone(),
            errno: errno.name(),
            ret: -errno.0,
            args: args.iter().map(|a| (a.name.clone(), arg(&a.value))).collect(),
            pid: t.pid,
            tid: t.tid,
            ppid: t.ppid,
            uid: t.uid,
            comm: t.comm.clone(),
            step: i.step.as_ref().map(|s| s.step.clone()),
        },
        FailureKind::Killed { signal, by } => Failure::Killed {
            signal: signal.clone(),
            by: killer(by),
            pid: t.pid,
            tid: t.tid,
            ppid: t.ppid,
            uid: t.uid,
            comm: t.comm.clone(),
        },
        FailureKind::Stall { what } => stall(what, t),
        FailureKind::IgnoredSetId(ignored) => silent(ignored, t),
        FailureKind::IoUring { op, errno, user_data } => Failure::IoUring {
            op: op.clone(),
            errno: errno.name(),
            ret: -errno.0,
            user_data: format!("{user_data:#x}"),
            pid: t.pid,
            tid: t.tid,
            ppid: t.ppid,
            uid: t.uid,
            comm: t.comm.clone(),
        },
        FailureKind::Netlink(refused) => Failure::Netlink {
            protocol: refused.protocol.clone(),
            request: refused.request.clone(),
            errno: refused.errno.name(),
            ret: -refused.errno.0,
            message: refused.message.clone(),
            interface: refused.interface.clone(),
            pid: t.pid,
            tid: t.tid,
            ppid: t.ppid,
            uid: t.uid,
            comm: t.comm.clone(),
        },
        FailureKind::Fault { signal, code, address, syscall } => Failure::Fault {
            signal: signal.clone(),
            code: code.clone(),
            address: address.map(|a| format!("{a:#x}")),
            syscall: syscall.clone(),
            pid: t.pid,
            tid: t.tid,
            ppid: t.ppid,
            uid: t.uid,
            comm: t.comm.clone(),
        },
        FailureKind::UserspaceText { text, process } => {
            Failure::UserspaceText { text: text.clone(), process: process.clone() }
        }
    }
}

fn silent(ignored: &model::IgnoredSetId, t: &model::Task) -> Failure {
    Failure::Silent {
        what: super::silent::without_effect(ignored),
        pid: t.pid,
        tid: t.tid,
        ppid: t.ppid,
        uid: t.uid,
        comm: t.comm.clone(),
    }
}

fn stall(what: &str, t: &model::Task) -> Failure {
    Failure::Stall {
        what: what.to_owned(),
        pid: t.pid,
        tid: t.tid,
        ppid: t.ppid,
        uid: t.uid,
        comm: t.comm.clone(),
    }
}

fn killer(by: &model::Killer) -> Killer {
    match by {
        model::Killer::Process { pid, comm, uid, container, .. } => {
            Killer::Process { pid: *pid, comm: comm.clone(), uid: *uid, container: container.clone() }
        }
        model::Killer::Oom { cgroup, asked, .. } => {
            Killer::Oom { memcg: cgroup.clone(), asked: asked.clone() }
        }
        model::Killer::Init { init } => Killer::Init { init: init.clone() },
        model::Killer::Kernel => Killer::Kernel,
    }
}

fn arg(v: &ArgValue) -> serde_json::Value {
    match v {
        ArgValue::Number(n) | ArgValue::Descriptor { raw: n, .. } | ArgValue::Socket { raw: n, .. } => {
            (*n).into()
        }
        ArgValue::Address(address) => address.words().into(),
        ArgValue::Bytes(bytes) => super::hexadecimal(bytes).into(),
        ArgValue::Flags { words, .. } => words.clone().into(),
        ArgValue::Text(t) => t.clone().into(),
        ArgValue::Null => serde_json::Value::Null,
        ArgValue::Unread => serde_json::json!({ "unread": true }),
        ArgValue::Redacted | ArgValue::Withheld { .. } => serde_json::json!({ "withheld": true }),
    }
}

fn finding(f: &model::Finding) -> Finding {
    Finding {
        cause: f.cause.clone(),
        title: f.title.clone(),
        sentence: f.sentence.clone(),
        confidence: match f.confidence {
            Confidence::Proven => "proven",
            Confidence::Likely => "likely",
            Confidence::Possible => "possible",
        }
        .into(),
        knob: Knob { kind: kind(f.knob.kind).into(), name: f.knob.name.clone(), path: f.knob.path.clone() },
        limit: f.limit,
        usage: f.usage,
        unit: f.unit.clone(),
        evidence: f.evidence.clone(),
        missing: f.missing.clone(),
        remedy: f
            .remedy
            .iter()
            .map(|r| Remedy {
                when: r.when.clone(),
                command: r.command.clone(),
                effect: r.effect.clone(),
                undo: r.undo.clone(),
            })
            .collect(),
    }
}

fn kind(k: KnobKind) -> &'static str {
    match k {
        KnobKind::Sysctl => "sysctl",
        KnobKind::Cgroup => "cgroup",
        KnobKind::Rlimit => "rlimit",
        KnobKind::MountOption => "mount-option",
        KnobKind::Capability => "capability",
        KnobKind::Seccomp => "seccomp",
        KnobKind::Lsm => "lsm",
        KnobKind::File => "file",
        KnobKind::Other => "other",
    }
}
