//! One line of function_graph text, taken apart.
//!
//! The columns are those of `print_graph_prologue()` in kernel/trace/trace_functions_graph.c: absolute
//! time, relative time, cpu, task, duration, then the call, indented two spaces a level. Each column is
//! an option of the tracer, so each is recognised by its own shape and may be absent. What `trace-cmd report`
//! prints begins otherwise (task, cpu, time, name of the event) and ends the same.

use memchr::memchr;

/// What a line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::capture) enum Body<'a> {
    /// `name() {`
    Enter { depth: u32, name: &'a str },
    /// `name();` – entry and exit in one line.
    Leaf { depth: u32, name: &'a str, duration_ns: Option<u64>, ret: Option<u64> },
    /// `}` or `} /* name */`
    Exit { depth: u32, name: Option<&'a str>, duration_ns: Option<u64>, ret: Option<u64> },
    /// `==========>`: what follows runs in an interrupt. Its end marker tells nothing that the exit of
    /// the interrupt's own function did not.
    Interrupt,
    /// `comm-1 => comm-2` between two rulers.
    Switch { from: Task<'a>, to: Task<'a> },
    /// `CPU:1 [LOST 5 EVENTS]`; without a number the kernel did not count them.
    Lost { count: Option<u64> },
    /// Header, ruler, comment of another event: nothing about calls.
    Nothing,
    /// Not a line of this tracer.
    Unreadable,
}

/// The task column. The kernel cuts the name to seven characters, `<...>` when it does not know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::capture) struct Task<'a> {
    pub(in crate::capture) comm: &'a str,
    pub(in crate::capture) tid: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::capture) struct Line<'a> {
    /// Nanoseconds; of text of microsecond resolution: the kernel prints no more.
    pub(in crate::capture) time_ns: Option<u64>,
    pub(in crate::capture) cpu: Option<u32>,
    pub(in crate::capture) task: Option<Task<'a>>,
    /// Of binary records: 0 for the thread's own calls, above that what interrupts what. Text has markers for it.
    pub(in crate::capture) context: u8,
    pub(in crate::capture) body: Body<'a>,
}

impl<'a> Line<'a> {
    pub(in crate::capture) fn bare(cpu: Option<u32>, body: Body<'a>) -> Self {
        Self { time_ns: None, cpu, task: None, context: 0, body }
    }

    pub(super) fn parse(text: &'a str) -> Self {
        let text = text.trim_ascii_end();
        let start = text.trim_ascii_start();
        match start.as_bytes().first() {
            None | Some(b'#') => return Self::bare(None, Body::Nothing),
            Some(b'-') if start.starts_with("----------") => return Self::bare(None, Body::Nothing),
            Some(b'C') => {
                if let Some((cpu, count)) = lost(start) {
                    return Self::bare(Some(cpu), Body::Lost { count });
                }
            }
            Some(_) => {}
        }
        // Searching for a word costs more than all the rest, so each search waits for a sign that it may succeed.
        if has(text, b']')
            && let Some(line) = reported(start)
        {
            return line;
        }
        let (time_ns, rest) = absolute_time(text);
        let rest = skip_relative_time(rest);
        let (cpu, rest) = cpu_column(rest);
        let marked = has(rest, b'=');
        if marked && let Some((from, to)) = switch(rest) {
            return Self { time_ns, cpu, task: None, context: 0, body: Body::Switch { from, to } };
        }
        let (task, rest) = task_column(rest);
        if marked && rest.contains("==========>") {
            return Self { time_ns, cpu, task, context: 0, body: Body::Interrupt };
        }
        if marked && rest.contains("<==========") {
            return Self { time_ns, cpu, task, context: 0, body: Body::Nothing };
        }
        let (duration_ns, rest) = duration_column(rest);
        Self { time_ns, cpu, task, context: 0, body: call(rest, duration_ns) }
    }
}

fn has(text: &str, sign: u8) -> bool {
    memchr(sign, text.as_bytes()).is_some()
}

/// As `split_once`, which takes its time to get ready for longer needles.
fn split(text: &str, sign: u8) -> Option<(&str, &str)> {
    let at = memchr(sign, text.as_bytes())?;
    Some((&text[..at], &text[at + 1..]))
}

