//! What a mapping may become, and how the file was opened that was to be mapped: looked at where mmap(2) or mprotect(2)
//! was refused.
//!
//! A mapping keeps for its life what it may be given at most (`VM_MAYWRITE`, `VM_MAYEXEC`: `mw` and `me` in the line
//! VmFlags of proc_pid_smaps(5)): do_mmap() in mm/mmap.c takes it from how the file was opened and from its mount.

use super::file_system::{open_flags, own};
use super::{Look, Sampled};
use crate::model::{Errno, Failure};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::os::fd::AsRawFd;
use std::path::Path;

/// The kernel walks the pages of every mapping that it writes a paragraph for, so not all of a huge program's are read.
const MOST_TEXT: u64 = 8 << 20;

/// A mapping as smaps shows it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Mapping {
    /// `r-xp` and the path, which may be empty.
    is: String,
    path: String,
    /// Two letters each.
    flags: String,
}

pub(super) fn look(look: &Look<'_>, failure: &mut Failure, out: &mut Sampled) {
    if ![Errno::EACCES, Errno::EPERM].contains(&look.errno) {
        return;
    }
    let Some(task) = own(&look.view, &failure.task) else { return };
    let after_ns = look.after(failure);
    let mut note = |name: &str, of: &str, value: String, source: &str| {
        out.state(name, of, value, source, after_ns);
    };
    match look.call {
        "mmap" | "mmap2" => {
            let anonymous = failure.number_arg("flags").is_some_and(|f| f & libc::MAP_ANONYMOUS as u64 != 0);
            let fd = failure.number_arg("fd").map(|raw| raw as u32 as i32);
            let Some(fd) = fd.filter(|fd| *fd >= 0 && !anonymous) else { return };
            if let Some(mode) = open_mode(&task, fd) {
                note("open for", "", mode.into(), "/proc/PID/fdinfo");
            }
            if let Some(seals) = seals(&task, fd) {
                note("file seals", "", seals.to_string(), "fcntl(F_GET_SEALS)");
            }
        }
        "mprotect" | "pkey_mprotect" => {
            let range = failure.number_arg("addr").zip(failure.number_arg("size"));
            let wanted = failure.number_arg("prot").unwrap_or(0);
            let Some((from, size)) = range else { return };
            let Ok(smaps) = File::open(task.join("smaps")) else { return };
            let found = within(BufReader::new(smaps.take(MOST_TEXT)), from, from.saturating_add(size), |m| {
                lacks(m, wanted)
            });
            if let Some(mapping) = found {
                note("mapping", &mapping.path, mapping.is, "/proc/PID/smaps");
                note("mapping may", &mapping.path, may(&mapping.flags), "/proc/PID/smaps, VmFlags");
            }
        }
        _ => {}
    }
}

/// What the descriptor was opened for: O_ACCMODE of its flags.
fn open_mode(task: &Path, fd: i32) -> Option<&'static str> {
    let info = std::fs::read_to_string(task.join(format!("fdinfo/{fd}"))).ok()?;
    let flags = open_flags(&info)?;
    Some(match flags & libc::O_ACCMODE {
        _ if flags & libc::O_PATH != 0 => "nothing",
        libc::O_RDONLY => "reading",
        libc::O_WRONLY => "writing",
        _ => "both",
    })
}

/// The seals of a memory file; every other file refuses the question.
fn seals(task: &Path, fd: i32) -> Option<i32> {
    let link = task.join(format!("fd/{fd}"));
    // Opening anything else might wait for somebody, or do something.
    std::fs::read_link(&link).ok().filter(|to| to.to_string_lossy().starts_with("/memfd:"))?;
    let file = File::open(link).ok()?;
    // SAFETY: a descriptor that is open, and no argument.
    let seals = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GET_SEALS) };
    (seals >= 0).then_some(seals)
}

