//! What people were told: the words of engines, which the system calls have to be matched with.

use serde::{Deserialize, Serialize};

/// A sentence that a user saw, or can see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// Who said it: `docker`, or the command that was run.
    pub by: String,
    pub text: String,
    /// The container it was said of, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// By an engine, which may say things that no system call said.
    pub engine: bool,
}

/// A sentence matched with the failure that was behind it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chain {
    pub by: String,
    pub text: String,
    /// From what the user saw down to the kernel.
    pub links: Vec<String>,
    /// The sentence still has the kernel's errno.
    pub keeps_errno: bool,
}
