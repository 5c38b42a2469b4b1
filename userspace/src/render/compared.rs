//! Two recordings of one call for the terminal: both durations, what was returned, and what only one of them did.

use super::graph::{Options, micros};
use crate::model::{Compared, Picture, Side};
use std::fmt::Write;

/// The tree, with a headline for each recording.
pub fn text(pictures: [&Picture; 2], files: &[String; 2], tree: &Compared, options: Options) -> String {
    let mut out = String::new();
    for ((letter, picture), file) in ["A", "B"].iter().zip(pictures).zip(files) {
        let _ = writeln!(out, "{letter}: {} in {file}", headline(picture));
    }
    if tree.alike {
        out += "Both make the same calls, and each returns the same.\n";
    }
    out += "\n             A              B  returned            function\n";
    let mut lines = Lines { out, options };
    lines.call(tree, 0);
    lines.out
}

pub(super) fn headline(p: &Picture) -> String {
    let mut out = format!("{} by {}-{} on CPU {}", p.root.function, p.comm, p.tid, p.cpu);
    if let Some(errno) = p.errno {
        let _ = write!(out, ": {errno}");
    }
    out
}

/// What was returned; both where they differ.
pub(super) fn returned(call: &Compared) -> String {
    let of = |side: &Option<Side>| side.as_ref().and_then(|side| side.returned.clone()).unwrap_or_default();
    match (&call.a, &call.b) {
        (Some(_), Some(_)) if of(&call.a) != of(&call.b) => format!("{} → {}", of(&call.a), of(&call.b)),
        (Some(_), _) => of(&call.a),
        (None, _) => of(&call.b),
    }
}

struct Lines {
    out: String,
    options: Options,
}

impl Lines {
    fn call(&mut self, call: &Compared, level: usize) {
        let theme = self.options.theme;
        let (mark, style) = match (&call.a, &call.b) {
            (Some(_), Some(_)) if call.alike => (' ', theme.faint),
            (Some(_), Some(_)) => (' ', anstyle::Style::new()),
            (Some(_), None) => ('-', theme.weak),
            (None, _) => ('+', theme.good),
        };
        let took =
            |side: &Option<Side>| side.as_ref().and_then(|s| s.duration_ns).map_or_else(String::new, micros);
        let (on, off) = (style.render(), style.render_reset());
        let (a, b, returned, name) = (took(&call.a), took(&call.b), returned(call), &call.function);
        let indent = 2 * level;
        let _ = writeln!(self.out, "{a:>14} {b:>14}  {returned:<18}  {on}{mark} {:indent$}{name}{off}", "");
        let below = count(&call.children);
        if below > 0 && (call.alike || level >= self.options.depth) {
            let alike = if call.alike { "alike" } else { "below" };
            let (on, off) = (theme.faint.render(), theme.faint.render_reset());
            let _ = writeln!(self.out, "{:53}{:indent$}{on}… {below} calls {alike}{off}", "", "");
            return;
        }
        call.children.iter().for_each(|child| self.call(child, level + 1));
    }
}

fn count(calls: &[Compared]) -> usize {
    calls.iter().map(|call| 1 + count(&call.children)).sum()
}
