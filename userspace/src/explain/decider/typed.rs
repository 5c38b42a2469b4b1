//! A return register as what it means: by the function's type, and only if that can be trusted.
//!
//! The register of a function without a result holds whatever was left in it, often the errno that a callee
//! returned a moment before; EPERM is -1, which an unsigned `(uid_t)-1` looks like; an `int` of -28 has zeros
//! in its upper half, a pointer of -28 has not.

use super::probing;
use crate::model::{Call, Errno, Gives, Prototype, Returned, base_name};
use std::collections::BTreeMap;

/// `MAX_ERRNO` (include/linux/err.h).
const MAX_ERRNO: i64 = 4095;
/// Addresses of the kernel begin here on 64-bit machines.
const KERNEL_HALF: i64 = i64::MIN;

/// What a call told its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    /// Nothing that can be read.
    Nothing,
    Errno(i64),
    /// A bool, or a number that is no errno.
    Bool(bool),
    Value(i64),
    Null,
    /// A pointer to something.
    Something,
}

/// One call with what it told, and what of that is to be believed.
#[derive(Debug)]
pub(super) struct Node<'a> {
    pub(super) name: &'a str,
    pub(super) prototype: Option<&'a Prototype>,
    pub(super) said: Said,
    /// It returned the error that is looked for, and the register is no leftover.
    pub(super) tells: bool,
    /// It may have returned an error, and nobody saw what it returned.
    pub(super) unseen: bool,
    pub(super) children: Vec<Node<'a>>,
}

/// Reads a call tree for one errno.
pub(super) struct Reading<'a> {
    types: &'a BTreeMap<String, Prototype>,
    errno: i64,
    /// Somebody has returned it by now, so a register that nobody wrote may hold it.
    exists: bool,
}

impl<'a> Reading<'a> {
    pub(super) fn of(call: &'a Call, types: &'a BTreeMap<String, Prototype>, errno: i64) -> Node<'a> {
        let mut root = Self { types, errno, exists: false }.node(call);
        // An entry of a system call returns `long`, whatever the types know of it.
        root.said = call.ret.map_or(Said::Nothing, |raw| typed(Gives::Long, raw));
        root.tells = root.said == Said::Errno(errno);
        root
    }

    fn node(&mut self, call: &'a Call) -> Node<'a> {
        let before = self.exists;
        let children: Vec<_> = call.children.iter().map(|child| self.node(child)).collect();
        let prototype = self.types.get(&call.name);
        let said = match (call.ret, prototype) {
            (None, _) => Said::Nothing,
            (Some(raw), Some(prototype)) => typed(prototype.gives, raw),
            (Some(raw), None) => guessed(raw),
        };
        // A compiler's suffix says that the function was changed, its result perhaps removed.
        let own_type = prototype.is_some() && base_name(&call.name) == call.name;
        let believed = own_type || !before || children.iter().any(|child| child.tells);
        let tells = said == Said::Errno(self.errno) && believed;
        self.exists |= tells;
        let unseen = probing::may_have_told(call, self.types);
        Node { name: base_name(&call.name), prototype, said, tells, unseen, children }
    }
}

/// The error that a call returned, where its return was recorded.
pub fn errno(call: &Call, types: &BTreeMap<String, Prototype>) -> Option<Errno> {
    match said(call, types) {
        Said::Errno(errno) => i32::try_from(errno).ok().map(Errno),
        _ => None,
    }
}

/// What a call returned, in words: `ENOSPC`, `0`, `true`, `NULL`, `pointer`. No addresses.
pub fn words(call: &Call, types: &BTreeMap<String, Prototype>) -> Option<String> {
    match said(call, types) {
        Said::Nothing => None,
        Said::Errno(errno) => {
            Some(i32::try_from(errno).map_or_else(|_| errno.to_string(), |e| Errno(e).name()))
        }
        Said::Bool(value) => Some(value.to_string()),
        Said::Value(value) if (KERNEL_HALF..-MAX_ERRNO).contains(&value) => Some("pointer".into()),
        Said::Value(value) => Some(value.to_string()),
        Said::Null => Some("NULL".into()),
        Said::Something => Some("pointer".into()),
    }
}

