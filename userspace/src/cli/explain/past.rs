//! `diag explain CONTAINER`: what the journal has of it, else what engines remember.

use super::super::{Global, outcome};
use crate::{
    capture::{clock, cold, engine::EngineLog, engines},
    journal::{Gap, JournalError, Query, Reader},
    limits::read::Root,
    model::{Container, Evidence, Said},
    render,
};
use anyhow::bail;

/// When a failure must have been at the earliest, in nanoseconds since 1970.
pub(super) fn since(text: &str) -> Result<i64, String> {
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return i64::try_from(time.as_nanosecond()).map_err(|e| e.to_string());
    }
    let (number, seconds) = match text.chars().last() {
        Some('s') => (&text[..text.len() - 1], 1),
        Some('m') => (&text[..text.len() - 1], 60),
        Some('h') => (&text[..text.len() - 1], 3600),
        Some('d') => (&text[..text.len() - 1], 86_400),
        _ => (text, 0),
    };
    match number.parse::<i64>() {
        Ok(number) if seconds > 0 && number >= 0 => {
            let ago = number.saturating_mul(seconds).saturating_mul(1_000_000_000);
            Ok(clock::now().unix_ns.saturating_sub(ago))
        }
        _ => Err("give 30s, 10m, 2h, 3d, or a time as 2026-11-28T09:00:00Z".into()),
    }
}

/// A container by the journal, else by what the engines themselves remember.
pub(super) fn look_up(target: &str, since: Option<i64>, global: &Global) -> anyhow::Result<Evidence> {
    let reader = match Reader::open(&global.journal) {
        Ok(reader) => Some(reader),
        Err(JournalError::Missing(_)) => None,
        Err(e) => return Err(e.into()),
    };
    let remembered = engines::remembered(&Root::default(), target);
    let mut names = Vec::new();
    if let Some(reader) = &reader {
        names = reader.names(5)?;
        let said = || remembered.iter().filter_map(cold::said_of).collect::<Vec<Said>>();
        if let Some(evidence) = by_journal(reader, target, since, &said)? {
            say_when_nobody_watched(reader, &evidence)?;
            return Ok(evidence);
        }
    }
    let mut cold = cold::evidence(target, &mut EngineLog::open(&global.root));
    if cold.is_none() {
        cold = remembered.first().map(|one| cold::of_engine(&Root::default(), one));
    }
    match cold {
        Some(mut evidence) => {
            evidence.incidents.retain(|incident| since.is_none_or(|since| incident.last.unix_ns >= since));
            say_what_is_missing(&evidence);
            Ok(evidence)
        }
        None if reader.is_none() => bail!(
            "no container {target:?} is known: no engine's files have it, and there is no journal at {} \
             (`diag watch` writes one while it runs; `diag service install` keeps one running)",
            global.journal.display()
        ),
        None if names.is_empty() => {
            bail!("no container {target:?} is on record, nor any other: the journal is empty")
        }
        None => bail!("no container {target:?} is on record; the last ones are: {}", names.join(", ")),
    }
}

/// Of all containers of that name the one that failed last: names are used again.
fn by_journal(
    reader: &Reader,
    target: &str,
    since: Option<i64>,
    said: &dyn Fn() -> Vec<Said>,
) -> anyhow::Result<Option<Evidence>> {
    let mut newest: Option<(i64, Container, Vec<_>)> = None;
    for container in reader.containers(target)? {
        let query =
            Query { container_id: Some(container.id.clone()), since_unix_ns: since, ..Query::default() };
        let incidents = reader.incidents(&query)?;
        let Some(last) = incidents.iter().map(|incident| incident.last.unix_ns).max() else { continue };
        if newest.as_ref().is_none_or(|(known, ..)| last > *known) {
            newest = Some((last, container, incidents));
        }
    }
    let Some((_, container, incidents)) = newest else { return Ok(None) };
    let first = incidents.first();
    let host = first.map(|i| i.host.clone()).unwrap_or_default();
    let (loss, cost) = (first.map(|i| i.loss).unwrap_or_default(), first.and_then(|i| i.cost));
    let said = said().into_iter().filter(|said| said.container.as_ref() == Some(&container.id)).collect();
    Ok(Some(Evidence {
        host,
        container: Some(container),
        incidents,
        loss,
        cost,
        said,
        ..Evidence::default()
    }))
}

