//! What the first bytes of a file ask execve(2) to do (fs/binfmt_script.c, fs/binfmt_elf.c).

use super::reach::{Reach, there};
use crate::capture::sampler::View;
use crate::model::{Head, Task};
use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};

/// `BINPRM_BUF_SIZE` (include/uapi/linux/binfmts.h): of a first line the kernel sees no more.
const LINE: usize = 256;

/// Program headers looked at, and the longest interpreter path (`PATH_MAX`).
const MOST_HEADERS: u16 = 128;
const LONGEST: u64 = 4096;

const PT_INTERP: u32 = 3;

/// `EM_X86_64`, `EM_AARCH64` (elf.h): diag runs on what it was built for.
const HERE: u16 = if cfg!(target_arch = "aarch64") { 183 } else { 62 };

pub(super) fn read(reach: &Reach, view: &View, task: &Task) -> Head {
    let path = format!("/proc/self/fd/{}", reach.fd.as_raw_fd());
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path);
    let Ok(file) = file else { return Head::Unread };
    let mut bytes = [0; LINE];
    let Ok(length) = file.read_at(&mut bytes, 0) else { return Head::Unread };
    let bytes = &bytes[..length];
    if bytes.is_empty() {
        Head::Empty
    } else if let Some(line) = bytes.strip_prefix(b"#!") {
        script(line, |interpreter| there(view, task, interpreter))
    } else if bytes.starts_with(b"\x7fELF") {
        elf(&file, bytes, |interpreter| there(view, task, interpreter))
    } else {
        Head::Other(guess(bytes).into())
    }
}

/// `load_script()`: the first word after blanks; the line ends at a newline, or at the end of what is read. A
/// carriage return is no blank to the kernel, so it becomes part of the name.
fn script(line: &[u8], there: impl Fn(&str) -> crate::model::ObjectKind) -> Head {
    let line = line.split(|b| *b == b'\n').next().unwrap_or_default();
    let text = String::from_utf8_lossy(line);
    let text = text.trim_start_matches([' ', '\t']);
    let word = text.split([' ', '\t', '\0']).next().unwrap_or_default();
    let carriage_return = word.ends_with('\r') || text.ends_with('\r');
    Head::Script { interpreter: word.to_owned(), found: there(word), carriage_return }
}

fn elf(file: &File, bytes: &[u8], there: impl Fn(&str) -> crate::model::ObjectKind) -> Head {
    let (Some(class), Some(order)) = (bytes.get(4).copied(), bytes.get(5).copied()) else {
        return Head::Other("a truncated ELF header".into());
    };
    let big = order == 2;
    let half = |at: usize| number(bytes.get(at..at + 2), big).map(|n| n as u16);
    let (Some(kind), Some(machine)) = (half(16), half(18)) else {
        return Head::Other("a truncated ELF header".into());
    };
    let interpreter = interpreter(file, bytes, class, big).map(|path| {
        let found = there(&path);
        (path, found)
    });
    Head::Elf { class, machine, kind, here: HERE, interpreter }
}

/// The path in `PT_INTERP` (elf(5)); both classes, both byte orders.
fn interpreter(file: &File, bytes: &[u8], class: u8, big: bool) -> Option<String> {
    let word = |from: usize, size: usize| number(bytes.get(from..from + size), big);
    let (offset, size, count) = match class {
        2 => (word(32, 8)?, word(54, 2)?, word(56, 2)?),
        _ => (word(28, 4)?, word(42, 2)?, word(44, 2)?),
    };
    let size = usize::try_from(size).ok().filter(|size| (32..=512).contains(size))?;
    for index in 0..count.min(u64::from(MOST_HEADERS)) {
        let mut header = vec![0; size];
        file.read_exact_at(&mut header, offset.checked_add(index * size as u64)?).ok()?;
        let field = |from: usize, size: usize| number(header.get(from..from + size), big);
        if field(0, 4)? != u64::from(PT_INTERP) {
            continue;
        }
        let (at, length) =
            if class == 2 { (field(8, 8)?, field(32, 8)?) } else { (field(4, 4)?, field(16, 4)?) };
        let mut path = vec![0; usize::try_from(length.min(LONGEST)).ok()?];
        file.read_exact_at(&mut path, at).ok()?;
        let end = path.iter().position(|b| *b == 0).unwrap_or(path.len());
        return Some(String::from_utf8_lossy(&path[..end]).into_owned());
    }
    None
}

