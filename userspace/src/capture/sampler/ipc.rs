//! The System V object that a call was about, as the kernel lists it in /proc/sysvipc, which shows the IPC namespace of
//! whoever opens it: where that is not diag's, a thread enters the task's for as long as it reads.

use super::{Look, Sampled};
use crate::limits::read::Root;
use crate::model::{Errno, Failure};
use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::thread;

/// The calls, by the list that has their objects.
const CALLS: &[(&str, &[&str], &str)] = &[
    ("shm", &["shmget", "shmat", "shmctl"], "shmid"),
    ("sem", &["semget", "semop", "semtimedop", "semctl"], "semid"),
    ("msg", &["msgget", "msgsnd", "msgrcv", "msgctl"], "msqid"),
];
const ERRNOS: &[Errno] =
    &[Errno::EINVAL, Errno::ENOENT, Errno::EEXIST, Errno::EACCES, Errno::EPERM, Errno(libc::EIDRM)];

/// What is asked for: a key (of the calls that end in get), or the number of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Key(u32),
    Id(i32),
}

pub(super) fn look(look: &Look<'_>, failure: &mut Failure, out: &mut Sampled) {
    let Some((list, _, id)) = CALLS.iter().find(|row| row.1.contains(&look.call)) else { return };
    if !ERRNOS.contains(&look.errno) {
        return;
    }
    let number = |name: &str| failure.number_arg(name);
    let asked = match number("key") {
        // IPC_PRIVATE looks for nothing.
        Some(0) => return,
        Some(key) => Asked::Key(key as u32),
        None => match number(id) {
            Some(number) => Asked::Id(number as u32 as i32),
            None => return,
        },
    };
    let path = format!("/proc/sysvipc/{list}");
    let Some(text) = inside(look.root, failure, &path) else { return };
    let of = match asked {
        Asked::Key(key) => format!("key {key:#010x}"),
        Asked::Id(number) => format!("id {number}"),
    };
    let after_ns = look.after(failure);
    let mut note = |name: &str, value: String| {
        out.state(name, &of, value, &path, after_ns);
    };
    let Some(object) = find(&text, id, asked) else { return note("ipc object", "none".into()) };
    let word = |name: &str| object.iter().find(|(n, _)| *n == name).map(|(_, v)| *v);
    let maker =
        word("cpid").map(|pid| match fs::read_to_string(look.root.join(format!("proc/{pid}/comm"))) {
            Ok(comm) => format!(", made by process {pid} ({})", comm.trim()),
            Err(_) => format!(", made by process {pid}"),
        });
    let words = ["perms", "uid", "gid", "size", "nsems", "nattch", "qnum"];
    let told: Vec<String> =
        words.iter().filter_map(|name| word(name).map(|value| format!("{name} {value}"))).collect();
    note(
        "ipc object",
        format!("{id} {}: {}{}", word(id).unwrap_or("?"), told.join(", "), maker.unwrap_or_default()),
    );
    if let Some(size) = word("size").or_else(|| word("nsems")) {
        note("ipc object size", size.into());
    }
}

/// The columns of its line, by their names in the head.
fn find<'a>(text: &'a str, id: &str, asked: Asked) -> Option<Vec<(&'a str, &'a str)>> {
    let mut lines = text.lines();
    let names: Vec<&str> = lines.next()?.split_whitespace().collect();
    lines.map(|line| names.iter().copied().zip(line.split_whitespace()).collect::<Vec<_>>()).find(|row| {
        let value =
            |name: &str| row.iter().find(|(n, _)| *n == name).and_then(|(_, v)| v.parse::<i64>().ok());
        match asked {
            // Printed as a signed number.
            Asked::Key(key) => value("key") == Some(i64::from(key as i32)),
            Asked::Id(number) => value(id) == Some(i64::from(number)),
        }
    })
}

/// The file as the task's IPC namespace has it; `None` where nobody is in that any more.
fn inside(root: &Root, failure: &Failure, path: &str) -> Option<String> {
    let link = |pid: &str| root.join(format!("proc/{pid}/ns/ipc"));
    let name = |path: &Path| fs::read_link(path).ok();
    // The task may have ended; its parent mostly is in the same.
    let theirs = link(&failure.task.tid.to_string());
    let read = || fs::read_to_string(root.join(path.trim_start_matches('/'))).ok();
    if name(&theirs)? == name(&link("self"))? {
        return read();
    }
    let namespace = File::open(theirs).ok()?;
    thread::scope(|scope| {
        let asked = scope.spawn(move || {
            // SAFETY: a descriptor of ours; only this thread changes its namespace, and it ends here.
            let entered = unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWIPC) } == 0;
            entered.then(read).flatten()
        });
        asked.join().ok().flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHM: &str = "       key      shmid perms                  size  cpid  lpid nattch   uid   gid\n\
        \x20     29527          5   600                  4096   812   812      2  1000    50\n\
        \x20-559038737          9   666                 65536     1     0      0     0     0\n";

    fn size(asked: Asked) -> Option<&'static str> {
        find(SHM, "shmid", asked)?.iter().find(|(name, _)| *name == "size").map(|(_, value)| *value)
    }

    #[test]
    fn objects_are_found_by_key_and_by_number() {
        assert_eq!(size(Asked::Key(0x7357)), Some("4096"));
        assert_eq!(size(Asked::Key(0xdead_beef)), Some("65536"), "keys are shown with a sign");
        assert_eq!(size(Asked::Id(9)), Some("65536"));
        assert_eq!((size(Asked::Id(6)), size(Asked::Key(5))), (None, None));
        assert_eq!(find("", "shmid", Asked::Id(5)), None);
    }
}