/// The first mapping in a range that the question is true of, else the first one there.
fn within(smaps: impl BufRead, from: u64, to: u64, wanted: impl Fn(&Mapping) -> bool) -> Option<Mapping> {
    let mut first = None;
    let mut here: Option<Mapping> = None;
    for line in smaps.lines() {
        let line = line.ok()?;
        if let Some((begin, end, mapping)) = head(&line) {
            if begin >= to {
                break;
            }
            here = (end > from).then_some(mapping);
        } else if let Some(flags) = line.strip_prefix("VmFlags:")
            && let Some(mut mapping) = here.take()
        {
            mapping.flags = flags.trim().into();
            if wanted(&mapping) {
                return Some(mapping);
            }
            first = first.or(Some(mapping));
        }
    }
    first
}

/// `7f00-7f10 r--p 00000000 08:01 123   /lib/x.so`.
fn head(line: &str) -> Option<(u64, u64, Mapping)> {
    let (range, rest) = line.split_once(' ')?;
    let (from, to) = range.split_once('-')?;
    let hex = |text: &str| u64::from_str_radix(text, 16).ok();
    let mut words = rest.splitn(5, ' ');
    let is = words.next()?.to_owned();
    let path = words.nth(3).unwrap_or_default().trim().to_owned();
    Some((hex(from)?, hex(to)?, Mapping { is, path, flags: String::new() }))
}

/// Whether it may not be given what was asked for (`mprotect_fixup()`'s caller, mm/mprotect.c).
fn lacks(mapping: &Mapping, prot: u64) -> bool {
    let asks = |bit: i32| prot & bit as u64 != 0;
    let has = |flag: &str| mapping.flags.split(' ').any(|f| f == flag);
    asks(libc::PROT_READ) && !has("mr")
        || asks(libc::PROT_WRITE) && !has("mw")
        || asks(libc::PROT_EXEC) && !has("me")
}

/// The three in words of the flags that proc_pid_smaps(5) explains.
fn may(flags: &str) -> String {
    let has = |flag: &str| flags.split(' ').any(|f| f == flag);
    let all = [("mr", "read"), ("mw", "write"), ("me", "execute")];
    all.iter().filter(|(flag, _)| has(flag)).map(|(_, word)| *word).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMAPS: &str = "\
00001000-00002000 r--p 00000000 08:01 12                         /lib/a b.so\n\
Size:                  4 kB\n\
VmFlags: rd mr mw me \n\
00002000-00004000 r--s 00000000 08:01 13                         /etc/passwd\n\
VmFlags: rd sh mr ms \n\
00008000-00009000 rw-p 00000000 00:00 0 \n\
VmFlags: rd wr mr mw me ac \n";

    fn found(from: u64, to: u64, prot: i32) -> Option<(String, String)> {
        let m = within(SMAPS.as_bytes(), from, to, |m| lacks(m, prot as u64))?;
        Some((m.path, may(&m.flags)))
    }

    #[test]
    fn the_mapping_that_may_not_become_so_is_found() {
        let passwd = Some(("/etc/passwd".to_owned(), "read".to_owned()));
        assert_eq!(found(0x1000, 0x4000, libc::PROT_WRITE), passwd);
        assert_eq!(found(0x3000, 0x3800, libc::PROT_READ), passwd);
        assert_eq!(found(0x1000, 0x4000, libc::PROT_READ).unwrap().0, "/lib/a b.so", "the first one");
        assert_eq!(
            found(0x8000, 0x9000, libc::PROT_EXEC),
            Some((String::new(), "read write execute".into()))
        );
        assert_eq!(found(0x5000, 0x6000, libc::PROT_READ), None, "nothing is mapped there");
    }

    #[test]
    fn a_descriptor_is_open_for_what_its_flags_say() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("fdinfo")).unwrap();
        for (fd, flags, mode) in [
            (3, "0100000", "reading"),
            (4, "0100001", "writing"),
            (5, "02", "both"),
            (6, "010000000", "nothing"),
        ] {
            std::fs::write(dir.path().join(format!("fdinfo/{fd}")), format!("pos:\t0\nflags:\t{flags}\n"))
                .unwrap();
            assert_eq!(open_mode(dir.path(), fd), Some(mode));
        }
        assert_eq!(open_mode(dir.path(), 9), None);
    }
}
