//! What the arguments of a system call are called and what they mean.
//!
//! The table names them as the man pages do; for mount(2) with the short names its users use (`fstype`,
//! `flags`). It also says which arguments are strings, which is what the probe reads.

mod flags;
mod secrets;
mod table;

use crate::model::{Abi, Arg, ArgValue};
use diag_abi::bounds::{ARGS, LONG_SLOT, SLOTS};
use flags::Words;

/// How an argument is read and shown.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    /// A size, an address, an offset: all 64 bits.
    Long,
    /// A C `int`: 32 bits, the upper half may hold anything.
    Int,
    /// A file descriptor, or `AT_FDCWD`.
    Fd,
    /// A path or a name.
    Text,
    /// The data of mount(2), the only string with a long slot.
    Data,
    Flags(Words),
    /// One of several values.
    Choice(Words),
    /// Permission bits, shown in octal.
    Octal,
    /// The flags of clone(2), whose low byte is a signal.
    CloneFlags,
    /// Never shown, and what it points to never read.
    Secret,
    /// An array of strings: never shown, only measured.
    Strings,
}

/// System calls that share their parameters.
#[derive(Debug)]
pub(crate) struct Call {
    names: &'static [&'static str],
    params: &'static [(&'static str, Kind)],
}

/// A string as the probe delivered it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Text {
    Null,
    Unread,
    Read(String),
}

/// The row of a system call. i386 has the arguments of some calls in another order.
pub(crate) fn find(name: &str, abi: Abi) -> Option<&'static Call> {
    let compat = match abi {
        Abi::Compat => table::COMPAT.iter().find(|call| call.names.contains(&name)),
        Abi::Native => None,
    };
    compat.or_else(|| table::CALLS.iter().find(|call| call.names.contains(&name)))
}

/// Which argument goes to which string slot of a record.
pub fn string_slots(name: &str, abi: Abi) -> [Option<u8>; SLOTS] {
    let mut slots = [None; SLOTS];
    let Some(call) = find(name, abi) else { return slots };
    let mut next = 0;
    for (index, (_, kind)) in (0_u8..).zip(call.params) {
        match kind {
            Kind::Text if next < LONG_SLOT => {
                slots[next] = Some(index);
                next += 1;
            }
            Kind::Data => slots[LONG_SLOT] = Some(index),
            _ => {}
        }
    }
    slots
}

/// The arguments of a failed call, with the strings the probe read for them.
pub fn describe(name: &str, abi: Abi, values: &[u64; ARGS], strings: &[Option<Text>; SLOTS]) -> Vec<Arg> {
    let Some(call) = find(name, abi) else {
        let unnamed = values.iter().enumerate();
        return unnamed
            .map(|(index, value)| Arg { name: format!("arg{index}"), value: ArgValue::Number(*value) })
            .collect();
    };
    let slots = string_slots(name, abi);
    let params = (0_u8..).zip(call.params).zip(values);
    let mut args: Vec<Arg> = params
        .map(|((index, (name, kind)), value)| {
            let slot = slots.iter().position(|slot| *slot == Some(index));
            let text = slot.and_then(|slot| strings[slot].as_ref());
            Arg { name: (*name).to_owned(), value: show(*kind, *value, text) }
        })
        .collect();
    secrets::redact(name, &mut args);
    args
}

fn show(kind: Kind, value: u64, text: Option<&Text>) -> ArgValue {
    let int = value as u32;
    match kind {
        Kind::Long => ArgValue::Number(value),
        Kind::Int => match int as i32 {
            // Shown as what the program passed, not as 4294967295.
            negative @ ..=-1 => named(value_of(negative), negative.to_string()),
            _ => ArgValue::Number(u64::from(int)),
        },
        Kind::Fd => match int as i32 {
            libc::AT_FDCWD => named(value_of(libc::AT_FDCWD), "AT_FDCWD".into()),
            negative @ ..=-1 => named(value_of(negative), negative.to_string()),
            _ => ArgValue::Number(u64::from(int)),
        },
        Kind::Text | Kind::Data => match text {
            Some(Text::Read(text)) => ArgValue::Text(text.clone()),
            Some(Text::Null) => ArgValue::Null,
            Some(Text::Unread) | None => ArgValue::Unread,
        },
        Kind::Flags(words) => {
            let raw = flags::without_magic(words, u64::from(int));
            named(raw, flags::join(words, raw))
        }
        Kind::Choice(words) => match flags::exactly(words, u64::from(int)) {
            Some(word) => named(u64::from(int), word.to_owned()),
            None => ArgValue::Number(u64::from(int)),
        },
        Kind::Octal => named(u64::from(int), format!("0{int:o}")),
        Kind::CloneFlags => named(value, flags::clone(value)),
        Kind::Secret | Kind::Strings if value == 0 => ArgValue::Null,
        Kind::Strings => ArgValue::Withheld { at: value },
        Kind::Secret => ArgValue::Redacted,
    }
}

fn named(raw: u64, words: String) -> ArgValue {
    ArgValue::Flags { raw, words }
}

/// clone3's flags, which the probe reads from memory; its exit signal is a field of its own.
pub(crate) fn clone3_flags(raw: u64) -> ArgValue {
    named(raw, flags::join(flags::CLONE, raw))
}

/// A negative C `int` in 64 bits.
fn value_of(int: i32) -> u64 {
    i64::from(int) as u64
}

#[cfg(test)]
mod tests;
