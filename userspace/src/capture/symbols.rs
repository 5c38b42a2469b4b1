//! Where the kernel keeps the variables behind some sysctls, so that the probes can read a ceiling at the
//! instant it refused somebody: a moment later an administrator may have raised it.

use diag_abi::Symbols;
use std::collections::HashMap;
use std::io::{self, BufRead, BufReader};
use std::sync::OnceLock;

const KALLSYMS: &str = "/proc/kallsyms";

/// What every return that function_graph hooked passes through (arch/x86/kernel/ftrace_64.S).
pub(in crate::capture) const RETURN_HOOK: &str = "return_to_handler";

/// Behind this is no code (the linker script's own symbol).
const END_OF_CODE: &str = "_etext";

/// The return hook, as the first pass over the table found it: the table has more than a hundred thousand rows, and
/// the kernel makes each of them anew for every reader.
static HOOK: OnceLock<Option<u64>> = OnceLock::new();

type Row = (&'static str, fn(&mut Symbols) -> &mut u64);

const VARIABLES: [Row; 6] = [
    ("sysctl_mount_max", |s| &mut s.sysctl_mount_max),
    ("max_threads", |s| &mut s.max_threads),
    ("nr_threads", |s| &mut s.nr_threads),
    ("pid_max", |s| &mut s.pid_max),
    ("sysctl_max_map_count", |s| &mut s.max_map_count),
    ("ucounts_hashtable", |s| &mut s.ucounts_hashtable),
];

/// Addresses of variables by their names.
pub(super) type Addresses = HashMap<&'static str, u64>;

/// Reads the running kernel's table. What it does not show stays 0; no table is as good as an empty one.
pub(super) fn find(further: &[&'static str]) -> (Symbols, Addresses) {
    let names = VARIABLES.iter().map(|(name, _)| *name).chain(further.iter().copied());
    let rows = Rows::read(names.chain([END_OF_CODE, RETURN_HOOK]));
    let _ = HOOK.set(rows.function(RETURN_HOOK));
    rows.variables()
}

/// The address of the return hook; `None` when the table hides it.
pub(in crate::capture) fn return_hook() -> Option<u64> {
    *HOOK.get_or_init(|| Rows::read([RETURN_HOOK]).function(RETURN_HOOK))
}

/// The addresses of functions, those of modules included, each with the function's place in the list. Static functions
/// of different files may share a name: then all of them are given.
pub(in crate::capture) fn functions(names: &[String]) -> io::Result<Vec<(u64, usize)>> {
    functions_in(BufReader::with_capacity(1 << 16, std::fs::File::open(KALLSYMS)?), names)
}

fn functions_in(mut table: impl BufRead, names: &[String]) -> io::Result<Vec<(u64, usize)>> {
    let wanted: HashMap<&[u8], usize> =
        names.iter().enumerate().map(|(place, name)| (name.as_bytes(), place)).collect();
    let mut found = Vec::new();
    let mut line = Vec::new();
    while table.read_until(b'\n', &mut line)? != 0 {
        // `ffffffff9a0b1c2d t name`, and `\t[module]` behind it.
        if let [address @ .., b' ', b't' | b'T' | b'w' | b'W', b' '] = line.get(..19).unwrap_or_default()
            && let Some(name) = line[19..].trim_ascii_end().split(|byte| *byte == b'\t').next()
            && let Some(&place) = wanted.get(name)
            && let Some(address) =
                str::from_utf8(address).ok().and_then(|hex| u64::from_str_radix(hex, 16).ok())
            && address != 0
        {
            found.push((address, place));
        }
        line.clear();
    }
    Ok(found)
}

/// The rows of the table that have one of the wanted names: their letters (nm(1)) and addresses.
#[derive(Default)]
struct Rows(HashMap<&'static str, Vec<(u8, u64)>>);

impl Rows {
    fn read(names: impl IntoIterator<Item = &'static str>) -> Self {
        let table = std::fs::File::open(KALLSYMS).map(|file| BufReader::with_capacity(1 << 16, file));
        table.and_then(|table| Self::parse(table, names)).unwrap_or_default()
    }

    /// Lines of `ffffffff9a0b1c2d d name`, and `\t[module]` behind those of modules, which are not meant.
    fn parse(mut table: impl BufRead, names: impl IntoIterator<Item = &'static str>) -> io::Result<Self> {
        let wanted: HashMap<&[u8], &'static str> =
            names.into_iter().map(|name| (name.as_bytes(), name)).collect();
        // Most rows are told by their length alone.
        let longest = wanted.keys().map(|name| name.len()).max().unwrap_or(0);
        let mut lengths = vec![false; longest + 1];
        wanted.keys().for_each(|name| lengths[name.len()] = true);
        let mut rows = Self::default();
        let mut line = Vec::new();
        while table.read_until(b'\n', &mut line)? != 0 {
            if let [address @ .., b' ', letter, b' '] = line.get(..19).unwrap_or_default()
                && let name = line[19..].trim_ascii_end()
                && lengths.get(name.len()) == Some(&true)
                && let Some(name) = wanted.get(name)
                && let Some(address) =
                    str::from_utf8(address).ok().and_then(|a| u64::from_str_radix(a, 16).ok())
                && address != 0
                && b"bBdDrRtT".contains(letter)
            {
                rows.0.entry(name).or_default().push((*letter, address));
            }
            line.clear();
        }
        Ok(rows)
    }

    fn function(&self, name: &str) -> Option<u64> {
        self.0.get(name)?.iter().find(|(letter, _)| b"tT".contains(letter)).map(|(_, address)| *address)
    }

    /// A name that two files use is not the one that is meant. Linux 7 shows variables with the letter of code: what
    /// such a letter has is a variable when it lies behind the code.
    fn variables(&self) -> (Symbols, Addresses) {
        let end_of_code = match self.0.get(END_OF_CODE).map(Vec::as_slice) {
            Some([.., (_, address)]) => *address,
            _ => u64::MAX,
        };
        let variable = |letter: u8, address: u64| {
            b"bBdDrR".contains(&letter) || b"tT".contains(&letter) && address >= end_of_code
        };
        let alone = |(name, rows): (&&'static str, &Vec<(u8, u64)>)| match rows[..] {
            [(letter, address)] if variable(letter, address) && *name != END_OF_CODE => {
                Some((*name, address))
            }
            _ => None,
        };
        let addresses: Addresses = self.0.iter().filter_map(alone).collect();
        let mut symbols = Symbols::NONE;
        for (name, slot) in VARIABLES {
            *slot(&mut symbols) = addresses.get(name).copied().unwrap_or(0);
        }
        (symbols, addresses)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(table: &'static str, further: &[&'static str]) -> (Symbols, Addresses) {
        let names = VARIABLES.iter().map(|(name, _)| *name).chain(further.iter().copied());
        Rows::parse(table.as_bytes(), names.chain([END_OF_CODE])).unwrap().variables()
    }

    fn of(table: &'static str) -> Symbols {
        read(table, &["nr_files"]).0
    }

    #[test]
    fn variables_are_found_and_nothing_else() {
        let found = of("ffffffff81000000 T max_threads_fn\n\
                        ffffffff82000010 d sysctl_mount_max\n\
                        ffffffff82000020 b max_threads\n\
                        ffffffff82000030 T pid_max\n\
                        ffffffffc0000000 d nr_threads\t[module]\n");
        let expected = Symbols {
            sysctl_mount_max: 0xffff_ffff_8200_0010,
            max_threads: 0xffff_ffff_8200_0020,
            ..Symbols::NONE
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn further_names_are_looked_up_in_the_same_pass() {
        let table = "ffffffff82000010 d nr_files\nffffffff82000020 d pid_max\n";
        let (symbols, addresses) = read(table, &["nr_files", "pty_count"]);
        assert_eq!(symbols.pid_max, 0xffff_ffff_8200_0020);
        assert_eq!(addresses.get("nr_files"), Some(&0xffff_ffff_8200_0010));
        assert_eq!(addresses.get("pty_count"), None);
    }

    #[test]
    fn behind_the_code_there_are_variables_whatever_their_letter() {
        let found = of("ffffffff81000000 T max_threads\n\
                        ffffffff81800000 T _etext\n\
                        ffffffff82000010 t sysctl_mount_max\n");
        assert_eq!(found, Symbols { sysctl_mount_max: 0xffff_ffff_8200_0010, ..Symbols::NONE });
    }

    #[test]
    fn the_return_hook_is_a_function_of_the_kernel_proper() {
        let hook = |table: &str| Rows::parse(table.as_bytes(), [RETURN_HOOK]).unwrap().function(RETURN_HOOK);
        assert_eq!(hook("ffffffff81000010 T return_to_handler\n"), Some(0xffff_ffff_8100_0010));
        assert_eq!(hook("ffffffffc0000010 t return_to_handler\t[module]\n"), None);
        assert_eq!(hook("ffffffff82000010 d return_to_handler\n"), None);
    }

    #[test]
    fn functions_are_found_in_modules_too_and_under_shared_names() {
        let table = "ffffffff81000010 T path_mount\nffffffff81000020 t newseg\nffffffff81000030 d path_mount\n\
                     ffffffffc0000010 t ovl_fill_super\t[overlay]\nffffffff81000040 t newseg\n\
                     0000000000000000 t hidden\n";
        let names = ["newseg", "ovl_fill_super", "path_mount", "hidden", "missing"].map(str::to_owned);
        let found = functions_in(table.as_bytes(), &names).unwrap();
        let expected = [
            (0xffff_ffff_8100_0010, 2),
            (0xffff_ffff_8100_0020, 0),
            (0xffff_ffff_c000_0010, 1),
            (0xffff_ffff_8100_0040, 0),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn hidden_addresses_and_ambiguous_names_are_unknown() {
        assert_eq!(of("0000000000000000 D pid_max\n"), Symbols::NONE);
        assert_eq!(of("ffffffff82000010 d pid_max\nffffffff82000020 d pid_max\n"), Symbols::NONE);
        assert_eq!(of("not a table"), Symbols::NONE);
    }
}
