//! `diag run`

use container_core::{Attach, Engine};

use super::attach::{self, Leaving};
use super::{failure, pull, spec::Description};
use crate::cli::outcome;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Leave it running in the background and print its id.
    #[arg(short, long)]
    detach: bool,
    #[command(flatten)]
    leaving: Leaving,
    #[command(flatten)]
    pull: pull::Choice,
    #[command(flatten)]
    description: Description,
}

pub(super) fn run(args: Args, engine: &Engine) -> anyhow::Result<i32> {
    let spec = args.description.into_spec()?;
    let made = pull::ensure(engine, &spec.image, args.pull).and_then(|()| engine.create(&spec));
    let container = match made {
        Ok(container) => container,
        Err(error) => return Ok(failure::report(&error, spec.name.as_deref().unwrap_or_default())),
    };
    if args.detach {
        return Ok(match engine.start(container.id()) {
            Ok(_) => {
                outcome::answer(&format!("{}\n", container.id()));
                0
            }
            Err(error) => failure::report(&error, container.name()),
        });
    }
    if spec.tty {
        return attach::start(engine, container.id(), container.name(), spec.open_stdin, args.leaving);
    }
    Ok(match engine.start_attached(container.id(), &Attach::own_streams(spec.open_stdin)?) {
        Ok(finished) => {
            for trouble in &finished.trouble {
                outcome::say(&format!("diag: {trouble}"));
            }
            if finished.oom_killed {
                attach::out_of_memory(&finished.name);
            }
            finished.exit.shell_code()
        }
        Err(error) => failure::report(&error, container.name()),
    })
}
