//! Calls that a socket cannot take as it is: its filter is locked, it has an address, or the address is none for it.

use super::Provoked;
use super::own_network::{enter, refused};
use super::sockets::{self, LOCALHOST, internet, socket};
use anyhow::Context;
use std::net::Ipv6Addr;
use std::os::fd::OwnedFd;

const STREAM: i32 = libc::SOCK_STREAM;
const DGRAM: i32 = libc::SOCK_DGRAM;

/// A filter that lets all through, attached and locked.
pub(super) fn change_locked_filter(variant: &str) -> anyhow::Result<Provoked> {
    const ALLOW: libc::sock_filter = libc::sock_filter { code: 0x06, jt: 0, jf: 0, k: u32::MAX };
    let own = socket(libc::AF_INET, DGRAM, 0)?;
    let mut allow = ALLOW;
    let program = libc::sock_fprog { len: 1, filter: &raw mut allow };
    let attach = |own: &OwnedFd| sockets::set(own, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &program);
    attach(&own).context("cannot attach a filter")?;
    sockets::set(&own, libc::SOL_SOCKET, libc::SO_LOCK_FILTER, &1_i32).context("cannot lock it")?;
    let refusal = match variant {
        "detach" => sockets::set(&own, libc::SOL_SOCKET, libc::SO_DETACH_FILTER, &1_i32),
        _ => attach(&own),
    };
    refused(refusal, "setsockopt", own)
}

/// An address of some link, a second one, or half of one.
pub(super) fn unfit_address(variant: &str) -> anyhow::Result<Provoked> {
    enter()?;
    let link = internet(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1), 9);
    let own =
        socket(if matches!(variant, "twice" | "short") { libc::AF_INET } else { libc::AF_INET6 }, STREAM, 0)?;
    let address = internet(LOCALHOST, 0);
    let (result, syscall) = match variant {
        "connect" => (sockets::connect(&own, &link), "connect"),
        "short" => (sockets::bind(&own, &address[..8]), "bind"),
        "twice" => {
            sockets::bind(&own, &address).context("cannot bind to localhost")?;
            (sockets::bind(&own, &address), "bind")
        }
        _ => (sockets::bind(&own, &link), "bind"),
    };
    refused(result, syscall, own)
}
