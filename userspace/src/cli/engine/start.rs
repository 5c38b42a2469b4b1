//! `diag start`

use container_core::{Attach, Engine};

use super::attach::{self, Leaving};
use super::failure;
use crate::cli::outcome;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Stay until it has ended, with its output.
    #[arg(short, long)]
    attach: bool,
    /// With --attach, pass standard input on.
    #[arg(short, long, requires = "attach")]
    interactive: bool,
    #[command(flatten)]
    leaving: Leaving,
    /// Those whose restart policy says that they run after a boot: for a service of the machine.
    #[arg(long, conflicts_with_all = ["containers", "attach"])]
    boot: bool,
    /// Names, ids or their beginnings.
    #[arg(required_unless_present = "boot", value_name = "CONTAINER")]
    containers: Vec<String>,
}

pub(super) fn run(args: Args, engine: &Engine) -> anyhow::Result<i32> {
    if args.boot {
        let mut code = 0;
        for (name, refused) in engine.start_after_boot()? {
            match refused {
                None => outcome::answer(&format!("{name}\n")),
                Some(error) => {
                    failure::report(&error, &name);
                    code = 1;
                }
            }
        }
        return Ok(code);
    }
    if !args.attach {
        return Ok(failure::for_each(&args.containers, |name| {
            engine.start(name)?;
            outcome::answer(&format!("{name}\n"));
            Ok(())
        }));
    }
    let [name] = args.containers.as_slice() else { anyhow::bail!("--attach takes one container") };
    let container = match engine.inspect(name) {
        Ok(container) => container,
        Err(error) => return Ok(failure::report(&error, name)),
    };
    if container.config.spec.tty {
        return attach::start(engine, container.id(), name, args.interactive, args.leaving);
    }
    Ok(match engine.start_attached(container.id(), &Attach::own_streams(args.interactive)?) {
        Ok(finished) => finished.exit.shell_code(),
        Err(error) => failure::report(&error, name),
    })
}
