//! The bundled engine's verbs: thin files over `container-core`, with the words and exit codes of docker.
//!
//! A foreground `run` and an `exec` end with the workload's exit code; 125 means that the engine itself failed, 126 that the
//! command could not be executed, 127 that it was not found. A failed step is shown with the way to its explanation.

mod attach;
mod create;
mod exec;
mod failure;
mod images;
mod import;
mod inspect;
mod kill;
mod load;
mod logs;
mod pause;
mod ps;
mod pull;
mod resources;
mod rm;
mod rmi;
mod run;
mod signal;
mod size;
mod spec;
mod start;
mod stats;
#[cfg(test)]
mod steps_doc;
mod stop;
mod system;
mod table;
mod timing;
mod wait;

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use container_core::{Engine, rootless};

use super::lazy::Lazy;
use super::outcome;

/// The verbs, in the order of a container's life.
#[derive(Debug, clap::Subcommand)]
pub(super) enum EngineVerb {
    /// Make an image of a root file system: a folder or a tar archive.
    Import(Lazy<import::Args>),
    /// Take over images that another tool saved: docker-archive, OCI archive or OCI layout.
    Load(Lazy<load::Args>),
    /// Fetch an image from its registry.
    Pull(Lazy<pull::Args>),
    /// List images.
    Images(Lazy<images::Args>),
    /// Forget images, and delete the layers that nothing else uses.
    Rmi(Lazy<rmi::Args>),
    /// Create a container and start it.
    Run(Lazy<run::Args>),
    /// Create a container without starting it.
    Create(Lazy<create::Args>),
    /// Start containers that were created or have ended.
    Start(Lazy<start::Args>),
    /// Talk to a running container: its output, and its input where it has one.
    Attach(Lazy<attach::Args>),
    /// Run a command in a running container.
    Exec(Lazy<exec::Args>),
    /// List containers.
    Ps(Lazy<ps::Args>),
    /// Print what a container printed.
    Logs(Lazy<logs::Args>),
    /// Everything about containers or images, as JSON.
    Inspect(Lazy<inspect::Args>),
    /// Wait until containers have ended; print their exit codes.
    Wait(Lazy<wait::Args>),
    /// Ask containers to end, and kill those that do not.
    Stop(Lazy<stop::Args>),
    /// Stop all processes of containers where they are.
    Pause(Lazy<pause::Args>),
    /// Let paused containers go on.
    Unpause(Lazy<pause::Args>),
    /// What running containers use of CPU, memory and tasks, over one second.
    Stats(Lazy<stats::Args>),
    /// Send a signal to containers.
    Kill(Lazy<kill::Args>),
    /// Remove containers.
    Rm(Lazy<rm::Args>),
    /// The store as a whole.
    System(Lazy<system::Args>),
}

impl EngineVerb {
    /// Whether it touches files or mounts that belong to a container's users, for which a normal user must be root in a
    /// user namespace. What is left either only looks, or talks to processes, over which he has all rights outside it.
    fn makes_or_removes(&self) -> bool {
        !matches!(
            self,
            Self::Attach(_)
                | Self::Exec(_)
                | Self::Inspect(_)
                | Self::Kill(_)
                | Self::Logs(_)
                | Self::Pause(_)
                | Self::Stats(_)
                | Self::Stop(_)
                | Self::Unpause(_)
                | Self::Wait(_)
        )
    }
}

/// Run a verb on the store at `root`; the exit code. `verbose` tells of each step afterwards.
pub(super) fn dispatch(verb: EngineVerb, root: &Path, verbose: bool) -> anyhow::Result<i32> {
    let clock = verbose.then(|| Arc::new(timing::StepClock::start()));
    if rootless::is_normal_user() && verb.makes_or_removes() {
        // Nothing has started a thread yet.
        rootless::enter().context("containers cannot be run as a normal user here")?;
    }
    let engine = Engine::open(root).with_context(|| {
        let hint = failure::not_root().map(|hint| format!("; {hint}")).unwrap_or_default();
        format!("the engine's store {} cannot be opened (--root names another){hint}", root.display())
    })?;
    let engine = match &clock {
        Some(clock) => engine.with_observer(clock.clone()),
        None => engine,
    };
    let code = run_verb(verb, &engine);
    if let Some(clock) = clock {
        let table = clock.table();
        if !table.is_empty() {
            outcome::say(table.trim_end());
        }
    }
    code
}

fn run_verb(verb: EngineVerb, engine: &Engine) -> anyhow::Result<i32> {
    match verb {
        EngineVerb::Import(args) => import::run(&args, engine),
        EngineVerb::Load(args) => load::run(args.0, engine),
        EngineVerb::Pull(args) => pull::run(args.0, engine),
        EngineVerb::Images(args) => images::run(args.0, engine),
        EngineVerb::Rmi(args) => rmi::run(&args, engine),
        EngineVerb::Run(args) => run::run(args.0, engine),
        EngineVerb::Create(args) => create::run(args.0, engine),
        EngineVerb::Start(args) => start::run(args.0, engine),
        EngineVerb::Attach(args) => attach::run(args.0, engine),
        EngineVerb::Exec(args) => exec::run(args.0, engine),
        EngineVerb::Ps(args) => ps::run(args.0, engine),
        EngineVerb::Logs(args) => logs::run(&args, engine),
        EngineVerb::Inspect(args) => inspect::run(&args, engine),
        EngineVerb::Wait(args) => wait::run(&args, engine),
        EngineVerb::Stop(args) => stop::run(&args, engine),
        EngineVerb::Pause(args) => Ok(pause::run(&args, engine, true)),
        EngineVerb::Unpause(args) => Ok(pause::run(&args, engine, false)),
        EngineVerb::Stats(args) => stats::run(&args, engine),
        EngineVerb::Kill(args) => kill::run(&args, engine),
        EngineVerb::Rm(args) => rm::run(&args, engine),
        EngineVerb::System(args) => system::run(args.0, engine),
    }
}

/// The file that a word names: `-` is standard input.
fn or_stdin(path: &Path) -> &Path {
    if path.as_os_str() == "-" { Path::new("/dev/stdin") } else { path }
}
