//! function_graph text to call trees: a pure function of the lines.
//!
//! Calls are kept per thread, not per cpu, because a thread that sleeps inside a system call may go on
//! elsewhere. The kernel prints each call's depth as indentation; that depth, not the order of braces,
//! decides where a call hangs, so a lost line damages only what it was about. What is missing is marked
//! with [`Call::hole`]; nothing is invented.

mod line;

use crate::model::{Call, Graph};
use line::{Body, Line, Task};
use std::collections::HashMap;

/// Name of the made-up call that holds what ran in an interrupt, so that it can be folded away.
pub const INTERRUPT: &str = "<interrupt>";

/// Calls kept of one graph; beyond that only the count goes on. A mount of a whole tree stays below.
const MAX_CALLS: usize = 200_000;
/// Calls inside each other. The kernel's own shadow stack ends far earlier; without a bound a made-up
/// file could make the tree too deep to walk.
const MAX_DEPTH: usize = 256;
/// Threads inside a traced call at the same time. The one silent for longest is given up first.
const MAX_THREADS: usize = 4096;

/// What went by that is in no graph.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ParserStats {
    pub lines: u64,
    /// Calls that were entered.
    pub calls: u64,
    pub unreadable: u64,
    /// Events the ring buffer says it lost; at least one for each place without a number.
    pub lost: u64,
    /// Exits whose entry was never seen, outside any graph: tracing began inside a call.
    pub orphan_exits: u64,
    /// Graphs given up because too many threads were open.
    pub evicted: u64,
}

/// Without a task column the text does not say who runs before the first switch on a cpu.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Key {
    Thread(u32),
    Cpu(u32),
}

/// An entered call. `level` is twice the printed depth, so that an interrupt fits in between.
struct Frame {
    level: u32,
    call: Call,
}

#[derive(Default)]
struct Thread {
    comm: String,
    cpu: u32,
    frames: Vec<Frame>,
    start_ns: u64,
    lost: u64,
    calls: usize,
    last_line: u64,
    interrupt: bool,
}

/// Eats lines, gives graphs. One parser serves one stream (a merged `trace_pipe`, one of a cpu, a file).
#[derive(Default)]
pub struct Parser {
    threads: HashMap<Key, Thread>,
    running: HashMap<u32, (u32, String)>,
    done: Vec<Graph>,
    stats: ParserStats,
}

/// All graphs of a saved text.
pub fn parse(text: &str) -> Vec<Graph> {
    let mut parser = Parser::default();
    for line in text.lines() {
        parser.feed(line);
    }
    parser.finish()
}

impl Parser {
    pub fn stats(&self) -> ParserStats {
        self.stats
    }

    /// The graphs finished since the last call.
    pub fn take(&mut self) -> Vec<Graph> {
        std::mem::take(&mut self.done)
    }

    /// The end of the stream: what is still open is handed out without an end.
    pub fn finish(&mut self) -> Vec<Graph> {
        let mut open: Vec<_> = self.threads.drain().filter(|(_, thread)| !thread.frames.is_empty()).collect();
        open.sort_by_key(|(_, thread)| thread.start_ns);
        for (key, mut thread) in open {
            thread.close_from(0, key, &mut self.done);
        }
        self.take()
    }

    pub fn feed(&mut self, text: &str) {
        self.stats.lines += 1;
        let line = Line::parse(text);
        match &line.body {
            Body::Nothing => return,
            Body::Unreadable => {
                self.stats.unreadable += 1;
                return;
            }
            Body::Lost { count } => return self.lost(*count),
            Body::Switch { from, to } => return self.switch(line.cpu.unwrap_or(0), *from, *to),
            Body::Enter { .. } | Body::Leaf { .. } => self.stats.calls += 1,
            Body::Exit { .. } | Body::Interrupt => {}
        }
        self.call(&line);
    }

    /// Which events are gone is unknown, so every open graph may miss some.
    fn lost(&mut self, count: Option<u64>) {
        let count = count.unwrap_or(1);
        self.stats.lost += count;
        for thread in self.threads.values_mut() {
            if let Some(top) = thread.frames.last_mut() {
                top.call.hole = true;
                thread.lost += count;
            }
        }
    }

    fn switch(&mut self, cpu: u32, from: Task<'_>, to: Task<'_>) {
        // Who ran before the first switch is told by it.
        if let Some(mut thread) = self.threads.remove(&Key::Cpu(cpu)) {
            known(from.comm).clone_into(&mut thread.comm);
            self.threads.insert(Key::Thread(from.tid), thread);
        }
        self.running.insert(cpu, (to.tid, known(to.comm).to_owned()));
    }

    fn call(&mut self, line: &Line<'_>) {
        let cpu = line.cpu.unwrap_or(0);
        let key = match (&line.task, self.running.get(&cpu)) {
            (Some(task), _) => Key::Thread(task.tid),
            (None, Some((tid, _))) => Key::Thread(*tid),
            (None, None) => Key::Cpu(cpu),
        };
        if !self.threads.contains_key(&key) {
            if matches!(line.body, Body::Exit { .. }) {
                self.stats.orphan_exits += 1;
                return;
            }
            self.make_room();
        }
        let thread = self.threads.entry(key).or_default();
        thread.last_line = self.stats.lines;
        if thread.comm.is_empty() {
            let switched = self.running.get(&cpu).map(|(_, comm)| comm.as_str());
            let comm = line.task.map(|task| known(task.comm)).or(switched);
            comm.unwrap_or_default().clone_into(&mut thread.comm);
        }
        thread.feed(line, key, &mut self.done);
        if thread.frames.is_empty() && !thread.interrupt {
            self.threads.remove(&key);
        }
    }

