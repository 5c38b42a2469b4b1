//! The program that a refused bpf(2) was to load, and what the verifier wrote about it: into a buffer of the caller's,
//! which a failed call leaves behind (`union bpf_attr` in include/uapi/linux/bpf.h, kernel/bpf/log.c).

use super::{Look, Sampled, caller, file_system::own};
use crate::model::{Errno, Failure};

/// BPF_PROG_LOAD.
const PROG_LOAD: u64 = 5;
/// Up to prog_name, which is 16 bytes at 48.
const ATTRIBUTES: usize = 64;
/// Of the log: what is looked at, and the lines of its end that are kept.
const MOST_LOG: usize = 1 << 20;
const LINES: usize = 6;
const LONGEST_LINE: usize = 200;

/// BPF_PROG_TYPE_*, the first ones.
const TYPES: &[&str] = &[
    "unspecified",
    "socket filter",
    "kprobe",
    "traffic classifier",
    "traffic action",
    "tracepoint",
    "XDP",
    "perf event",
    "cgroup socket buffer",
    "cgroup socket",
    "lightweight tunnel (in)",
    "lightweight tunnel (out)",
    "lightweight tunnel (transmit)",
    "socket operations",
    "socket buffer",
    "cgroup device",
    "socket message",
    "raw tracepoint",
    "cgroup socket address",
];

pub(super) fn look(look: &Look<'_>, failure: &mut Failure, out: &mut Sampled) {
    let refused = [Errno::EACCES, Errno::EINVAL, Errno(libc::E2BIG)].contains(&look.errno);
    if look.call != "bpf" || !refused || failure.number_arg("cmd") != Some(PROG_LOAD) {
        return;
    }
    let Some(task) = own(&look.view, &failure.task) else { return };
    let Some(at) = failure.number_arg("attr") else { return };
    let size = failure.number_arg("size").and_then(|n| usize::try_from(n).ok()).unwrap_or(0);
    let mut attributes = [0_u8; ATTRIBUTES];
    if caller::read(&task, at, &mut attributes[..size.min(ATTRIBUTES)]).is_none() {
        return;
    }
    let after_ns = look.after(failure);
    let mut note = |name: &str, value: String, source: &str| {
        out.state(name, "", value, source, after_ns);
    };
    note("bpf program", program(&attributes), "the caller's union bpf_attr");
    let (level, room, log) = (word(&attributes, 24), word(&attributes, 28) as usize, long(&attributes, 32));
    if level == 0 || room == 0 || log == 0 {
        return;
    }
    let mut bytes = vec![0_u8; room.min(MOST_LOG)];
    if caller::read(&task, log, &mut bytes).is_some()
        && let Some(end) = end(&bytes)
    {
        note("verifier log", end, "the caller's buffer");
    }
}

fn word(attributes: &[u8; ATTRIBUTES], at: usize) -> u32 {
    attributes[at..at + 4].try_into().map_or(0, u32::from_ne_bytes)
}

fn long(attributes: &[u8; ATTRIBUTES], at: usize) -> u64 {
    attributes[at..at + 8].try_into().map_or(0, u64::from_ne_bytes)
}

/// Its name, kind and length, in words.
fn program(attributes: &[u8; ATTRIBUTES]) -> String {
    let (kind, instructions) = (word(attributes, 0) as usize, word(attributes, 4));
    let kind = TYPES.get(kind).map_or_else(|| format!("type {kind}"), |name| (*name).to_owned());
    let name: String =
        attributes[48..].iter().take_while(|b| b.is_ascii_graphic()).map(|b| char::from(*b)).collect();
    let name = if name.is_empty() { String::new() } else { format!("{name}, ") };
    format!("the BPF program ({name}{kind}, {instructions} instructions)")
}

/// The last lines of a log, which is text up to a zero.
fn end(bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(bytes.split(|b| *b == 0).next()?);
    let lines: Vec<String> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| line.chars().filter(|c| !c.is_control()).take(LONGEST_LINE).collect())
        .collect();
    let last = lines[lines.len().saturating_sub(LINES)..].join("\n");
    (!last.is_empty()).then_some(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_in_words() {
        let mut attributes = [0_u8; ATTRIBUTES];
        attributes[0] = 6;
        attributes[4..8].copy_from_slice(&300_u32.to_ne_bytes());
        attributes[48..53].copy_from_slice(b"drop\0");
        assert_eq!(program(&attributes), "the BPF program (drop, XDP, 300 instructions)");
        attributes[0] = 200;
        attributes[48] = 0;
        assert_eq!(program(&attributes), "the BPF program (type 200, 300 instructions)");
    }

    #[test]
    fn the_end_of_a_log() {
        let log = (0..20).map(|n| format!("{n}: (95) exit\n")).collect::<String>() + "R0 !read_ok\n\0junk";
        let kept = end(log.as_bytes()).unwrap();
        assert!(kept.starts_with("15: ") && kept.ends_with("R0 !read_ok"), "{kept}");
        assert_eq!(end(b"\0\0\0"), None, "nothing was written");
    }
}
