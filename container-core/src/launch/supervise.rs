//! Staying with a running container: keep its output, let people attach, pass signals on, learn how it ends.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::output::{Attach, OutputPipes, forward};
use super::relay::Relay;
use crate::error::StepError;
use crate::lifecycle::Exit;
use crate::log::{LogWriter, Stream};
use crate::steps::Step;
use crate::store::bundle::Bundle;
use crate::sys::{self, Ended};
use crate::terminal::audience::{Audience, Seat};
use crate::terminal::direct::{self, END_OF_INPUT};
use crate::terminal::wire::Message;

/// How long output may still come after the container's first process, and with it its pid namespace, ended.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How it ended, and the first thing that went wrong while staying with it.
pub(crate) struct Ending {
    pub(crate) exit: Exit,
    pub(crate) trouble: Option<StepError>,
}

/// One output of the workload.
struct Channel<'a> {
    from: Option<OwnedFd>,
    stream: Stream,
    log: LogWriter,
    to: Option<&'a OwnedFd>,
}

/// The workload's input, where the supervisor holds it.
struct Input {
    to: Option<OwnedFd>,
    is_terminal: bool,
    /// Typed faster than the workload reads.
    pending: VecDeque<u8>,
    /// To be closed once that is written.
    closing: bool,
}

/// Something to wait for.
#[derive(Debug, Clone, Copy)]
enum Source {
    End,
    Channel(usize),
    Signal,
    Input,
    Audience(Seat),
}

/// Everything around one running workload.
struct Post<'a> {
    channels: Vec<Channel<'a>>,
    input: Input,
    audience: &'a mut Audience,
    relay: Option<&'a Relay>,
}

/// Stay until the workload has ended and its output is kept.
pub(crate) fn supervise(
    pidfd: &OwnedFd,
    pipes: OutputPipes,
    bundle: &Bundle,
    attach: &Attach,
    relay: Option<&Relay>,
    audience: &mut Audience,
) -> Ending {
    let OutputPipes { stdout, stderr, input, is_terminal } = pipes;
    let channel = |from, stream, to| Channel {
        from: Some(from),
        stream,
        log: LogWriter::new(bundle.log(), stream),
        to,
    };
    let mut channels = vec![channel(stdout, Stream::Stdout, attach.stdout.as_ref())];
    channels.extend(stderr.map(|stderr| channel(stderr, Stream::Stderr, attach.stderr.as_ref())));
    let input = Input { to: input, is_terminal, pending: VecDeque::new(), closing: false };
    let mut post = Post { channels, input, audience, relay };
    let mut trouble = None;
    let mut ended: Option<(Exit, Instant)> = None;
    let mut insistence = 0;
    loop {
        let deadline = ended.as_ref().map(|(_, since)| *since + LAST_WORDS);
        if let Some((exit, since)) = &ended
            && (post.channels.iter().all(|channel| channel.from.is_none()) || since.elapsed() > LAST_WORDS)
        {
            for channel in &mut post.channels {
                trouble = trouble.or(channel.log.finish().err());
            }
            return Ending { exit: *exit, trouble };
        }
        let awaited = ended.is_none().then_some(pidfd);
        for source in post.wait(awaited, deadline) {
            match source {
                Source::Channel(index) => trouble = trouble.or(post.pump(index).err()),
                Source::Signal => {
                    relay.into_iter().for_each(|relay| pass_on(relay, pidfd, &mut insistence));
                }
                Source::Input => post.input.flush(),
                Source::Audience(seat) => {
                    let said = post.audience.attend(seat);
                    said.into_iter().for_each(|message| post.input.take(message));
                }
                Source::End => {
                    let exit = reap(pidfd).unwrap_or_else(|error| {
                        trouble = trouble.take().or(Some(error));
                        Exit::unseen()
                    });
                    ended = Some((exit, Instant::now()));
                }
            }
        }
        post.audience.tidy();
    }
}

