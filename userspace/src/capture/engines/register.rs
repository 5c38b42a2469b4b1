//! Engines' processes, running and gone, with what they were started with.
//!
//! A runtime that was refused something, and the client that waited for it, are gone within a millisecond, and /proc
//! with them. The kernel tells of each as it starts and as it ends (`probes/src/engine.rs`), so who was at work at the
//! instant of a failure is known afterwards.

use super::programs::{self, Process};
use crate::limits::read::Root;
use std::collections::VecDeque;

/// Processes that are remembered, the last ones started. A storm of a thousand containers has some six each.
const MOST: usize = 8192;

/// How often processes are looked for where the kernel does not tell: a handful of files for each of the machine.
const LOOK_NS: u64 = 20_000_000;

#[derive(Debug)]
struct Entry {
    process: Process,
    /// When its program was started; 0 where it was found running.
    since_ns: u64,
    until_ns: Option<u64>,
}

impl Entry {
    /// Whether it ran then. Of one that was found running nobody tells the end, so it is looked for.
    fn ran(&self, root: &Root, at_ns: u64) -> bool {
        let in_time = self.since_ns <= at_ns && self.until_ns.is_none_or(|until| at_ns <= until);
        in_time && (self.since_ns > 0 || self.is_there(root))
    }

    fn is_there(&self, root: &Root) -> bool {
        Process::living(root, self.process.pid).is_some_and(|now| now.words == self.process.words)
    }
}

/// See the module.
#[derive(Debug, Default)]
pub struct Register {
    entries: VecDeque<Entry>,
    /// How many at the end have not been asked for as news.
    news: usize,
    /// The kernel does not tell; then /proc is looked through.
    untold: bool,
    looked_ns: u64,
}

impl Register {
    /// With what runs already. `told` says whether the kernel tells of the others.
    pub fn existing(root: &Root, told: bool) -> Self {
        let mut register = Self { untold: !told, ..Self::default() };
        register.look(root);
        register
    }

    /// A process runs this program from now on.
    pub fn began(&mut self, process: Process, at_ns: u64) {
        self.ended(process.pid, at_ns.saturating_sub(1));
        self.push(Entry { process, since_ns: at_ns, until_ns: None });
    }

    pub fn ended(&mut self, pid: u32, at_ns: u64) {
        let mut latest = self.entries.iter_mut().rev();
        if let Some(entry) = latest.find(|entry| entry.process.pid == pid && entry.until_ns.is_none()) {
            entry.until_ns = Some(at_ns);
        }
    }

    /// The engine's program that a process ran then, and when that was started.
    pub fn at(&self, root: &Root, pid: u32, at_ns: u64) -> Option<(&Process, u64)> {
        let mut latest = self.entries.iter().rev();
        let entry = latest.find(|entry| entry.process.pid == pid && entry.ran(root, at_ns))?;
        // Of what was found running it is not known, and its parent is asked for as of now.
        let since_ns = if entry.since_ns > 0 { entry.since_ns } else { at_ns };
        Some((&entry.process, since_ns))
    }

    /// The clients that waited then.
    pub fn clients(&self, root: &Root, at_ns: u64) -> Vec<&Process> {
        let waiting = |entry: &&Entry| entry.process.is_client() && entry.ran(root, at_ns);
        self.entries.iter().filter(waiting).map(|entry| &entry.process).collect()
    }

    /// The clients that began since this was last asked.
    pub fn new_clients(&mut self) -> Vec<Process> {
        let news = std::mem::take(&mut self.news);
        let clients = self.entries.iter().rev().take(news).filter(|entry| entry.process.is_client());
        clients.map(|entry| entry.process.clone()).collect()
    }

    /// Looks for new ones, where the kernel does not tell of them.
    pub fn keep_up(&mut self, root: &Root, now_ns: u64) {
        if self.untold && now_ns.saturating_sub(self.looked_ns) >= LOOK_NS {
            self.looked_ns = now_ns;
            self.entries.retain(|entry| entry.is_there(root));
            self.look(root);
        }
    }

    fn look(&mut self, root: &Root) {
        for process in programs::running(root, |comm| programs::names().any(|name| name == comm)) {
            if self.entries.iter().all(|entry| entry.process != process) {
                self.push(Entry { process, since_ns: 0, until_ns: None });
            }
        }
    }

    fn push(&mut self, entry: Entry) {
        self.entries.push_back(entry);
        if self.entries.len() > MOST {
            self.entries.pop_front();
        }
        self.news = (self.news + 1).min(self.entries.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn client(pid: u32, name: &str) -> Process {
        let words = ["docker", "run", "--name", name, "bb"].map(str::to_owned).into();
        Process { pid, parent: 1, comm: "docker".into(), words, host: None }
    }

    fn names(of: &[&Process]) -> Vec<String> {
        of.iter().map(|process| process.words[3].clone()).collect()
    }

    #[test]
    fn who_waited_at_an_instant_is_known_afterwards() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::at(dir.path());
        let mut register = Register::existing(&root, true);
        register.began(client(5, "first"), 10);
        register.ended(5, 20);
        register.began(client(6, "second"), 30);
        // The same process becomes another client, without an end in between.
        register.began(client(6, "third"), 40);
        for (at, who) in [(9, ""), (10, "first"), (20, "first"), (25, ""), (39, "second"), (40, "third")] {
            assert_eq!(names(&register.clients(&root, at)).join(" "), who, "{at}");
        }
        assert_eq!(register.at(&root, 6, 35).unwrap().0.words[3], "second");
        assert_eq!(register.new_clients().len(), 3);
        assert!(register.new_clients().is_empty());
    }

    #[test]
    fn without_the_kernels_word_those_that_are_there_are_found_and_the_gone_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::at(dir.path());
        let at = |pid: u32, line: &str| {
            let folder = dir.path().join(format!("proc/{pid}"));
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("comm"), "docker\n").unwrap();
            fs::write(folder.join("stat"), format!("{pid} (docker) S 1 1")).unwrap();
            fs::write(folder.join("cmdline"), line.replace(' ', "\0")).unwrap();
        };
        at(5, "docker run --name first bb");
        let mut register = Register::existing(&root, false);
        assert_eq!(names(&register.clients(&root, 7)), ["first"]);
        at(6, "docker run --name second bb");
        register.keep_up(&root, LOOK_NS - 1);
        assert_eq!(names(&register.clients(&root, 7)), ["first"], "not that often");
        register.keep_up(&root, LOOK_NS);
        assert_eq!(register.new_clients().len(), 2);
        fs::remove_dir_all(dir.path().join("proc/5")).unwrap();
        register.keep_up(&root, 2 * LOOK_NS);
        assert_eq!(names(&register.clients(&root, 7)), ["second"]);
        assert!(register.at(&root, 5, 7).is_none());
    }
}
