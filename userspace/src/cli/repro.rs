//! `diag repro CAUSE`: make it happen and explain it, which proves both.

use super::{Form, Global, explain, outcome, outcome::Outcome};
use crate::{causes, repro};
use anyhow::Context;

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
    #[command(flatten)]
    form: Form,
}

pub(super) fn run(args: &Args, global: &Global) -> anyhow::Result<Outcome> {
    let known: Vec<_> = causes::ALL.iter().map(|c| c.slug).collect();
    let cause = causes::by_slug(&args.cause)
        .with_context(|| format!("no cause is called {:?}; known: {}", args.cause, known.join(", ")))?;
    if args.provoke {
        let provoked = repro::provoke(cause, args.variant.as_deref())?;
        outcome::say(&format!("{}: {}", provoked.syscall, provoked.error));
        return Ok(Outcome::Code(1));
    }
    let diag = std::env::current_exe().context("cannot find diag's own program file")?;
    let mut words = vec![diag.into(), "repro".into(), args.cause.clone().into(), "--provoke".into()];
    if let Some(variant) = &args.variant {
        words.extend(["--variant".into(), variant.into()]);
    }
    explain::command(words, args.form, global)
}
