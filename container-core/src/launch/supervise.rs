//! Staying with a running container: keep its output, pass signals on, learn how it ends.

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
    log: LogWriter,
    to: Option<&'a OwnedFd>,
}

/// Stay until the workload has ended and its output is kept.
pub(crate) fn supervise(
    pidfd: &OwnedFd,
    pipes: OutputPipes,
    bundle: &Bundle,
    attach: &Attach,
    relay: Option<&Relay>,
) -> Ending {
    let OutputPipes { stdout, stderr } = pipes;
    let channel =
        |from, stream, to| Channel { from: Some(from), log: LogWriter::new(bundle.log(), stream), to };
    let mut channels = [
        channel(stdout, Stream::Stdout, attach.stdout.as_ref()),
        channel(stderr, Stream::Stderr, attach.stderr.as_ref()),
    ];
    let mut trouble = None;
    let mut ended: Option<(Exit, Instant)> = None;
    let mut insistence = 0;
    loop {
        let deadline = ended.as_ref().map(|(_, since)| *since + LAST_WORDS);
        if let Some((exit, since)) = &ended
            && (channels.iter().all(|channel| channel.from.is_none()) || since.elapsed() > LAST_WORDS)
        {
            for channel in &mut channels {
                trouble = trouble.or(channel.log.finish().err());
            }
            return Ending { exit: *exit, trouble };
        }
        let awaited = ended.is_none().then_some(pidfd);
        let ready = wait_ready(awaited, &channels, relay, deadline);
        for (channel, is_ready) in channels.iter_mut().zip(ready.channels) {
            if is_ready {
                trouble = trouble.or(channel.pump().err());
            }
        }
        if let Some(relay) = relay.filter(|_| ready.signal) {
            pass_on(relay, pidfd, &mut insistence);
        }
        if ready.ended {
            let exit = reap(pidfd).unwrap_or_else(|error| {
                trouble = trouble.take().or(Some(error));
                Exit::unseen()
            });
            ended = Some((exit, Instant::now()));
        }
    }
}

struct Ready {
    ended: bool,
    channels: [bool; 2],
    signal: bool,
}

/// poll(2) over everything that is still of interest.
fn wait_ready(
    pidfd: Option<&OwnedFd>,
    channels: &[Channel<'_>; 2],
    relay: Option<&Relay>,
    deadline: Option<Instant>,
) -> Ready {
    let sources: [Option<BorrowedFd<'_>>; 4] = [
        pidfd.map(AsFd::as_fd),
        channels[0].from.as_ref().map(AsFd::as_fd),
        channels[1].from.as_ref().map(AsFd::as_fd),
        relay.map(AsFd::as_fd),
    ];
    let mut polled: Vec<PollFd<'_>> =
        sources.iter().flatten().map(|fd| PollFd::new(*fd, PollFlags::POLLIN)).collect();
    let timeout = match deadline {
        Some(at) => {
            PollTimeout::try_from(at.saturating_duration_since(Instant::now())).unwrap_or(PollTimeout::ZERO)
        }
        None => PollTimeout::NONE,
    };
    // EINTR and a timeout both mean: look again. Without ready descriptors nothing happens.
    let count = poll(&mut polled, timeout).unwrap_or(0);
    let mut answers = polled.iter().map(|fd| count > 0 && fd.any().unwrap_or(false));
    let mut ready = sources.map(|source| source.is_some() && answers.next().unwrap_or(false)).into_iter();
    let mut next = || ready.next().unwrap_or(false);
    Ready { ended: next(), channels: [next(), next()], signal: next() }
}

impl Channel<'_> {
    /// Read what is there, forward and keep it. The end of the stream ends the channel.
    fn pump(&mut self) -> Result<(), StepError> {
        let Some(from) = &self.from else { return Ok(()) };
        let mut buffer = [0u8; 64 * 1024];
        let count = match nix::unistd::read(from, &mut buffer) {
            Err(Errno::EINTR | Errno::EAGAIN) => return Ok(()),
            Ok(0) | Err(_) => {
                self.from = None;
                return self.log.finish();
            }
            Ok(count) => count,
        };
        if let Some(to) = self.to
            && !forward(to.as_fd(), &buffer[..count])
        {
            // Whoever listened is gone (`run … | head`). So are we then for the workload, which gets EPIPE as if it
            // had written there itself.
            self.from = None;
        }
        self.log.write(&buffer[..count])
    }
}

/// Pass signals on. The first process of a pid namespace ignores what it has no handler for, even Ctrl-C, so
/// the third request to end is answered with SIGKILL (pid_namespaces(7)).
pub(crate) fn pass_on(relay: &Relay, pidfd: &OwnedFd, insistence: &mut u32) {
    while let Some(signal) = relay.next() {
        if matches!(signal, libc::SIGINT | libc::SIGTERM) {
            *insistence += 1;
        }
        let signal = if *insistence >= 3 { libc::SIGKILL } else { signal };
        // ESRCH: it has just ended, which the loop is about to see.
        let _ = sys::pidfd_send_signal(pidfd.as_fd(), signal);
    }
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
