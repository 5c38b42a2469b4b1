//! `diag explain -- CMD`: a command under watch from its first instruction on, and what engines do for it.

use super::super::Global;
use super::again::Again;
use crate::{
    capture::{
        command::{Running, Waiting},
        complaints, urgent,
    },
    correlate::Story,
    model::{Availability, Evidence, Incident},
    pipeline::{Event, Paths, Pipeline, Spec},
};
use anyhow::Context;
use std::{ffi::OsString, time::Duration};
use tokio::signal::unix::{SignalKind, signal};

/// How long is waited for what is on its way when the command is over: a tracer's reader that is behind on a busy
/// machine needs that long, any other milliseconds.
const MOST_WAIT: Duration = Duration::from_secs(120);

/// How kernel paths are looked at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    pub(super) graphs: bool,
    /// Look for differences to calls that succeeded, also where return values tell.
    pub(super) differences: bool,
}

/// Runs a command under watch from its first instruction on. `again`: it can repeat what it was refused, on this word.
pub(super) fn run(
    words: &[OsString],
    json: bool,
    wanted: Wanted,
    mut again: Option<Again>,
    global: &Global,
) -> anyhow::Result<Evidence> {
    // Before any thread exists, so that the fork is a plain one.
    let waiting = Waiting::prepare(words, json)?;
    urgent::run_first();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the event loop")?;
    runtime.block_on(async {
        let mut child = signal(SignalKind::child()).context("cannot handle SIGCHLD")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("cannot handle SIGINT")?;
        let mut terminate = signal(SignalKind::terminate()).context("cannot handle SIGTERM")?;
        let plain: Vec<String> = words.iter().map(|word| word.to_string_lossy().into_owned()).collect();
        let spec = Spec {
            tree: Some(waiting.pid),
            words: plain.clone(),
            engine_root: global.root.clone(),
            paths: if wanted.graphs { Paths::Full } else { Paths::None },
            // Not held to any: it ends with the command.
            budget: 100.0,
        };
        let mut pipeline = Pipeline::start(&spec)?;
        let running: Running = waiting.release();
        let mut events = Vec::new();
        let ended = loop {
            tokio::select! {
                more = pipeline.next() => {
                    events.extend(more.context("reading from the kernel failed")?);
                    again = again.take().and_then(|again| again.advise(pipeline.closer()));
                }
                _ = child.recv() => {}
                // A terminal sends SIGINT to the command too; a supervisor's SIGTERM is passed on.
                _ = interrupt.recv() => {}
                _ = terminate.recv() => running.signal(nix::sys::signal::Signal::SIGTERM),
            }
            if let Some(ended) = running.ended().context("cannot wait for the command")? {
                break ended;
            }
        };
        events.extend(pipeline.finish(MOST_WAIT).await.context("reading from the kernel failed")?);
        let mut incidents = fold(events);
        pipeline.tell_searches(&mut incidents);
        if wanted.differences || !pipeline.host().capture.returns.is_yes() && !all_returned(&incidents) {
            pipeline.compare(&mut incidents).await;
        }
        let mut host = pipeline.host().clone();
        let untied = pipeline.untied();
        if untied > 0 && host.capture.daemons.is_yes() {
            let why = format!("{untied} failures of what they started are of no container that is known");
            host.capture.daemons = Availability::no(why);
        }
        Ok(Evidence {
            host,
            container: None,
            incidents,
            loss: pipeline.loss(),
            cost: Some(pipeline.cost()),
            said: complaints::of_stderr(&running.said(), program_of(&plain), pipeline.client_of()),
            ended: Some(ended),
            asked_unix_ns: None,
        })
    })
}

/// What a program is called in its own complaints.
fn program_of(words: &[String]) -> &str {
    words[0].rsplit('/').next().unwrap_or_default()
}

/// Whether it is known of each path what functions returned on it.
fn all_returned(incidents: &[Incident]) -> bool {
    incidents.iter().filter_map(|i| i.graph.as_ref()).all(|graph| graph.failed.root.ret.is_some())
}

/// Stories to incidents with their final counts.
fn fold(events: Vec<Event>) -> Vec<Incident> {
    let mut incidents = Vec::new();
    let mut keys = Vec::new();
    let mut counts = std::collections::HashMap::new();
    for event in events {
        match event {
            Event::Story(Story::New { key, incident }) => {
                keys.push(key);
                incidents.push(*incident);
            }
            Event::Story(Story::Again { key, count, last }) => {
                counts.insert(key, (count, last));
            }
            Event::Story(Story::Closer { key, graph }) => {
                // The latest of that name: an earlier one was over when it began anew.
                if let Some(at) = keys.iter().rposition(|known| *known == key) {
                    let incident: &mut Incident = &mut incidents[at];
                    incident.graph = Some(*graph);
                }
            }
            Event::Container(..) | Event::Less(_) => {}
        }
    }
    for (incident, key) in incidents.iter_mut().zip(&keys) {
        if let Some((count, last)) = counts.get(key) {
            incident.count = *count;
            incident.last = *last;
        }
    }
    incidents
}
