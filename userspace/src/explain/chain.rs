//! What the user was told, held against what the kernel refused: the same failure, seen from both ends.
//!
//! Engines hand errors up as text, and lose things on the way: runc turns a refused namespace into "EOF", docker puts
//! another errno in its place. So a sentence is matched by the errno's words and the object's name first, and by
//! whose failure it is where the words are lost.

use super::rank;
use crate::model::{
    ArgValue, Availability, Chain, Confidence, Errno, Explained, Failure, FailureKind, Incident, Loss, Said,
    Stamp, Task,
};

/// Gives every sentence to the failure behind it. Sentences of engines that none is behind become incidents of their
/// own.
pub(super) fn attach(said: Vec<Said>, explained: &mut Vec<Explained>, blank: &Incident) {
    let mut unmatched = Vec::new();
    for said in said {
        match behind(&said, explained) {
            Some((at, keeps_errno)) if explained[at].chain.is_none() => {
                explained[at].chain = Some(chain(&said, &explained[at], keeps_errno));
            }
            Some(_) => {}
            None => unmatched.push(said),
        }
    }
    // What is known to be behind one sentence comes before what another says.
    let known = explained.iter().any(|e| is_sure(e) && e.chain.is_some());
    for said in unmatched.into_iter().filter(|said| said.engine) {
        if !told_already(&said, explained) {
            explained.insert(if known { explained.len() } else { 0 }, engines_own(said, blank));
        }
    }
}

/// The failure behind a sentence, and whether the sentence still has its errno. `explained` is in order of
/// significance, so the first of equals is taken.
fn behind(said: &Said, explained: &[Explained]) -> Option<(usize, bool)> {
    let text = said.text.to_lowercase();
    let theirs = |e: &Explained| match (&said.container, &e.incident.container) {
        (Some(id), Some(container)) => *id == container.id,
        (Some(_), None) => false,
        (None, _) => true,
    };
    let mut best: Option<(usize, u8)> = None;
    for (at, e) in explained.iter().enumerate().filter(|(_, e)| theirs(e) && !rank::is_noise(e)) {
        let fit = fit(&text, &e.incident.failure);
        if fit > best.map_or(0, |(_, fit)| fit) {
            best = Some((at, fit));
        }
    }
    if let Some((at, _)) = best {
        return Some((at, true));
    }
    let lost = |e: &&Explained| theirs(e) && !rank::is_noise(e) && is_sure(e) && e.chain.is_none();
    let at = explained.iter().position(|e| lost(&e)).filter(|_| said.engine && hides(&text))?;
    Some((at, false))
}

/// Whether a sentence tells of a helper that ended, instead of why; or of another errno than any that is known.
fn hides(lower: &str) -> bool {
    const HELPERS: &[&str] =
        &["eof", "exit status", "from pipe", "failed to sync", "signal: ", "broken pipe"];
    let other =
        |number: i32| spellings(Errno(number)).iter().any(|words| words.len() > 8 && lower.contains(words));
    HELPERS.iter().any(|words| lower.contains(words)) || (1..=133).any(other)
}

/// How well a sentence fits a failure: 0 not at all, 1 by its errno, 2 by the call's name or an argument as well.
fn fit(text: &str, failure: &Failure) -> u8 {
    let Some((call, errno)) = failure.syscall() else { return 0 };
    if !spellings(errno).iter().any(|words| text.contains(words.as_str())) {
        return 0;
    }
    let names = |value: &ArgValue| match value {
        ArgValue::Text(name) => {
            let last = name.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
            last.len() > 2 && text.contains(&last.to_lowercase())
        }
        _ => false,
    };
    let verb = call.trim_end_matches(|c: char| c.is_ascii_digit());
    1 + u8::from(text.contains(verb) || failure.args().iter().any(|arg| names(&arg.value)))
}

/// An errno as programs spell it: by the C library, and by the kernel's own comment (asm-generic/errno.h).
fn spellings(errno: Errno) -> [String; 2] {
    let library = std::io::Error::from_raw_os_error(errno.0).to_string();
    let library = library.split(" (os error").next().unwrap_or_default().to_lowercase();
    [library, errno.sentence().to_lowercase()]
}

fn is_sure(e: &Explained) -> bool {
    e.findings.first().is_some_and(|finding| finding.confidence >= Confidence::Likely)
}

