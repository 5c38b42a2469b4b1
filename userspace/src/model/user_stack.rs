//! The user side of the path: which code of the engine or the application made the call.

use serde::{Deserialize, Serialize};

/// The caller's own functions, as far as they could be found.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct UserStack {
    /// Innermost first: the function that holds the system call's instruction.
    pub frames: Vec<UserFrame>,
    /// What is missing, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// What the frames are made from; not kept with evidence.
    #[serde(skip)]
    pub site: Option<Box<CallSite>>,
}

/// One function that had not returned yet.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct UserFrame {
    /// In the process's memory.
    pub address: u64,
    /// The file that it was mapped from, as the process calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub module: Option<String>,
    /// The file's own name for itself: the note that its linker wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build_id: Option<String>,
    /// The address as the file has it, by which symbols that are elsewhere are found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub function: Option<String>,
    /// Bytes from the function's start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
}

impl UserFrame {
    /// The last part of the module's path. A runtime that copied itself out of everybody's reach runs from `/`.
    pub fn module_name(&self) -> Option<&str> {
        self.module.as_deref().map(|path| path.rsplit('/').find(|part| !part.is_empty()).unwrap_or(path))
    }
}

/// The caller's registers and the top of its stack at the call.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CallSite {
    pub ip: u64,
    pub sp: u64,
    pub bp: u64,
    /// Return addresses that the kernel found by frame pointers; the first is `ip`.
    pub chain: Vec<u64>,
    /// The words at `sp` and above.
    pub top: Vec<u64>,
    /// 32-bit code.
    pub compat: bool,
}

impl CallSite {
    /// A word of the copied stack.
    pub fn word(&self, address: u64) -> Option<u64> {
        let at = address.checked_sub(self.sp).filter(|at| at.is_multiple_of(8))? / 8;
        self.top.get(usize::try_from(at).ok()?).copied()
    }
}
