//! Which code of the engine or the application made the call: addresses from the probe to functions with names.
//!
//! Two steps, because the process may end at any moment and others have to be looked at too: [`look`] reads its memory
//! map, which is quick; [`Seen::named`] opens the mapped files, unwinds and looks names up, for which a file's tables are
//! read the first time: tens of milliseconds for a large one, so that a [`Namer`] does it beside everything else. Nothing
//! is guessed: where the map does not fit the addresses, or symbols are missing, the answer says so and keeps addresses.

mod elf;
mod go;
mod maps;
mod namer;
mod names;
mod recorded;
mod unwind;

pub use namer::Namer;
pub use recorded::Recorded;

use crate::limits::read::Root;
use crate::model::{CallSite, Failure, UserFrame, UserStack};
use maps::{Maps, Region};

/// A call site with what is known of the memory of its process.
#[derive(Debug)]
pub struct Seen {
    /// Which failure it belongs to.
    id: Id,
    site: CallSite,
    task: Ids,
    /// The map that the process had when it was looked at, where it was still there.
    living: Option<Vec<Region>>,
    /// The map that it had at the call, where somebody wrote it down.
    recorded: Option<Vec<Region>>,
}

/// A failure: its thread, and when.
type Id = (u32, u64);

fn id(failure: &Failure) -> Id {
    (failure.task.tid, failure.time.mono_ns)
}

/// Who made the call.
#[derive(Debug, Clone, Copy)]
struct Ids {
    tid: u32,
    pid: u32,
    ppid: u32,
}

/// Reads the map of the failing process. `None` where the probe saw no call site.
pub fn look(root: &Root, failure: &mut Failure) -> Option<Seen> {
    let site = *failure.task.stack.take()?.site?;
    let task = Ids { tid: failure.task.tid, pid: failure.task.pid, ppid: failure.task.ppid };
    Some(Seen { id: id(failure), site, task, living: maps::living(root, task), recorded: None })
}

impl Seen {
    /// Adds the map that was recorded; to be called in the order of the failures.
    pub fn with(self, recorded: &mut Recorded) -> Self {
        let pieces = recorded.of(self.task.pid, self.id.1);
        Self { recorded: pieces.map(maps::recorded), ..self }
    }

    /// The functions, innermost first.
    pub fn named(self, root: &Root) -> UserStack {
        let chain = self.site.chain.clone();
        let (maps, site) = match Maps::fitting(root, self) {
            Ok(fitting) => fitting,
            Err(why) => {
                let frames = chain.into_iter().map(unknown).collect();
                return UserStack { frames, note: Some(why), site: None };
            }
        };
        let walk = unwind::walk(&maps, &site);
        let mut frames = Vec::new();
        let mut nameless: Vec<String> = Vec::new();
        for (depth, address) in walk.addresses.iter().enumerate() {
            let frame = frame(&maps, *address, depth > 0);
            if let (None, Some(module)) = (&frame.function, &frame.module)
                && !nameless.contains(module)
            {
                nameless.push(module.clone());
            }
            frames.push(frame);
        }
        let stripped = (!nameless.is_empty())
            .then(|| format!("no symbols for this in {} (stripped)", nameless.join(", ")));
        let notes: Vec<String> = walk.ended.map(str::to_owned).into_iter().chain(stripped).collect();
        let note = (!notes.is_empty()).then(|| notes.join("; "));
        UserStack { frames, note, site: None }
    }
}

fn unknown(address: u64) -> UserFrame {
    UserFrame { address, ..UserFrame::default() }
}

fn frame(maps: &Maps, address: u64, returns_here: bool) -> UserFrame {
    let Some(mapped) = maps.at(address) else { return unknown(address) };
    let mut frame = UserFrame { address, module: Some(mapped.path().to_owned()), ..UserFrame::default() };
    let Some(at) = maps.in_file(address) else { return frame };
    let Some(elf) = &mapped.file else { return frame };
    frame.build_id = elf.build_id.clone();
    frame.at = Some(at);
    // The call is the instruction before the one that it returns to, which may belong to the next function.
    let call = if returns_here { at.saturating_sub(1) } else { at };
    if let Some(found) = names::find(elf, call) {
        frame.offset = at.checked_sub(found.start);
        frame.function = Some(found.name);
    }
    frame
}

#[cfg(test)]
mod tests;