impl Post<'_> {
    /// poll(2) over everything that is of interest now; what is ready, the end last.
    fn wait(&self, pidfd: Option<&OwnedFd>, deadline: Option<Instant>) -> Vec<Source> {
        let mut sources: Vec<(Source, BorrowedFd<'_>, PollFlags)> = Vec::new();
        if self.audience.keeps_up() || deadline.is_some() {
            for (index, channel) in self.channels.iter().enumerate() {
                let from = channel.from.as_ref();
                sources.extend(from.map(|fd| (Source::Channel(index), fd.as_fd(), PollFlags::POLLIN)));
            }
        }
        sources.extend(self.relay.map(|relay| (Source::Signal, relay.as_fd(), PollFlags::POLLIN)));
        if let Some(to) = self.input.to.as_ref().filter(|_| !self.input.pending.is_empty()) {
            sources.push((Source::Input, to.as_fd(), PollFlags::POLLOUT));
        }
        let seats = self.audience.interests(self.input.pending.is_empty());
        sources.extend(seats.map(|(seat, fd, flags)| (Source::Audience(seat), fd, flags)));
        sources.extend(pidfd.map(|fd| (Source::End, fd.as_fd(), PollFlags::POLLIN)));
        let mut polled: Vec<PollFd<'_>> =
            sources.iter().map(|(_, fd, flags)| PollFd::new(*fd, *flags)).collect();
        let timeout = match deadline {
            Some(at) => PollTimeout::try_from(at.saturating_duration_since(Instant::now()))
                .unwrap_or(PollTimeout::ZERO),
            None => PollTimeout::NONE,
        };
        // EINTR and a timeout both mean: look again. Without ready descriptors nothing happens.
        let count = poll(&mut polled, timeout).unwrap_or(0);
        let ready = polled.iter().map(|fd| count > 0 && fd.any().unwrap_or(false));
        ready.zip(&sources).filter(|(ready, _)| *ready).map(|(_, (source, ..))| *source).collect()
    }

    /// Read what is there, forward and keep it. The end of the stream ends the channel.
    fn pump(&mut self, index: usize) -> Result<(), StepError> {
        let Some(channel) = self.channels.get_mut(index) else { return Ok(()) };
        let Some(from) = &channel.from else { return Ok(()) };
        let mut buffer = [0u8; 64 * 1024];
        let count = match nix::unistd::read(from, &mut buffer) {
            Err(Errno::EINTR | Errno::EAGAIN) => return Ok(()),
            // EIO: nobody has the terminal open any more.
            Ok(0) | Err(_) => {
                channel.from = None;
                return channel.log.finish();
            }
            Ok(count) => count,
        };
        if let Some(to) = channel.to
            && !forward(to.as_fd(), &buffer[..count])
        {
            // Whoever listened is gone (`run … | head`). So are we then for the workload, which gets EPIPE as if it
            // had written there itself.
            channel.from = None;
        }
        self.audience.tell(channel.stream, &buffer[..count]);
        channel.log.write(&buffer[..count])
    }
}

impl Input {
    /// What somebody attached says.
    fn take(&mut self, message: Message) {
        let Some(to) = &self.to else { return };
        match message {
            Message::Input(bytes) => self.pending.extend(bytes),
            Message::End if self.is_terminal => self.pending.push_back(END_OF_INPUT),
            // Others may be attached, but a pipe has one end: as with docker, the first who closes it does so for all.
            Message::End => self.closing = true,
            Message::Window(window) if self.is_terminal => direct::resize(to.as_fd(), window),
            Message::Window(_) | Message::Output(..) | Message::Exit(_) => {}
        }
        self.flush();
    }

    fn flush(&mut self) {
        match &self.to {
            Some(to) => direct::flush(to.as_fd(), &mut self.pending),
            None => self.pending.clear(),
        }
        if self.closing && self.pending.is_empty() {
            self.to = None;
        }
    }
}

/// Pass signals on.
pub(crate) fn pass_on(relay: &Relay, pidfd: &OwnedFd, insistence: &mut u32) {
    while let Some(signal) = relay.next() {
        pass_on_one(signal, pidfd, insistence);
    }
}

/// The first process of a pid namespace ignores what it has no handler for, even Ctrl-C, so the third request to end is
/// answered with SIGKILL (pid_namespaces(7)).
pub(crate) fn pass_on_one(signal: i32, pidfd: &OwnedFd, insistence: &mut u32) {
    if matches!(signal, libc::SIGINT | libc::SIGTERM) {
        *insistence += 1;
    }
    let signal = if *insistence >= 3 { libc::SIGKILL } else { signal };
    // ESRCH: it has just ended, which the loop is about to see.
    let _ = sys::pidfd_send_signal(pidfd.as_fd(), signal);
}

/// Step "wait for workload": its exit, once the pidfd said that there is one.
pub(crate) fn reap(pidfd: &OwnedFd) -> Result<Exit, StepError> {
    loop {
        match sys::wait_pidfd(pidfd.as_fd()) {
            Ok(Ended::Code(code)) => return Ok(Exit::with_code(code)),
            Ok(Ended::Signal(signal)) => return Ok(Exit::by_signal(signal)),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(StepError::here(Step::WaitWorkload, "waitid", "", errno)),
        }
    }
}