/// Splits off leading ASCII digits.
fn digits(text: &str) -> Option<(&str, &str)> {
    let end = text.bytes().position(|b| !b.is_ascii_digit()).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

/// `CPU:1 [LOST 5 EVENTS]`, and of trace-cmd `CPU:1 [5 EVENTS DROPPED]`.
fn lost(text: &str) -> Option<(u32, Option<u64>)> {
    let (cpu, rest) = digits(text.strip_prefix("CPU:")?)?;
    let rest = rest.trim_start().strip_prefix('[')?;
    let rest = match rest.strip_prefix("LOST ") {
        Some(rest) => rest,
        None => rest.contains("EVENTS DROPPED").then_some(rest)?,
    };
    Some((cpu.parse().ok()?, digits(rest).and_then(|(count, _)| count.parse().ok())))
}

/// `mount-92 [001] 100.123456: funcgraph_exit:  + 12.345 us  |  }`, with flags behind the cpu when asked for
/// (trace-cmd report -l).
fn reported(text: &str) -> Option<Line<'_>> {
    // A task's name may hold brackets, too.
    memchr::memchr_iter(b']', text.as_bytes()).find_map(|at| reported_behind(text, at))
}

fn reported_behind(text: &str, bracket: usize) -> Option<Line<'_>> {
    let (who, cpu) = text[..bracket].rsplit_once('[')?;
    let (cpu, "") = digits(cpu)? else { return None };
    // The first word that ends with a colon is the time.
    let (head, rest) = split(&text[bracket + 1..], b':')?;
    let (seconds, fraction) = split(head.rsplit(' ').next()?, b'.')?;
    let (event, rest) = split(rest.strip_prefix(' ')?, b':')?;
    if !matches!(event, "funcgraph_entry" | "funcgraph_exit" | "fgraph_retaddr_entry") {
        return None;
    }
    let (duration_ns, rest) = duration_column(rest);
    Some(Line {
        time_ns: scaled(seconds, fraction, 9),
        cpu: cpu.parse().ok(),
        task: task(who),
        context: 0,
        body: call(rest, duration_ns),
    })
}

/// `  123.456789 |  `
fn absolute_time(text: &str) -> (Option<u64>, &str) {
    let parse = || {
        let (seconds, rest) = digits(text.trim_start())?;
        let (fraction, rest) = digits(rest.strip_prefix('.')?)?;
        let rest = rest.trim_start_matches(' ').strip_prefix('|')?;
        let ns = scaled(seconds, fraction, 9)?;
        (fraction.len() >= 6).then_some((ns, rest))
    };
    match parse() {
        Some((ns, rest)) => (Some(ns), rest),
        None => (None, text),
    }
}

/// `seconds.fraction` as an integer of `places` decimal places.
fn scaled(whole: &str, fraction: &str, places: u32) -> Option<u64> {
    let kept = &fraction[..fraction.len().min(places as usize)];
    let unit = 10u64.pow(places);
    let part = kept.parse::<u64>().ok()?.checked_mul(10u64.pow(places - kept.len() as u32))?;
    whole.parse::<u64>().ok()?.checked_mul(unit)?.checked_add(part)
}

/// `     1234 us |  ` before the cpu column; after it, the same shape would be a duration.
fn skip_relative_time(text: &str) -> &str {
    let parse = || {
        let (_, rest) = digits(text.trim_start())?;
        let rest = rest.strip_prefix(" us")?.trim_start_matches(' ').strip_prefix('|')?;
        let (_, after) = digits(rest.trim_start())?;
        after.starts_with(") ").then_some(rest)
    };
    parse().unwrap_or(text)
}

/// ` 12) `
fn cpu_column(text: &str) -> (Option<u32>, &str) {
    let parse = || {
        let (cpu, rest) = digits(text.trim_start())?;
        Some((cpu.parse().ok()?, rest.strip_prefix(')')?.strip_prefix(' ').unwrap_or("")))
    };
    match parse() {
        Some((cpu, rest)) => (Some(cpu), rest),
        None => (None, text),
    }
}

/// `comm-123`, where comm may hold anything, dashes and blanks included.
fn task(text: &str) -> Option<Task<'_>> {
    let (comm, tid) = text.trim_ascii().rsplit_once('-')?;
    Some(Task { comm, tid: tid.parse().ok()? })
}

fn switch(text: &str) -> Option<(Task<'_>, Task<'_>)> {
    let (from, to) = text.split_once("=> ")?;
    Some((task(from)?, task(to)?))
}

/// `  comm-123    | `: the first bar that closes something shaped like a task, because the name itself
/// may contain a bar. The column holds at most 7 + 1 + 10 characters or is padded to 14.
fn task_column(text: &str) -> (Option<Task<'_>>, &str) {
    const WIDEST: usize = 24;
    let head = &text.as_bytes()[..text.len().min(WIDEST + " | ".len())];
    for at in (0..head.len()).filter(|at| head[*at..].starts_with(b" | ")) {
        if let Some(task) = task(&text[..at]) {
            return (Some(task), &text[at + " | ".len()..]);
        }
    }
    (None, text)
}

