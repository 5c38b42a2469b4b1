//! Capabilities of a program's file: of the one that could not be started, and of the one that was refused something.

use super::{Look, Sampled, file_system::resolve};
use crate::model::{Errno, Fact, Failure, State};
use nix::sys::statvfs::{FsFlags, statvfs};
use std::ffi::CString;
use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// `struct vfs_ns_cap_data` (linux/capability.h).
const LONGEST: usize = 24;

pub(super) fn look(look: &Look<'_>, failure: &mut Failure, out: &mut Sampled) {
    if ![Errno::EPERM, Errno::EACCES].contains(&look.errno) {
        return;
    }
    let mut notes = Notes { after_ns: look.after(failure), out };
    if matches!(look.call, "execve" | "execveat") {
        refused(look, failure, &mut notes);
        return;
    }
    let exe = look.root.join(format!("proc/{}/exe", failure.task.tid));
    let Some(value) = attribute(&exe).as_deref().and_then(words) else { return };
    let name = fs::read_link(&exe).unwrap_or_default();
    notes.add("file capabilities of the program", &name, value);
    let nosuid = statvfs(&exe).map(|found| found.flags().contains(FsFlags::ST_NOSUID));
    if let Ok(nosuid) = nosuid {
        notes.add("nosuid of the program", &name, if nosuid { "1" } else { "0" }.into());
    }
}

struct Notes<'a> {
    after_ns: u64,
    out: &'a mut Sampled,
}

impl Notes<'_> {
    fn add(&mut self, name: &str, of: &Path, value: String) {
        let (of, source) = (of.display().to_string(), "security.capability".into());
        let after_ns = self.after_ns;
        self.out.facts.push(Fact::State(State { name: name.into(), of, value, source, after_ns }));
    }
}

fn refused(look: &Look<'_>, failure: &Failure, notes: &mut Notes<'_>) {
    let Some(path) = failure.text_arg("pathname").filter(|path| !path.ends_with('…')) else { return };
    let dirfd = failure.number_arg("dirfd").map(|raw| raw as u32 as i32).filter(|fd| *fd != libc::AT_FDCWD);
    let Some((program, false)) = resolve(&look.view, &failure.task, dirfd, path) else { return };
    let opened = PathBuf::from(format!("/proc/self/fd/{}", program.as_raw_fd()));
    let Some(value) = attribute(&opened).as_deref().and_then(words) else { return };
    notes.add("file capabilities", Path::new(path), value);
    let status = fs::read_to_string(look.root.join(format!("proc/{}/status", failure.task.tid)));
    if let Some(set) = status.unwrap_or_default().lines().find_map(|line| line.strip_prefix("CapInh:")) {
        notes.add("CapInh", Path::new("caller"), set.trim().into());
    }
}

fn attribute(path: &Path) -> Option<Vec<u8>> {
    let path = CString::new(path.as_os_str().as_bytes()).ok()?;
    let mut bytes = vec![0_u8; LONGEST];
    // SAFETY: strings that end in NUL, and a buffer with its length.
    let read = unsafe {
        libc::getxattr(path.as_ptr(), c"security.capability".as_ptr(), bytes.as_mut_ptr().cast(), bytes.len())
    };
    bytes.truncate(usize::try_from(read).ok()?);
    Some(bytes)
}

/// The permitted and the inheritable set, and whether the effective bit is set.
fn words(attribute: &[u8]) -> Option<String> {
    let word = |at: usize| Some(u32::from_le_bytes(attribute.get(at..at + 4)?.try_into().ok()?));
    let both = |low: u32, high: Option<u32>| u64::from(high.unwrap_or(0)) << 32 | u64::from(low);
    let effective = word(0)? & 1;
    let (permitted, inheritable) = (both(word(4)?, word(12)), both(word(8)?, word(16)));
    Some(format!("{permitted:016x} {inheritable:016x} {effective}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_attribute_is_read_in_words() {
        // cap_net_raw=ep, version 2.
        let mut bytes = vec![0_u8; 20];
        bytes[..4].copy_from_slice(&0x0200_0001_u32.to_le_bytes());
        bytes[4..8].copy_from_slice(&(1_u32 << 13).to_le_bytes());
        bytes[12..16].copy_from_slice(&1_u32.to_le_bytes());
        assert_eq!(words(&bytes).unwrap(), "0000000100002000 0000000000000000 1");
        assert_eq!(words(&bytes[..10]), None);
    }
}
