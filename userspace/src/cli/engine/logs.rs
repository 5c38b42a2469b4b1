//! `diag logs`

use std::time::Duration;

use container_core::Engine;
use container_core::log::{LogLine, Stream};

use crate::cli::outcome;

/// How often a followed log is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Go on printing until the container ends.
    #[arg(short, long)]
    follow: bool,
    /// Print only the last lines.
    #[arg(short = 'n', long, value_name = "N")]
    tail: Option<usize>,
    /// One JSON object per line, with time and stream.
    #[arg(long)]
    json: bool,
    /// Name, id or its beginning.
    container: String,
}

pub(super) fn run(args: &Args, engine: &Engine) -> anyhow::Result<i32> {
    // By id from here on: the name may be given to another container meanwhile.
    let id = engine.inspect(&args.container)?.id().to_owned();
    let mut log = engine.logs(&id)?;
    let lines = log.read_new()?;
    let from = args.tail.map_or(0, |n| lines.len().saturating_sub(n));
    print(&lines[from..], args.json)?;
    if !args.follow {
        return Ok(0);
    }
    loop {
        // Asked before reading: what is printed before the end is in the log by then.
        let running = engine.inspect(&id).is_ok_and(|container| container.state.is_live());
        print(&log.read_new()?, args.json)?;
        if !running {
            return Ok(0);
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Each line to the stream it came from.
fn print(lines: &[LogLine], json: bool) -> anyhow::Result<()> {
    for line in lines {
        let end = if line.partial { "" } else { "\n" };
        match (json, line.stream) {
            (true, _) => outcome::stream_json(line)?,
            (false, Stream::Stdout) => outcome::answer(&format!("{}{end}", line.text)),
            (false, Stream::Stderr) => outcome::say(&line.text),
        }
    }
    Ok(())
}
