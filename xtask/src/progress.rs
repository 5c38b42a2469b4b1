//! Says on stderr what is being done: a spinner on a terminal, plain lines with a heartbeat in a log.

use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How often a log is told that a long step is still at work.
const HEARTBEAT: Duration = Duration::from_secs(30);

/// One thing at work; dropped or finished, it leaves one line with its outcome.
pub(crate) struct Working {
    label: String,
    started: Instant,
    shown: Shown,
}

enum Shown {
    Spinner(ProgressBar),
    Lines { stop: Option<Sender<()>>, ticker: Option<JoinHandle<()>> },
}

impl Working {
    pub(crate) fn on(label: impl Into<String>) -> Self {
        let label = label.into();
        let shown = if std::io::stderr().is_terminal() { spinner(&label) } else { lines(&label) };
        Self { label, started: Instant::now(), shown }
    }

    /// Ends it with a word about how it went; returns how long it took.
    pub(crate) fn done(mut self, outcome: &str) -> Duration {
        let took = self.started.elapsed();
        self.stop();
        eprintln!("  {}: {outcome} ({})", self.label, seconds(took));
        took
    }

    fn stop(&mut self) {
        match &mut self.shown {
            Shown::Spinner(bar) => bar.finish_and_clear(),
            Shown::Lines { stop, ticker } => {
                drop(stop.take());
                if let Some(thread) = ticker.take() {
                    let _ = thread.join();
                }
            }
        }
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        self.stop();
    }
}

fn spinner(label: &str) -> Shown {
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("  {spinner} {msg} {elapsed}") {
        bar.set_style(style);
    }
    bar.set_message(label.to_owned());
    bar.enable_steady_tick(Duration::from_millis(120));
    Shown::Spinner(bar)
}

fn lines(label: &str) -> Shown {
    eprintln!("  {label} …");
    let (stop, stopped) = mpsc::channel::<()>();
    let (label, started) = (label.to_owned(), Instant::now());
    let ticker = thread::spawn(move || {
        while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(HEARTBEAT) {
            eprintln!("  {label} … still at work after {}", seconds(started.elapsed()));
        }
    });
    Shown::Lines { stop: Some(stop), ticker: Some(ticker) }
}

/// A duration in the unit one would say it in.
pub(crate) fn seconds(duration: Duration) -> String {
    let whole = duration.as_secs();
    match whole {
        0..10 => format!("{:.1} s", duration.as_secs_f64()),
        10..100 => format!("{whole} s"),
        _ => format!("{} min {:02} s", whole / 60, whole % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_well() {
        assert_eq!(seconds(Duration::from_millis(1540)), "1.5 s");
        assert_eq!(seconds(Duration::from_secs(42)), "42 s");
        assert_eq!(seconds(Duration::from_secs(125)), "2 min 05 s");
    }

    #[test]
    fn ending_does_not_wait_for_the_heartbeat() {
        let took = Working::on("test").done("done");
        assert!(took < HEARTBEAT);
    }
}
