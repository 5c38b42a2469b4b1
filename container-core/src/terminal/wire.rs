//! What a supervisor and those who attach say to each other: one message a packet, over a unix(7) socket of type
//! SOCK_SEQPACKET, which keeps messages apart. The first byte is the kind.

use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv, send};

use super::Window;
use crate::lifecycle::Exit;
use crate::log::Stream;

/// Most bytes of input or output in one message.
pub(crate) const MAX_BYTES: usize = 16 * 1024;

const INPUT: u8 = b'I';
const END: u8 = b'E';
const WINDOW: u8 = b'W';
const STDOUT: u8 = b'O';
const STDERR: u8 = b'R';
const EXIT: u8 = b'X';

/// A message, in either direction.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Message {
    /// Typed by a visitor.
    Input(Vec<u8>),
    /// A visitor's input is at its end.
    End,
    /// A visitor's window has this size.
    Window(Window),
    /// Written by the workload.
    Output(Stream, Vec<u8>),
    /// The workload ended, and everything of it is cleaned up.
    Exit(Exit),
}

impl Message {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let tagged = |tag: u8, bytes: &[u8]| [&[tag], bytes].concat();
        match self {
            Message::Input(bytes) => tagged(INPUT, bytes),
            Message::End => vec![END],
            Message::Window(Window { rows, columns }) => {
                tagged(WINDOW, &[rows.to_ne_bytes(), columns.to_ne_bytes()].concat())
            }
            Message::Output(stream, bytes) => output(*stream, bytes),
            Message::Exit(exit) => tagged(EXIT, &serde_json::to_vec(exit).unwrap_or_default()),
        }
    }

    /// `None` for what no version of this file has written.
    fn decode(packet: &[u8]) -> Option<Message> {
        let (kind, rest) = packet.split_first()?;
        Some(match (*kind, rest) {
            (INPUT, bytes) => Message::Input(bytes.to_vec()),
            (END, []) => Message::End,
            (WINDOW, [a, b, c, d]) => Message::Window(Window {
                rows: u16::from_ne_bytes([*a, *b]),
                columns: u16::from_ne_bytes([*c, *d]),
            }),
            (STDOUT, bytes) => Message::Output(Stream::Stdout, bytes.to_vec()),
            (STDERR, bytes) => Message::Output(Stream::Stderr, bytes.to_vec()),
            (EXIT, json) => Message::Exit(serde_json::from_slice(json).ok()?),
            _ => return None,
        })
    }
}

/// An output message without a copy of its bytes first.
pub(crate) fn output(stream: Stream, bytes: &[u8]) -> Vec<u8> {
    let tag = match stream {
        Stream::Stdout => STDOUT,
        Stream::Stderr => STDERR,
    };
    [&[tag], bytes].concat()
}

/// Send a packet, or not at all. EAGAIN: the other side has to read first.
pub(crate) fn send_packet(socket: BorrowedFd<'_>, packet: &[u8]) -> Result<(), Errno> {
    let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
    loop {
        match send(socket.as_raw_fd(), packet, flags) {
            Err(Errno::EINTR) => {}
            done => return done.map(drop),
        }
    }
}

/// The next message; `None` when the other side has closed, or speaks something else.
pub(crate) fn receive(socket: BorrowedFd<'_>) -> Result<Option<Message>, Errno> {
    let mut packet = [0u8; MAX_BYTES + 1];
    loop {
        match recv(socket.as_raw_fd(), &mut packet, MsgFlags::MSG_DONTWAIT) {
            Err(Errno::EINTR) => {}
            Ok(length) => return Ok(Message::decode(&packet[..length])),
            Err(errno) => return Err(errno),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
    use std::os::fd::AsFd;

    #[test]
    fn messages_arrive_apart_and_whole() {
        let (here, there) =
            socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC).unwrap();
        let messages = [
            Message::Input(b"ls\n".to_vec()),
            Message::End,
            Message::Window(Window { rows: 24, columns: 300 }),
            Message::Output(Stream::Stderr, vec![b'x'; MAX_BYTES]),
            Message::Exit(Exit::by_signal(9)),
        ];
        for message in &messages {
            send_packet(here.as_fd(), &message.encode()).unwrap();
        }
        for message in messages {
            assert_eq!(receive(there.as_fd()).unwrap(), Some(message));
        }
        assert_eq!(receive(there.as_fd()), Err(Errno::EAGAIN));
        drop(here);
        assert_eq!(receive(there.as_fd()), Ok(None));
    }
}
