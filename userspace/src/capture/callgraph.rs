//! function_graph, as text or as records, to call trees: a pure function of what went by.
//!
//! Calls are kept per thread, not per cpu, because a thread that sleeps inside a system call may go on
//! elsewhere. The kernel prints each call's depth as indentation; that depth, not the order of braces,
//! decides where a call hangs, so a lost line damages only what it was about. What is missing is marked
//! with [`Call::hole`]; nothing is invented.

mod line;

use crate::model::{Call, Graph};
pub(super) use line::{Body, Line, Task};
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// Name of the made-up call that holds what ran in an interrupt, so that it can be folded away.
pub const INTERRUPT: &str = "<interrupt>";

/// Calls kept of one graph; beyond that only the count goes on. A mount of a whole tree stays below.
const MAX_CALLS: usize = 200_000;
/// Calls inside each other. The kernel's own shadow stack ends far earlier; without a bound a made-up
/// file could make the tree too deep to walk.
const MAX_DEPTH: usize = 256;
/// Calls kept of all graphs that are not whole yet, about a hundred bytes each.
const MAX_OPEN: usize = 1_000_000;
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
    /// Each processor's idle thread has number 0.
    Idle(u32),
    Cpu(u32),
}

impl Key {
    fn of(task: u32, cpu: u32) -> Self {
        if task == 0 { Self::Idle(cpu) } else { Self::Thread(task) }
    }
}

/// Threads are looked up once a line, and there are never many: a multiplication spreads their numbers well enough
/// (Knuth, The Art of Computer Programming, 6.4).
#[derive(Default)]
struct Mix(u64);

impl Hasher for Mix {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(u64::from(number));
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0.rotate_left(5) ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn write_isize(&mut self, number: isize) {
        self.write_u64(number as u64);
    }
}

/// An entered call. `level` is twice the printed depth, so that an interrupt fits in between.
struct Frame {
    level: u32,
    /// As [`Line::context`].
    context: u8,
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
    threads: HashMap<Key, Thread, BuildHasherDefault<Mix>>,
    running: HashMap<u32, (u32, String)>,
    /// Calls of all threads' open graphs.
    open: usize,
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

    /// As [`Parser::take`], without a list in between.
    pub fn take_each(&mut self, sink: &mut dyn FnMut(Graph)) {
        self.done.drain(..).for_each(sink);
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

    /// One line of text.
    pub fn feed(&mut self, text: &str) {
        self.event(&Line::parse(text));
    }

    /// One line, or one record in a line's shape.
    #[inline]
    pub(super) fn event(&mut self, line: &Line<'_>) {
        self.stats.lines += 1;
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
        self.call(line);
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
            self.threads.insert(Key::of(from.tid, cpu), thread);
        }
        self.running.insert(cpu, (to.tid, known(to.comm).to_owned()));
    }

    fn call(&mut self, line: &Line<'_>) {
        let cpu = line.cpu.unwrap_or(0);
        let key = match &line.task {
            Some(task) => Key::of(task.tid, cpu),
            None => self.running.get(&cpu).map_or(Key::Cpu(cpu), |(tid, _)| Key::of(*tid, cpu)),
        };
        let lines = self.stats.lines;
        if let Some(thread) = self.threads.get_mut(&key) {
            thread.last_line = lines;
            let before = thread.calls;
            thread.feed(line, key, &mut self.done);
            self.open = (self.open + thread.calls).saturating_sub(before);
            if thread.frames.is_empty() && !thread.interrupt {
                self.open = self.open.saturating_sub(thread.calls);
                self.threads.remove(&key);
            }
            if self.open > MAX_OPEN {
                self.evict();
            }
            return;
        }
        if matches!(line.body, Body::Exit { .. }) {
            self.stats.orphan_exits += 1;
            return;
        }
        if self.threads.len() >= MAX_THREADS {
            self.evict();
        }
        let switched = self.running.get(&cpu).map(|(_, comm)| comm.as_str());
        let comm = line.task.map(|task| known(task.comm)).or(switched).unwrap_or_default();
        let mut thread = Thread { comm: comm.to_owned(), last_line: lines, ..Thread::default() };
        thread.feed(line, key, &mut self.done);
        if !thread.frames.is_empty() || thread.interrupt {
            self.open += thread.calls;
            self.threads.insert(key, thread);
        }
    }

    /// Hands out the graph that was silent for longest, as it is.
    fn evict(&mut self) {
        let oldest = self.threads.iter().min_by_key(|(_, thread)| thread.last_line).map(|(key, _)| *key);
        if let Some(key) = oldest
            && let Some(mut thread) = self.threads.remove(&key)
        {
            self.stats.evicted += 1;
            self.open = self.open.saturating_sub(thread.calls);
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
        let marked = std::mem::take(&mut self.interrupt);
        let context = line.context;
        if self.frames.last().is_some_and(|top| marked || top.context < context) {
            let level = level.saturating_sub(1);
            self.frames.push(Frame { level, context, call: Call::leaf(INTERRUPT) });
        }
        let call = Call { start_ns: line.time_ns, ..Call::leaf(name) };
        self.frames.push(Frame { level, context, call });
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
