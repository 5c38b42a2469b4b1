//! Successes made on purpose, to hold a failed call against: DESIGN §4.3, rung 2.
//!
//! What fails in a program has often never succeeded there. So a process of diag's own makes calls of the same
//! system call that the kernel has no reason to refuse, in the same trace: small deeds on things of its own (a file,
//! a socket, a namespace, a cgroup below diag's own that is gone again at the end), each in a child of its own,
//! so that none leaves anything to the next. What the kernel refuses all the same is of no use and not told.
//!
//! The process is this very program, asked by a verb that is not shown: it waits for a word, so that its thread
//! can be traced from the first call on, and tells on its standard output which calls succeeded and when.

mod deeds;
mod files;
mod memory;
mod mounts;
mod sockets;
mod tasks;
mod told;

use super::clock;
use crate::model::{Graph, is_entry_of};
use std::collections::BTreeSet;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;

/// The verb by which this program is asked for the deeds.
pub const VERB: &str = "succeed";

/// A call that was made and succeeded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Success {
    syscall: String,
    tid: u32,
    begin_ns: u64,
    end_ns: u64,
}

impl Success {
    /// Whether this is the graph of that call: the thread and the time tell.
    pub fn is_of(&self, graph: &Graph) -> bool {
        // The text's times are microseconds, rounded down.
        const ROUNDING_NS: u64 = 1000;
        graph.tid == self.tid
            && is_entry_of(&graph.root.name, &self.syscall)
            && graph.start_ns + ROUNDING_NS >= self.begin_ns
            && graph.end_ns.is_some_and(|end| end <= self.end_ns)
    }

    /// `mount 1234 56789 56999`
    fn read(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let syscall = words.next()?.to_owned();
        let mut number = || words.next()?.parse::<u64>().ok();
        let (tid, begin_ns, end_ns) = (number()?, number()?, number()?);
        Some(Self { syscall, tid: tid.try_into().ok()?, begin_ns, end_ns })
    }
}

/// The process, waiting for the word.
#[derive(Debug)]
pub struct Helper {
    child: Child,
}

/// The process at work.
#[derive(Debug)]
pub struct Working {
    child: Child,
    told: JoinHandle<Vec<Success>>,
}

impl Helper {
    /// `None` when diag has no deed for any of these system calls.
    pub fn start(syscalls: &BTreeSet<String>) -> io::Result<Option<Self>> {
        let known: Vec<_> = syscalls.iter().filter(|name| deeds::has(name)).collect();
        if known.is_empty() {
            return Ok(None);
        }
        let child = Command::new("/proc/self/exe")
            .arg(VERB)
            .args(known)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Some(Self { child }))
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Gives the word.
    pub fn release(mut self) -> io::Result<Working> {
        // Closed behind the word: nothing else will come.
        if let Some(mut gate) = self.child.stdin.take() {
            gate.write_all(b"g")?;
        }
        let out = self.child.stdout.take();
        let told = std::thread::Builder::new().name("diag-successes".into()).spawn(move || {
            let lines = out.into_iter().flat_map(|out| BufReader::new(out).lines().map_while(Result::ok));
            lines.filter_map(|line| Success::read(&line)).collect()
        })?;
        Ok(Working { child: self.child, told })
    }
}

impl Working {
    /// It has closed its output: nothing more will come.
    pub fn is_done(&self) -> bool {
        self.told.is_finished()
    }

    /// What succeeded, and when the last of it was over.
    pub fn end(mut self) -> (Vec<Success>, u64) {
        // Deeds end by themselves or by their alarm; a helper that is still there afterwards is stuck.
        if !self.told.is_finished() {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
        let told = self.told.join().unwrap_or_default();
        (told, clock::mono_ns())
    }
}

/// How many system calls there is a deed for.
pub fn count() -> usize {
    deeds::all().len()
}

/// The helper's side: waits for the word, does the deeds.
pub fn serve(syscalls: &[String]) -> io::Result<()> {
    let mut word = [0];
    // A gate that closes without a word: diag died or gave up, and nothing must be done.
    if io::stdin().read(&mut word)? == 0 {
        return Ok(());
    }
    deeds::perform(syscalls);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Call;

    #[test]
    fn a_graph_belongs_to_the_call_of_its_thread_and_time() {
        let success = Success::read("mount 7 1000000 2000000").unwrap();
        let graph = |name: &str, tid, start_ns, end_ns| Graph {
            tid,
            comm: String::new(),
            cpu: 0,
            start_ns,
            end_ns: Some(end_ns),
            root: Call::leaf(name),
            lost: 0,
        };
        assert!(success.is_of(&graph("__x64_sys_mount", 7, 999_500, 1_999_000)));
        assert!(!success.is_of(&graph("__x64_sys_umount", 7, 1_000_500, 1_999_000)));
        assert!(!success.is_of(&graph("__x64_sys_mount", 8, 1_000_500, 1_999_000)));
        assert!(!success.is_of(&graph("__x64_sys_mount", 7, 1_000_500, 2_999_000)), "ended later");
        assert!(!success.is_of(&graph("__x64_sys_mount", 7, 900_000, 1_999_000)), "began before");
        assert_eq!(Success::read("mount 7 x"), None);
    }
}
