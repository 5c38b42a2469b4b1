//! The probes' own messages, for whoever asks for debug output.

use crate::scene::watch;
use diag::capture::errno_watch::Scope;
use log::{LevelFilter, Log, Metadata, Record};
use std::sync::Mutex;

static MESSAGES: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Keep;

impl Log for Keep {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        MESSAGES.lock().unwrap().push(record.args().to_string());
    }

    fn flush(&self) {}
}

#[test]
fn the_probes_say_what_they_were_told() {
    log::set_logger(&Keep).unwrap();
    log::set_max_level(LevelFilter::Debug);
    let watch = watch(Scope::Machine, None);
    log::set_max_level(LevelFilter::Off);
    if watch.is_none() {
        return;
    }
    let messages = MESSAGES.lock().unwrap();
    let process = format!("for process {}:", std::process::id());
    let version = format!("probes speak abi {},", diag_abi::VERSION);
    // aya's own messages are thousands.
    let said: Vec<&String> = messages.iter().filter(|message| message.starts_with("probes ")).collect();
    assert!(said.iter().any(|it| it.starts_with(&version) && it.contains(&process)), "{said:?}");
}
