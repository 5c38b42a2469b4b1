//! Readers: beside the writer, after its death, and from a medium that cannot be written.

use super::{Gap, JournalError, schema, watches};
use crate::model::{Container, Incident, Stamp};
use rusqlite::{Connection, OpenFlags, params};
use std::path::{Path, PathBuf};

/// Which incidents.
#[derive(Debug, Clone, Default)]
pub struct Query {
    /// A container's id; all containers when `None`.
    pub container_id: Option<String>,
    /// Not before this time.
    pub since_unix_ns: Option<i64>,
    /// At most this many, the newest.
    pub most: Option<u32>,
}

#[derive(Debug)]
pub struct Reader {
    db: Connection,
    path: PathBuf,
}

impl Reader {
    pub fn open(path: &Path) -> Result<Self, JournalError> {
        if !path.exists() {
            return Err(JournalError::Missing(path.into()));
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
        let db = Connection::open_with_flags(path, flags).map_err(|e| JournalError::sql("open", path, e))?;
        let db = match schema::version(&db, path) {
            Ok(_) => db,
            // A WAL journal needs its -shm file, which a read-only medium cannot hold.
            Err(JournalError::Sql { .. }) => Self::immutable(path)?,
            Err(other) => return Err(other),
        };
        db.busy_timeout(std::time::Duration::from_secs(5)).map_err(|e| JournalError::sql("open", path, e))?;
        Ok(Self { db, path: path.into() })
    }

    /// Reads the main file alone: right for a file nobody writes any more.
    fn immutable(path: &Path) -> Result<Connection, JournalError> {
        let uri = format!(
            "file:{}?immutable=1",
            path.display().to_string().replace('%', "%25").replace('?', "%3f")
        );
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
        let db = Connection::open_with_flags(uri, flags).map_err(|e| JournalError::sql("open", path, e))?;
        schema::version(&db, path)?;
        Ok(db)
    }

    /// Containers by name, by the last parts of `namespace/pod/container`, by id or its beginning; an exact name
    /// first, then the one seen last.
    pub fn containers(&self, wanted: &str) -> Result<Vec<Container>, JournalError> {
        let err = |e| JournalError::sql("read", &self.path, e);
        let mut statement = self
            .db
            .prepare(
                "SELECT identity FROM container
                 WHERE name = ?1 OR id = ?1 OR (length(?1) >= 4 AND substr(id, 1, length(?1)) = ?1)
                     OR substr(name, -length(?1) - 1) = '/' || ?1
                 ORDER BY (name = ?1) DESC, seen_ns DESC",
            )
            .map_err(err)?;
        let rows = statement.query_map(params![wanted], |r| r.get::<_, String>(0)).map_err(err)?;
        rows.map(|row| Ok(serde_json::from_str(&row.map_err(err)?)?)).collect()
    }

    /// Names of the containers seen last, for "did you mean".
    pub fn names(&self, most: u32) -> Result<Vec<String>, JournalError> {
        let err = |e| JournalError::sql("read", &self.path, e);
        let mut statement = self
            .db
            .prepare("SELECT coalesce(name, id) FROM container ORDER BY seen_ns DESC LIMIT ?1")
            .map_err(err)?;
        let rows = statement.query_map(params![most], |r| r.get::<_, String>(0)).map_err(err)?;
        rows.collect::<rusqlite::Result<_>>().map_err(err)
    }

    /// When nobody watched, oldest first.
    pub fn gaps(&self, now_unix_ns: i64) -> Result<Vec<Gap>, JournalError> {
        watches::gaps(&self.db, now_unix_ns).map_err(|e| JournalError::sql("read", &self.path, e))
    }

    /// Incidents, newest first.
    pub fn incidents(&self, q: &Query) -> Result<Vec<Incident>, JournalError> {
        let err = |e| JournalError::sql("read", &self.path, e);
        let mut statement = self
            .db
            .prepare(
                "SELECT evidence, count, last_ns FROM incident
                 WHERE (?1 IS NULL OR container_id = ?1) AND time_ns >= ?2
                 ORDER BY time_ns DESC LIMIT ?3",
            )
            .map_err(err)?;
        let rows = statement
            .query_map(
                params![q.container_id, q.since_unix_ns.unwrap_or(i64::MIN), q.most.unwrap_or(1000)],
                |r| Ok((r.get::<_, String>(0)?, r.get::<_, i64>(1)?, r.get::<_, i64>(2)?)),
            )
            .map_err(err)?;
        rows.map(|row| {
            let (evidence, count, last) = row.map_err(err)?;
            let mut incident: Incident = serde_json::from_str(&evidence)?;
            incident.count = count.max(1) as u64;
            incident.last = Stamp { unix_ns: last, ..incident.last };
            Ok(incident)
        })
        .collect()
    }
}
