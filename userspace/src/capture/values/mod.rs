//! Kernel values that the probe reads by recipe: which ones for which system call, and where they are.
//!
//! What the kernel holds against what is mostly one number in a structure that the task points to, or one global
//! variable. Both are gone or changed a millisecond later, and some (`pipe_bufs` of a user) are shown nowhere. So
//! the probe reads them before the call returns; [`table`] says which, [`held`] what they mean.

mod held;
mod ipc;
mod memory;
mod table;

use super::btf::{Btf, Want};
use super::symbols::Addresses;
use crate::model::{Arg, Reading, Taken};
use diag_abi::{
    NO_INDEX, STAGE_COUNTS, STAGE_KEYS, SyscallFailure, VALUE_ERRNOS, VALUE_FILE, VALUE_NONE, VALUE_SYMBOL,
    VALUE_TASK, VALUE_USER, VALUES, ValueAt, ValueSet,
};

/// One member of a structure.
pub(super) type Step = (&'static str, &'static str, Want);

/// What is added to the place that a chain of members leads to.
#[derive(Debug, Clone, Copy)]
pub(super) enum Add {
    Bytes(u32),
    /// So many structures of that name.
    Elements(&'static str, u32),
    /// A member inside, whose size then counts.
    Member(Step),
}

/// Where a value is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place {
    /// From the task along pointers; the last member is the value.
    Task(&'static [Step], &'static [Add]),
    /// An element of such an array, chosen by an argument: (chain, offset in the element, argument, stride, bytes).
    Chosen(&'static [Step], u32, u8, u16, u8),
    /// A variable: name, offset in it, bytes.
    Variable(&'static str, Option<Step>, u8),
    /// The caller's memory behind an argument: argument, offset, bytes.
    Caller(u8, i32, u8),
    /// The same from the structure that contains the inode: (argument, structure, its inode, the value).
    AroundInode(u8, &'static str, &'static str, Step),
    /// Filled by a later stage.
    Later,
}

/// What another stage adds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    Nothing,
    /// A counter of the user, by its name in `enum ucount_type`.
    Count(&'static str),
    Keys,
}

/// What is read when one of some calls fails with one of some errnos.
pub(super) struct Set {
    pub(super) calls: &'static [&'static str],
    pub(super) errnos: &'static [i32],
    pub(super) then: Then,
    pub(super) values: &'static [(&'static str, Place)],
}

/// Every set, in the order of their numbers.
fn sets() -> impl Iterator<Item = &'static Set> {
    table::OBJECTS.iter().chain(ipc::SETS).chain(memory::SETS)
}

/// The number of a call's set; 0 for none.
pub(super) fn set_of(call: &str) -> u32 {
    sets().position(|set| set.calls.contains(&call)).map_or(0, |index| index as u32 + 1)
}

/// Every variable whose address is needed.
pub(super) fn symbols() -> Vec<&'static str> {
    let values = sets().flat_map(|set| set.values);
    let mut names: Vec<_> = values
        .filter_map(|(_, place)| match place {
            Place::Variable(name, ..) => Some(*name),
            _ => None,
        })
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// The recipes on this kernel. A value that it does not have, or has in another form, is not read.
pub(super) fn resolve(btf: &Btf<'_>) -> Vec<ValueSet> {
    sets().map(|set| recipe(btf, set)).collect()
}

fn recipe(btf: &Btf<'_>, set: &Set) -> ValueSet {
    let mut out = ValueSet::NONE;
    for (slot, errno) in out.errnos.iter_mut().zip(set.errnos.iter().take(VALUE_ERRNOS)) {
        *slot = errno.unsigned_abs();
    }
    match set.then {
        Then::Nothing => {}
        Then::Keys => out.then = STAGE_KEYS,
        Then::Count(name) => {
            if let Ok(value) = btf.enumerator("ucount_type", name) {
                (out.then, out.then_what) = (STAGE_COUNTS, value);
            }
        }
    }
    for (slot, (_, place)) in out.at.iter_mut().zip(set.values) {
        *slot = locate(btf, place).unwrap_or(ValueAt::NONE);
    }
    out
}

