//! `diag attach`, and what `run` and `start` do with a caller who stays.

use container_core::terminal::{DetachKeys, Parting};
use container_core::{Attach, Engine, Error, State};

use super::failure;
use crate::cli::outcome;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Do not pass standard input on.
    #[arg(long)]
    no_stdin: bool,
    #[command(flatten)]
    leaving: Leaving,
    /// Name, id or its beginning.
    container: String,
}

/// How to leave a container running.
#[derive(Debug, clap::Args)]
pub(super) struct Leaving {
    /// Keys that leave it running, typed at a terminal; none for no such keys.
    #[arg(long, value_name = "KEYS", default_value = "ctrl-p,ctrl-q", value_parser = keys)]
    detach_keys: DetachKeys,
}

impl Leaving {
    pub(super) fn keys(self) -> DetachKeys {
        self.detach_keys
    }
}

fn keys(text: &str) -> Result<DetachKeys, String> {
    if text == "none" { Ok(DetachKeys::none()) } else { text.parse() }
}

pub(super) fn run(args: Args, engine: &Engine) -> anyhow::Result<i32> {
    let id = match engine.inspect(&args.container) {
        Ok(container) => container.id().to_owned(),
        Err(error) => return Ok(failure::report(&error, &args.container)),
    };
    let attach = Attach::own_streams(!args.no_stdin)?;
    let parting = engine.attach(&id, &attach, args.leaving.keys());
    Ok(part(engine, &id, &args.container, parting))
}

/// Start `id` and talk to it from its first byte on.
pub(super) fn start(
    engine: &Engine,
    id: &str,
    name: &str,
    stdin: bool,
    leaving: Leaving,
) -> anyhow::Result<i32> {
    let attach = Attach::own_streams(stdin)?;
    let parting = engine.start_interactive(id, &attach, leaving.keys());
    Ok(part(engine, id, name, parting))
}

/// The exit code of a conversation, and a word about an end that nobody asked for.
fn part(engine: &Engine, id: &str, name: &str, parting: Result<Parting, Error>) -> i32 {
    match parting {
        Ok(Parting::Detached) => 0,
        Ok(Parting::Interrupted(signal)) => 128 + signal,
        Ok(Parting::Ended(exit)) => {
            let state = engine.inspect(id).map(|container| container.state);
            if let Ok(State::Exited { oom_killed: true, .. }) = state {
                out_of_memory(name);
            }
            exit.shell_code()
        }
        Err(error) => failure::report(&error, name),
    }
}

pub(super) fn out_of_memory(name: &str) {
    outcome::say(&format!(
        "diag: the kernel killed for the memory limit of {name}\n      diag explain {name}"
    ));
}
