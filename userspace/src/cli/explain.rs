//! `diag explain`: a container after the fact, a command as it runs, a file from another machine.

mod again;
mod past;
mod recorded;
mod words;
mod wrapped;

pub(super) use again::Again;

use super::{Form, Global, causes, outcome, outcome::Outcome};
use crate::{
    capture::{clock, recording::Recording},
    explain::{self, DeciderMethod, rank},
    model::{Ended, Evidence, Explanation},
    render,
};
use anyhow::bail;
use clap::ValueEnum;
use std::{ffi::OsString, path::PathBuf};

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
    /// Explain the failed system calls of a recorded trace: trace-cmd's trace.dat, or function_graph text.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["target", "replay", "command"])]
    graph: Option<PathBuf>,
    /// Keep the evidence in a file that explains the same on another machine.
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
    /// Keep passwords and tokens in the saved file, too.
    #[arg(long, requires = "save")]
    no_redact: bool,
    /// Describe one cause of the catalogue.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["target", "replay", "command"])]
    cause: Option<String>,
    /// Show every failure whole, the most significant first.
    #[arg(long)]
    all: bool,
    /// Only failures since then: 10m, 2h, 3d, or a time as 2026-11-28T09:00:00Z.
    #[arg(long, value_name = "WHEN", value_parser = past::since, requires = "target")]
    since: Option<i64>,
    /// End with the command's own exit code.
    #[arg(long, requires = "command")]
    exit_code: bool,
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

pub(super) fn run(args: &Args, global: &Global) -> anyhow::Result<Outcome> {
    if let Some(slug) = &args.cause {
        outcome::answer(&causes::about(slug)?);
        return Ok(Outcome::Nothing);
    }
    let evidence = match (&args.replay, &args.target) {
        _ if let Some(file) = &args.graph => recorded::evidence(file)?,
        _ if !args.command.is_empty() => watched(args, None, global)?,
        (Some(file), _) => Recording::read(file)?.evidence,
        (None, Some(target)) if is_recording(target) => Recording::read(target.as_ref())?.evidence,
        (None, Some(target)) => past::look_up(target, args.since, global)?,
        (None, None) => bail!(
            "what shall be explained? diag explain CONTAINER, diag explain -- COMMAND, or diag explain FILE"
        ),
    };
    let ended = evidence.ended.filter(|_| args.exit_code);
    let outcome = finish(args, evidence)?;
    Ok(match ended {
        Some(Ended::Code(code)) => Outcome::Code(code),
        // As a shell has it (bash(1), EXIT STATUS).
        Some(Ended::Signal(signal)) => Outcome::Code(128 + signal),
        None => outcome,
    })
}

/// `explain -- words` with everything else at its default, for `repro`, which can repeat what it was refused.
pub(super) fn command(
    words: Vec<OsString>,
    again: Again,
    form: Form,
    global: &Global,
) -> anyhow::Result<Outcome> {
    let args = plain(words, form);
    let evidence = watched(&args, Some(again), global)?;
    finish(&args, evidence)
}

/// The same, judged and not yet told.
pub(super) fn judge(
    words: Vec<OsString>,
    form: Form,
    global: &Global,
) -> anyhow::Result<(Judged, impl Fn(&Judged))> {
    let args = plain(words, form);
    let evidence = watched(&args, None, global)?;
    let judged = weigh(&args, evidence)?;
    Ok((judged, move |judged: &Judged| outcome::answer(&judged.text(&args))))
}

fn watched(args: &Args, again: Option<Again>, global: &Global) -> anyhow::Result<Evidence> {
    let wanted = wrapped::Wanted {
        graphs: !args.no_graph,
        differences: matches!(args.decider, Some(Decider::Difference)),
    };
    wrapped::run(&args.command, args.form.is_json(), wanted, again, global)
}

fn plain(words: Vec<OsString>, form: Form) -> Args {
    Args {
        target: None,
        command: words,
        replay: None,
        graph: None,
        save: None,
        no_redact: false,
        cause: None,
        all: false,
        since: None,
        exit_code: false,
        no_catalogue: false,
        decider: None,
        no_graph: false,
        form,
    }
}

/// An answer before it is told.
pub(super) struct Judged {
    pub(super) explanation: Explanation,
    pub(super) found: bool,
    ended: Option<Ended>,
    asked_unix_ns: i64,
}

impl Judged {
    fn text(&self, args: &Args) -> String {
        if self.found || (args.all && !self.explanation.incidents.is_empty()) {
            let theme = render::theme::Theme::for_stdout();
            let text = render::text::Options { theme, now_unix_ns: self.asked_unix_ns, all: args.all };
            render::text::explanation(&self.explanation, text)
        } else {
            words::nothing(&self.explanation, self.ended)
        }
    }
}

fn finish(args: &Args, evidence: Evidence) -> anyhow::Result<Outcome> {
    let judged = weigh(args, evidence)?;
    if args.form.is_json() {
        outcome::answer_json(&render::json::explanation(&judged.explanation))?;
    } else {
        outcome::answer(&judged.text(args));
    }
    Ok(if judged.found { Outcome::Found } else { Outcome::Nothing })
}

fn weigh(args: &Args, mut evidence: Evidence) -> anyhow::Result<Judged> {
    // What was saved is told as of then, so that it reads the same everywhere and always.
    let asked = *evidence.asked_unix_ns.get_or_insert_with(|| clock::now().unix_ns);
    if let Some(file) = &args.save {
        let recording = Recording::of(evidence);
        let recording = if args.no_redact { recording } else { recording.redacted()? };
        recording.write(file)?;
        outcome::say(&format!("evidence kept in {}", file.display()));
        evidence = recording.evidence;
    }
    let options = explain::Options {
        no_catalogue: args.no_catalogue,
        decider: args.decider.map(|d| match d {
            Decider::ReturnValue => DeciderMethod::ReturnValue,
            Decider::Difference => DeciderMethod::Difference,
        }),
    };
    let ended = evidence.ended;
    if ended == Some(Ended::Code(0)) {
        // What a command says while it succeeds was no failure.
        evidence.said.clear();
    }
    let mut explanation = explain::explain(evidence, options);
    // A command that succeeded handled its failures: only what a cause claims is worth telling.
    if ended == Some(Ended::Code(0)) && !args.all {
        explanation
            .incidents
            .retain(|e| !e.findings.is_empty() && !words::is_housekeeping(e) && rank::outlasts_success(e));
    }
    let found = explanation.incidents.iter().any(|e| !rank::is_noise(e));
    // Of a command's failures the last names that were not there are told; a container's past is not.
    if (found || ended.is_none()) && !args.all {
        explanation.incidents.retain(|e| !rank::is_noise(e));
    }
    Ok(Judged { explanation, found, ended, asked_unix_ns: asked })
}

fn is_recording(target: &str) -> bool {
    // A pod's container is called `namespace/pod/container`.
    target.ends_with(".json") || target.ends_with(".diag") || std::path::Path::new(target).is_file()
}
