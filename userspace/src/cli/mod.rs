//! The command line: one thin file per verb, in the user's order.

mod causes;
mod check;
mod doctor;
mod engine;
mod explain;
mod graph;
mod lazy;
mod outcome;
mod repro;
mod service;
mod watch;

use clap::{Args, Parser, Subcommand, ValueEnum};
use lazy::Lazy;
use outcome::Outcome;
use std::{path::PathBuf, process::ExitCode};

/// Explains container failures that the kernel causes.
#[derive(Debug, Parser)]
#[command(
    name = "diag",
    version,
    after_help = "Exit codes: 0 nothing found, 1 found something, 2 diag itself failed."
)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Clone, Args)]
struct Global {
    /// Where incidents are kept.
    #[arg(long, global = true, env = "DIAG_JOURNAL", default_value = crate::journal::DEFAULT_PATH)]
    journal: PathBuf,
    /// Where the bundled engine keeps images and containers. A normal user's are below his XDG_DATA_HOME.
    #[arg(long, global = true, env = "DIAG_ROOT", default_value_os_t = default_root())]
    root: PathBuf,
    /// More words on stderr: once for what diag does, twice for everything.
    // No short form: with `run`, -v means a volume wherever people come from.
    #[arg(long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
}

fn default_root() -> PathBuf {
    let own = container_core::rootless::is_normal_user().then(container_core::rootless::default_store);
    own.flatten().unwrap_or_else(|| "/var/lib/diag/engine".into())
}

/// How an answer is printed.
#[derive(Debug, Clone, Copy, Args)]
struct Form {
    /// The answer's form.
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
    /// Short for --format json.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Table,
    Json,
}

impl Form {
    fn is_json(self) -> bool {
        self.json || self.format == Format::Json
    }
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Report each kernel refusal as it happens, and keep it in the journal.
    Watch(Lazy<watch::Args>),
    /// Explain why a container, or a command, failed.
    Explain(Lazy<explain::Args>),
    /// Show what a system call, or a function, did in the kernel.
    Graph(Lazy<graph::Args>),
    /// How near every limit is, and whether what is required of them holds.
    Check(Lazy<check::Args>),
    /// List the causes diag knows.
    Causes(Lazy<causes::Args>),
    /// Make a cause happen, safely, and explain it.
    Repro(Lazy<repro::Args>),
    /// What this kernel and these privileges allow, and what would help.
    Doctor(Lazy<doctor::Args>),
    /// Keep `diag watch` running, from before the engines start.
    Service(Lazy<service::Args>),
    /// Make system calls that succeed, for `explain` to hold failed ones against; asked by diag itself.
    #[command(hide = true)]
    Succeed { calls: Vec<String> },
    #[command(flatten)]
    Engine(Box<engine::EngineVerb>),
}

/// The whole program.
pub fn main() -> ExitCode {
    // A reader that goes away (`diag causes | head`) is no failure: behave as other Unix tools do.
    // SAFETY: restores the default disposition of SIGPIPE before any thread exists.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
    let cli = Cli::parse();
    logging(cli.global.verbose);
    match run(cli) {
        Ok(outcome) => outcome.into(),
        Err(error) => {
            outcome::complain(&error);
            Outcome::Failed.into()
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<Outcome> {
    let global = cli.global;
    match cli.verb {
        Verb::Watch(args) => watch::run(&args, &global),
        Verb::Explain(args) => explain::run(&args, &global),
        Verb::Graph(args) => graph::run(&args),
        Verb::Check(args) => check::run(&args),
        Verb::Causes(args) => causes::run(args.0),
        Verb::Repro(args) => repro::run(&args, &global),
        Verb::Doctor(args) => doctor::run(args.0, &global),
        Verb::Service(args) => service::run(&args, &global),
        Verb::Succeed { calls } => {
            crate::capture::successes::serve(&calls)?;
            Ok(Outcome::Nothing)
        }
        Verb::Engine(verb) => Ok(Outcome::Code(engine::dispatch(*verb, &global.root, global.verbose > 0)?)),
    }
}

/// Words about diag itself go to stderr, with the kernel side's (aya-log) among them.
fn logging(verbose: u8) {
    use tracing_subscriber::{EnvFilter, fmt};
    let level = match verbose {
        0 => "diag=warn,aya=error",
        1 => "diag=info,aya=warn",
        _ => "debug",
    };
    let filter = EnvFilter::try_from_env("DIAG_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    let colour = anstream::AutoStream::choice(&std::io::stderr()) != anstream::ColorChoice::Never;
    fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(colour)
        .with_target(verbose > 1)
        .without_time()
        .init();
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
