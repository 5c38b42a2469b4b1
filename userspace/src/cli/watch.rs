//! `diag watch`: each kernel refusal as it happens, kept in the journal.

mod counts;
mod filter;
mod notify;

use super::{Form, Global, outcome, outcome::Outcome};
use crate::{
    capture::clock,
    correlate::{Key, Story},
    explain::{self, rank},
    journal::{ALIVE_EVERY, Bounds, Writer},
    model::{Explained, Explanation, GraphEvidence, Stamp},
    pipeline::{Event, Paths, Pipeline, Spec},
    render,
};
use anyhow::Context;
use counts::{By, Counts};
use filter::Filter;
use std::collections::HashMap;
use std::io::IsTerminal;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

#[derive(Debug, Clone, clap::Args)]
pub(super) struct Args {
    /// How much of the kernel's paths to trace: none, those of mounts, or those of every family of system calls.
    #[arg(long, value_enum, default_value = "path")]
    capture: Capture,
    /// Percent of one processor that tracing may take; above it diag traces less, and says so.
    #[arg(long, value_name = "PERCENT", default_value = "1", value_parser = percent)]
    budget: f64,
    #[command(flatten)]
    filter: Filter,
    /// Count, and show the counts as they grow, instead of each failure.
    #[arg(long, value_enum, value_name = "WHAT")]
    by: Option<By>,
    #[command(flatten)]
    form: Form,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Capture {
    Light,
    Path,
    Full,
}

impl Capture {
    fn paths(self) -> Paths {
        match self {
            Self::Light => Paths::None,
            Self::Path => Paths::Rare,
            Self::Full => Paths::Full,
        }
    }
}

fn percent(text: &str) -> Result<f64, String> {
    match text.trim_end_matches([' ', '%']).parse::<f64>() {
        Ok(percent) if percent > 0.0 && percent <= 100.0 => Ok(percent),
        _ => Err("a number above 0, up to 100".into()),
    }
}

/// How often counts are shown anew.
const SHOWN_EVERY: Duration = Duration::from_secs(1);

/// Repetitions are reported when the count has doubled, so that a flood stays readable.
#[derive(Debug)]
struct Kept {
    row: i64,
    said: u64,
    counted: u64,
    /// What it is called where it is told, and counted under; `None` when it is only kept.
    line: Option<String>,
    key: String,
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
    let spec = Spec {
        tree: None,
        words: vec![],
        engine_root: global.root.clone(),
        paths: args.capture.paths(),
        budget: args.budget,
    };
    let mut pipeline = Pipeline::start(&spec)?;
    let counts = args.by.map(Counts::new);
    let json = args.form.is_json();
    let filter = args.filter.clone();
    let mut session = Session { json, filter, counts, kept: HashMap::new(), found: false };
    let mut clock = tokio::time::interval(SHOWN_EVERY);
    let mut pulse = tokio::time::interval(ALIVE_EVERY);
    announce(&pipeline, global);
    notify::ready();
    loop {
        let events = tokio::select! {
            events = pipeline.next() => events.context("reading from the kernel failed")?,
            _ = clock.tick(), if session.counts.is_some() => {
                session.show_counts()?;
                continue;
            }
            _ = pulse.tick() => {
                journal.alive()?;
                continue;
            }
            _ = interrupt.recv() => break,
            _ = terminate.recv() => break,
        };
        session.take(events, &pipeline, &mut journal)?;
    }
    let rest = pipeline.finish(Duration::from_millis(500)).await.context("reading from the kernel failed")?;
    session.take(rest, &pipeline, &mut journal)?;
    session.show_counts()?;
    journal.close()?;
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
    filter: Filter,
    counts: Option<Counts>,
    kept: HashMap<Key, Kept>,
    found: bool,
}

impl Session {
    fn take(&mut self, events: Vec<Event>, pipeline: &Pipeline, journal: &mut Writer) -> anyhow::Result<()> {
        for event in events {
            match event {
                Event::Less(why) => outcome::say(&why),
                Event::Container(container, seen) => journal.container(&container, seen)?,
                Event::Story(Story::New { key, incident }) => {
                    // Kept before it is said: what was read on the screen must not be lost.
                    let row = journal.insert(&incident)?;
                    let explained = explain::explain_one(*incident, explain::Options::default());
                    self.found |= !explained.findings.is_empty();
                    let kept = self.first(&explained, pipeline, row)?;
                    self.kept.insert(key, kept);
                }
                Event::Story(Story::Again { key, count, last }) => self.again(&key, count, last, journal)?,
                Event::Story(Story::Closer { key, graph }) => self.closer(&key, *graph, pipeline, journal)?,
            }
        }
        Ok(())
    }

    fn first(&mut self, e: &Explained, pipeline: &Pipeline, row: i64) -> anyhow::Result<Kept> {
        let told = !rank::is_noise(e) && self.filter.lets_through(e);
        let key = self.counts.as_ref().map_or_else(String::new, |counts| counts.by().key(e));
        let count = e.incident.count;
        match &mut self.counts {
            Some(counts) if told => counts.add(&key, count, e.incident.last),
            None if told => self.say(e, pipeline)?,
            _ => {}
        }
        Ok(Kept { row, said: 1, counted: count, line: told.then(|| render::text::line(e)), key })
    }

    /// On a terminal in the place of the last ones, else below each other.
    fn show_counts(&mut self) -> anyhow::Result<()> {
        let Some(counts) = &mut self.counts else { return Ok(()) };
        if !counts.has_news() {
            return Ok(());
        }
        if self.json {
            return outcome::stream_json(&counts.json());
        }
        // ECMA-48: to the first place, and clear what is behind it.
        let home = if std::io::stdout().is_terminal() { "\u{1b}[H\u{1b}[J" } else { "" };
        outcome::answer(&format!("{home}{}", counts.table()));
        Ok(())
    }

    fn say(&self, e: &Explained, pipeline: &Pipeline) -> anyhow::Result<()> {
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

    /// What was told before is told once more only as far as it is new: who decided. Programs get the whole document
    /// again; it has the same time.
    fn closer(
        &mut self,
        key: &Key,
        graph: GraphEvidence,
        pipeline: &Pipeline,
        journal: &mut Writer,
    ) -> anyhow::Result<()> {
        let Some(kept) = self.kept.get_mut(key) else { return Ok(()) };
        let Some(incident) = journal.closer(kept.row, graph)? else { return Ok(()) };
        let explained = explain::explain_one(incident, explain::Options::default());
        if kept.line.is_none() || self.counts.is_some() {
            return Ok(());
        }
        kept.line = Some(render::text::line(&explained));
        if let Some(line) = render::text::decided(&explained) {
            if self.json {
                return self.say(&explained, pipeline);
            }
            let at = render::clock(clock::now().unix_ns);
            outcome::answer(&format!("{at} {line}\n"));
        }
        Ok(())
    }

    fn again(&mut self, key: &Key, count: u64, last: Stamp, journal: &mut Writer) -> anyhow::Result<()> {
        let Some(kept) = self.kept.get_mut(key) else { return Ok(()) };
        journal.repeated(kept.row, count, last)?;
        let Some(line) = &kept.line else { return Ok(()) };
        if let Some(counts) = &mut self.counts {
            counts.add(&kept.key, count.saturating_sub(kept.counted), last);
            kept.counted = count;
            return Ok(());
        }
        if count >= kept.said.saturating_mul(2) {
            kept.said = count;
            if !self.json {
                let at = render::clock(clock::now().unix_ns);
                outcome::answer(&format!("{at} ×{} {}\n", crate::model::spaced(count), line));
            }
        }
        Ok(())
    }
}
