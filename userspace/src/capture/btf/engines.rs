//! Where the kernel keeps the words that a program was started with.

use super::offsets::Resolved;
use super::{Btf, Want};
use Want::{Int, Pointer};
use diag_abi::EngineOffsets;

/// Command lines of engines' programs as they start.
pub const ENGINES: &str = "command lines of engines";

type Row = (&'static str, &'static str, Want, fn(&mut EngineOffsets) -> &mut u32);

const FIELDS: &[Row] = &[
    ("task_struct", "mm", Pointer("mm_struct"), |o| &mut o.task_mm),
    ("mm_struct", "arg_start", Int(8), |o| &mut o.arg_start),
    ("mm_struct", "arg_end", Int(8), |o| &mut o.arg_end),
    ("mm_struct", "env_end", Int(8), |o| &mut o.env_end),
];

/// Looks up every field and adds what is missing to what else is.
pub(super) fn resolve(btf: &Btf<'_>, resolved: &mut Resolved) {
    for (structure, path, want, slot) in FIELDS {
        match btf.member(structure, path, *want) {
            Ok(offset) => *slot(&mut resolved.engines) = offset,
            Err(why) if resolved.why_not(ENGINES).is_none() => {
                resolved.missing.push((ENGINES, why.to_string()));
            }
            Err(_) => {}
        }
    }
}

/// Every member that is looked up, for tests that hold it against another implementation.
pub fn looked_up() -> impl Iterator<Item = (&'static str, &'static str, Want)> {
    FIELDS.iter().map(|(structure, path, want, _)| (*structure, *path, *want))
}
