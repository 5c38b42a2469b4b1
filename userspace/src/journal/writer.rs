//! The one writer: a lock, small transactions, and bounds that are kept as it writes.

use super::{JournalError, schema, watches};
use crate::model::{Container, GraphEvidence, Incident, Stamp};
use nix::fcntl::{Flock, FlockArg};
use rusqlite::{Connection, OptionalExtension, params};
use std::{
    fs::{self, File, OpenOptions},
    io::{Read, Write},
    path::{Path, PathBuf},
};

/// How large and how old the journal may grow.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    pub max_bytes: u64,
    pub max_age_ns: i64,
}

impl Default for Bounds {
    /// 256 MiB and 30 days: some ten thousand incidents with their graphs.
    fn default() -> Self {
        Self { max_bytes: 256 << 20, max_age_ns: 30 * 86_400 * 1_000_000_000 }
    }
}

/// Writes incidents. Dropping it releases the lock.
#[derive(Debug)]
pub struct Writer {
    db: Connection,
    path: PathBuf,
    bounds: Bounds,
    inserts: u32,
    /// This watch's row among the watches.
    watch: i64,
    _lock: Flock<File>,
}

/// Pruning looks at the whole file, so it runs once in this many inserts.
const PRUNE_EVERY: u32 = 64;

impl Writer {
    /// Opens or creates the journal; fails when another writer holds it.
    pub fn open(path: &Path, bounds: Bounds) -> Result<Self, JournalError> {
        if let Some(dir) = path.parent().filter(|d| !d.as_os_str().is_empty()) {
            fs::create_dir_all(dir).map_err(|source| io("create the folder of", path, source))?;
        }
        let lock = lock(path)?;
        let db = Connection::open(path).map_err(|e| JournalError::sql("open", path, e))?;
        schema::prepare(&db, path)?;
        let now_ns = unix_now_of(&db)?;
        let watch = watches::begin(&db, now_ns).map_err(|e| JournalError::sql("write to", path, e))?;
        let mut writer = Self { db, path: path.into(), bounds, inserts: 0, watch, _lock: lock };
        writer.prune(now_ns)?;
        Ok(writer)
    }

