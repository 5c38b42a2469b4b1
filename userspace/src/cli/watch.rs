//! `diag watch`: each kernel refusal as it happens, kept in the journal.

use super::{Form, Global, outcome, outcome::Outcome};
use crate::{
    capture::clock,
    correlate::{Key, Story},
    explain::{self, rank},
    journal::{Bounds, Writer},
    model::{Explained, Explanation, Stamp},
    pipeline::{Event, Pipeline, Spec},
    render,
};
use anyhow::Context;
use std::collections::HashMap;
use tokio::signal::unix::{SignalKind, signal};

#[derive(Debug, Clone, Copy, clap::Args)]
pub(super) struct Args {
    /// Do not trace kernel paths, even where the kernel allows it.
    #[arg(long)]
    no_graph: bool,
    #[command(flatten)]
    form: Form,
}

/// Repetitions are reported when the count has doubled, so that a flood stays readable.
#[derive(Debug)]
struct Kept {
    row: i64,
    said: u64,
    line: String,
}

pub(super) fn run(args: &Args, global: &Global) -> anyhow::Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the event loop")?;
    runtime.block_on(watch(args, global))
}

async fn watch(args: &Args, global: &Global) -> anyhow::Result<Outcome> {
    // Handlers first: from here on no signal may skip the clean-up.
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot handle SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot handle SIGTERM")?;
    let mut journal = Writer::open(&global.journal, Bounds::default())?;
    let spec = Spec { tree: None, words: vec![], engine_root: global.root.clone(), graphs: !args.no_graph };
    let mut pipeline = Pipeline::start(&spec)?;
    let mut session = Session { json: args.form.is_json(), kept: HashMap::new(), found: false };
    announce(&pipeline, global);
    loop {
        let events = tokio::select! {
            events = pipeline.next() => events.context("reading from the kernel failed")?,
            _ = interrupt.recv() => break,
            _ = terminate.recv() => break,
        };
        session.take(events, &pipeline, &mut journal)?;
    }
    let rest = pipeline
        .finish(std::time::Duration::from_millis(500))
        .await
        .context("reading from the kernel failed")?;
    session.take(rest, &pipeline, &mut journal)?;
    Ok(if session.found { Outcome::Found } else { Outcome::Nothing })
}

fn announce(pipeline: &Pipeline, global: &Global) {
    let host = pipeline.host();
    let path = match &host.capture.function_graph {
        crate::model::Availability::Yes { detail } => format!("kernel paths by function_graph ({detail})"),
        crate::model::Availability::No { why } => format!("no kernel paths here: {why}"),
    };
    outcome::say(&format!(
        "watching kernel {}; {path}; journal {}; Ctrl-C ends it",
        host.kernel,
        global.journal.display()
    ));
}

struct Session {
    json: bool,
    kept: HashMap<Key, Kept>,
    found: bool,
}

impl Session {
    fn take(&mut self, events: Vec<Event>, pipeline: &Pipeline, journal: &mut Writer) -> anyhow::Result<()> {
        for event in events {
            match event {
                Event::Container(container, seen) => journal.container(&container, seen)?,
                Event::Story(Story::New { key, incident }) => {
                    // Kept before it is said: what was read on the screen must not be lost.
                    let row = journal.insert(&incident)?;
                    let explained = explain::explain_one(*incident, explain::Options::default());
                    self.found |= !explained.findings.is_empty();
                    let line = render::text::line(&explained);
                    self.say(&explained, pipeline)?;
                    self.kept.insert(key, Kept { row, said: 1, line });
                }
                Event::Story(Story::Again { key, count, last }) => self.again(&key, count, last, journal)?,
            }
        }
        Ok(())
    }

    fn say(&self, e: &Explained, pipeline: &Pipeline) -> anyhow::Result<()> {
        if rank::is_noise(e) {
            return Ok(());
        }
        if self.json {
            let one = Explanation {
                host: pipeline.host().clone(),
                container: e.incident.container.clone(),
                incidents: vec![e.clone()],
                loss: pipeline.loss(),
                cost: e.incident.cost,
            };
            return outcome::stream_json(&render::json::explanation(&one));
        }
        outcome::answer(&format!("{}\n", render::text::live(e, render::theme::Theme::for_stdout())));
        Ok(())
    }

    fn again(&mut self, key: &Key, count: u64, last: Stamp, journal: &mut Writer) -> anyhow::Result<()> {
        let Some(kept) = self.kept.get_mut(key) else { return Ok(()) };
        journal.repeated(kept.row, count, last)?;
        if count >= kept.said.saturating_mul(2) {
            kept.said = count;
            if !self.json {
                let at = render::clock(clock::now().unix_ns);
                outcome::answer(&format!("{at} ×{} {}\n", crate::model::spaced(count), kept.line));
            }
        }
        Ok(())
    }
}
