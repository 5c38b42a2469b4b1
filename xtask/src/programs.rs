//! Programs of this machine for a place that has nothing: each with the libraries it is linked with.

use crate::initramfs::GuestFile;
use crate::shell::output_of;
use anyhow::Result;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The programs, each at its place in the guest, and all libraries that they need, where the linker looks for them.
pub(crate) fn with_libraries(
    programs: impl IntoIterator<Item = (PathBuf, String)>,
) -> Result<Vec<GuestFile>> {
    let (mut files, mut libraries) = (Vec::new(), BTreeSet::new());
    for (host, guest) in programs {
        libraries.extend(libraries_of(&host)?);
        files.push(GuestFile::executable(host, guest));
    }
    files.extend(libraries.into_iter().map(|library| {
        let place = library.display().to_string();
        GuestFile::executable(library, place)
    }));
    Ok(files)
}

/// What the dynamic linker would load (ldd(1)); nothing for a static program.
pub(crate) fn libraries_of(program: &Path) -> Result<BTreeSet<PathBuf>> {
    let Ok(list) = output_of(Command::new("ldd").arg(program)) else { return Ok(BTreeSet::new()) };
    Ok(list.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_that_two_programs_need_is_taken_once() {
        let shell = PathBuf::from("/bin/sh").canonicalize().unwrap();
        let programs = [(shell.clone(), "/bin/one".to_owned()), (shell.clone(), "/bin/two".to_owned())];
        let files = with_libraries(programs).unwrap();
        assert_eq!(files.len(), 2 + libraries_of(&shell).unwrap().len());
        assert_eq!(files[1].guest, "/bin/two");
    }
}
