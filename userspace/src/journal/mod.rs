//! Incidents kept: one SQLite file, one writer, readers beside it, bounded in size and age.
//!
//! SQLite in WAL mode because a second process must read while `watch` writes, and because after a
//! `kill -9` of the writer everything committed is there and the file opens at once. What is stored is the
//! evidence (`model::Incident`), never the verdict: `explain` judges anew from the data.

mod reader;
mod schema;
mod watches;
mod writer;

pub use reader::{Query, Reader};
pub use watches::{ALIVE_EVERY, Gap};
pub use writer::{Bounds, Writer};

use std::path::PathBuf;

/// Where the journal is unless the user says otherwise.
pub const DEFAULT_PATH: &str = "/var/lib/diag/journal.db";

#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    #[error("there is no journal at {0}; `diag watch` writes one while it runs")]
    Missing(PathBuf),
    #[error("another diag watch (pid {pid}) writes the journal {path}; stop it or use --journal FILE")]
    Locked { path: PathBuf, pid: String },
    #[error(
        "the journal {path} is damaged ({source}); move it away and start again: mv {path} {path}.damaged"
    )]
    Damaged { path: PathBuf, source: rusqlite::Error },
    #[error(
        "the journal {path} was written by another version of diag (layout {found}, this one knows {known})"
    )]
    Version { path: PathBuf, found: i64, known: i64 },
    #[error("cannot {action} the journal {path}: {source}{}", way_out(source))]
    Io { action: &'static str, path: PathBuf, source: std::io::Error },
    #[error("cannot {action} the journal {path}: {source}")]
    Sql { action: &'static str, path: PathBuf, source: rusqlite::Error },
    #[error("a record of the journal cannot be read: {0}")]
    Record(#[from] serde_json::Error),
}

/// What to do about a refusal.
fn way_out(source: &std::io::Error) -> &'static str {
    match source.kind() {
        std::io::ErrorKind::PermissionDenied => "; it takes root, or a file of your own by --journal FILE",
        _ => "",
    }
}

impl JournalError {
    /// Sorts SQLite's refusals into what a user can act on.
    fn sql(action: &'static str, path: &std::path::Path, source: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
        let path = path.to_path_buf();
        match source.sqlite_error_code() {
            Some(DatabaseCorrupt | NotADatabase) => Self::Damaged { path, source },
            _ => Self::Sql { action, path, source },
        }
    }
}