/// By the type, that of an entry of a system call being known, or guessed without one.
fn said(call: &Call, types: &BTreeMap<String, Prototype>) -> Said {
    let Some(raw) = call.ret else { return Said::Nothing };
    let entry = call.name.contains("_sys_") && call.name.starts_with("__");
    match types.get(&call.name) {
        _ if entry => typed(Gives::Long, raw),
        Some(prototype) => typed(prototype.gives, raw),
        None => guessed(raw),
    }
}

fn typed(gives: Gives, raw: u64) -> Said {
    let number =
        |value: i64| if (-MAX_ERRNO..0).contains(&value) { Said::Errno(-value) } else { Said::Value(value) };
    match gives {
        Gives::Nothing | Gives::Other => Said::Nothing,
        Gives::Int => number(i64::from(raw as u32 as i32)),
        Gives::Long => number(raw as i64),
        Gives::Pointer => match number(raw as i64) {
            Said::Value(0) => Said::Null,
            Said::Value(_) => Said::Something,
            errno => errno,
        },
        // Only the lowest byte is the function's own (System V ABI, _Bool).
        Gives::Bool => Said::Bool(raw & 0xff != 0),
        Gives::Number(bytes) if bytes < 8 => Said::Value((raw & ((1 << (8 * bytes)) - 1)) as i64),
        Gives::Number(_) => Said::Value(raw as i64),
    }
}

/// Without a type: an errno if it looks like one as `int` or as `long`.
fn guessed(raw: u64) -> Said {
    let wide = typed(Gives::Long, raw);
    match (wide, raw >> 32) {
        (Said::Errno(_), _) => wide,
        (_, 0) => match typed(Gives::Int, raw) {
            errno @ Said::Errno(_) => errno,
            _ => Said::Nothing,
        },
        _ => Said::Nothing,
    }
}

impl Node<'_> {
    /// For the report: nothing without a type, and no address.
    pub(super) fn returned(&self) -> Option<Returned> {
        self.prototype?;
        let value = match self.said {
            Said::Errno(errno) => -errno,
            Said::Bool(value) => i64::from(value),
            Said::Value(value) if value > KERNEL_HALF && value < -MAX_ERRNO && self.is_wide() => return None,
            Said::Value(value) => value,
            Said::Null => 0,
            Said::Nothing | Said::Something => return None,
        };
        Some(Returned { function: self.name.to_owned(), value })
    }

    fn is_wide(&self) -> bool {
        self.prototype.is_some_and(|p| matches!(p.gives, Gives::Long | Gives::Number(8)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_are_read_by_their_type() {
        let (int, long) = (0xffff_ffe4, -28i64 as u64);
        assert_eq!(typed(Gives::Int, int), Said::Errno(28));
        assert_eq!(typed(Gives::Int, long), Said::Errno(28));
        assert_eq!(typed(Gives::Long, int), Said::Value(0xffff_ffe4));
        assert_eq!(typed(Gives::Long, long), Said::Errno(28));
        assert_eq!(typed(Gives::Pointer, long), Said::Errno(28));
        assert_eq!(typed(Gives::Pointer, 0), Said::Null);
        assert_eq!(typed(Gives::Pointer, 0xffff_8881_0000_0000), Said::Something);
        assert_eq!(typed(Gives::Bool, 0xffff_ff00), Said::Bool(false));
        assert_eq!(typed(Gives::Number(4), u64::from(u32::MAX)), Said::Value(0xffff_ffff));
        assert_eq!(typed(Gives::Nothing, long), Said::Nothing);
        assert_eq!(guessed(int), Said::Errno(28));
        assert_eq!(guessed(1), Said::Nothing);
    }
}
