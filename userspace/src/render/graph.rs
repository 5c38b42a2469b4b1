//! A call graph for the terminal: duration, what was returned, the tree; what says nothing is folded.

use super::theme::Theme;
use crate::model::{Drawn, Picture, Role, Seen};
use std::fmt::Write;

/// How much is shown.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    pub theme: Theme,
    /// Show locks, RCU, allocators and interrupts too.
    pub all: bool,
    /// Levels below the root; deeper calls are counted.
    pub depth: usize,
}

/// One picture, with a headline.
pub fn text(picture: &Picture, options: Options) -> String {
    let mut out = headline(picture, options.theme);
    out += "\n      duration  returned    function\n";
    let mut lines = Lines { out, options };
    lines.call(&picture.root, 0);
    let mut out = lines.out;
    if let Some(note) = &picture.note {
        let _ = writeln!(out, "\n{note}");
    }
    if picture.lost > 0 {
        let _ = writeln!(out, "\n{} events were lost while this was recorded.", picture.lost);
    }
    out
}

/// Which calls a recording holds, those that took longest first.
pub fn overview(kinds: &[Seen]) -> String {
    let mut out =
        String::from("     calls    failed   calls inside       all of them       the longest  function\n");
    for kind in kinds {
        let Seen { function, calls, failed, inside, total_ns, longest_ns } = kind;
        let (all, longest) = (micros(*total_ns), micros(*longest_ns));
        let _ = writeln!(out, "{calls:>10}{failed:>10}{inside:>15}{all:>18}{longest:>18}  {function}");
    }
    out
}

fn headline(p: &Picture, theme: Theme) -> String {
    let (bold, off) = (theme.headline.render(), theme.headline.render_reset());
    let mut out = format!("{bold}{}{off} by {}-{} on CPU {}", p.root.function, p.comm, p.tid, p.cpu);
    if let Some(errno) = p.errno {
        let _ = write!(out, ": {errno}, \"{}\"", errno.sentence());
    }
    if let (Some(decider), Some(method)) = (&p.decider, &p.decider_method) {
        let method = method.replace('-', " ");
        let _ = write!(out, "; decided in {bold}{decider}{off}, found by {method}");
    }
    out + "\n"
}

struct Lines {
    out: String,
    options: Options,
}

impl Lines {
    fn call(&mut self, call: &Drawn, level: usize) {
        self.line(call, level);
        if call.children.is_empty() {
            return;
        }
        if level >= self.options.depth && !leads_on(call) {
            return self.remark(level + 1, &format!("… calls below: {}", count(&call.children)));
        }
        let mut folded = Vec::new();
        for child in &call.children {
            if child.role == Role::Noise && !self.options.all {
                folded.push(child);
                continue;
            }
            self.fold(&mut folded, level + 1);
            self.call(child, level + 1);
        }
        self.fold(&mut folded, level + 1);
    }

    fn line(&mut self, call: &Drawn, level: usize) {
        let theme = self.options.theme;
        let style = match call.role {
            Role::Decider => theme.good,
            Role::Failing => theme.headline,
            Role::Noise => theme.faint,
            Role::Plain => anstyle::Style::new(),
        };
        let took = call.duration_ns.map_or_else(String::new, micros);
        let returned = call.returned.as_deref().unwrap_or("");
        let name = &call.function;
        let mark = if call.role == Role::Decider { "  ◂ decided here" } else { "" };
        let hole = if call.hole { "  (something is missing here)" } else { "" };
        let (on, off) = (style.render(), style.render_reset());
        let _ = writeln!(
            self.out,
            "{took:>14}  {returned:<10}  {:indent$}{on}{name}{off}{mark}{hole}",
            "",
            indent = 2 * level
        );
    }

    /// One line for calls side by side that say nothing.
    fn fold(&mut self, folded: &mut Vec<&Drawn>, level: usize) {
        if folded.is_empty() {
            return;
        }
        let mut names: Vec<&str> = Vec::new();
        for call in folded.iter() {
            if !names.contains(&call.function.as_str()) {
                names.push(&call.function);
            }
        }
        let shown = names.iter().take(3).copied().collect::<Vec<_>>().join(", ");
        let more = if names.len() > 3 { ", …" } else { "" };
        self.remark(level, &format!("… {shown}{more}"));
        folded.clear();
    }

    fn remark(&mut self, level: usize, text: &str) {
        let (on, off) = (self.options.theme.faint.render(), self.options.theme.faint.render_reset());
        let _ = writeln!(self.out, "{:28}{:indent$}{on}{text}{off}", "", "", indent = 2 * level);
    }
}

/// Whether the error came this way: that way is shown to its end, whatever the depth.
fn leads_on(call: &Drawn) -> bool {
    call.role == Role::Failing
}

fn count(calls: &[Drawn]) -> usize {
    calls.iter().map(|call| 1 + count(&call.children)).sum()
}

pub(super) fn micros(ns: u64) -> String {
    format!("{}.{:03} µs", ns / 1000, ns % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Errno;

    fn drawn(function: &str, role: Role, returned: &str, children: Vec<Drawn>) -> Drawn {
        Drawn {
            function: function.into(),
            start_ns: None,
            duration_ns: Some(1_250),
            returned: (!returned.is_empty()).then(|| returned.into()),
            role,
            hole: false,
            children,
        }
    }

    fn picture() -> Picture {
        let below =
            vec![drawn("mutex_lock", Role::Noise, "", vec![]), drawn("c", Role::Decider, "ENOSPC", vec![])];
        let children = vec![
            drawn("a", Role::Plain, "0", vec![drawn("x", Role::Plain, "", vec![])]),
            drawn("b", Role::Failing, "ENOSPC", below),
        ];
        Picture {
            comm: "mount".into(),
            tid: 7,
            cpu: 1,
            errno: Some(Errno::ENOSPC),
            decider: Some("c".into()),
            decider_method: Some("return-value".into()),
            note: None,
            lost: 0,
            root: drawn("__x64_sys_mount", Role::Failing, "ENOSPC", children),
        }
    }

    #[test]
    fn the_failing_way_stands_out_and_noise_is_folded() {
        let options = Options { theme: Theme::plain(), all: false, depth: 1 };
        let expected = "\
__x64_sys_mount by mount-7 on CPU 1: ENOSPC, \"No space left on device\"; decided in c, found by return value

      duration  returned    function
      1.250 µs  ENOSPC      __x64_sys_mount
      1.250 µs  0             a
                                … calls below: 1
      1.250 µs  ENOSPC        b
                                … mutex_lock
      1.250 µs  ENOSPC          c  ◂ decided here
";
        assert_eq!(text(&picture(), options), expected);
        let all = text(&picture(), Options { all: true, ..options });
        assert!(all.contains("mutex_lock\n") && !all.contains("… mutex_lock"), "{all}");
    }
}
