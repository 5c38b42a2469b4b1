//! The tables, and their version.

use super::{JournalError, watches};
use rusqlite::Connection;
use std::path::Path;

/// Raised when the tables or the stored form of an incident change.
pub(super) const VERSION: i64 = 1;

const TABLES: &str = "
CREATE TABLE IF NOT EXISTS incident (
    id           INTEGER PRIMARY KEY,
    time_ns      INTEGER NOT NULL,  -- first seen, nanoseconds since 1970
    last_ns      INTEGER NOT NULL,
    count        INTEGER NOT NULL,
    container_id TEXT,
    name         TEXT,
    syscall      TEXT,
    errno        TEXT,
    evidence     TEXT NOT NULL      -- model::Incident as JSON
);
CREATE INDEX IF NOT EXISTS incident_time ON incident (time_ns);
CREATE INDEX IF NOT EXISTS incident_container ON incident (container_id);
CREATE TABLE IF NOT EXISTS container (
    id        TEXT PRIMARY KEY,
    name      TEXT,
    engine    TEXT NOT NULL,
    seen_ns   INTEGER NOT NULL,
    identity  TEXT NOT NULL         -- model::Container as JSON
);
CREATE INDEX IF NOT EXISTS container_name ON container (name);
";

/// Creates what is missing and refuses a layout from another version.
pub(super) fn prepare(db: &Connection, path: &Path) -> Result<(), JournalError> {
    let err = |e| JournalError::sql("prepare", path, e);
    let found = version(db, path)?;
    if found == 0 {
        // Only before the first table exists can the file be told to give pages back later.
        db.execute_batch("PRAGMA auto_vacuum = INCREMENTAL;").map_err(err)?;
    }
    db.pragma_update(None, "journal_mode", "WAL").map_err(err)?;
    // NORMAL: a commit survives the death of this process; only a power cut may take the last ones.
    db.pragma_update(None, "synchronous", "NORMAL").map_err(err)?;
    if found == 0 {
        db.execute_batch(TABLES).map_err(err)?;
        db.pragma_update(None, "user_version", VERSION).map_err(err)?;
    }
    // Younger than the layout, which it leaves as it was.
    db.execute_batch(watches::TABLE).map_err(err)
}

/// The layout's version; 0 for an empty file.
pub(super) fn version(db: &Connection, path: &Path) -> Result<i64, JournalError> {
    let found: i64 = db
        .query_row("PRAGMA user_version", [], |r| r.get(0))
        .map_err(|e| JournalError::sql("open", path, e))?;
    if found != 0 && found != VERSION {
        return Err(JournalError::Version { path: path.into(), found, known: VERSION });
    }
    Ok(found)
}
