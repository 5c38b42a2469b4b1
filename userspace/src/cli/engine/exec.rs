//! `diag exec`

use container_core::{Attach, Engine, ExecSpec, User};

use super::{failure, spec};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Pass standard input on to the command.
    #[arg(short, long)]
    interactive: bool,
    /// Give it a terminal.
    #[arg(short, long)]
    tty: bool,
    /// Set an environment variable; without =VALUE take it from here. Can be repeated.
    #[arg(short, long, value_name = "KEY[=VALUE]")]
    env: Vec<String>,
    /// Working directory inside the container.
    #[arg(short, long, value_name = "DIR")]
    workdir: Option<String>,
    /// Numeric user and group to run as.
    #[arg(short, long, value_name = "UID[:GID]", value_parser = spec::user)]
    user: Option<User>,
    /// Name, id or its beginning.
    container: String,
    /// The command and its arguments.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    command: Vec<String>,
}

pub(super) fn run(args: Args, engine: &Engine) -> anyhow::Result<i32> {
    let exec = ExecSpec {
        args: args.command,
        env: spec::environment(args.env),
        working_dir: args.workdir,
        user: args.user,
        tty: args.tty,
    };
    Ok(match engine.exec(&args.container, &exec, &Attach::own_streams(args.interactive)?) {
        Ok(exit) => exit.shell_code(),
        Err(error) => failure::report(&error, &args.container),
    })
}