fn number(bytes: Option<&[u8]>, big: bool) -> Option<u64> {
    let step = |all: u64, byte: &u8| all << 8 | u64::from(*byte);
    let bytes = bytes?;
    Some(if big { bytes.iter().fold(0, step) } else { bytes.iter().rev().fold(0, step) })
}

fn guess(bytes: &[u8]) -> &'static str {
    const MAGIC: &[(&[u8], &str)] = &[
        (b"\x1f\x8b", "gzip data"),
        (b"PK\x03\x04", "a zip archive (a jar?)"),
        (b"MZ", "a Windows program"),
        (b"\xca\xfe\xba\xbe", "a Java class or a macOS program"),
        (b"\xcf\xfa\xed\xfe", "a macOS program"),
        (b"\x00asm", "WebAssembly"),
        (b"\xef\xbb\xbf#!", "a script behind a byte order mark"),
        (b"!<arch>", "an ar archive"),
        (b"\xfd7zXZ", "xz data"),
        (b"version https://git-lfs", "a Git LFS pointer"),
    ];
    let known = MAGIC.iter().find(|(magic, _)| bytes.starts_with(magic)).map(|(_, words)| *words);
    let is_text = bytes.iter().all(|b| matches!(b, b'\t' | b'\n' | b'\r' | 0x20..=0x7e | 0x80..));
    known.unwrap_or(if is_text { "text without #!" } else { "data" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ObjectKind;
    use std::io::Write;

    #[test]
    fn the_first_line_of_a_script() {
        let all = |line: &[u8]| match script(line, |_| ObjectKind::Absent) {
            Head::Script { interpreter, carriage_return, .. } => (interpreter, carriage_return),
            other => panic!("{other:?}"),
        };
        assert_eq!(all(b" /bin/sh -e\necho"), ("/bin/sh".into(), false));
        assert_eq!(all(b"/bin/bash\r\nset"), ("/bin/bash\r".into(), true));
        assert_eq!(all(b"/usr/bin/env python3\r\n"), ("/usr/bin/env".into(), true));
        assert_eq!(all(b"\n"), (String::new(), false));
    }

    #[test]
    fn a_program_and_its_interpreter_in_both_classes() {
        for (class, big) in [(2_u8, false), (1, false), (2, true)] {
            let mut bytes = vec![0_u8; 400];
            bytes[..7].copy_from_slice(&[0x7f, b'E', b'L', b'F', class, if big { 2 } else { 1 }, 1]);
            let mut put = |at: usize, size: usize, value: u64| {
                let le = value.to_le_bytes();
                let mut field = le[..size].to_vec();
                if big {
                    field.reverse();
                }
                bytes[at..at + size].copy_from_slice(&field);
            };
            put(16, 2, 3);
            put(18, 2, 183);
            if class == 2 {
                put(32, 8, 64);
                put(54, 2, 56);
                put(56, 2, 1);
                put(64, 4, 3);
                put(72, 8, 200);
                put(96, 8, 8);
            } else {
                put(28, 4, 52);
                put(42, 2, 32);
                put(44, 2, 1);
                put(52, 4, 3);
                put(56, 4, 200);
                put(68, 4, 8);
            }
            bytes[200..208].copy_from_slice(b"/lib/ld\0");
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(&bytes).unwrap();
            let head = elf(&file, &bytes[..256], |_| ObjectKind::Absent);
            let interpreter = Some(("/lib/ld".to_owned(), ObjectKind::Absent));
            assert_eq!(
                head,
                Head::Elf { class, machine: 183, kind: 3, here: HERE, interpreter },
                "class {class}, big {big}"
            );
        }
    }

    #[test]
    fn other_files() {
        assert_eq!(guess(b"echo hello\n"), "text without #!");
        assert_eq!(guess(b"\xef\xbb\xbf#!/bin/sh\n"), "a script behind a byte order mark");
        assert_eq!(guess(b"\x00\x01\x02"), "data");
    }
}
