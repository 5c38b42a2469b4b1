//! Where the kernel keeps the variables behind some sysctls, so that the probes can read a ceiling at the
//! instant it refused somebody: a moment later an administrator may have raised it.

use diag_abi::Symbols;
use std::collections::HashMap;
use std::io::{self, BufRead, BufReader};

const KALLSYMS: &str = "/proc/kallsyms";

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
    let table = std::fs::File::open(KALLSYMS).map(|file| BufReader::with_capacity(1 << 16, file));
    table.and_then(|table| parse(table, further)).unwrap_or((Symbols::NONE, Addresses::new()))
}

/// The address of a function of the kernel proper; `None` when the table hides it.
pub(super) fn function(name: &str) -> Option<u64> {
    let mut table = BufReader::with_capacity(1 << 16, std::fs::File::open(KALLSYMS).ok()?);
    let mut line = String::new();
    while table.read_line(&mut line).ok()? != 0 {
        let mut words = line.split_ascii_whitespace();
        if let (Some(address), Some("t" | "T"), Some(found)) = (words.next(), words.next(), words.next())
            && found == name
        {
            return u64::from_str_radix(address, 16).ok().filter(|address| *address != 0);
        }
        line.clear();
    }
    None
}

/// Lines of `ffffffff9a0b1c2d d name [module]` (nm(1) letters). A module's variable, or a name that two
/// files use, is not the one that is meant. Linux 7 shows variables with the letter of code: what such a letter
/// has is a variable when it lies behind the code, which ends at `_etext`.
fn parse(mut table: impl BufRead, further: &[&'static str]) -> io::Result<(Symbols, Addresses)> {
    const END_OF_CODE: &str = "_etext";
    let names = VARIABLES.iter().map(|(name, _)| *name).chain(further.iter().copied());
    let wanted: HashMap<&str, &'static str> = names.map(|name| (name, name)).collect();
    // Whether its letter is one of variables, and its address; `None` for a name that stands twice.
    let mut found: HashMap<&'static str, Option<(bool, u64)>> = HashMap::new();
    let mut end_of_code = u64::MAX;
    let mut line = String::new();
    while table.read_line(&mut line)? != 0 {
        let mut words = line.split_ascii_whitespace();
        if let (Some(address), Some(kind), Some(name), None) =
            (words.next(), words.next(), words.next(), words.next())
            && let Some(address) = u64::from_str_radix(address, 16).ok().filter(|address| *address != 0)
        {
            if name == END_OF_CODE {
                end_of_code = address;
            } else if let Some(name) = wanted.get(name).filter(|_| "bBdDrRtT".contains(kind)) {
                let data = !"tT".contains(kind);
                found.entry(name).and_modify(|twice| *twice = None).or_insert(Some((data, address)));
            }
        }
        line.clear();
    }
    let addresses: Addresses = found
        .into_iter()
        .filter_map(|(name, known)| known.map(|(data, address)| (name, data, address)))
        .filter(|(_, data, address)| *data || *address >= end_of_code)
        .map(|(name, _, address)| (name, address))
        .collect();
    let mut symbols = Symbols::NONE;
    for (name, slot) in VARIABLES {
        *slot(&mut symbols) = addresses.get(name).copied().unwrap_or(0);
    }
    Ok((symbols, addresses))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(table: &str) -> Symbols {
        parse(table.as_bytes(), &["nr_files"]).unwrap().0
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
        let (symbols, addresses) = parse(table.as_bytes(), &["nr_files", "pty_count"]).unwrap();
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
    fn hidden_addresses_and_ambiguous_names_are_unknown() {
        assert_eq!(of("0000000000000000 D pid_max\n"), Symbols::NONE);
        assert_eq!(of("ffffffff82000010 d pid_max\nffffffff82000020 d pid_max\n"), Symbols::NONE);
        assert_eq!(of("not a table"), Symbols::NONE);
    }
}
