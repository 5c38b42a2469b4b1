//! Which system call table a number belongs to.

use serde::{Deserialize, Serialize};

/// The ABI a task used to enter the kernel: its numbers and argument registers differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Abi {
    /// The machine's own table (x86-64 or arm64).
    Native,
    /// The 32-bit table (`int 0x80` or `sysenter` on x86).
    Compat,
}