    /// Stores an incident; once this returns it survives the death of this process.
    pub fn insert(&mut self, incident: &Incident) -> Result<i64, JournalError> {
        let evidence = serde_json::to_string(incident)?;
        let (syscall, errno) = match incident.failure.syscall() {
            Some((name, errno)) => (Some(name.to_string()), Some(errno.name())),
            None => (None, None),
        };
        let container = incident.container.as_ref();
        self.db
            .execute(
                "INSERT INTO incident (time_ns, last_ns, count, container_id, name, syscall, errno, evidence)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                params![
                    incident.failure.time.unix_ns,
                    incident.last.unix_ns,
                    incident.count as i64,
                    container.map(|c| &c.id),
                    container.and_then(|c| c.name.as_ref()),
                    syscall,
                    errno,
                    evidence
                ],
            )
            .map_err(|e| self.err("write to", e))?;
        let id = self.db.last_insert_rowid();
        self.inserts += 1;
        if self.inserts.is_multiple_of(PRUNE_EVERY) {
            self.prune(incident.last.unix_ns)?;
        }
        Ok(id)
    }

    /// Counts repetitions of a stored incident.
    pub fn repeated(&mut self, id: i64, count: u64, last: Stamp) -> Result<(), JournalError> {
        self.db
            .execute(
                "UPDATE incident SET count = ?2, last_ns = ?3 WHERE id = ?1",
                params![id, count as i64, last.unix_ns],
            )
            .map_err(|e| self.err("write to", e))?;
        Ok(())
    }

    /// Keeps a closer look at a stored incident's path instead of the first; returns the incident as it is now. `None`
    /// when it was pruned meanwhile.
    pub fn closer(&mut self, id: i64, graph: GraphEvidence) -> Result<Option<Incident>, JournalError> {
        let evidence = self
            .db
            .query_row("SELECT evidence FROM incident WHERE id = ?1", [id], |row| row.get::<_, String>(0))
            .optional()
            .map_err(|e| self.err("read", e))?;
        let Some(evidence) = evidence else { return Ok(None) };
        let mut incident: Incident = serde_json::from_str(&evidence)?;
        incident.graph = Some(graph);
        self.db
            .execute(
                "UPDATE incident SET evidence = ?2 WHERE id = ?1",
                params![id, serde_json::to_string(&incident)?],
            )
            .map_err(|e| self.err("write to", e))?;
        Ok(Some(incident))
    }

    /// Remembers an identity, so that the dead keep their names.
    pub fn container(&mut self, c: &Container, seen: Stamp) -> Result<(), JournalError> {
        let identity = serde_json::to_string(c)?;
        self.db
            .execute(
                "INSERT INTO container (id, name, engine, seen_ns, identity) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (id) DO UPDATE SET name = coalesce(excluded.name, name),
                     seen_ns = excluded.seen_ns, identity = excluded.identity",
                params![c.id, c.name, c.engine, seen.unix_ns, identity],
            )
            .map_err(|e| self.err("write to", e))?;
        Ok(())
    }

    /// Says that this watch lives; to be called every [`super::ALIVE_EVERY`].
    pub fn alive(&self) -> Result<(), JournalError> {
        let now_ns = unix_now_of(&self.db)?;
        watches::alive(&self.db, self.watch, now_ns, false).map_err(|e| self.err("write to", e))
    }

    /// Says that this watch ends by itself.
    pub fn close(self) -> Result<(), JournalError> {
        let now_ns = unix_now_of(&self.db)?;
        watches::alive(&self.db, self.watch, now_ns, true).map_err(|e| self.err("write to", e))
    }

    /// Drops what is too old, then the oldest until the file is small enough.
    fn prune(&mut self, now_ns: i64) -> Result<(), JournalError> {
        let oldest = now_ns.saturating_sub(self.bounds.max_age_ns);
        let err = |e| JournalError::sql("prune", &self.path, e);
        self.db.execute("DELETE FROM incident WHERE last_ns < ?1", [oldest]).map_err(err)?;
        self.db.execute("DELETE FROM container WHERE seen_ns < ?1", [oldest]).map_err(err)?;
        watches::prune(&self.db, oldest).map_err(err)?;
        while self.used_bytes().map_err(err)? > self.bounds.max_bytes {
            let gone = self
                .db
                .execute(
                    "DELETE FROM incident WHERE id IN (SELECT id FROM incident ORDER BY last_ns LIMIT 64)",
                    [],
                )
                .map_err(err)?;
            if gone == 0 {
                break;
            }
        }
        self.db.execute_batch("PRAGMA incremental_vacuum;").map_err(err)
    }

    fn used_bytes(&self) -> rusqlite::Result<u64> {
        let one = |pragma: &str| self.db.query_row(pragma, [], |r| r.get::<_, i64>(0));
        let pages = one("PRAGMA page_count")? - one("PRAGMA freelist_count")?;
        Ok((pages * one("PRAGMA page_size")?) as u64)
    }

    fn err(&self, action: &'static str, e: rusqlite::Error) -> JournalError {
        JournalError::sql(action, &self.path, e)
    }
}

fn io(action: &'static str, path: &Path, source: std::io::Error) -> JournalError {
    JournalError::Io { action, path: path.into(), source }
}

/// An advisory lock on a file beside the journal: it goes with the process, however that dies.
fn lock(path: &Path) -> Result<Flock<File>, JournalError> {
    let beside = PathBuf::from(format!("{}.lock", path.display()));
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(&beside)
        .map_err(|source| io("lock", path, source))?;
    let mut pid = String::new();
    let _ = file.read_to_string(&mut pid);
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(mut held) => {
            held.set_len(0).map_err(|source| io("lock", path, source))?;
            let _ = std::io::Seek::rewind(&mut *held);
            writeln!(held, "{}", std::process::id()).map_err(|source| io("lock", path, source))?;
            Ok(held)
        }
        Err((_, nix::errno::Errno::EWOULDBLOCK)) => {
            Err(JournalError::Locked { path: path.into(), pid: pid.trim().into() })
        }
        Err((_, errno)) => Err(io("lock", path, errno.into())),
    }
}

/// SQLite's own clock, so that the journal needs no second one.
fn unix_now_of(db: &Connection) -> Result<i64, JournalError> {
    // Milliseconds: seconds would make short gaps between watches vanish.
    let ms: i64 = db
        .query_row("SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER)", [], |r| r.get(0))
        .map_err(|e| JournalError::sql("open", Path::new("journal"), e))?;
    Ok(ms.saturating_mul(1_000_000))
}
