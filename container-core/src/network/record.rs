//! `network.json`: the store's bridge, its subnet, and who has which address.

use std::collections::BTreeMap;
use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::{Error, StepError};
use crate::process;
use crate::spec::Port;
use crate::steps::Step;
use crate::store::Store;
use crate::store::json::{self, Durability};
use crate::store::lock::Lock;

/// A range of IPv4 addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Subnet {
    pub(super) base: Ipv4Addr,
    /// Length of the prefix in bits.
    pub(super) prefix: u8,
}

impl Subnet {
    fn mask(self) -> u32 {
        u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0)
    }

    /// The mask as an address.
    pub(super) fn netmask(self) -> Ipv4Addr {
        Ipv4Addr::from(self.mask())
    }

    /// The first address, which is the bridge's.
    pub(super) fn gateway(self) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.base) + 1)
    }

    /// The last that a container can have: the one above it is for broadcasts.
    fn last(self) -> u32 {
        (u32::from(self.base) | !self.mask()) - 1
    }

    fn overlaps(self, base: u32, mask: u32) -> bool {
        let common = self.mask() & mask;
        u32::from(self.base) & common == base & common
    }
}

/// What a container has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Held {
    pub(super) address: Ipv4Addr,
    #[serde(default)]
    pub(super) ports: Vec<Port>,
}

/// The rules that were last put into the kernel, and in which boot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Installed {
    boot: String,
    ports: Vec<(Ipv4Addr, Port)>,
}

impl Installed {
    pub(super) fn of(record: &Record) -> Installed {
        Installed { boot: process::boot_id().to_owned(), ports: record.ports() }
    }
}

/// The whole file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) bridge: String,
    pub(super) subnet: Subnet,
    /// The last address that was given: the next one is another, for neighbours remember.
    last: Ipv4Addr,
    pub(super) leases: BTreeMap<String, Held>,
    #[serde(default)]
    pub(super) installed: Option<Installed>,
}

impl Record {
    /// A bridge's name after the store's folder, and a subnet that nothing on this machine is routed to.
    pub(super) fn new(root: &Path) -> Result<Record, StepError> {
        let digest = Sha256::digest(root.as_os_str().as_encoded_bytes());
        let bridge = format!("diag{:02x}{:02x}{:02x}", digest[0], digest[1], digest[2]);
        let table = Path::new("/proc/thread-self/net/route");
        let text = fs::read_to_string(table)
            .map_err(|e| StepError::from_io(Step::RecordNetwork, "openat", table, &e))?;
        let subnet = free_subnet(&text, digest[3]).ok_or_else(|| {
            let object = "a subnet: all of 10.64.0.0 to 10.127.255.255 is in use on this machine";
            StepError::here(Step::RecordNetwork, "read", object, Errno::EADDRINUSE)
        })?;
        Ok(Record { bridge, subnet, last: subnet.gateway(), leases: BTreeMap::new(), installed: None })
    }

    /// Give `id` an address.
    pub(super) fn lease(&mut self, id: &str, ports: &[Port]) -> Result<Ipv4Addr, StepError> {
        let (first, last) = (u32::from(self.subnet.gateway()) + 1, self.subnet.last());
        let taken: Vec<Ipv4Addr> = self.leases.values().map(|held| held.address).collect();
        let after = u32::from(self.last).max(first - 1);
        let mut round = (after + 1..=last).chain(first..=after).map(Ipv4Addr::from);
        let address = round.find(|address| !taken.contains(address)).ok_or_else(|| {
            let object = format!("an address of {}/{}", self.subnet.base, self.subnet.prefix);
            StepError::here(Step::RecordNetwork, "write", object, Errno::EADDRNOTAVAIL)
        })?;
        self.last = address;
        self.leases.insert(id.to_owned(), Held { address, ports: ports.to_vec() });
        Ok(address)
    }

    /// All published ports and where they lead.
    pub(super) fn ports(&self) -> Vec<(Ipv4Addr, Port)> {
        self.leases.values().flat_map(|held| held.ports.iter().map(|port| (held.address, *port))).collect()
    }

    /// Whether the kernel was given the rules of the present leases.
    pub(super) fn is_installed(&self) -> bool {
        self.installed.as_ref() == Some(&Installed::of(self))
    }
}

