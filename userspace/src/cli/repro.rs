//! `diag repro CAUSE`: make it happen and explain it, which proves both; with `--prove` the way out, too.

use super::{Form, Global, explain, outcome, outcome::Outcome};
use crate::{causes, causes::Cause, model::Trial, render, repro};
use anyhow::Context;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use std::ffi::OsString;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;

#[derive(Debug, Clone, clap::Args)]
pub(super) struct Args {
    /// A cause from `diag causes`.
    cause: String,
    /// Another way to the same refusal, e.g. move_mount.
    #[arg(long)]
    variant: Option<String>,
    /// Only make it happen, for other tools to look at.
    #[arg(long)]
    provoke: bool,
    /// Then go the way out that the finding tells, in the same sandbox, and make the refused call once more. Exit code 0
    /// when it succeeds: reproduced, and the fix works.
    #[arg(long, conflicts_with = "provoke")]
    prove: bool,
    /// With --prove: also where the way out is the whole machine's, which sees it for that moment.
    #[arg(long, requires = "prove")]
    machine_wide: bool,
    /// How the process that is refused hears from a proof.
    #[arg(long, hide = true, requires = "provoke")]
    held: Option<RawFd>,
    /// On which line it waits for the word to repeat what it was refused.
    #[arg(long, hide = true, requires = "provoke", conflicts_with = "held")]
    again: Option<RawFd>,
    #[command(flatten)]
    form: Form,
}

pub(super) fn run(args: &Args, global: &Global) -> anyhow::Result<Outcome> {
    let known: Vec<_> = causes::ALL.iter().map(|c| c.slug).collect();
    let cause = causes::by_slug(&args.cause)
        .with_context(|| format!("no cause is called {:?}; known: {}", args.cause, known.join(", ")))?;
    if args.provoke {
        return provoke(args, cause);
    }
    if args.prove {
        return prove(args, global);
    }
    let (ours, theirs) = line()?;
    let mut words = words(args)?;
    words.extend(["--again".into(), theirs.as_raw_fd().to_string().into()]);
    // Their end stays open here: the command gets its copy when it is forked, and an end of it shows as an end of it.
    let again = explain::Again::over(ours).context("cannot listen to the fault without waiting")?;
    explain::command(words, again, args.form, global)
}

/// A line to the fault that outlives its exec.
fn line() -> anyhow::Result<(UnixStream, UnixStream)> {
    let (ours, theirs) = UnixStream::pair().context("cannot make a pair of sockets")?;
    fcntl(&theirs, FcntlArg::F_SETFD(FdFlag::empty())).context("cannot hand a socket on")?;
    Ok((ours, theirs))
}

fn provoke(args: &Args, cause: &Cause) -> anyhow::Result<Outcome> {
    let variant = args.variant.as_deref();
    let refusal = match (args.held, args.again) {
        (Some(word), _) => repro::provoke_and_stay(cause, variant, word)?,
        (None, Some(word)) => repro::provoke_and_repeat(cause, variant, word)?,
        (None, None) => repro::provoke(cause, variant).map(|p| format!("{}: {}", p.syscall, p.error))?,
    };
    outcome::say(&refusal);
    Ok(Outcome::Code(1))
}

/// The command that provokes.
fn words(args: &Args) -> anyhow::Result<Vec<OsString>> {
    let diag = std::env::current_exe().context("cannot find diag's own program file")?;
    let mut words = vec![diag.into(), "repro".into(), args.cause.clone().into(), "--provoke".into()];
    if let Some(variant) = &args.variant {
        words.extend(["--variant".into(), variant.into()]);
    }
    Ok(words)
}

fn prove(args: &Args, global: &Global) -> anyhow::Result<Outcome> {
    let (ours, theirs) = line()?;
    let mut words = words(args)?;
    words.extend(["--held".into(), theirs.as_raw_fd().to_string().into()]);
    let (judged, tell) = explain::judge(words, args.form, global)?;
    drop(theirs);
    let finding = judged.explanation.incidents.first().and_then(|incident| incident.findings.first());
    let trial = finding
        .context("no cause was found for it, so there is no way out to try")
        .and_then(|finding| repro::Holder::of(ours)?.prove(finding, args.machine_wide));
    if args.form.is_json() {
        let mut document = render::json::explanation(&judged.explanation);
        document.trial = trial.as_ref().ok().map(render::json::trial);
        outcome::answer_json(&document)?;
    } else {
        tell(&judged);
    }
    let trial = trial.context("the cause was explained, but its way out was not tried")?;
    if !args.form.is_json() {
        outcome::answer(&told(&trial));
    }
    Ok(if trial.after.is_none() { Outcome::Nothing } else { Outcome::Found })
}

fn told(trial: &Trial) -> String {
    let verdict = match &trial.after {
        None => "succeeded: reproduced, and the fix works".to_string(),
        Some(error) => format!("was refused again ({error}): reproduced, but this fix does not help"),
    };
    let Trial { command, done, before, .. } = trial;
    format!(
        "\n  proof       before      {before}\n              {command}\n              did: {done}\n              the same call {verdict}\n"
    )
}
