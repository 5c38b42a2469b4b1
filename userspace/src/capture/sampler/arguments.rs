//! How much execve(2) was asked to carry over: measured in the caller's memory, which a failed call leaves as it was.
//! Only lengths are looked at, never what the strings say.

use super::{Look, Sampled, file_system::own};
use crate::limits::exec::{ARGUMENT, ARGUMENTS};
use crate::limits::owners::soft_in;
use crate::model::{ArgValue, Errno, Failure, Reading, Taken};
use std::fs::{self, File};
use std::os::unix::fs::FileExt;

/// More strings than this are not counted to the end (the kernel's own bound is 2³¹).
const MOST_STRINGS: usize = 1 << 20;
/// Bytes read at once.
const PIECE: usize = 1 << 16;
/// A string longer than this is too long in any case.
const LONGEST: u64 = 1 << 23;

/// Bytes and number of strings, and the longest of them with its final NUL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Sizes {
    strings: u64,
    bytes: u64,
    longest: u64,
}

/// Its line in /proc/PID/limits.
const STACK: &str = "Max stack size";

pub(super) fn look(look: &Look<'_>, failure: &mut Failure, out: &mut Sampled) {
    if look.errno != Errno(libc::E2BIG) || !matches!(look.call, "execve" | "execveat") {
        return;
    }
    let Some(task) = own(&look.view, &failure.task) else { return };
    let Ok(memory) = File::open(task.join("mem")) else { return };
    let sizes = |name: &str| match failure.args().iter().find(|arg| arg.name == name).map(|arg| &arg.value) {
        Some(ArgValue::Withheld { at }) => measure(&memory, *at),
        Some(ArgValue::Null) => Some(Sizes::default()),
        _ => None,
    };
    let (Some(argv), Some(envp)) = (sizes("argv"), sizes("envp")) else { return };
    let path = failure.text_arg("pathname").map_or(0, |path| path.len() as u64 + 1);
    // `bprm_stack_limits()` (fs/exec.c): a pointer for each string, and at least one argument.
    let pointers = (argv.strings.max(1) + envp.strings) * 8;
    let taken = Taken::After { ns: look.after(failure) };
    let source = format!("{}, lengths only", task.join("mem").display());
    let reading = |limit: &crate::limits::Limit, ceiling: Option<u64>, usage: u64| Reading {
        limit: limit.id.into(),
        scope: String::new(),
        ceiling,
        usage: Some(usage),
        adds: Some(0),
        hits: None,
        unit: limit.unit.into(),
        taken,
        source: source.clone(),
    };
    let stack = fs::read_to_string(task.join("limits")).ok().and_then(|text| soft_in(&text, STACK));
    out.readings.push(reading(&ARGUMENT, Some(131_072), argv.longest.max(envp.longest)));
    out.readings.push(reading(&ARGUMENTS, stack.map(room), pointers + argv.bytes + envp.bytes + path));
}

/// A quarter of RLIMIT_STACK, but no more than three quarters of 8 MiB and no less than `ARG_MAX`.
fn room(stack: u64) -> u64 {
    (stack / 4).clamp(131_072, 6 << 20)
}

/// The strings of an array that ends in a null pointer.
fn measure(memory: &impl FileExt, at: u64) -> Option<Sizes> {
    let mut out = Sizes::default();
    let mut pointers = [0_u8; 8 * 512];
    let mut next = at;
    loop {
        let read = memory.read_at(&mut pointers, next).ok()? / 8 * 8;
        if read == 0 {
            return None;
        }
        for word in pointers[..read].chunks_exact(8) {
            let string = u64::from_le_bytes(word.try_into().ok()?);
            if string == 0 {
                return Some(out);
            }
            let length = length(memory, string)?;
            out.strings += 1;
            out.bytes += length;
            out.longest = out.longest.max(length);
            if out.strings as usize >= MOST_STRINGS {
                return None;
            }
        }
        next += read as u64;
    }
}

/// The length of a string with its NUL, up to [`LONGEST`].
fn length(memory: &impl FileExt, at: u64) -> Option<u64> {
    let mut piece = vec![0_u8; 4096];
    let mut so_far = 0;
    while so_far < LONGEST {
        let read = memory.read_at(&mut piece, at + so_far).ok().filter(|read| *read > 0)?;
        if let Some(end) = piece[..read].iter().position(|byte| *byte == 0) {
            return Some(so_far + end as u64 + 1);
        }
        so_far += read as u64;
        piece.resize(PIECE, 0);
    }
    Some(so_far)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn strings_are_measured_with_their_end() {
        let mut file = tempfile::tempfile().unwrap();
        let mut bytes = vec![0_u8; 256];
        bytes[8..16].copy_from_slice(&64_u64.to_le_bytes());
        bytes[16..24].copy_from_slice(&100_u64.to_le_bytes());
        bytes[64..69].copy_from_slice(b"hello");
        bytes[100..102].copy_from_slice(b"ab");
        file.write_all(&bytes).unwrap();
        assert_eq!(measure(&file, 8), Some(Sizes { strings: 2, bytes: 9, longest: 6 }));
        assert_eq!(measure(&file, 24), Some(Sizes::default()), "an empty array");
        assert_eq!(measure(&file, 4096), None, "not readable");
    }

    #[test]
    fn room_is_a_quarter_of_the_stack_within_bounds() {
        assert_eq!((room(8 << 20), room(1 << 20), room(1 << 10)), (2 << 20, 1 << 18, 131_072));
        assert_eq!(room(u64::MAX), 6 << 20);
        let text = "Limit  Soft Limit  Hard Limit  Units\nMax stack size            1048576              unlimited            bytes\n";
        assert_eq!(soft_in(text, STACK), Some(1 << 20));
        assert_eq!(soft_in("Max stack size   unlimited   unlimited   bytes", STACK), Some(u64::MAX));
    }
}
