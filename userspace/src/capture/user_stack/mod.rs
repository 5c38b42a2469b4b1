//! Which code of the engine or the application made the call: addresses from the probe to functions with names.
//!
//! Two steps, because the process may end at any moment and others have to look at it too: [`look`] reads its memory map,
//! which is quick; [`Seen::named`] opens the mapped files, unwinds and looks names up, which takes a file's tables a moment
//! the first time. Nothing is guessed: where the map does not fit the addresses, or symbols are missing, the answer says
//! so and keeps addresses.

mod elf;
mod go;
mod maps;
mod names;
mod recorded;
mod unwind;

pub use recorded::Recorded;

use crate::limits::read::Root;
use crate::model::{CallSite, Failure, UserFrame, UserStack};
use maps::{Mapped, Maps};

/// A call site with the memory map of the process, where that was still there.
#[derive(Debug)]
pub struct Seen {
    site: CallSite,
    maps: Option<Maps>,
}

/// Reads the map of the failing process. `None` where the probe saw no call site.
pub fn look(root: &Root, failure: &mut Failure) -> Option<Seen> {
    let site = *failure.task.stack.as_mut()?.site.take()?;
    let maps = Maps::living(root, &failure.task);
    Some(Seen { site, maps })
}

impl Seen {
    /// The functions, innermost first.
    pub fn named(self, root: &Root, failure: &Failure, recorded: &mut Recorded) -> UserStack {
        let Self { site, maps } = self;
        let pieces = recorded.of(failure.task.pid, failure.time.mono_ns);
        let maps = Maps::fitting(root, &failure.task, &site, maps, pieces);
        let maps = match maps {
            Ok(maps) => maps,
            Err(why) => {
                let frames = site.chain.iter().map(|address| unknown(*address)).collect();
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
    let Some(Mapped { path, file, .. }) = maps.at(address) else { return unknown(address) };
    let mut frame = UserFrame { address, module: Some(path.clone()), ..UserFrame::default() };
    let Some(at) = maps.in_file(address) else { return frame };
    let Some(elf) = file else { return frame };
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