/// `+ 12.345 us   |  ` or blanks up to the bar.
fn duration_column(text: &str) -> (Option<u64>, &str) {
    let parse = || {
        let (column, rest) = split(text, b'|')?;
        let column =
            column.trim_ascii().trim_start_matches(['+', '!', '#', '*', '@', '$']).trim_ascii_start();
        let rest = rest.strip_prefix("  ").unwrap_or(rest);
        if column.is_empty() {
            return Some((None, rest));
        }
        let number = column.strip_suffix("us")?.trim_ascii_end();
        let (whole, fraction) = split(number, b'.').unwrap_or((number, "0"));
        Some((Some(scaled(whole, fraction, 3)?), rest))
    };
    parse().unwrap_or((None, text))
}

fn call(text: &str, duration_ns: Option<u64>) -> Body<'_> {
    let indent = text.bytes().take_while(|byte| *byte == b' ').count();
    let (depth, trimmed) = ((indent / 2) as u32, &text[indent..]);
    if trimmed.starts_with("/*") || trimmed.starts_with("(Overruns") {
        return Body::Nothing;
    }
    // trace-cmd has what was returned behind everything else.
    let (trimmed, ret) = match trimmed.strip_suffix(')').and_then(|all| all.rsplit_once(" (ret=")) {
        Some((code, value)) => (code, number(value)),
        None => (trimmed, None),
    };
    let (code, comment) = match memchr(b'/', trimmed.as_bytes()).map(|at| trimmed.split_at(at)) {
        Some((code, comment)) if comment.starts_with("/*") => {
            (code.trim_ascii_end(), comment[2..].trim_end_matches("*/").trim_ascii())
        }
        _ => (trimmed, ""),
    };
    let ret = ret.or_else(|| return_value(comment));
    if code == "}" {
        let name = comment.split([' ', '=']).next().filter(|name| is_symbol(name));
        return Body::Exit { depth, name, duration_ns, ret };
    }
    // Module functions print as `name [module]`, and from 6.15 on the parentheses may hold arguments.
    let Some((name, _)) = split(code, b'(') else { return Body::Unreadable };
    let name = split(name, b' ').map_or(name, |(name, _)| name);
    if !is_symbol(name) {
        return Body::Unreadable;
    }
    // The caller may be named before or behind the brace (funcgraph-retaddr).
    if code.ends_with('{') || comment.ends_with("*/ {") {
        Body::Enter { depth, name }
    } else if code.ends_with(';') {
        Body::Leaf { depth, name, duration_ns, ret }
    } else {
        Body::Unreadable
    }
}

fn is_symbol(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| IN_SYMBOLS[usize::from(byte)])
}

/// What names of functions are made of.
const IN_SYMBOLS: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = (byte as u8).is_ascii_alphanumeric() || byte as u8 == b'_' || byte as u8 == b'.';
        byte += 1;
    }
    table
};

/// `name = -28`, `= 0x0` (6.5), `ret=0xffffffe4` (6.14), `=> ffffffe4 -28`: the number after the sign.
fn return_value(comment: &str) -> Option<u64> {
    let (_, value) = comment.split_once('=')?;
    number(value.trim_start_matches(['>', ' ']).split([' ', ')']).next()?)
}

