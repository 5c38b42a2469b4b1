//! The function that an address belongs to: by the program's own symbols, by Go's table, or by symbols that a
//! distribution keeps in a file of their own.

use super::elf::{self, Elf};
use blazesym::symbolize::Input;
use blazesym::symbolize::source::{self, Source};
use std::fs::File;
use std::path::PathBuf;

/// Where distributions put the symbols of a stripped file, by its build id (gdb's manual, "Separate Debug Files").
const DEBUG_FILES: &str = "/usr/lib/debug/.build-id";

/// A function's name and the address of its beginning in its file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) name: String,
    pub(super) start: u64,
}

pub(super) fn find(elf: &Elf, address: u64) -> Option<Found> {
    let go = || elf.go.as_ref()?.find(elf.file(), address).map(|(name, start)| Found { name, start });
    go().or_else(|| symbol(elf, address)).or_else(|| symbol(&*elf::opened(elsewhere(elf)?)?, address))
}

/// By `.symtab`, or `.dynsym` where there is none.
fn symbol(elf: &Elf, address: u64) -> Option<Found> {
    let mut file = source::Elf::new(elf.path());
    // Symbols only: what a compiler wrote about lines takes seconds to read and says no more than the name here.
    file.debug_syms = false;
    let found = elf.symbols.symbolize_single(&Source::Elf(file), Input::VirtOffset(address));
    let symbol = found.ok()?.into_sym()?;
    // Of the exported names, the nearest before may be far away.
    let inside = symbol.size.is_none_or(|size| size == 0 || symbol.offset < size);
    inside.then(|| Found { name: symbol.name.into_owned(), start: symbol.addr })
}

fn elsewhere(elf: &Elf) -> Option<File> {
    let (folder, name) = elf.build_id.as_deref()?.split_at_checked(2)?;
    File::open(PathBuf::from(DEBUG_FILES).join(folder).join(format!("{name}.debug"))).ok()
}
