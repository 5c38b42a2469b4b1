//! `diag ps`

use container_core::{Container, Engine, Exit, State};

use super::table;
use crate::cli::{Form, outcome};

#[derive(Debug, Clone, Copy, clap::Args)]
pub(in crate::cli) struct Args {
    /// Those that do not run, too.
    #[arg(short, long)]
    all: bool,
    /// Only the ids.
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    form: Form,
}

pub(super) fn run(args: Args, engine: &Engine) -> anyhow::Result<i32> {
    let mut containers = engine.list()?;
    containers.retain(|container| args.all || container.state.is_live());
    if args.form.is_json() {
        outcome::answer_json(&containers)?;
        return Ok(0);
    }
    if args.quiet {
        let ids: String = containers.iter().map(|container| format!("{}\n", short(container))).collect();
        outcome::answer(&ids);
        return Ok(0);
    }
    let mut table = table::columns(["CONTAINER", "NAME", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS"]);
    for container in containers.iter().rev() {
        let config = &container.config;
        table.add_row([
            short(container).to_owned(),
            container.name().to_owned(),
            config.container.image.clone(),
            command(&config.spec.args),
            table::ago(config.created_unix_ns),
            match engine.is_paused(container.id()).unwrap_or(false) {
                true => format!("paused, {}", status(&container.state)),
                false => status(&container.state),
            },
            ports(&container.state),
        ]);
    }
    outcome::answer(&table::text(&table));
    Ok(0)
}

fn short(container: &Container) -> &str {
    container.config.container.short_id()
}

fn command(args: &[String]) -> String {
    let whole = args.join(" ");
    match whole.char_indices().nth(30) {
        Some((end, _)) => format!("{}…", &whole[..end]),
        None => whole,
    }
}

fn status(state: &State) -> String {
    match state {
        State::Running { started_unix_ns, .. } => format!("running, since {}", table::ago(*started_unix_ns)),
        State::Restarting { exit, restarts, .. } => {
            format!("restarting, time {restarts}, exited {}", how(exit))
        }
        State::Exited { exit, oom_killed, finished_unix_ns, .. } => {
            let how = how(exit);
            let oom = if *oom_killed { ", out of memory" } else { "" };
            format!("exited {how}{oom} {}", table::ago(*finished_unix_ns))
        }
        State::Failed { error, .. } => {
            format!("failed: {} ({})", error.first.step, error.first.errno_name())
        }
        other => other.word().to_owned(),
    }
}

fn ports(state: &State) -> String {
    let State::Running { network: Some(connection), .. } = state else { return String::new() };
    connection.ports.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn how(exit: &Exit) -> String {
    match (exit.code, exit.signal) {
        (Some(code), _) => format!("({code})"),
        (None, Some(signal)) => format!("(signal {signal})"),
        (None, None) => "(its supervisor was killed)".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_commands_are_cut_between_characters() {
        assert_eq!(command(&["echo".into(), "hi".into()]), "echo hi");
        assert_eq!(command(&["ä".repeat(40)]), format!("{}…", "ä".repeat(30)));
    }
}