/// The recipes with the addresses of this boot; a variable that was not found is not read.
pub(super) fn located(recipes: &[ValueSet], addresses: &Addresses) -> Vec<ValueSet> {
    let sets = sets().zip(recipes);
    sets.map(|(set, recipe)| {
        let mut recipe = *recipe;
        for (at, (_, place)) in recipe.at.iter_mut().zip(set.values) {
            if let Place::Variable(name, ..) = place {
                match addresses.get(name) {
                    Some(address) if at.kind == VALUE_SYMBOL => at.base = *address,
                    _ => *at = ValueAt::NONE,
                }
            }
        }
        recipe
    })
    .collect()
}

fn locate(btf: &Btf<'_>, place: &Place) -> Option<ValueAt> {
    match *place {
        Place::Task(chain, add) => {
            let mut at = follow(btf, VALUE_TASK, chain)?;
            let last = &mut at.offsets[usize::from(at.steps)];
            for add in add {
                match *add {
                    Add::Bytes(bytes) => *last += i32::try_from(bytes).ok()?,
                    Add::Elements(of, count) => *last += i32::try_from(btf.size_of(of).ok()? * count).ok()?,
                    Add::Member((structure, path, want)) => {
                        *last += i32::try_from(btf.member(structure, path, want).ok()?).ok()?;
                        at.size = size(want)?;
                    }
                }
            }
            Some(at)
        }
        Place::Chosen(chain, inside, index, stride, size) => {
            let mut at = follow(btf, VALUE_TASK, chain)?;
            at.offsets[usize::from(at.steps)] += i32::try_from(inside).ok()?;
            Some(ValueAt { index, stride, size, ..at })
        }
        Place::Variable(_, member, size) => {
            let offset = match member {
                Some((structure, path, want)) => btf.member(structure, path, want).ok()?,
                None => 0,
            };
            let offsets = [i32::try_from(offset).ok()?, 0, 0, 0];
            Some(ValueAt { kind: VALUE_SYMBOL, size, offsets, ..ValueAt::NONE })
        }
        Place::Caller(arg, offset, size) => {
            Some(ValueAt { kind: VALUE_USER, arg, size, offsets: [offset, 0, 0, 0], ..ValueAt::NONE })
        }
        Place::AroundInode(arg, structure, inode, (of, path, want)) => {
            let to_inode = btf.member("file", "f_inode", Want::Pointer("inode")).ok()?;
            let inside = btf.member(structure, inode, Want::Struct("inode")).ok()?;
            let value = btf.member(of, path, want).ok()?;
            let back = i32::try_from(value).ok()? - i32::try_from(inside).ok()?;
            let offsets = [i32::try_from(to_inode).ok()?, back, 0, 0];
            Some(ValueAt { kind: VALUE_FILE, arg, steps: 1, size: size(want)?, offsets, ..ValueAt::NONE })
        }
        Place::Later => None,
    }
}

fn follow(btf: &Btf<'_>, kind: u8, chain: &[Step]) -> Option<ValueAt> {
    let mut at = ValueAt { kind, ..ValueAt::NONE };
    for (slot, (structure, path, want)) in at.offsets.iter_mut().zip(chain) {
        *slot = i32::try_from(btf.member(structure, path, *want).ok()?).ok()?;
        at.size = size(*want)?;
    }
    at.steps = u8::try_from(chain.len()).ok()?.checked_sub(1)?;
    (usize::from(at.steps) < at.offsets.len()).then_some(at)
}

fn size(want: Want) -> Option<u8> {
    match want {
        Want::Int(bytes) | Want::Sized(bytes) | Want::Array(bytes) => u8::try_from(bytes).ok(),
        _ => Some(8),
    }
}

