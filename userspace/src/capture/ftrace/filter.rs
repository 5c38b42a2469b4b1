//! Which functions, whose threads and in which form: the settings of one trace buffer.

use super::functions::Selection;
use super::returns::{PRINTED, is_off};
use super::tracefs::Tracefs;
use super::{FtraceError, GraphSpec};

/// The text form that `callgraph` reads. Absent options belong to another kernel version. Interrupts are
/// left out by the kernel; return values and their hex form are shown where it was built with them.
pub(super) const FORM: [(&str, &str); 12] = [
    ("options/funcgraph-proc", "1"),
    ("options/funcgraph-abstime", "1"),
    ("options/funcgraph-tail", "1"),
    ("options/funcgraph-cpu", "1"),
    ("options/funcgraph-duration", "1"),
    ("options/funcgraph-overhead", "0"),
    ("options/funcgraph-overrun", "0"),
    ("options/funcgraph-irqs", "0"),
    ("options/funcgraph-retval", "1"),
    ("options/funcgraph-retval-hex", "1"),
    ("options/funcgraph-retaddr", "0"),
    ("options/funcgraph-args", "0"),
];

/// Everything but the tracer itself; the tracer comes last, so that it never runs unfiltered (which
/// takes seconds to switch on and slows the whole machine down).
pub(super) fn set_up(buffer: &Tracefs, spec: &GraphSpec, selection: &Selection) -> Result<(), FtraceError> {
    // The clock of bpf_ktime_get_ns(), so that a failure finds its graph by time.
    buffer.write("trace_clock", "mono")?;
    buffer.write("buffer_size_kb", &spec.buffer_kb.to_string())?;
    for (file, value) in FORM.iter().filter(|(file, _)| buffer.exists(file)) {
        let off = file.ends_with(PRINTED) && is_off(PRINTED);
        set(buffer, file, if off { "0" } else { value })?;
    }
    if !spec.pids.is_empty() {
        let pids: String = spec.pids.iter().map(|pid| format!("{pid}\n")).collect();
        buffer.replace("set_ftrace_pid", &pids)?;
        set(buffer, "options/function-fork", if spec.follow { "1" } else { "0" })?;
    }
    select(buffer, selection)
}

fn set(buffer: &Tracefs, file: &str, value: &str) -> Result<(), FtraceError> {
    if buffer.value(file)? == value { Ok(()) } else { buffer.write(file, value) }
}

/// By number, checked; by name if the numbers point elsewhere.
fn select(buffer: &Tracefs, selection: &Selection) -> Result<(), FtraceError> {
    const FILE: &str = "set_ftrace_filter";
    if selection.functions.is_empty() {
        // An empty filter means every function of the kernel.
        return Err(FtraceError::NoFunctions);
    }
    for text in [selection.by_index(), selection.by_name()] {
        if buffer.replace(FILE, &text).is_ok() && selection.is_set(&buffer.read(FILE)?) {
            return Ok(());
        }
    }
    let first = buffer.read(FILE)?.lines().next().unwrap_or_default().to_owned();
    Err(FtraceError::Filter { what: format!("{FILE} begins with {first:?}") })
}
