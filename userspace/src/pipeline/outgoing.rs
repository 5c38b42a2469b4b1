//! Stories on their way out: in order, each new one with the names of the code that made the call.

use super::Event;
use crate::capture::user_stack::{Namer, Seen};
use crate::correlate::Story;
use crate::limits::read::Root;
use std::collections::VecDeque;

#[derive(Debug)]
pub(super) struct Outgoing {
    namer: Option<Namer>,
    stories: VecDeque<Story>,
}

impl Outgoing {
    /// Without a thread to name them in, call sites stay unnamed.
    pub(super) fn start(root: Root) -> Self {
        let namer = Namer::start(root).inspect_err(|e| {
            tracing::warn!("which code makes calls is not told: no thread to read programs in: {e}");
        });
        Self { namer: namer.ok(), stories: VecDeque::new() }
    }

    /// The call site of a failure that a new story will be told of.
    pub(super) fn ask(&mut self, seen: Seen) {
        if let Some(namer) = &mut self.namer {
            namer.ask(seen);
        }
    }

    pub(super) fn push(&mut self, story: Story) {
        self.stories.push_back(story);
    }

    pub(super) fn is_waiting(&self) -> bool {
        !self.stories.is_empty()
    }

    /// Waits until the next call site has names.
    pub(super) async fn named(&mut self) {
        match &mut self.namer {
            Some(namer) => namer.answered().await,
            None => std::future::pending().await,
        }
    }

    /// What can be told by now; behind a story that waits all others wait too, for they may say that it happened again.
    pub(super) fn ready(&mut self) -> Vec<Event> {
        let mut ready = Vec::new();
        while let Some(mut story) = self.stories.pop_front() {
            if let Story::New { incident, .. } = &mut story
                && self.namer.as_mut().is_some_and(|namer| namer.is_waiting_for(&mut incident.failure))
            {
                self.stories.push_front(story);
                break;
            }
            ready.push(Event::Story(story));
        }
        ready
    }
}
