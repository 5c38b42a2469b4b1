//! Reading the event log: all of it, or what is new since the last look.

use std::path::Path;

use super::{Event, path};
use crate::error::Error;
use crate::lines::LineFollower;

/// What the log held.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventLog {
    /// Oldest first.
    pub events: Vec<Event>,
    /// Lines that are no events: torn by a crash or a full disk. A torn *last* line is not counted yet.
    pub unreadable: usize,
}

/// All events that are kept for the store at `root`. A store without events gives none.
pub fn read(root: &Path) -> Result<EventLog, Error> {
    Follow::from_start(root).read_new()
}

/// A reader that remembers how far it read, across rotations.
#[derive(Debug)]
pub struct Follow {
    lines: LineFollower,
}

impl Follow {
    /// The first [`Follow::read_new`] returns everything that is kept.
    #[must_use]
    pub fn from_start(root: &Path) -> Follow {
        Follow { lines: LineFollower::from_start(path(root)) }
    }

    /// The first [`Follow::read_new`] returns only what is written after this call.
    pub fn from_end(root: &Path) -> Result<Follow, Error> {
        let lines = LineFollower::from_end(path(root)).map_err(Error::store("read", &path(root)))?;
        Ok(Follow { lines })
    }

    /// The events written since the last call. Costs one open and one read when there are none.
    pub fn read_new(&mut self) -> Result<EventLog, Error> {
        let mut log = EventLog::default();
        self.lines
            .read_new(&mut |line| match serde_json::from_slice(line) {
                Ok(event) => log.events.push(event),
                Err(_) => log.unreadable += 1,
            })
            .map_err(Error::store("read", Path::new("events.jsonl")))?;
        Ok(log)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::ContainerRef;
    use crate::events::{EventKind, append, now};
    use crate::testing::Scratch;

    #[test]
    fn reading_tolerates_damage_and_counts_it() {
        let root = Scratch::new("events");
        assert_eq!(read(root.path()).unwrap(), EventLog::default());
        let container = ContainerRef { id: "1".into(), name: "n".into(), image: "i".into() };
        let event = now(&container, EventKind::Removed);
        append(root.path(), &event).unwrap();
        let mut follow = Follow::from_end(root.path()).unwrap();
        let mut text = std::fs::read_to_string(path(root.path())).unwrap();
        text.push_str("{\"time_unix");
        std::fs::write(path(root.path()), text).unwrap();
        assert_eq!(read(root.path()).unwrap(), EventLog { events: vec![event.clone()], unreadable: 0 });
        append(root.path(), &event).unwrap();
        assert_eq!(follow.read_new().unwrap(), EventLog { events: vec![event], unreadable: 1 });
    }
}