fn number(value: &str) -> Option<u64> {
    if let Some(hex) = value.strip_prefix("0x") {
        return u64::from_str_radix(hex, 16).ok();
    }
    match value {
        "true" => Some(1),
        "false" => Some(0),
        _ => value.parse::<i64>().ok().map(|value| value as u64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(text: &str) -> Body<'_> {
        Line::parse(text).body
    }

    #[test]
    fn all_columns() {
        let line = Line::parse(
            "  123.456789 |   1)  busybox-92   |   0.512 us    |      count_mounts(); /* = -28 */",
        );
        assert_eq!(line.time_ns, Some(123_456_789_000));
        assert_eq!(line.cpu, Some(1));
        assert_eq!(line.task, Some(Task { comm: "busybox", tid: 92 }));
        let ret = Some(-28i64 as u64);
        assert_eq!(line.body, Body::Leaf { depth: 2, name: "count_mounts", duration_ns: Some(512), ret });
    }

    #[test]
    fn the_columns_one_by_one() {
        let enter = Body::Enter { depth: 1, name: "path_mount" };
        assert_eq!(body(" 0)               |    path_mount() {"), enter);
        assert_eq!(body("  path_mount() {"), Body::Enter { depth: 1, name: "path_mount" });
        assert_eq!(body(" 0)    sh-1      |   path_mount() {"), enter);
        assert_eq!(body("      42 us |   0)               |    path_mount() {"), enter);
        let exit = Body::Exit { depth: 0, name: None, duration_ns: Some(12_345_670), ret: None };
        assert_eq!(body(" 0) * 12345.67 us  |  }"), exit);
    }

    #[test]
    fn tails_modules_and_return_values() {
        let exit = |text| match body(text) {
            Body::Exit { name, ret, .. } => (name.map(str::to_owned), ret),
            other => panic!("{other:?}"),
        };
        assert_eq!(exit(" 0)   1.0 us    |  } /* ovl_fill_super [overlay] */").0.unwrap(), "ovl_fill_super");
        assert_eq!(exit(" 0)   1.0 us    |  } /* f = 0x10 */"), (Some("f".into()), Some(16)));
        assert_eq!(exit(" 0)   1.0 us    |  } /* f [m] ret=-28 */"), (Some("f".into()), Some(-28i64 as u64)));
        let leaf = Body::Leaf { depth: 0, name: "g", duration_ns: Some(100), ret: Some(0xffff_ffe4) };
        assert_eq!(body(" 0)   0.100 us    |  g [m](); /* <-f+0x1/0x2 ret=0xffffffe4 */"), leaf);
    }

    #[test]
    fn names_that_try_to_fool_the_columns() {
        let line = Line::parse("    1.000001 |   0)  a | b-7-31  |               |  f() {");
        assert_eq!(line.task, Some(Task { comm: "a | b-7", tid: 31 }));
        assert_eq!(line.body, Body::Enter { depth: 0, name: "f" });
    }

    #[test]
    fn what_trace_cmd_reports() {
        let line = Line::parse(
            "        my-mo]u-nt-92  [001] d..1   100.123456: funcgraph_exit:       + 12.345 us  |    } /* f */ (ret=-28)",
        );
        assert_eq!((line.time_ns, line.cpu), (Some(100_123_456_000), Some(1)));
        assert_eq!(line.task, Some(Task { comm: "my-mo]u-nt", tid: 92 }));
        let Body::Exit { depth, name, duration_ns, ret } = line.body else { panic!("{line:?}") };
        assert_eq!((depth, name, duration_ns, ret), (1, Some("f"), Some(12_345), Some(-28i64 as u64)));
        let enter = " mount-9 [000] 1.5: funcgraph_entry:                   |  g() {";
        assert_eq!(body(enter), Body::Enter { depth: 0, name: "g" });
        let leaf = " mount-9 [000] 1.5: fgraph_retaddr_entry:   0.500 us    |      h(); /* <-g */ (ret=0x1)";
        assert_eq!(body(leaf), Body::Leaf { depth: 2, name: "h", duration_ns: Some(500), ret: Some(1) });
        let caller = " mount-9 [000] 1.5: funcgraph_entry:                   |  g() /* <-f */ {";
        assert_eq!(body(caller), Body::Enter { depth: 0, name: "g" });
        assert_eq!(body("CPU:3 [5 EVENTS DROPPED]"), Body::Lost { count: Some(5) });
        assert_eq!(body("CPU:3 [EVENTS DROPPED]"), Body::Lost { count: None });
        assert_eq!(body(" a-1 [x] y: funcgraph_entry: |"), Body::Unreadable);
    }

    #[test]
    fn markers() {
        assert_eq!(Line::parse("CPU:1 [LOST 5 EVENTS]"), Line::bare(Some(1), Body::Lost { count: Some(5) }));
        assert_eq!(body("CPU:1 [LOST EVENTS]"), Body::Lost { count: None });
        assert_eq!(
            body(" 0)  bash-12    =>   sleep-13   "),
            Body::Switch { from: Task { comm: "bash", tid: 12 }, to: Task { comm: "sleep", tid: 13 } }
        );
        assert_eq!(body("    1.000001 |   0)   sh-1   |   ==========> |"), Body::Interrupt);
        assert_eq!(body("    1.000001 |   0)   sh-1   |   <========== |"), Body::Nothing);
        assert_eq!(body(" ------------------------------------------"), Body::Nothing);
        assert_eq!(body("# tracer: function_graph"), Body::Nothing);
        assert_eq!(body(" 0)               |  /* sched_switch: prev_comm=x() { */"), Body::Nothing);
    }
}