/// So many are told, the last ones.
const GAPS: usize = 3;
/// Who ends a watch and asks at once knows that it has ended.
const JUST_ENDED_NS: i64 = 5_000_000_000;

/// Times without a watch since the container's first failure: others of its failures may have been then.
fn say_when_nobody_watched(reader: &Reader, evidence: &Evidence) -> anyhow::Result<()> {
    let times = evidence.incidents.iter().map(|incident| incident.failure.time.unix_ns);
    let Some(first) = times.min() else { return Ok(()) };
    let now = clock::now().unix_ns;
    let gaps = reader.gaps(now)?;
    let since: Vec<_> = gaps.iter().filter(|gap| is_worth_telling(gap, first, now)).collect();
    for gap in since.iter().skip(since.len().saturating_sub(GAPS)) {
        outcome::say(&told(gap));
    }
    Ok(())
}

fn is_worth_telling(gap: &Gap, first_failure: i64, now: i64) -> bool {
    match gap.to_unix_ns {
        Some(to) => to >= first_failure,
        None => gap.killed || now.saturating_sub(gap.from_unix_ns) > JUST_ENDED_NS,
    }
}

fn told(gap: &Gap) -> String {
    let from = render::clock(gap.from_unix_ns);
    let until = gap.to_unix_ns.map_or_else(|| "now".to_owned(), render::clock);
    let why =
        if gap.killed { "the watch was killed, a few seconds later at most" } else { "the watch ended" };
    format!("not watched from {from} ({why}) until {until}: what failed then is not on record")
}

fn say_what_is_missing(evidence: &Evidence) {
    let state = evidence
        .container
        .as_ref()
        .and_then(|c| c.state.as_deref())
        .unwrap_or("in a state that nobody knows");
    outcome::say(&format!(
        "no watch was running when it failed, so this is what its engine remembers ({state}) and what the kernel \
         still shows. Missing: the system call itself, its path in the kernel, readings of that instant. To have them \
         the next time: `diag watch`, or `diag service install`"
    ));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_says_from_when_until_when_and_why() {
        let gap = Gap { from_unix_ns: 0, to_unix_ns: None, killed: true };
        let said = told(&gap);
        assert!(said.contains("was killed") && said.contains("until now"), "{said}");
        let said = told(&Gap { to_unix_ns: Some(1_000_000_000), killed: false, ..gap });
        assert!(said.contains("the watch ended") && !said.contains("now"), "{said}");
    }

    #[test]
    fn a_watch_that_has_just_ended_is_no_news() {
        let second = 1_000_000_000;
        let gap = |to_unix_ns, killed| Gap { from_unix_ns: 10 * second, to_unix_ns, killed };
        assert!(!is_worth_telling(&gap(None, false), 0, 11 * second));
        assert!(is_worth_telling(&gap(None, false), 0, 16 * second));
        assert!(is_worth_telling(&gap(None, true), 0, 11 * second), "nobody ended that one");
        assert!(is_worth_telling(&gap(Some(11 * second), false), 11 * second, 99 * second));
        assert!(
            !is_worth_telling(&gap(Some(11 * second), false), 12 * second, 99 * second),
            "before it failed"
        );
    }

    #[test]
    fn times_are_spans_or_instants() {
        let now = clock::now().unix_ns;
        let hour = since("1h").unwrap();
        assert!((now - 3_600_000_000_000 - hour).abs() < 60_000_000_000);
        assert_eq!(since("1970-01-01T00:00:01Z"), Ok(1_000_000_000));
        for wrong in ["", "h", "5", "5w", "-3m", "yesterday"] {
            assert!(since(wrong).is_err(), "{wrong}");
        }
    }
}
