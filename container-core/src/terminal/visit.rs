//! The caller's side of a conversation with a supervisor.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::near::{self, Near, Typed};
use super::wire::{self, Message};
use super::{DetachKeys, Parting};
use crate::error::StepError;
use crate::launch::output::Attach;
use crate::launch::relay::Relay;
use crate::steps::Step;

/// How a conversation ended; `None` when the supervisor closed it without a word.
pub(crate) type Farewell = Option<Parting>;

/// What is said besides input and output.
pub(crate) struct Manners<'a> {
    /// The container has a terminal: it gets our window's size, and every key.
    pub(crate) terminal: bool,
    pub(crate) keys: DetachKeys,
    /// Where signals go that are no keys, for a container without terminal.
    pub(crate) signal: &'a dyn Fn(i32),
}

/// One side of the conversation.
struct Talk<'a> {
    socket: &'a OwnedFd,
    attach: &'a Attach,
    manners: Manners<'a>,
    /// Said faster than the supervisor listens. We must not wait for it to listen: it may be waiting for us.
    unsaid: VecDeque<Vec<u8>>,
    /// What to answer once everything is said.
    leaving: Option<Parting>,
}

/// Talk until one of both leaves.
pub(crate) fn talk(socket: &OwnedFd, attach: &Attach, manners: Manners<'_>) -> Result<Farewell, StepError> {
    // Before the terminal is raw: from here on no signal ends this process without putting it back.
    let relay = Relay::install();
    let mut near = Near::open(attach, manners.terminal, manners.keys.clone())?;
    let mut talk = Talk { socket, attach, manners, unsaid: VecDeque::new(), leaving: None };
    if talk.manners.terminal {
        talk.say_window();
    }
    loop {
        if talk.leaving.is_some() && talk.unsaid.is_empty() {
            return Ok(talk.leaving);
        }
        let [typed, heard, signalled] = talk.wait(&near, relay.as_ref())?;
        if signalled && let Some(parting) = talk.on_signals(relay.as_ref()) {
            return Ok(Some(parting));
        }
        if heard && let Some(farewell) = talk.hear(&near) {
            return Ok(farewell);
        }
        match typed.then(|| near.read()).flatten() {
            Some(Typed::Bytes(bytes)) => talk.say(&Message::Input(bytes)),
            Some(Typed::Detach(bytes)) => {
                talk.say(&Message::Input(bytes));
                talk.leaving = Some(Parting::Detached);
            }
            // Whose input is at its end has nothing more to say, but may have much to hear.
            Some(Typed::End) => talk.say(&Message::End),
            None => {}
        }
    }
}

impl Talk<'_> {
    /// Which of input, socket and signals has something. Input waits until what was typed before is said.
    fn wait(&self, near: &Near<'_>, relay: Option<&Relay>) -> Result<[bool; 3], StepError> {
        let mut flags = PollFlags::POLLIN;
        flags.set(PollFlags::POLLOUT, !self.unsaid.is_empty());
        let input = near.input().filter(|_| self.unsaid.is_empty() && self.leaving.is_none());
        let sources: [Option<(BorrowedFd<'_>, PollFlags)>; 3] = [
            input.map(|fd| (fd, PollFlags::POLLIN)),
            Some((self.socket.as_fd(), flags)),
            relay.map(|relay| (relay.as_fd(), PollFlags::POLLIN)),
        ];
        let mut polled: Vec<PollFd<'_>> =
            sources.iter().flatten().map(|(fd, flags)| PollFd::new(*fd, *flags)).collect();
        match poll(&mut polled, PollTimeout::NONE) {
            Ok(_) => {}
            Err(Errno::EINTR) => return Ok([false; 3]),
            Err(errno) => return Err(StepError::here(Step::Attach, "poll", "", errno)),
        }
        let mut answers = polled.iter().map(|fd| fd.any().unwrap_or(false));
        Ok(sources.map(|source| source.is_some() && answers.next().unwrap_or(false)))
    }

    /// The socket is ready, one way or the other.
    fn hear(&mut self, near: &Near<'_>) -> Option<Farewell> {
        self.flush();
        match wire::receive(self.socket.as_fd()) {
            Ok(Some(Message::Output(stream, bytes))) if !near.show(stream, &bytes) => {
                Some(Some(Parting::Interrupted(libc::SIGPIPE)))
            }
            Ok(Some(Message::Exit(exit))) => Some(Some(Parting::Ended(exit))),
            Ok(Some(_)) | Err(Errno::EAGAIN) => None,
            Ok(None) | Err(_) => Some(None),
        }
    }

    fn on_signals(&mut self, relay: Option<&Relay>) -> Option<Parting> {
        while let Some(signal) = relay.and_then(Relay::next) {
            match (signal, self.manners.terminal) {
                (libc::SIGWINCH, true) => self.say_window(),
                (libc::SIGWINCH, false) => {}
                // Keys reach the workload by the terminal: this one is meant for us.
                (signal, true) => return Some(Parting::Interrupted(signal)),
                (signal, false) => (self.manners.signal)(signal),
            }
        }
        None
    }

    fn say_window(&mut self) {
        if let Some(window) = near::window(self.attach) {
            self.say(&Message::Window(window));
        }
    }

    fn say(&mut self, message: &Message) {
        self.unsaid.push_back(message.encode());
        self.flush();
    }

    fn flush(&mut self) {
        while let Some(packet) = self.unsaid.front() {
            match wire::send_packet(self.socket.as_fd(), packet) {
                Ok(()) => drop(self.unsaid.pop_front()),
                Err(Errno::EAGAIN) => return,
                // A supervisor that is gone says so on the other way.
                Err(_) => self.unsaid.clear(),
            }
        }
    }
}