/// dockerd's answer and the state it keeps are one sentence, with another beginning.
fn told_already(said: &Said, explained: &[Explained]) -> bool {
    let same = |text: &str| text.contains(&said.text) || said.text.contains(text);
    explained.iter().any(|e| match &e.incident.failure.kind {
        FailureKind::UserspaceText { text, .. } => same(text),
        _ => e.chain.as_ref().is_some_and(|chain| same(&chain.text)),
    })
}

fn chain(said: &Said, e: &Explained, keeps_errno: bool) -> Chain {
    let mut links = phrases(&said.text);
    let task = &e.incident.failure.task;
    let who = format!("{} (pid {})", task.comm, task.pid);
    let was_seen = e.incident.host.capture.errno_watch.is_yes();
    links.push(match &e.incident.failure.kind {
        FailureKind::Syscall { name, errno, .. } if was_seen => format!("{name}(2) of {who}: {errno}"),
        FailureKind::Syscall { name, errno, .. } => format!("{name}(2), it seems: {errno}"),
        _ => format!("the end of {who}"),
    });
    links.extend(e.path.as_ref().and_then(|path| path.decider.clone()));
    Chain { by: said.by.clone(), text: said.text.clone(), links, keeps_errno }
}

/// The layers of a sentence: each engine puts its own words before those it was told, with a colon between.
fn phrases(text: &str) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for piece in text.split(": ").map(str::trim).filter(|piece| !piece.is_empty()) {
        // `flags: 0x5000` and `data: size=65536k` are no layers.
        let detail = |last: &String| ["flags", "data"].iter().any(|word| last.ends_with(word));
        match out.last_mut() {
            Some(last) if detail(last) => *last = format!("{last}: {piece}"),
            _ => out.push(piece.to_owned()),
        }
    }
    // containerd's class of an error without one.
    out.retain(|phrase| phrase != "unknown" && !is_errno(phrase));
    out
}

/// Nothing but the words of an errno.
fn is_errno(phrase: &str) -> bool {
    let phrase = phrase.trim_end_matches('.').to_lowercase();
    (1..=133).any(|number| spellings(Errno(number)).contains(&phrase))
}

/// A sentence that no failure is behind.
fn engines_own(said: Said, blank: &Incident) -> Explained {
    let mut incident = blank.clone();
    let next = vec![own_words(&said, &incident)];
    incident.failure.kind = FailureKind::UserspaceText { text: said.text, process: said.by };
    Explained { incident, path: None, findings: vec![], ruled_out: vec![], next, chain: None }
}

/// How far "no system call failed that way" holds: as far as was watched.
fn own_words(said: &Said, incident: &Incident) -> String {
    let state = &incident.host.capture;
    match (&state.errno_watch, &state.daemons, incident.loss) {
        (Availability::No { .. }, ..) => {
            "no watch was running then, so whether a system call failed that way cannot be told".into()
        }
        (_, _, loss) if loss != Loss::default() => {
            "no system call was seen that failed that way, but records were lost, so this is no proof".into()
        }
        (_, Availability::Yes { detail }, _) => format!(
            "no system call of the command, of its children, or of {detail} failed that way, and nothing was lost: the \
             words are {}'s own, it decided this by itself",
            said.by
        ),
        (_, Availability::No { why }, _) => format!(
            "no system call of the command or its children failed that way; engines' daemons were not watched, or not wholly ({why})"
        ),
    }
}

/// An incident that holds nothing yet.
pub(super) fn blank(evidence: &crate::model::Evidence) -> Incident {
    let time = Stamp { mono_ns: 0, unix_ns: evidence.asked_unix_ns.unwrap_or_default() };
    let kind = FailureKind::UserspaceText { text: String::new(), process: String::new() };
    Incident {
        host: evidence.host.clone(),
        container: evidence.container.clone(),
        failure: Failure { time, task: Task::default(), kind, readings: vec![] },
        count: 1,
        last: time,
        step: None,
        graph: None,
        no_graph: None,
        readings: vec![],
        suspects: vec![],
        owners: vec![],
        facts: vec![],
        loss: evidence.loss,
        cost: evidence.cost,
    }
}

#[cfg(test)]
#[path = "chain_tests.rs"]
mod tests;
