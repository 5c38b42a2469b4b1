//! Changes of the kernel's packet rules, in one transaction: nf_tables over netlink(7).
//!
//! The kernel is spoken to directly, for the nft(8) program need not be there, and its errno is what
//! matters here. The messages are those of linux/netfilter/nf_tables.h; one batch of them takes effect as a whole or
//! not at all.

pub(super) mod expression;
mod message;

use std::os::fd::OwnedFd;

use nix::errno::Errno;
use nix::sys::socket::SockProtocol;

use super::netlink::{self, exchange};
use crate::error::StepError;
use crate::steps::Step;
use expression::Expression;
use message::Batch;
pub(super) use message::acknowledgement;

/// Where a chain is called, `enum nf_inet_hooks`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hook {
    Prerouting = 0,
    Output = 3,
    Postrouting = 4,
}

/// A chain that the kernel calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Chain {
    pub(super) name: &'static str,
    /// `filter` or `nat`.
    pub(super) kind: &'static str,
    pub(super) hook: Hook,
    pub(super) priority: i32,
}

/// One message of a batch, about a table of family ip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    AddTable(String),
    DeleteTable(String),
    AddChain(String, Chain),
    AddRule { table: String, chain: &'static str, what: String, expressions: Vec<Expression> },
}

impl Change {
    /// In words, for an error.
    fn what(&self) -> String {
        match self {
            Change::AddTable(table) | Change::DeleteTable(table) => format!("table ip {table}"),
            Change::AddChain(table, chain) => format!("chain {} of table ip {table}", chain.name),
            Change::AddRule { table, what, .. } => format!("rule \"{what}\" of table ip {table}"),
        }
    }
}

/// Step "translate addresses".
pub(super) fn commit(changes: &[Change]) -> Result<(), StepError> {
    let socket = open(Step::TranslateAddresses)?;
    let mut batch = Batch::new();
    changes.iter().for_each(|change| batch.push(change));
    // A change that was not refused by name was refused with all others.
    let refused = |index: Option<usize>, errno: Errno| {
        let what = index.and_then(|index| changes.get(index)).or(changes.first()).map(Change::what);
        let object = explain(&what.unwrap_or_default(), errno);
        Err(StepError::here(Step::TranslateAddresses, "sendto", object, errno))
    };
    match exchange(&socket, &batch.finish()) {
        Ok((_, None)) => Ok(()),
        Ok((sequence, Some(errno))) => refused(message::change_of(sequence), errno),
        Err(errno) => refused(None, errno),
    }
}

/// Whether the table is there.
pub(super) fn has_table(table: &str) -> Result<bool, StepError> {
    let socket = open(Step::TranslateAddresses)?;
    match exchange(&socket, &message::get_table(table)) {
        Ok((_, None)) => Ok(true),
        Ok((_, Some(Errno::ENOENT))) => Ok(false),
        Ok((_, Some(errno))) | Err(errno) => {
            let object = explain(&format!("table ip {table}"), errno);
            Err(StepError::here(Step::TranslateAddresses, "sendto", object, errno))
        }
    }
}

/// Step "remove network": the table, if it is there. A kernel that has none at all has not this one.
pub(super) fn remove_table(table: &str) -> Result<(), StepError> {
    let Ok(socket) = open(Step::RemoveNetwork) else { return Ok(()) };
    let mut batch = Batch::new();
    batch.push(&Change::DeleteTable(table.to_owned()));
    match exchange(&socket, &batch.finish()) {
        Ok((_, None | Some(Errno::ENOENT | Errno::EOPNOTSUPP | Errno::EINVAL))) => Ok(()),
        Ok((_, Some(errno))) | Err(errno) => {
            Err(StepError::here(Step::RemoveNetwork, "sendto", format_args!("table ip {table}"), errno))
        }
    }
}

/// What an errno means that does not say it.
fn explain(what: &str, errno: Errno) -> String {
    match errno {
        Errno::EOPNOTSUPP | Errno::EPROTONOSUPPORT | Errno::ENOENT => format!(
            "{what} (this kernel has no nf_tables, or not all of its modules for address translation: nft_chain_nat, \
             nft_masq, nft_nat, nft_ct, nft_fib_ipv4; without them a container can have the network none or host)"
        ),
        _ => what.to_owned(),
    }
}

fn open(step: Step) -> Result<OwnedFd, StepError> {
    let failed = |errno| StepError::here(step, "socket", explain("NETLINK_NETFILTER", errno), errno);
    netlink::open(SockProtocol::NetlinkNetFilter).map_err(failed)
}