    fn make_room(&mut self) {
        if self.threads.len() < MAX_THREADS {
            return;
        }
        let oldest = self.threads.iter().min_by_key(|(_, thread)| thread.last_line).map(|(key, _)| *key);
        if let Some(key) = oldest
            && let Some(mut thread) = self.threads.remove(&key)
        {
            self.stats.evicted += 1;
            thread.close_from(0, key, &mut self.done);
        }
    }
}

/// `<...>` is what the kernel prints for a thread whose name it did not note.
fn known(comm: &str) -> &str {
    if comm == "<...>" { "" } else { comm }
}

impl Thread {
    fn feed(&mut self, line: &Line<'_>, key: Key, done: &mut Vec<Graph>) {
        match line.body {
            Body::Interrupt => self.interrupt = true,
            Body::Enter { depth, name } => self.enter(line, depth, name, key, done),
            Body::Leaf { depth, name, duration_ns, ret } => {
                self.enter(line, depth, name, key, done);
                self.leave(line, depth, (Some(name), duration_ns, ret), key, done);
            }
            Body::Exit { depth, name, duration_ns, ret } => {
                self.leave(line, depth, (name, duration_ns, ret), key, done);
            }
            Body::Switch { .. } | Body::Lost { .. } | Body::Nothing | Body::Unreadable => {}
        }
    }

    fn enter(&mut self, line: &Line<'_>, depth: u32, name: &str, key: Key, done: &mut Vec<Graph>) {
        let level = depth.saturating_mul(2);
        self.close_from(level, key, done);
        if self.frames.is_empty() {
            self.start_ns = line.time_ns.unwrap_or(0);
            self.cpu = line.cpu.unwrap_or(0);
            (self.lost, self.calls) = (0, 0);
        }
        self.calls += 1;
        if self.calls > MAX_CALLS || self.frames.len() >= MAX_DEPTH {
            self.mark_hole();
            return;
        }
        if std::mem::take(&mut self.interrupt) && !self.frames.is_empty() {
            let level = level.saturating_sub(1);
            self.frames.push(Frame { level, call: Call::leaf(INTERRUPT) });
        }
        let call = Call { start_ns: line.time_ns, ..Call::leaf(name) };
        self.frames.push(Frame { level, call });
    }

    fn leave(
        &mut self,
        line: &Line<'_>,
        depth: u32,
        (name, duration_ns, ret): (Option<&str>, Option<u64>, Option<u64>),
        key: Key,
        done: &mut Vec<Graph>,
    ) {
        let level = depth.saturating_mul(2);
        self.close_from(level.saturating_add(1), key, done);
        let fits = self
            .frames
            .last()
            .is_some_and(|top| top.level == level && name.is_none_or(|name| name == top.call.name));
        if !fits {
            // Its entry was lost. If the level is taken, that call's own exit was lost as well.
            self.close_from(level, key, done);
            if let Some(top) = self.frames.last_mut() {
                let name = name.unwrap_or("?").to_owned();
                let call = Call { name, duration_ns, ret, hole: true, ..Call::default() };
                top.call.children.push(call);
                top.call.hole = true;
            }
            return;
        }
        let Some(mut frame) = self.frames.pop() else { return };
        frame.call.duration_ns = duration_ns;
        frame.call.ret = ret;
        // A leaf is printed with the time of its entry, a brace with that of the exit.
        let end = match (line.time_ns, duration_ns) {
            (Some(time), Some(duration)) => Some(time.max(self.start_ns.saturating_add(duration))),
            (Some(time), None) => Some(time),
            (None, _) => None,
        };
        self.attach(frame.call, end, key, done);
        // The interrupt ends with the function that it entered.
        if self.frames.last().is_some_and(|top| top.level % 2 == 1 && top.level + 1 == level)
            && let Some(frame) = self.frames.pop()
        {
            self.attach(frame.call, None, key, done);
        }
    }

    /// Ends every open call at `level` or deeper: their exits were not seen.
    fn close_from(&mut self, level: u32, key: Key, done: &mut Vec<Graph>) {
        while self.frames.last().is_some_and(|top| top.level >= level) {
            let Some(mut frame) = self.frames.pop() else { return };
            frame.call.hole = true;
            self.attach(frame.call, None, key, done);
        }
    }

    fn mark_hole(&mut self) {
        if let Some(top) = self.frames.last_mut() {
            top.call.hole = true;
        }
    }

    /// Hangs a finished call below its caller, or hands out the graph whose root it is.
    fn attach(&mut self, call: Call, end_ns: Option<u64>, key: Key, done: &mut Vec<Graph>) {
        match self.frames.last_mut() {
            Some(top) => top.call.children.push(call),
            None => done.push(Graph {
                tid: if let Key::Thread(tid) = key { tid } else { 0 },
                comm: self.comm.clone(),
                cpu: self.cpu,
                start_ns: self.start_ns,
                end_ns,
                root: call,
                lost: self.lost,
            }),
        }
    }
}

#[cfg(test)]
mod tests;
