//! The top trace buffer: it belongs to whoever is at the machine, so only if nobody uses it.

use super::FtraceError;
use super::filter::FORM;
use super::state::{self, Saved};
use super::tracefs::Tracefs;

/// Further files of the top instance that arming changes.
const CHANGED: [&str; 4] = ["trace_clock", "buffer_size_kb", "tracing_on", "options/function-fork"];

/// Refuses when anything shows that somebody is tracing, or has traced and not yet looked.
pub(super) fn check_unused(top: &Tracefs) -> Result<(), FtraceError> {
    let busy = |what: String| Err(FtraceError::Busy { what });
    let tracer = top.value("current_tracer")?;
    if tracer != "nop" {
        return busy(format!("current_tracer is {tracer}"));
    }
    // Each prints a comment when it is empty: "#### all functions enabled ####", "no pid".
    for file in [
        "set_ftrace_filter",
        "set_ftrace_notrace",
        "set_ftrace_pid",
        "set_ftrace_notrace_pid",
        "set_graph_function",
        "set_graph_notrace",
        "set_event",
        "set_event_pid",
    ] {
        let Ok(text) = top.value(file) else { continue };
        if !(text.is_empty() || text.starts_with('#') || text == "no pid") {
            return busy(format!("{file} is not empty"));
        }
    }
    for (file, unused) in [("max_graph_depth", "0"), ("tracing_thresh", "0"), ("tracing_on", "1")] {
        match top.value(file) {
            Ok(value) if value != unused => return busy(format!("{file} is {value}")),
            _ => {}
        }
    }
    match top.buffer_counts().entries {
        0 => Ok(()),
        entries => busy(format!("the buffer holds {entries} events")),
    }
}

/// What to put back after using the top buffer.
pub(super) fn settings(top: &Tracefs) -> Vec<Saved> {
    let mut saved = form(top);
    saved.extend(CHANGED.iter().filter_map(|file| save(top, file)));
    saved
}

/// The options of the text form, which kernels before 7 keep once for all instances.
pub(super) fn form(top: &Tracefs) -> Vec<Saved> {
    FORM.iter().filter_map(|(file, _)| save(top, file)).collect()
}

fn save(top: &Tracefs, file: &str) -> Option<Saved> {
    Some(Saved { file: file.to_owned(), value: state::current(top, file)? })
}