/// What was read, by name.
#[derive(Debug, Default, Clone)]
pub(super) struct Values(Vec<(&'static str, u64)>);

impl Values {
    pub(super) fn get(&self, name: &str) -> Option<u64> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }
}

/// The readings of a record: every value under its own name, and what they come to for limits.
pub(super) fn readings(record: &SyscallFailure, call: &str, args: &[Arg]) -> Vec<Reading> {
    let Some(set) = sets().find(|set| set.calls.contains(&call)) else { return Vec::new() };
    let read = |index: usize| record.values_read & (1 << index) != 0;
    let values = Values(
        set.values
            .iter()
            .enumerate()
            .filter(|(i, _)| read(*i))
            .map(|(i, v)| (v.0, record.values[i]))
            .collect(),
    );
    let mut out = held::readings(&values, record, call, args);
    out.extend(values.0.iter().filter(|(name, _)| !name.starts_with('~')).map(|(n, value)| plain(n, *value)));
    let words =
        [(LANDLOCKED, landlocked(&values)), (FIRST_WORD, values.get("~landlock domain").map(|d| d != 0))];
    out.extend(words.into_iter().filter_map(|(name, is)| Some(plain(name, is?.into()))));
    out
}

fn plain(name: &str, value: u64) -> Reading {
    Reading {
        limit: name.into(),
        scope: String::new(),
        ceiling: None,
        usage: Some(value),
        adds: None,
        hits: None,
        unit: String::new(),
        taken: Taken::AtInstant,
        source: "the kernel's own variable".into(),
    }
}

/// Whether the task was in a Landlock domain: a fact of the kernel's that no file shows.
const LANDLOCKED: &str = "in a Landlock domain";
/// Whether the first word of its credentials' blob is set, whoever's that is: where the kernel hides its variables, the
/// order of the modules tells.
const FIRST_WORD: &str = "first word of cred.security";

/// Landlock's part of the credentials' blob begins at the offset that it was given at boot. It is the first module of
/// the usual lists, so that this is 0; elsewhere the word read is not Landlock's, and nothing is said.
fn landlocked(values: &Values) -> Option<bool> {
    (values.get("~landlock blob")? == 0).then_some(())?;
    Some(values.get("~landlock domain")? != 0)
}

const _: () = assert!(VALUE_NONE == 0 && NO_INDEX == 0xff && VALUES <= 32);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_fit_and_no_call_is_in_two() {
        let mut seen = Vec::new();
        for set in sets() {
            assert!(set.values.len() <= VALUES && set.errnos.len() <= VALUE_ERRNOS, "{:?}", set.calls);
            for call in set.calls {
                assert!(!seen.contains(call), "{call} twice");
                seen.push(call);
            }
        }
        assert!(sets().count() < diag_abi::VALUE_SETS as usize);
        assert_eq!(set_of("no such call"), 0);
    }

    /// The domain is an address of the kernel's: that there is one is told, and where it is not.
    #[test]
    fn a_landlock_domain_is_told_where_its_word_is_known() {
        let read = |blob: u64, domain: u64| {
            landlocked(&Values(vec![("~landlock domain", domain), ("~landlock blob", blob)]))
        };
        assert_eq!(read(0, 0xffff_8880_1234_5678), Some(true));
        assert_eq!(read(0, 0), Some(false));
        assert_eq!(read(8, 0xffff_8880_1234_5678), None, "another module's word");
        assert_eq!(landlocked(&Values(vec![("~landlock domain", 1)])), None);
    }

    #[test]
    fn a_value_is_a_reading_under_its_own_name() {
        let mut record =
            <SyscallFailure as diag_abi::Record>::from_bytes(&[0; size_of::<SyscallFailure>()]).unwrap();
        let set = sets().find(|set| set.calls.contains(&"syslog")).unwrap();
        let index = set.values.iter().position(|v| v.0 == "kernel.dmesg_restrict").unwrap();
        (record.values[index], record.values_read) = (1, 1 << index);
        let readings = readings(&record, "syslog", &[]);
        assert_eq!((readings[0].limit.as_str(), readings[0].usage), ("kernel.dmesg_restrict", Some(1)));
    }
}
