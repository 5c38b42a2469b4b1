//! The answer as a tired on-call engineer reads it.

mod wrap;

use super::{ago, called_from, silent, theme::Theme};
use crate::model::{
    ArgValue, Confidence, Container, Cost, Explained, Explanation, FailureKind, Finding, Loss, spaced,
};
use std::fmt::Write as _;
use wrap::{short_ids, wrapped};

/// How much to print.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    pub theme: Theme,
    /// For `12 s ago`; the renderer has no clock of its own.
    pub now_unix_ns: i64,
    /// Every incident in full instead of the first one.
    pub all: bool,
}

/// The whole report.
pub fn explanation(e: &Explanation, o: Options) -> String {
    let mut out = String::new();
    let shown = if o.all { e.incidents.len() } else { e.incidents.len().min(1) };
    for (i, incident) in e.incidents.iter().take(shown).enumerate() {
        if i > 0 {
            out.push('\n');
        }
        one(&mut out, incident, o);
    }
    let rest = &e.incidents[shown..];
    if !rest.is_empty() {
        let _ = writeln!(out, "\n  {} other failures (--all shows them whole):", rest.len());
        for incident in rest.iter().take(10) {
            let _ = writeln!(out, "    {}", line(incident));
        }
        if rest.len() > 10 {
            let _ = writeln!(out, "    … and {} more", rest.len() - 10);
        }
    }
    if e.loss.events_dropped + e.loss.graph_overruns > 0 {
        let _ = writeln!(
            out,
            "\n  lost        {} events and {} graph records: this may not be the whole story",
            e.loss.events_dropped, e.loss.graph_overruns
        );
    }
    if let Some(cost) = &e.cost {
        let faint = o.theme.faint;
        let _ = writeln!(out, "\n  {faint}diag itself {}{faint:#}", price(cost, e.loss));
    }
    out
}

/// `0.02 % of one CPU in the kernel (212 ns × 8 123), 0.10 s CPU and 18 MiB besides, nothing lost`.
pub fn price(cost: &Cost, loss: Loss) -> String {
    let mut out = String::new();
    match cost.programs.map(|p| (p, p.per_million())) {
        Some((p, Some(share))) => {
            let each = p.ran_ns.checked_div(p.runs).unwrap_or(0);
            let percent = share as f64 / 1e4;
            let _ = write!(
                out,
                "{percent:.2} % of one CPU in the kernel ({} runs, {each} ns each)",
                spaced(p.runs)
            );
        }
        _ => out += "in the kernel unmeasured",
    }
    let (cpu, mib) = (cost.cpu_ns as f64 / 1e9, cost.peak_bytes / (1 << 20));
    let lost = if loss == Loss::default() { "nothing lost" } else { "with losses" };
    let _ = write!(out, ", {cpu:.2} s CPU and {mib} MiB besides, {lost}");
    out
}

/// One incident in full.
pub fn one(out: &mut String, e: &Explained, o: Options) {
    headline(out, e, o);
    out.push('\n');
    said(out, e);
    match e.findings.first() {
        Some(f) => finding(out, f, o),
        None => unknown(out, e, o),
    }
    out.push('\n');
    facts(out, e, o);
    if let Some(f) = e.findings.first() {
        evidence(out, f, o);
        remedies(out, f, o);
    }
    for f in e.findings.iter().skip(1) {
        row(out, o, "or else", &format!("{} ({})", f.title, confidence(f.confidence)));
    }
}

/// One incident in one line, for lists and the live stream.
pub fn line(e: &Explained) -> String {
    let who = who(e);
    let what = match e.incident.failure.syscall() {
        Some((name, errno)) => format!("{name}{} {errno}", object(e)),
        None => silent::said(e),
    };
    let verdict = match e.findings.first() {
        Some(f) => {
            let numbers = match (f.usage, f.limit) {
                (Some(u), Some(l)) => format!(", {} of {} {}", spaced(u), spaced(l), f.unit),
                _ => String::new(),
            };
            format!("{}{numbers} ({})", f.title, confidence(f.confidence))
        }
        None => "unknown cause".into(),
    };
    let times = if e.incident.count > 1 { format!(" ×{}", spaced(e.incident.count)) } else { String::new() };
    format!("{who}: {what}{times}: {verdict}")
}

/// Who decided, where that was seen only later, when the same was refused again.
pub fn decided(e: &Explained) -> Option<String> {
    let path = e.path.as_ref().filter(|path| path.decider.is_some())?;
    let chain: Vec<&str> = path.functions.iter().rev().map(String::as_str).collect();
    let how: Vec<&str> = path.decider_method.as_deref().into_iter().chain(path.note.as_deref()).collect();
    Some(format!("{}: decided in {} ({})", line(e), chain.join(" ◂ "), how.join(": ")))
}