/// `/proc/PID/net/route`: destination and mask are fields 2 and 8, as hexadecimal numbers in the machine's byte order. The
/// search begins at a place of the store's own, so that stores made at the same time do not choose the same.
fn free_subnet(routes: &str, from: u8) -> Option<Subnet> {
    let number = |field: &str| u32::from_str_radix(field, 16).map(u32::from_be).ok();
    let routes: Vec<(u32, u32)> = routes
        .lines()
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_ascii_whitespace().collect();
            Some((number(fields.get(1)?)?, number(fields.get(7)?)?))
        })
        // The default route leads everywhere.
        .filter(|(_, mask)| *mask != 0)
        .collect();
    let candidates = (0..64u8).map(|step| 64 + from.wrapping_add(step) % 64);
    let subnets = candidates.map(|second| Subnet { base: Ipv4Addr::new(10, second, 0, 0), prefix: 16 });
    subnets.into_iter().find(|subnet| !routes.iter().any(|(base, mask)| subnet.overlaps(*base, *mask)))
}

/// Where the file lies.
pub(super) fn path(store: &Store) -> PathBuf {
    store.root().join("network.json")
}

/// The file while nobody else changes it, or the network.
pub(super) struct Locked {
    path: PathBuf,
    lock: Lock,
}

impl Drop for Locked {
    fn drop(&mut self) {
        self.lock.release();
    }
}

impl Locked {
    pub(super) fn lock(store: &Store) -> Result<Locked, StepError> {
        let lock = store.root().join("network.lock");
        let failed = |e: std::io::Error| StepError::from_io(Step::RecordNetwork, "flock", &lock, &e);
        let held = Lock::exclusive(&lock).map_err(failed)?;
        Ok(Locked { path: path(store), lock: held })
    }

    pub(super) fn read(&self) -> Result<Option<Record>, StepError> {
        json::read(&self.path).map_err(|error| match error {
            Error::Store { source, .. } => {
                StepError::from_io(Step::RecordNetwork, "openat", &self.path, &source)
            }
            damaged => StepError::here(Step::RecordNetwork, "read", damaged, Errno::EBADMSG),
        })
    }

    pub(super) fn write(&self, record: &Record) -> Result<(), StepError> {
        json::write(&self.path, record, Durability::Replaced)
            .map_err(|e| StepError::from_io(Step::RecordNetwork, "write", &self.path, &e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(prefix: u8) -> Record {
        let subnet = Subnet { base: Ipv4Addr::new(10, 90, 0, 0), prefix };
        Record {
            bridge: "b".into(),
            subnet,
            last: subnet.gateway(),
            leases: BTreeMap::new(),
            installed: None,
        }
    }

    #[test]
    fn addresses_go_round_and_end() {
        let mut record = record(29);
        let last = |address: Ipv4Addr| address.octets()[3];
        for expected in 2..=6 {
            assert_eq!(last(record.lease(&expected.to_string(), &[]).unwrap()), expected);
        }
        assert_eq!(record.lease("x", &[]).unwrap_err().errno, libc::EADDRNOTAVAIL);
        record.leases.remove("3");
        assert_eq!(last(record.lease("x", &[]).unwrap()), 3);
        record.leases.clear();
        assert_eq!(last(record.lease("y", &[]).unwrap()), 4, "not the one that was free last");
    }

    #[test]
    fn what_is_routed_elsewhere_is_not_taken() {
        let head = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n";
        let line = |destination: [u8; 4], mask: [u8; 4]| {
            let hex = |bytes: [u8; 4]| format!("{:08X}", u32::from_ne_bytes(bytes));
            format!("eth0\t{}\t00000000\t0001\t0\t0\t0\t{}\t0\t0\t0\n", hex(destination), hex(mask))
        };
        let table = [
            head.to_owned(),
            line([0, 0, 0, 0], [0, 0, 0, 0]),
            line([10, 70, 3, 0], [255, 255, 255, 0]),
            line([10, 71, 0, 0], [255, 255, 0, 0]),
        ];
        let subnet = |from| free_subnet(&table.concat(), from).unwrap().base.octets()[1];
        assert_eq!((subnet(0), subnet(6), subnet(63)), (64, 72, 127));
        let all = format!("{head}{}", line([10, 0, 0, 0], [255, 0, 0, 0]));
        assert_eq!(free_subnet(&all, 0), None);
    }
}
