//! The kernel's trace ring buffer as bytes: what `trace_pipe_raw` hands out and what trace-cmd keeps in its files.

pub(super) mod calls;
pub(super) mod feed;
pub(super) mod format;
#[cfg(test)]
pub(super) mod made;
pub(super) mod merge;
pub(super) mod page;
pub(super) mod symbols;
pub(super) mod words;