/// The path a call was about, where it has one: ` /proc`.
fn object(e: &Explained) -> String {
    let roles = ["target", "to_pathname", "pathname", "path", "filename"];
    let path = roles.iter().find_map(|r| e.incident.failure.text_arg(r)).filter(|p| !p.is_empty());
    path.map_or_else(String::new, |p| format!(" {}", short_ids(p)))
}

/// One incident as it happens: what a person who glances at the screen must know.
pub fn live(e: &Explained, theme: Theme) -> String {
    let at = super::clock(e.incident.failure.time.unix_ns);
    let (h, faint) = (theme.headline, theme.faint);
    let Some(f) = e.findings.first() else {
        return format!("{faint}{at} {}{faint:#}", line(e));
    };
    let mut out = format!("{at} {h}{}{h:#}", line(e));
    if let Some(p) = e.path.as_ref().filter(|p| p.decider.is_some()) {
        let chain: Vec<&str> = p.functions.iter().rev().map(String::as_str).collect();
        let _ = write!(out, "\n         {faint}decided in{faint:#} {}", chain.join(" ◂ "));
    }
    if let Some(r) = f.remedy.first() {
        let _ = write!(
            out,
            "\n         {faint}{}{faint:#} {} {faint}(undo: {}){faint:#}",
            r.when, r.command, r.undo
        );
    }
    if let Some(c) = &e.incident.container {
        let _ = write!(out, "\n         {faint}more{faint:#} diag explain {}", c.label());
    }
    out
}

fn headline(out: &mut String, e: &Explained, o: Options) {
    let h = o.theme.headline;
    let when = ago(e.incident.failure.time.unix_ns, o.now_unix_ns);
    let times = match e.incident.count {
        1 => String::new(),
        n => format!(", {} times, last {}", spaced(n), ago(e.incident.last.unix_ns, o.now_unix_ns)),
    };
    let step = e.incident.step.as_ref().map_or_else(String::new, |s| format!(" in step \"{}\"", s.step));
    let _ = writeln!(out, "{h}{}{h:#} failed{step} {when}{times}", who(e));
}

fn who(e: &Explained) -> String {
    if let (None, FailureKind::UserspaceText { process, .. }) =
        (&e.incident.container, &e.incident.failure.kind)
    {
        return process.clone();
    }
    match &e.incident.container {
        Some(c) => named(c),
        None => {
            format!("{} (pid {}, no container)", e.incident.failure.task.comm, e.incident.failure.task.pid)
        }
    }
}

fn named(c: &Container) -> String {
    match &c.image {
        Some(image) => format!("{} ({}, image {image})", c.label(), c.engine),
        None => format!("{} ({})", c.label(), c.engine),
    }
}

fn said(out: &mut String, e: &Explained) {
    match &e.incident.failure.kind {
        FailureKind::Syscall { name, errno, .. } => {
            let _ = write!(out, "  {name}(2) said {errno}, \"{}\".", errno.sentence());
            // Only where the text itself accuses the disk.
            if e.ruled_out.iter().any(|r| r.suspect.starts_with("disk"))
                && errno.sentence().contains("device")
            {
                out.push_str(" The disk is not full.");
            }
            out.push('\n');
        }
        FailureKind::Killed { .. }
        | FailureKind::Fault { .. }
        | FailureKind::Netlink(_)
        | FailureKind::IgnoredSetId(_)
        | FailureKind::Stall { .. } => {
            let _ = writeln!(
                out,
                "  {} (pid {}) {}.",
                e.incident.failure.task.comm,
                e.incident.failure.task.pid,
                silent::said(e)
            );
        }
        FailureKind::IoUring { .. } => {
            let _ = writeln!(out, "  {}; no system call returned it.", silent::said(e));
        }
        FailureKind::UserspaceText { text, process } => {
            let _ = writeln!(out, "  {process} said \"{text}\".");
        }
    }
}

fn finding(out: &mut String, f: &Finding, o: Options) {
    let style = if f.confidence == Confidence::Proven { o.theme.good } else { o.theme.weak };
    let _ = writeln!(out, "  {}   {style}{}{style:#}", f.sentence, confidence(f.confidence));
}

fn unknown(out: &mut String, e: &Explained, o: Options) {
    let s = o.theme.weak;
    if !matches!(e.incident.failure.kind, FailureKind::UserspaceText { .. }) {
        let _ = writeln!(out, "  No cause that diag knows fits.   {s}unknown{s:#}");
    }
    for n in &e.next {
        row(out, o, "next", n);
    }
}

