//! Talking to a running container: by its terminal, or by what stands in its place.
//!
//! Every container has a socket in its folder on which its supervisor listens ([`audience`]). Whoever attaches
//! ([`visit`]) gets the workload's output as it comes, may send input and the size of his window, and may leave again;
//! the messages are those of [`wire`]. The one who starts an interactive container is in the audience before its
//! first process exists, so he misses nothing. An `exec` has no supervisor: the caller holds the terminal
//! itself ([`direct`]).

pub(crate) mod audience;
pub(crate) mod direct;
pub(crate) mod keys;
pub(crate) mod near;
pub(crate) mod visit;
pub(crate) mod wire;

use serde::{Deserialize, Serialize};

use crate::lifecycle::Exit;

pub use keys::DetachKeys;

/// Size of a terminal in characters, ioctl_tty(2) TIOCGWINSZ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Lines.
    pub rows: u16,
    /// Characters a line.
    pub columns: u16,
}

impl Window {
    pub(crate) fn as_winsize(self) -> libc::winsize {
        libc::winsize { ws_row: self.rows, ws_col: self.columns, ws_xpixel: 0, ws_ypixel: 0 }
    }
}

/// Why a conversation with a container is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parting {
    /// The workload ended.
    Ended(Exit),
    /// The caller left by his detach keys; the container goes on.
    Detached,
    /// A signal, signal(7), asked the caller to end; the container goes on.
    Interrupted(i32),
}
