//! The bridge network: who has which address, and what of it is in the kernel.
//!
//! `<root>/network.json` says which bridge the store has, its subnet, and the lease of every container that is connected
//! ([`record`]). All else follows from it: the bridge exists while there is a lease, and the rules that translate
//! addresses are those of the leases, replaced whole in one transaction ([`rules`], [`nft`]). So whoever comes after
//! a killed engine needs no memory of what it was doing: he takes the lease away and makes the kernel agree.

mod links;
mod names;
mod netlink;
mod nft;
mod ports;
mod record;
mod rules;

use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use serde::{Deserialize, Serialize};

pub(crate) use names::mounts as name_mounts;

use crate::error::StepError;
use crate::rootless;
use crate::spec::Port;
use crate::steps::Step;
use crate::store::Store;
use links::Links;
use record::{Installed, Locked, Record};

/// Where a container stands in the bridge network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connection {
    /// Its address.
    pub address: Ipv4Addr,
    /// Length of the subnet's prefix in bits.
    pub prefix: u8,
    /// The bridge's address, through which everything else is reached.
    pub gateway: Ipv4Addr,
    /// The bridge's name on the machine.
    pub bridge: String,
    /// The machine's ports that lead to it; a free one that was asked for has its number here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<Port>,
}

/// A lease, and the sockets that keep its ports from others while the container runs.
#[derive(Debug)]
pub(crate) struct Lease {
    pub(crate) connection: Connection,
    reserved: Vec<OwnedFd>,
}

/// Steps "reserve published port" and "record network": an address for the container `id`. Before it exists, so that
/// whatever happens later, its lease leads to what is to be removed.
pub(crate) fn lease(store: &Store, id: &str, ports: &[Port]) -> Result<Lease, StepError> {
    refuse_in_foreign_network()?;
    let locked = Locked::lock(store)?;
    let mut record = locked.read()?.map_or_else(|| Record::new(store.root()), Ok)?;
    let (ports, reserved) = ports::reserve(ports, &record, id)?;
    let address = record.lease(id, &ports)?;
    locked.write(&record)?;
    let connection = Connection {
        address,
        prefix: record.subnet.prefix,
        gateway: record.subnet.gateway(),
        bridge: record.bridge.clone(),
        ports,
    };
    Ok(Lease { connection, reserved })
}

/// A normal user's engine has rights in networks that he made, which the machine's is not. NS_GET_USERNS, ioctl_nsfs(2), is
/// refused for an owner out of the caller's reach. Asked before anything is recorded.
fn refuse_in_foreign_network() -> Result<(), StepError> {
    const NS_GET_USERNS: libc::c_ulong = 0xb701;
    if !rootless::in_user_namespace() {
        return Ok(());
    }
    let path = Path::new("/proc/thread-self/ns/net");
    let network =
        fs::File::open(path).map_err(|e| StepError::from_io(Step::CreateBridge, "openat", path, &e))?;
    // SAFETY: takes no argument.
    let owner = unsafe { libc::ioctl(network.as_raw_fd(), NS_GET_USERNS as _) };
    // SAFETY: a new descriptor that nobody else owns.
    let closed = Errno::result(owner).map(|owner| drop(unsafe { OwnedFd::from_raw_fd(owner) }));
    closed.map_err(|errno| {
        let object = "the machine's network (it is root's: a normal user's containers have --network none or host; programs \
                      that carry a user's packets, like pasta, are not part of this engine)";
        StepError::here(Step::CreateBridge, "ioctl", object, errno)
    })
}

impl Lease {
    /// Connect the network namespace of the process behind `pidfd`: all steps from "create bridge" to "configure
    /// container network", each announced by `step`.
    pub(crate) fn connect(
        &self,
        store: &Store,
        id: &str,
        pid: i32,
        pidfd: BorrowedFd<'_>,
        step: &dyn Fn(Step),
    ) -> Result<(), StepError> {
        debug_assert_eq!(self.reserved.len(), self.connection.ports.len());
        let links = Links::open()?;
        {
            let locked = Locked::lock(store)?;
            let Some(mut record) = locked.read()? else {
                let path = record::path(store);
                return Err(StepError::here(Step::RecordNetwork, "openat", path.display(), Errno::ENOENT));
            };
            step(Step::CreateBridge);
            links.ensure_bridge(&record, store.root())?;
            step(Step::EnableForwarding);
            enable_forwarding(&record.bridge)?;
            step(Step::TranslateAddresses);
            if !record.is_installed() || !nft::has_table(&record.bridge)? {
                nft::commit(&rules::replace(&record))?;
                record.installed = Some(Installed::of(&record));
                locked.write(&record)?;
            }
        }
        step(Step::CreateVeth);
        links.create_veth(&host_end(id), &self.connection, pid)?;
        step(Step::EnterNetwork);
        let (inside, index) = links::open_inside(pidfd)?;
        step(Step::ConfigureNetwork);
        inside.configure(index, &self.connection)
    }
}

/// Step "remove network": no veth pair, no lease, no rule of the container `id` from here on, and no bridge once it was
/// the last. Doing it twice does no harm. Where the store has no network there is nothing to do.
pub(crate) fn disconnect(store: &Store, id: &str) -> Result<(), StepError> {
    if !record::path(store).exists() {
        return Ok(());
    }
    let locked = Locked::lock(store)?;
    let Some(mut record) = locked.read()? else { return Ok(()) };
    let links = Links::open()?;
    links.remove(&host_end(id))?;
    if record.leases.remove(id).is_some() {
        locked.write(&record)?;
    }
    if record.leases.is_empty() {
        nft::remove_table(&record.bridge)?;
        if links::is_own_bridge(&record.bridge, store.root()) {
            links.remove(&record.bridge)?;
        }
        record.installed = None;
        return locked.write(&record);
    }
    if !record.is_installed() {
        nft::commit(&rules::replace(&record))?;
        record.installed = Some(Installed::of(&record));
        locked.write(&record)?;
    }
    Ok(())
}

/// The name of the pair's end on the machine: 15 bytes at most, netdevice(7).
fn host_end(id: &str) -> String {
    format!("veth{}", id.get(..11).unwrap_or(id))
}

/// Step "enable forwarding", ip(7). It stays on, as other engines leave it: somebody else may count on it by then.
/// `route_localnet` lets the machine's own 127.0.0.1 reach published ports; the rules close the other direction.
fn enable_forwarding(bridge: &str) -> Result<(), StepError> {
    let local = format!("/proc/sys/net/ipv4/conf/{bridge}/route_localnet");
    for path in ["/proc/sys/net/ipv4/ip_forward", &local].map(Path::new) {
        let failed = |syscall: &'static str| {
            move |e: io::Error| StepError::from_io(Step::EnableForwarding, syscall, path, &e)
        };
        if fs::read_to_string(path).map_err(failed("openat"))?.trim() != "1" {
            fs::write(path, "1").map_err(failed("write"))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_devices_fit() {
        assert_eq!(host_end(&"a".repeat(64)), format!("veth{}", "a".repeat(11)));
        assert_eq!(host_end(&"a".repeat(64)).len(), 15);
    }
}