fn facts(out: &mut String, e: &Explained, o: Options) {
    let i = &e.incident;
    if let Some(p) = &e.path {
        let chain: Vec<&str> = p.functions.iter().rev().map(String::as_str).collect();
        let label = if p.decider.is_some() { "decided in" } else { "path" };
        row(out, o, label, &chain.join(" ◂ "));
        let how = match (&p.decider_method, &p.note) {
            (Some(m), Some(n)) => format!("found by {m}: {n}"),
            (Some(m), None) => format!("found by {m}"),
            (None, Some(n)) => n.clone(),
            (None, None) => String::new(),
        };
        if !how.is_empty() {
            row(out, o, "", &how);
        }
    } else if let Some(why) = &i.no_graph {
        row(out, o, "path", &format!("not seen: {why}"));
    }
    if let Some(stack) = &i.failure.task.stack {
        called_from::lines(stack).iter().enumerate().for_each(|(at, line)| {
            row(out, o, if at == 0 { "called from" } else { "" }, line);
        });
    }
    if let Some(chain) = &e.chain {
        let text = chain.text.strip_prefix(&format!("{}: ", chain.by)).unwrap_or(&chain.text);
        row(out, o, "told as", &format!("{}: {text}", chain.by));
        if !chain.keeps_errno {
            row(out, o, "", "the kernel's errno was lost on the way there");
        }
        row(out, o, "from there", &chain.links.join(" ▸ "));
    }
    if matches!(i.failure.kind, FailureKind::UserspaceText { .. }) {
        return;
    }
    let t = &i.failure.task;
    let ns = t.mnt_ns.map_or_else(String::new, |n| format!(", mount namespace {n}"));
    row(out, o, "process", &format!("{} pid {} (parent {}), uid {}{ns}", t.comm, t.pid, t.ppid, t.uid));
    if let FailureKind::Syscall { name, args, .. } = &i.failure.kind {
        let words: Vec<String> = args.iter().map(|a| format!("{} {}", a.name, value(&a.value))).collect();
        row(out, o, "call", &format!("{name}({})", words.join(", ")));
    }
    if let Some(s) = &i.step {
        row(
            out,
            o,
            "engine",
            &format!("step \"{}\": {} {}: {}", s.step, s.syscall, s.object, s.errno.sentence()),
        );
    }
    if let Some(c) = i.container.as_ref().and_then(|c| c.cgroup.as_ref()) {
        row(out, o, "cgroup", c);
    }
    if !i.owners.is_empty() {
        let words: Vec<String> =
            i.owners.iter().map(|w| format!("{} {}", w.name, spaced(w.amount))).collect();
        row(out, o, "owners", &words.join(" · "));
    }
    if !e.ruled_out.is_empty() {
        let words: Vec<String> = e.ruled_out.iter().map(|r| format!("{} {}", r.suspect, r.reading)).collect();
        row(out, o, "ruled out", &words.join(" · "));
    }
}

fn evidence(out: &mut String, f: &Finding, o: Options) {
    for (i, line) in f.evidence.iter().enumerate() {
        row(out, o, if i == 0 { "evidence" } else { "" }, line);
    }
    for (i, line) in f.missing.iter().enumerate() {
        row(out, o, if i == 0 { "missing" } else { "" }, line);
    }
}

fn remedies(out: &mut String, f: &Finding, o: Options) {
    out.push('\n');
    for r in &f.remedy {
        command(out, o, &r.when, &r.command);
        row(out, o, "", &format!("{} (undo: {})", r.effect, r.undo));
    }
}

/// A line of the report. Long ones continue below their own text; commands never break ([`command`]).
fn row(out: &mut String, o: Options, label: &str, text: &str) {
    let l = o.theme.label;
    for (i, line) in wrapped(&short_ids(text)).iter().enumerate() {
        let label = if i == 0 { label } else { "" };
        let _ = writeln!(out, "  {l}{label:<13}{l:#} {line}");
    }
}

/// A line that is meant to be copied.
fn command(out: &mut String, o: Options, label: &str, text: &str) {
    let l = o.theme.label;
    let _ = writeln!(out, "  {l}{label:<13}{l:#} {text}");
}

fn value(v: &ArgValue) -> String {
    match v {
        ArgValue::Number(n) => n.to_string(),
        ArgValue::Descriptor { raw, file } => format!("{} ({})", *raw as u32 as i32, file.name),
        ArgValue::Socket { raw, .. } => (*raw as u32 as i32).to_string(),
        ArgValue::Address(address) => address.words(),
        ArgValue::Bytes(bytes) => super::hexadecimal(bytes),
        ArgValue::Flags { words, .. } => words.clone(),
        ArgValue::Text(t) => format!("{t:?}"),
        ArgValue::Null => "NULL".into(),
        ArgValue::Unread => "<unread>".into(),
        ArgValue::Redacted | ArgValue::Withheld { .. } => "<withheld>".into(),
    }
}

fn confidence(c: Confidence) -> &'static str {
    match c {
        Confidence::Proven => "proven",
        Confidence::Likely => "likely",
        Confidence::Possible => "possible",
    }
}
