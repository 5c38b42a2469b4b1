//! Local sockets: what is at a path, who listens there, and how many wait.

use super::{Answers, Question};
use crate::limits::network as limits;
use crate::model::network as states;
use std::fs;
use std::os::unix::fs::FileTypeExt;

/// `__SO_ACCEPTCON` in the flags: the socket listens.
const LISTENS: u32 = 1 << 16;
/// A connection that nobody has accepted yet is `SS_CONNECTING` (net/unix/af_unix.c `unix_seq_show()`).
const WAITING: u32 = 2;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    flags: u32,
    kind: u32,
    state: u32,
    inode: u64,
    path: String,
}

/// `Num RefCount Protocol Flags Type St Inode Path`.
fn rows(text: &str) -> Vec<Row> {
    let row = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let hex = |at: usize| u32::from_str_radix(words.get(at)?, 16).ok();
        Some(Row {
            flags: hex(3)?,
            kind: hex(4)?,
            state: hex(5)?,
            inode: words.get(6)?.parse().ok()?,
            path: words.get(7..).map(|rest| rest.join(" ")).unwrap_or_default(),
        })
    };
    text.lines().skip(1).filter_map(row).collect()
}

pub(super) fn look(q: &Question<'_>, out: &mut Answers) {
    let Some(path) = q.failure.local_path().filter(|path| !path.is_empty()) else { return };
    if !path.starts_with('@') {
        out.facts.push(q.state(states::PATH, path, at(q, path), "stat"));
    }
    let all = rows(&q.net("unix").unwrap_or_default());
    let named: Vec<&Row> = all.iter().filter(|row| row.path == path).collect();
    let listens = |row: &&&Row| row.flags & LISTENS != 0;
    let bound = named.iter().find(listens).or_else(|| named.iter().find(|row| row.inode != 0));
    let value = match bound {
        None => "none".into(),
        Some(row) => {
            let who = super::sockets::owner(q.root, row.inode).unwrap_or_else(|| "somebody".into());
            let what = if row.flags & LISTENS != 0 { "listening" } else { "bound" };
            format!("type {} {what}, of {who}", row.kind)
        }
    };
    out.facts.push(q.state(states::LISTENER, path, value, "/proc/net/unix"));
    let waiting = named.iter().filter(|row| row.state == WAITING && row.flags & LISTENS == 0).count() as u64;
    if q.call == "connect" && waiting > 0 {
        // The queue is full above its maximum (unix_recvq_full), which /proc does not show.
        let mut reading = q.reading(
            &limits::ACCEPT_QUEUE,
            waiting,
            waiting,
            None,
            "/proc/net/unix: connections not yet accepted",
        );
        reading.ceiling = None;
        reading.scope = path.into();
        out.readings.push(reading);
    }
}

/// What the failing task sees at the path; a relative one from its working folder.
fn at(q: &Question<'_>, path: &str) -> String {
    let task = &q.failure.task;
    let seen = [task.tid, task.pid].into_iter().find_map(|pid| {
        let base = if path.starts_with('/') { "root" } else { "cwd" };
        let base = q.root.join(format!("proc/{pid}/{base}"));
        base.exists().then(|| fs::symlink_metadata(base.join(path.trim_start_matches('/'))))
    });
    match seen {
        None => "unknown: the task has ended".into(),
        Some(Ok(meta)) if meta.file_type().is_socket() => "socket".into(),
        Some(Ok(meta)) if meta.is_symlink() => "symbolic link".into(),
        Some(Ok(_)) => "file".into(),
        Some(Err(_)) => "absent".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_proc_net_unix_are_read() {
        let text = "Num RefCount Protocol Flags Type St Inode Path\n\
            0000000000000000: 00000002 00000000 00010000 0001 01 9876 /run/a b.sock\n\
            0000000000000000: 00000002 00000000 00000000 0001 02     0 @x\n\
            0000000000000000: 00000002 00000000 00000000 0002 01  4321\n";
        let rows = rows(text);
        assert_eq!((rows[0].flags, rows[0].inode, rows[0].path.as_str()), (LISTENS, 9876, "/run/a b.sock"));
        assert_eq!((rows[1].state, rows[1].path.as_str()), (WAITING, "@x"));
        assert_eq!(rows[2].path, "");
    }
}
