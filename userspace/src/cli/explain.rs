//! `diag explain`: a container after the fact, a command as it runs, a file from another machine.

use super::{Form, Global, causes, outcome, outcome::Outcome};
use crate::{
    capture::{
        clock, cold,
        command::{Ended, Running, Waiting},
        engine::EngineLog,
        recording::{Recording, SCHEMA},
        urgent,
    },
    correlate::Story,
    explain::{self, DeciderMethod, rank},
    journal::{JournalError, Query, Reader},
    model::{Container, Cost, Errno, Explained, Explanation, FailureKind, Host, Incident, Killer, Loss},
    pipeline::{Event, Pipeline, Spec},
    render,
};
use anyhow::{Context, bail};
use clap::ValueEnum;
use std::{ffi::OsString, path::PathBuf, time::Duration};
use tokio::signal::unix::{SignalKind, signal};

#[derive(Debug, Clone, clap::Args)]
pub(super) struct Args {
    /// A container's name, id or id prefix; or a recording made with --save.
    target: Option<String>,
    /// Run this command and explain its failure.
    #[arg(last = true, value_name = "CMD", conflicts_with_all = ["target", "replay"])]
    command: Vec<OsString>,
    /// Explain a recording made with --save.
    #[arg(long, value_name = "FILE")]
    replay: Option<PathBuf>,
    /// Keep the evidence in a file that explains the same on another machine.
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
    /// Describe one cause of the catalogue.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["target", "replay", "command"])]
    cause: Option<String>,
    /// Show every failure whole, the most significant first.
    #[arg(long)]
    all: bool,
    /// Name the deciding kernel function only; use no known cause.
    #[arg(long)]
    no_catalogue: bool,
    /// Use this way to the deciding function alone.
    #[arg(long, value_enum)]
    decider: Option<Decider>,
    /// Do not trace the kernel path.
    #[arg(long)]
    no_graph: bool,
    #[command(flatten)]
    form: Form,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Decider {
    ReturnValue,
    Difference,
}

/// What there is to judge, and for whom.
struct Evidence {
    host: Host,
    container: Option<Container>,
    incidents: Vec<Incident>,
    loss: Loss,
    cost: Option<Cost>,
}

pub(super) fn run(args: &Args, global: &Global) -> anyhow::Result<Outcome> {
    if let Some(slug) = &args.cause {
        outcome::answer(&causes::about(slug)?);
        return Ok(Outcome::Nothing);
    }
    if !args.command.is_empty() {
        let (evidence, ended) = run_command(&args.command, args.form.is_json(), !args.no_graph, global)?;
        return finish(args, evidence, Some(ended));
    }
    let evidence = match (&args.replay, &args.target) {
        (Some(file), _) => replay(file)?,
        (None, Some(target)) if is_recording(target) => replay(target.as_ref())?,
        (None, Some(target)) => look_up(target, global)?,
        (None, None) => bail!(
            "what shall be explained? diag explain CONTAINER, diag explain -- COMMAND, or diag explain FILE"
        ),
    };
    finish(args, evidence, None)
}

/// `explain -- words` with everything else at its default, for `repro`.
pub(super) fn command(words: Vec<OsString>, form: Form, global: &Global) -> anyhow::Result<Outcome> {
    let args = Args {
        target: None,
        command: words,
        replay: None,
        save: None,
        cause: None,
        all: false,
        no_catalogue: false,
        decider: None,
        no_graph: false,
        form,
    };
    run(&args, global)
}

fn finish(args: &Args, evidence: Evidence, ended: Option<Ended>) -> anyhow::Result<Outcome> {
    let recording = Recording {
        schema: SCHEMA.into(),
        host: evidence.host,
        container: evidence.container,
        incidents: evidence.incidents,
        loss: evidence.loss,
        cost: evidence.cost,
    };
    if let Some(file) = &args.save {
        recording.write(file)?;
        outcome::say(&format!("evidence kept in {}", file.display()));
    }
    let options = explain::Options {
        no_catalogue: args.no_catalogue,
        decider: args.decider.map(|d| match d {
            Decider::ReturnValue => DeciderMethod::ReturnValue,
            Decider::Difference => DeciderMethod::Difference,
        }),
    };
    let Recording { host, container, incidents, loss, cost, .. } = recording;
    let mut explanation = explain::explain(host, container, incidents, (loss, cost), options);
    // A command that succeeded handled its failures: only what a cause claims is worth telling.
    if ended == Some(Ended::Code(0)) && !args.all {
        explanation
            .incidents
            .retain(|e| !e.findings.is_empty() && !is_housekeeping(e) && rank::outlasts_success(e));
    }
    let found = explanation.incidents.iter().any(|e| !rank::is_noise(e));
    if found && !args.all {
        explanation.incidents.retain(|e| !rank::is_noise(e));
    }
    if args.form.is_json() {
        outcome::answer_json(&render::json::explanation(&explanation))?;
    } else if found || (args.all && !explanation.incidents.is_empty()) {
        let theme = render::theme::Theme::for_stdout();
        let text = render::text::Options { theme, now_unix_ns: clock::now().unix_ns, all: args.all };
        outcome::answer(&render::text::explanation(&explanation, text));
    } else {
        outcome::answer(&nothing(&explanation, ended));
    }
    Ok(if found { Outcome::Found } else { Outcome::Nothing })
}

/// In a command that went well: a process that another one ended, which is how scripts stop their helpers; a cgroup
/// that was not empty yet, and a task that had ended before it was moved, which engines meet and try again.
fn is_housekeeping(e: &Explained) -> bool {
    let failure = &e.incident.failure;
    let again = failure.syscall().is_some_and(|(call, errno)| {
        matches!(call, "rmdir" | "unlinkat") && errno == Errno::EBUSY
            || call == "write" && errno == Errno(libc::ESRCH)
    });
    again
        || matches!(
            &failure.kind,
            FailureKind::Killed { by: Killer::Process { .. } | Killer::Init { .. }, .. }
        )
}

/// The answer when the kernel refused nothing: that the words the user saw were somebody else's.
fn nothing(e: &Explanation, ended: Option<Ended>) -> String {
    let lost = match e.loss.events_dropped {
        0 => "nothing was lost on the way".to_string(),
        n => format!("but {n} events were lost, so this is no proof"),
    };
    match (ended, &e.container) {
        (Some(Ended::Code(0)), _) => {
            format!("The command succeeded, and the kernel refused it nothing worth a word; {lost}.\n")
        }
        (Some(ended), _) if e.incidents.is_empty() => format!(
            "The command failed ({}), but no system call of it or its children returned an error; {lost}. {} What it \
             said, if anything, is its own.\n",
            words(ended),
            beside(&e.host)
        ),
        (Some(ended), _) => {
            let mut out = format!(
                "The command failed ({}). The kernel refused it nothing but names that are not there; {lost}. The last \
                 of them:\n",
                words(ended)
            );
            for incident in e.incidents.iter().take(5) {
                out += &format!("  {}\n", render::text::line(incident));
            }
            out
        }
        (None, Some(c)) => {
            format!(
                "{} ({}) is known, and no kernel refusal of it is on record; {lost}.\n",
                c.label(),
                c.engine
            )
        }
        (None, None) => format!("No failure is on record; {lost}.\n"),
    }
}

/// What can fail without a system call, and whether it was seen: "no system call failed" says no more than this.
fn beside(host: &Host) -> String {
    let state = &host.capture;
    let ways = [("kills", &state.kills), ("io_uring", &state.io_uring), ("netlink answers", &state.netlink)];
    let names = |seen: bool| {
        let of: Vec<&str> = ways.iter().filter(|(_, a)| a.is_yes() == seen).map(|(name, _)| *name).collect();
        match of.as_slice() {
            [first @ .., last] if !first.is_empty() => format!("{} and {last}", first.join(", ")),
            few => few.concat(),
        }
    };
    match (names(true).as_str(), names(false).as_str()) {
        ("", unseen) => format!("Not watched: {unseen}."),
        (seen, "") => format!("Watched too, without a failure: {seen}."),
        (seen, unseen) => format!("Watched too, without a failure: {seen}. Not watched: {unseen}."),
    }
}

fn words(ended: Ended) -> String {
    match ended {
        Ended::Code(code) => format!("exit code {code}"),
        Ended::Signal(signal) => format!("killed by signal {signal}"),
    }
}

fn is_recording(target: &str) -> bool {
    target.contains('/') || target.ends_with(".json") || target.ends_with(".diag")
}

fn replay(file: &std::path::Path) -> anyhow::Result<Evidence> {
    let r = Recording::read(file)?;
    Ok(Evidence { host: r.host, container: r.container, incidents: r.incidents, loss: r.loss, cost: r.cost })
}

/// A container by the journal, else by what the engine itself remembers.
fn look_up(target: &str, global: &Global) -> anyhow::Result<Evidence> {
    let (mut known, mut names) = (Vec::new(), Vec::new());
    let reader = match Reader::open(&global.journal) {
        Ok(reader) => Some(reader),
        Err(JournalError::Missing(_)) => None,
        Err(e) => return Err(e.into()),
    };
    if let Some(reader) = &reader {
        known = reader.containers(target)?;
        names = reader.names(5)?;
    }
    if let Some(container) = known.into_iter().next() {
        let query = Query { container_id: Some(container.id.clone()), ..Query::default() };
        let incidents = reader.as_ref().map(|r| r.incidents(&query)).transpose()?.unwrap_or_default();
        if !incidents.is_empty() {
            let newest = incidents.first();
            let host = newest.map(|i| i.host.clone()).unwrap_or_default();
            let loss = newest.map(|i| i.loss).unwrap_or_default();
            let cost = newest.and_then(|i| i.cost);
            return Ok(Evidence { host, container: Some(container), incidents, loss, cost });
        }
    }
    match cold::evidence(target, &mut EngineLog::open(&global.root)) {
        Some((host, container, incidents)) => {
            outcome::say("no watch was running when it failed; this is what the engine itself remembers");
            let loss = Loss::default();
            Ok(Evidence { host, container: Some(container), incidents, loss, cost: None })
        }
        None if reader.is_none() => bail!(
            "no container {target:?} is known: the bundled engine has none, and there is no journal at {} \
             (`diag watch` writes one while it runs)",
            global.journal.display()
        ),
        None => bail!("no container {target:?} is on record; the last ones are: {}", names.join(", ")),
    }
}

/// Runs a command under watch from its first instruction on.
fn run_command(
    words: &[OsString],
    json: bool,
    graphs: bool,
    global: &Global,
) -> anyhow::Result<(Evidence, Ended)> {
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
        let spec = Spec { tree: Some(waiting.pid), engine_root: global.root.clone(), graphs };
        let mut pipeline = Pipeline::start(&spec)?;
        let running: Running = waiting.release();
        let mut events = Vec::new();
        let ended = loop {
            tokio::select! {
                more = pipeline.next() => events.extend(more.context("reading from the kernel failed")?),
                _ = child.recv() => {}
                // A terminal sends SIGINT to the command too; a supervisor's SIGTERM is passed on.
                _ = interrupt.recv() => {}
                _ = terminate.recv() => running.signal(nix::sys::signal::Signal::SIGTERM),
            }
            if let Some(ended) = running.ended().context("cannot wait for the command")? {
                break ended;
            }
        };
        events.extend(
            pipeline.finish(Duration::from_secs(10)).await.context("reading from the kernel failed")?,
        );
        let evidence = Evidence {
            host: pipeline.host().clone(),
            container: None,
            incidents: fold(events),
            loss: pipeline.loss(),
            cost: Some(pipeline.cost()),
        };
        Ok((evidence, ended))
    })
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
            Event::Container(..) => {}
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
