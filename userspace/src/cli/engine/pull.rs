//! `diag pull`, and what `run` and `create` do about an image that is not there.

use std::collections::HashMap;
use std::io::IsTerminal;
use std::sync::{Arc, Mutex, PoisonError};

use container_core::{Engine, Error, Image, PullEvent, PullListener, PullOptions};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::cli::outcome;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    from: From,
    /// No progress bars.
    #[arg(short, long)]
    quiet: bool,
    /// [HOST[:PORT]/]NAME[:TAG], or NAME@DIGEST; without a host docker.io's.
    #[arg(value_name = "IMAGE")]
    image: String,
}

/// How to reach a registry, and what to take from it.
#[derive(Debug, clap::Args)]
pub(super) struct From {
    /// Take the image for another kind of machine than this.
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    platform: Option<String>,
    /// Also from a registry that does not prove who it is, or speaks plain HTTP.
    #[arg(long)]
    insecure: bool,
}

/// What `run` and `create` do about their image.
#[derive(Debug, clap::Args)]
pub(super) struct Choice {
    /// When to pull the image.
    #[arg(long, value_enum, default_value = "missing", value_name = "WHEN")]
    pull: When,
    #[command(flatten)]
    from: From,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum When {
    /// When it is not here.
    Missing,
    /// Not at all.
    Never,
    /// Also when it is here: the name may mean something newer now.
    Always,
}

pub(super) fn run(args: Args, engine: &Engine) -> anyhow::Result<i32> {
    let image = pull(engine, &args.image, args.from, args.quiet)?;
    outcome::answer(&format!("{}\n", image.name));
    Ok(0)
}

/// Have the image `name` here, before a container is made of it.
pub(super) fn ensure(engine: &Engine, name: &str, choice: Choice) -> Result<(), Error> {
    let needed = match choice.pull {
        When::Never => false,
        When::Always => true,
        When::Missing => matches!(engine.image(name), Err(Error::NoSuchImage { .. })),
    };
    if needed {
        pull(engine, name, choice.from, false)?;
    }
    Ok(())
}

fn pull(engine: &Engine, name: &str, from: From, quiet: bool) -> Result<Image, Error> {
    let options = PullOptions { platform: from.platform, insecure: from.insecure };
    if quiet || !std::io::stderr().is_terminal() {
        let nobody: PullListener = Arc::new(|_| ());
        return engine.pull(name, &options, &nobody);
    }
    let bars = Arc::new(Mutex::new(Bars::default()));
    let listener: PullListener = {
        let bars = bars.clone();
        Arc::new(move |event| bars.lock().unwrap_or_else(PoisonError::into_inner).follow(event))
    };
    let pulled = engine.pull(name, &options, &listener);
    bars.lock().unwrap_or_else(PoisonError::into_inner).clear();
    pulled
}

/// A bar for each layer, on stderr, gone when all is done.
#[derive(Default)]
struct Bars {
    all: MultiProgress,
    layers: HashMap<String, ProgressBar>,
    unpacking: Option<ProgressBar>,
}

impl Bars {
    fn follow(&mut self, event: PullEvent) {
        match event {
            PullEvent::Present { .. } => {}
            PullEvent::Begun { digest, size, from } => {
                let bar = self.layers.entry(digest).or_insert_with_key(|digest| {
                    let bar = self.all.add(ProgressBar::new(size).with_style(style()));
                    bar.set_prefix(short(digest));
                    bar
                });
                bar.set_position(from);
            }
            PullEvent::Received { digest, bytes } => {
                if let Some(bar) = self.layers.get(&digest) {
                    bar.inc(bytes);
                }
            }
            PullEvent::Complete { digest } => {
                if let Some(bar) = self.layers.get(&digest) {
                    bar.finish();
                }
            }
            PullEvent::Unpacking => {
                let bar = self.all.add(ProgressBar::new_spinner().with_message("unpacking"));
                bar.enable_steady_tick(std::time::Duration::from_millis(100));
                self.unpacking = Some(bar);
            }
        }
    }

    fn clear(&mut self) {
        // Nothing can be done about a terminal that is gone.
        let _ = self.all.clear();
        self.layers.clear();
        self.unpacking = None;
    }
}

const TEMPLATE: &str =
    "{prefix} {bar:24} {decimal_bytes:>9} of {decimal_total_bytes:<9} {decimal_bytes_per_sec:>11} {eta:>4}";

fn style() -> ProgressStyle {
    // The template is a constant, and a test parses it.
    ProgressStyle::with_template(TEMPLATE).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// Twelve digits, as lists show a layer.
fn short(digest: &str) -> String {
    digest.trim_start_matches("sha256:").chars().take(12).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layer_that_goes_on_shows_where_it_stands() {
        assert!(ProgressStyle::with_template(TEMPLATE).is_ok());
        let mut bars = Bars::default();
        let digest = format!("sha256:{}", "ab".repeat(32));
        bars.follow(PullEvent::Begun { digest: digest.clone(), size: 40, from: 10 });
        bars.follow(PullEvent::Received { digest: digest.clone(), bytes: 20 });
        let bar = bars.layers[&digest].clone();
        assert_eq!((bar.prefix().as_str(), bar.position(), bar.length()), ("abababababab", 30, Some(40)));
        // The registry could not go on: from the start.
        bars.follow(PullEvent::Begun { digest: digest.clone(), size: 40, from: 0 });
        assert_eq!(bar.position(), 0);
        bars.follow(PullEvent::Complete { digest });
        bars.follow(PullEvent::Unpacking);
        bars.clear();
        assert!(bar.is_finished() && bars.layers.is_empty());
    }
}
