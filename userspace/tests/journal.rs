//! The journal against the world: kill -9 of its writer, a second writer, damage, a medium that is read-only.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test says what it sees and fails loudly"
)]

use diag::journal::{Bounds, JournalError, Query, Reader, Writer};
use diag::model::{Abi, Container, Errno, Failure, FailureKind, Host, Incident, Loss, Stamp, Task};
use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
};

fn incident(n: i64, container: &str) -> Incident {
    Incident {
        host: Host::default(),
        container: Some(Container {
            engine: "diag".into(),
            id: container.into(),
            name: Some(format!("name-{container}")),
            ..Container::default()
        }),
        failure: Failure {
            time: Stamp { mono_ns: 1, unix_ns: now() + n },
            task: Task { comm: "dockerd".into(), pid: 7, ..Task::default() },
            kind: FailureKind::Syscall {
                name: "mount".into(),
                nr: 165,
                abi: Abi::Native,
                errno: Errno::ENOSPC,
                args: vec![],
            },
            readings: vec![],
        },
        count: 1,
        last: Stamp { mono_ns: 1, unix_ns: now() + n },
        step: None,
        graph: None,
        no_graph: None,
        readings: vec![],
        suspects: vec![],
        owners: vec![],
        facts: vec![],
        loss: Loss::default(),
        cost: None,
    }
}

fn now() -> i64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as i64
}

fn all(path: &Path) -> Vec<Incident> {
    Reader::open(path).unwrap().incidents(&Query { most: Some(100_000), ..Query::default() }).unwrap()
}

#[test]
fn what_is_written_is_read_beside_the_writer() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal.db");
    let mut w = Writer::open(&path, Bounds::default()).unwrap();
    let first = incident(0, "aaaa1111");
    let row = w.insert(&first).unwrap();
    w.container(first.container.as_ref().unwrap(), first.last).unwrap();
    w.insert(&incident(5, "bbbb2222")).unwrap();
    w.repeated(row, 12, Stamp { mono_ns: 9, unix_ns: now() }).unwrap();

    let r = Reader::open(&path).unwrap();
    let only = Query { container_id: Some("aaaa1111".into()), ..Query::default() };
    let found = r.incidents(&only).unwrap();
    assert_eq!((found.len(), found[0].count), (1, 12));
    assert_eq!(found[0].failure, first.failure);
    for wanted in ["name-aaaa1111", "aaaa1111", "aaaa"] {
        assert_eq!(r.containers(wanted).unwrap()[0].id, "aaaa1111", "{wanted}");
    }
    assert!(r.containers("nobody").unwrap().is_empty());
    assert_eq!(r.incidents(&Query::default()).unwrap().len(), 2);
}

#[test]
fn a_second_writer_is_refused_and_told_who_holds_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal.db");
    let held = Writer::open(&path, Bounds::default()).unwrap();
    match Writer::open(&path, Bounds::default()) {
        Err(JournalError::Locked { pid, .. }) => assert_eq!(pid, std::process::id().to_string()),
        other => panic!("{other:?}"),
    }
    drop(held);
    Writer::open(&path, Bounds::default()).unwrap();
}

#[test]
fn damage_is_one_clear_sentence() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal.db");
    fs::write(&path, "this is no journal, it is a shopping list of some length").unwrap();
    let read = Reader::open(&path).unwrap_err();
    assert!(matches!(read, JournalError::Damaged { .. }), "{read:?}");
    assert!(read.to_string().contains("mv "), "{read}");
    assert!(matches!(Writer::open(&path, Bounds::default()), Err(JournalError::Damaged { .. })));
    assert!(fs::read_to_string(&path).unwrap().starts_with("this is no journal"), "nothing was overwritten");
    assert!(matches!(Reader::open(&dir.path().join("none")), Err(JournalError::Missing(_))));
}

#[test]
fn another_layout_is_refused_not_rewritten() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal.db");
    drop(Writer::open(&path, Bounds::default()).unwrap());
    let db = rusqlite::Connection::open(&path).unwrap();
    db.pragma_update(None, "user_version", 99).unwrap();
    drop(db);
    assert!(matches!(Reader::open(&path), Err(JournalError::Version { found: 99, .. })));
    assert!(matches!(Writer::open(&path, Bounds::default()), Err(JournalError::Version { found: 99, .. })));
}

#[test]
fn size_and_age_are_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal.db");
    let bounds = Bounds { max_bytes: 256 << 10, max_age_ns: 3_600_000_000_000 };
    let mut w = Writer::open(&path, bounds).unwrap();
    w.insert(&incident(-7_200_000_000_000, "old")).unwrap();
    for n in 0..2000 {
        w.insert(&incident(n, "cccc3333")).unwrap();
    }
    drop(w);
    let kept = all(&path);
    assert!(kept.iter().all(|i| i.container.as_ref().unwrap().id == "cccc3333"), "the old one is gone");
    assert!(kept.len() > 64 && kept.len() < 1900, "{} kept", kept.len());
    assert!(fs::metadata(&path).unwrap().len() < 600 << 10);
    assert!(kept[0].failure.time.unix_ns > kept[kept.len() - 1].failure.time.unix_ns, "newest first");
}

#[test]
fn a_folder_that_cannot_be_written_is_still_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal.db");
    let mut w = Writer::open(&path, Bounds::default()).unwrap();
    w.insert(&incident(0, "aaaa1111")).unwrap();
    // A clean end folds the write-ahead log into the main file: this is a file taken to another machine.
    drop(w);
    let copy = dir.path().join("copy");
    fs::create_dir(&copy).unwrap();
    fs::copy(&path, copy.join("journal.db")).unwrap();
    let mut perms = fs::metadata(&copy).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut perms, 0o555);
    fs::set_permissions(&copy, perms).unwrap();
    assert_eq!(all(&copy.join("journal.db")).len(), 1);
}

/// Not a test of its own: the process that the next one kills.
#[test]
fn child_that_writes_until_killed() {
    let Some(path) = std::env::var_os("DIAG_TEST_JOURNAL") else { return };
    let mut w = Writer::open(Path::new(&path), Bounds::default()).unwrap();
    for n in 0.. {
        w.insert(&incident(n, "dddd4444")).unwrap();
        println!("\nacknowledged {n}");
    }
}

#[test]
fn kill_9_loses_nothing_acknowledged_and_explains_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal.db");
    let mut acknowledged = 0;
    for round in 1..=5 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_that_writes_until_killed", "--nocapture"])
            .env("DIAG_TEST_JOURNAL", &path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut seen = 0;
        for line in lines.map_while(Result::ok).filter(|l| l.starts_with("acknowledged")) {
            let _ = line;
            seen += 1;
            if seen == 37 * round {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        acknowledged += seen;
        // A reader straight after the kill, with no writer to repair anything.
        let kept = all(&path).len();
        assert!(kept >= acknowledged, "round {round}: {kept} kept, {acknowledged} acknowledged");
        acknowledged = kept;
    }
}
