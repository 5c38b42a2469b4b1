//! What an argument of the failed call points to, read again from the caller's memory (proc_pid_mem(5)). `task` is its
//! folder in /proc; `file_system::own` finds it and knows whether the task is still itself.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Fills `bytes`; `None` where not all of them are there.
pub(super) fn read(task: &Path, address: u64, bytes: &mut [u8]) -> Option<()> {
    File::open(task.join("mem")).ok()?.read_exact_at(bytes, address).ok()
}

pub(super) fn array<const N: usize>(task: &Path, address: u64) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    read(task, address, &mut bytes)?;
    Some(bytes)
}

/// A name at the beginning of a structure, in a field of `N` bytes: letters, digits, and what may stand `besides`.
pub(super) fn name<const N: usize>(task: &Path, address: u64, besides: &[u8]) -> Option<String> {
    let field = array::<N>(task, address)?;
    let name = field.split(|byte| *byte == 0).next()?;
    let plain = name.iter().all(|byte| byte.is_ascii_alphanumeric() || besides.contains(byte));
    (plain && !name.is_empty()).then(|| String::from_utf8_lossy(name).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_end_with_their_field_and_are_plain() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("mem"), b"....tap-0\0junk\x07").unwrap();
        assert_eq!(name::<8>(dir.path(), 4, b"-").as_deref(), Some("tap-0"));
        assert_eq!(name::<3>(dir.path(), 4, b"-").as_deref(), Some("tap"));
        assert_eq!(name::<8>(dir.path(), 4, b""), None, "a hyphen is not meant");
        assert_eq!(name::<4>(dir.path(), 9, b""), None, "empty");
        assert_eq!(array::<4>(dir.path(), 10), Some(*b"junk"));
        assert_eq!(array::<8>(dir.path(), 10), None, "not all of it is there");
    }
}
