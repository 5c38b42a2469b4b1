//! What a program may be given when it starts (fs/exec.c `copy_strings()`, `bprm_stack_limits()`).

use super::{Ceiling, Limit, Usage};
use crate::model::KnobKind;

pub static ARGUMENT: Limit = Limit {
    id: "MAX_ARG_STRLEN",
    title: "length of one argument or environment variable",
    kind: KnobKind::Other,
    ceiling: Ceiling::Fixed(131_072),
    unit: "bytes",
    counted_per: "string, with its final NUL",
    usage: Usage::Hidden,
    default: 131_072,
    since: "2.6.23",
    see: "include/uapi/linux/binfmts.h; execve(2)",
};

/// Set by RLIMIT_STACK, of which it is a quarter.
pub static ARGUMENTS: Limit = Limit {
    id: "arguments of a new program",
    title: "arguments and environment of a new program, all together",
    kind: KnobKind::Rlimit,
    ceiling: Ceiling::Rlimit("Max stack size"),
    unit: "bytes",
    counted_per: "execve(2): strings and a pointer for each, against a quarter of the limit",
    usage: Usage::Hidden,
    default: 8 << 20,
    since: "2.6.23",
    see: "fs/exec.c bprm_stack_limits(); execve(2)",
};
