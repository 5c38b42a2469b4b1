//! When somebody watched, so that silence can be told from absence.
//!
//! A watch that ends writes when; one that is killed cannot, so while it lives it says so every few seconds.

use rusqlite::{Connection, OptionalExtension, params};

/// How often a watch says that it lives. After a kill the journal knows its end as exactly as this.
pub const ALIVE_EVERY: std::time::Duration = std::time::Duration::from_secs(5);

/// A watch that has not said so for this long is dead: three times, because a busy machine is late.
const DEAD_AFTER_NS: i64 = 3 * ALIVE_EVERY.as_nanos() as i64;

pub(super) const TABLE: &str = "
CREATE TABLE IF NOT EXISTS watch (
    id      INTEGER PRIMARY KEY,
    from_ns INTEGER NOT NULL,  -- nanoseconds since 1970
    to_ns   INTEGER NOT NULL,  -- when it last said that it lives
    ended   INTEGER NOT NULL   -- whether it ended by itself
);
";

/// A time of which nothing is on record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    pub from_unix_ns: i64,
    /// `None`: nobody watches now.
    pub to_unix_ns: Option<i64>,
    /// The watch before it was killed; it may have seen a few seconds more than is known.
    pub killed: bool,
}

pub(super) fn begin(db: &Connection, now_ns: i64) -> rusqlite::Result<i64> {
    db.execute("INSERT INTO watch (from_ns, to_ns, ended) VALUES (?1, ?1, 0)", [now_ns])?;
    Ok(db.last_insert_rowid())
}

pub(super) fn alive(db: &Connection, id: i64, now_ns: i64, ended: bool) -> rusqlite::Result<()> {
    db.execute("UPDATE watch SET to_ns = ?2, ended = ?3 WHERE id = ?1", params![id, now_ns, ended]).map(drop)
}

pub(super) fn prune(db: &Connection, oldest_ns: i64) -> rusqlite::Result<()> {
    db.execute("DELETE FROM watch WHERE to_ns < ?1", [oldest_ns]).map(drop)
}

/// Between watches, and behind the last one where it is dead at `now_ns`.
pub(super) fn gaps(db: &Connection, now_ns: i64) -> rusqlite::Result<Vec<Gap>> {
    // A journal of an earlier diag that nobody has written since.
    let table = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'watch'";
    if db.query_row(table, [], |_| Ok(())).optional()?.is_none() {
        return Ok(Vec::new());
    }
    let mut statement = db.prepare("SELECT from_ns, to_ns, ended FROM watch ORDER BY id")?;
    let rows = statement.query_map([], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))?;
    let watches: Vec<(i64, i64, bool)> = rows.collect::<rusqlite::Result<_>>()?;
    let mut gaps: Vec<Gap> = watches
        .windows(2)
        .map(|pair| Gap { from_unix_ns: pair[0].1, to_unix_ns: Some(pair[1].0), killed: !pair[0].2 })
        .collect();
    gaps.extend(
        watches
            .last()
            .filter(|(_, to, ended)| *ended || now_ns - to > DEAD_AFTER_NS)
            .map(|(_, to, ended)| Gap { from_unix_ns: *to, to_unix_ns: None, killed: !ended }),
    );
    Ok(gaps)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_between_watches_is_a_gap() {
        let db = Connection::open_in_memory().unwrap();
        assert_eq!(gaps(&db, 0).unwrap(), [], "a journal without the table");
        db.execute_batch(TABLE).unwrap();
        let ended = begin(&db, 100).unwrap();
        alive(&db, ended, 200, true).unwrap();
        let killed = begin(&db, 300).unwrap();
        alive(&db, killed, 350, false).unwrap();
        begin(&db, 400).unwrap();
        let first = Gap { from_unix_ns: 200, to_unix_ns: Some(300), killed: false };
        let second = Gap { from_unix_ns: 350, to_unix_ns: Some(400), killed: true };
        assert_eq!(gaps(&db, 500).unwrap(), [first, second], "the last one lives");
        let third = Gap { from_unix_ns: 400, to_unix_ns: None, killed: true };
        assert_eq!(gaps(&db, 401 + DEAD_AFTER_NS).unwrap(), [first, second, third]);
        prune(&db, 301).unwrap();
        assert_eq!(gaps(&db, 500).unwrap(), [second]);
    }
}
