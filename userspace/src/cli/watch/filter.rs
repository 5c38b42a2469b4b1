//! What of a watch is said: everything is kept in the journal, and the screen shows what was asked for.

use crate::model::{Container, Errno, Explained};

#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct Filter {
    /// Only failures of this engine's containers: docker, podman, containerd, … (may be given again).
    #[arg(long, value_name = "ENGINE")]
    engine: Vec<String>,
    /// Only failures of this container, by name, id or the beginning of an id (may be given again).
    #[arg(long, value_name = "CONTAINER")]
    container: Vec<String>,
    /// Only this errno: ENOSPC, EAGAIN, … (may be given again).
    #[arg(long, value_name = "ERRNO", value_parser = errno)]
    errno: Vec<Errno>,
    /// Only this cause, as `diag causes` names it; `unknown` for failures without one (may be given again).
    #[arg(long, value_name = "CAUSE")]
    cause: Vec<String>,
}

fn errno(text: &str) -> Result<Errno, String> {
    let known = Errno::from_name(&text.to_uppercase());
    known.ok_or_else(|| format!("{text:?} is no errno of Linux; errno(3) lists them"))
}

impl Filter {
    /// Whether all that was asked for holds; of several values of one kind, one.
    pub(super) fn lets_through(&self, e: &Explained) -> bool {
        let container = e.incident.container.as_ref();
        let any = |wanted: bool, holds: bool| !wanted || holds;
        let named = |c: &Container, wanted: &String| {
            c.name.as_ref() == Some(wanted) || c.id.starts_with(wanted.as_str())
        };
        let (_, errno) = e.incident.failure.label();
        any(!self.engine.is_empty(), container.is_some_and(|c| self.engine.contains(&c.engine)))
            && any(
                !self.container.is_empty(),
                container.is_some_and(|c| self.container.iter().any(|w| named(c, w))),
            )
            && any(!self.errno.is_empty(), self.errno.contains(&errno))
            && any(!self.cause.is_empty(), self.cause.iter().any(|wanted| is_caused_by(e, wanted)))
    }
}

fn is_caused_by(e: &Explained, wanted: &str) -> bool {
    match e.findings.first() {
        Some(first) => first.cause == wanted,
        None => wanted == "unknown",
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::capture::recording::Recording;
    use clap::Parser;

    /// A recorded failure: mount(2) ENOSPC of web-1, by mount-max.
    pub(in crate::cli::watch) fn recorded() -> Explained {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases/mount_max_with_path.json");
        let mut evidence = Recording::read(path.as_ref()).unwrap().evidence;
        let incident = evidence.incidents.remove(0);
        crate::explain::explain_one(incident, crate::explain::Options::default())
    }

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        filter: Filter,
    }

    #[test]
    fn each_filter_holds_by_itself_and_with_others() {
        let e = recorded();
        let name = e.incident.container.as_ref().unwrap().label().to_owned();
        let engine = e.incident.container.as_ref().unwrap().engine.clone();
        let passes = |words: &[&str]| {
            Line::try_parse_from([&["watch"], words].concat()).unwrap().filter.lets_through(&e)
        };
        assert!(passes(&[]));
        assert!(passes(&[
            "--errno",
            "enospc",
            "--cause",
            "mount-max",
            "--container",
            &name,
            "--engine",
            &engine
        ]));
        assert!(passes(&["--errno", "EPERM", "--errno", "ENOSPC"]), "one of several is enough");
        for wrong in
            [["--errno", "EPERM"], ["--cause", "unknown"], ["--container", "nobody"], ["--engine", "lxc"]]
        {
            assert!(!passes(&wrong), "{wrong:?}");
        }
        assert!(Line::try_parse_from(["watch", "--errno", "ENOTHING"]).is_err());
    }
}
