//! Links, addresses and routes, rtnetlink(7).

use std::fs;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::net::if_::if_nametoindex;
use nix::sched::{CloneFlags, setns};
use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, socket};
use rtnetlink::packet_core::{NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REQUEST, NetlinkMessage};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::link::{InfoData, InfoKind, InfoVeth, LinkAttribute, LinkFlags, LinkMessage};
use rtnetlink::{
    AddressMessageBuilder, LinkBridge, LinkMessageBuilder, LinkUnspec, LinkVeth, RouteMessageBuilder,
};
use sha2::{Digest, Sha256};

use super::Connection;
use super::netlink;
use super::record::Record;
use crate::error::StepError;
use crate::steps::Step;

/// The link's name in the container.
const INSIDE: &str = "eth0";

/// A netlink socket of one network namespace: that in which it was opened. The messages are those of the rtnetlink
/// crate; its connection is not used ([`netlink`] says why).
pub(super) struct Links(OwnedFd);

/// To make what is not there yet.
const NEW: u16 = NLM_F_CREATE | NLM_F_EXCL;
/// To change or remove what is there.
const KNOWN: u16 = 0;

impl Links {
    /// In the caller's network namespace.
    pub(super) fn open() -> Result<Links, StepError> {
        Links::open_here()
            .map_err(|errno| StepError::here(Step::CreateBridge, "socket", "NETLINK_ROUTE", errno))
    }

    fn open_here() -> Result<Links, Errno> {
        netlink::open(SockProtocol::NetlinkRoute).map(Links)
    }

    /// Send a request and wait for the kernel's acknowledgement, which carries its errno.
    fn ask(&self, request: RouteNetlinkMessage, flags: u16) -> Result<(), Errno> {
        let mut message = NetlinkMessage::from(request);
        message.header.flags = NLM_F_REQUEST | NLM_F_ACK | flags;
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        match netlink::exchange(&self.0, &bytes)? {
            (_, None) => Ok(()),
            (_, Some(errno)) => Err(errno),
        }
    }

    fn add_address(&self, index: u32, address: Ipv4Addr, prefix: u8) -> Result<(), Errno> {
        let message = AddressMessageBuilder::<Ipv4Addr>::new().index(index).address(address, prefix).build();
        self.ask(RouteNetlinkMessage::NewAddress(message), NEW)
    }

    fn bring_up(&self, index: u32) -> Result<(), Errno> {
        self.ask(RouteNetlinkMessage::SetLink(LinkUnspec::new_with_index(index).up().build()), KNOWN)
    }

    /// Step "create bridge": there, up, and with the gateway's address.
    pub(super) fn ensure_bridge(&self, record: &Record, root: &Path) -> Result<(), StepError> {
        let failed = |errno| StepError::here(Step::CreateBridge, "sendto", &record.bridge, errno);
        let address = LinkAttribute::Address(hardware_address(root).to_vec());
        let bridge = LinkBridge::new(&record.bridge).append_extra_attribute(address).build();
        match self.ask(RouteNetlinkMessage::NewLink(bridge), NEW) {
            Ok(()) => {}
            Err(Errno::EEXIST) if is_own_bridge(&record.bridge, root) => {}
            Err(errno) => return Err(failed(errno)),
        }
        let index = if_nametoindex(record.bridge.as_str()).map_err(failed)?;
        match self.add_address(index, record.subnet.gateway(), record.subnet.prefix) {
            Ok(()) | Err(Errno::EEXIST) => {}
            Err(errno) => return Err(failed(errno)),
        }
        self.bring_up(index).map_err(failed)
    }

    /// Step "create veth pair": one end at the bridge, the other born in the network namespace of process `pid`.
    pub(super) fn create_veth(
        &self,
        host_end: &str,
        connection: &Connection,
        pid: i32,
    ) -> Result<(), StepError> {
        let failed = |errno| StepError::here(Step::CreateVeth, "sendto", host_end, errno);
        let bridge = if_nametoindex(connection.bridge.as_str()).map_err(failed)?;
        let mut peer = LinkMessage::default();
        peer.attributes = vec![
            LinkAttribute::IfName(INSIDE.to_owned()),
            // After the address, so that neighbours who remember it find its next owner.
            LinkAttribute::Address(inside_address(connection.address).to_vec()),
            LinkAttribute::NetNsPid(pid as u32),
        ];
        let mut pair = LinkMessageBuilder::<LinkVeth>::new_with_info_kind(InfoKind::Veth)
            .name(host_end.to_owned())
            .set_info_data(InfoData::Veth(InfoVeth::Peer(peer)))
            .append_extra_attribute(LinkAttribute::Controller(bridge))
            .build();
        pair.header.flags |= LinkFlags::Up;
        pair.header.change_mask |= LinkFlags::Up;
        self.ask(RouteNetlinkMessage::NewLink(pair), NEW).map_err(failed)
    }

    /// Step "configure container network", on a socket inside: its address, up, the way out.
    pub(super) fn configure(&self, index: u32, connection: &Connection) -> Result<(), StepError> {
        let failed =
            |what: String| move |errno| StepError::here(Step::ConfigureNetwork, "sendto", what, errno);
        let Connection { address, prefix, gateway, .. } = connection;
        self.add_address(index, *address, *prefix)
            .map_err(failed(format!("{address}/{prefix} on {INSIDE}")))?;
        self.bring_up(index).map_err(failed(INSIDE.to_owned()))?;
        let route = RouteMessageBuilder::<Ipv4Addr>::new().gateway(*gateway).build();
        self.ask(RouteNetlinkMessage::NewRoute(route), NEW)
            .map_err(failed(format!("default route by {gateway}")))
    }

    /// Step "remove network": the link of that name, if there is one. The other end of a pair goes with it.
    pub(super) fn remove(&self, name: &str) -> Result<(), StepError> {
        let Ok(index) = if_nametoindex(name) else { return Ok(()) };
        let link = LinkUnspec::new_with_index(index).build();
        match self.ask(RouteNetlinkMessage::DelLink(link), KNOWN) {
            // The kernel was faster: a pair ends with the network namespace of either end.
            Ok(()) | Err(Errno::ENODEV) => Ok(()),
            Err(errno) => Err(StepError::here(Step::RemoveNetwork, "sendto", name, errno)),
        }
    }
}

/// Step "enter network namespace": a socket belongs to the namespace in which it was opened, so this thread visits that
/// of the process behind `pidfd` and returns. Other threads of the caller do not notice, setns(2). Also the
/// number of the container's link.
pub(super) fn open_inside(pidfd: BorrowedFd<'_>) -> Result<(Links, u32), StepError> {
    let failed = |syscall| move |errno| StepError::here(Step::EnterNetwork, syscall, INSIDE, errno);
    let home = Path::new("/proc/thread-self/ns/net");
    let home =
        fs::File::open(home).map_err(|e| StepError::from_io(Step::EnterNetwork, "openat", home, &e))?;
    setns(pidfd, CloneFlags::CLONE_NEWNET).map_err(failed("setns"))?;
    let opened = Links::open_here();
    let index = if_nametoindex(INSIDE);
    // To go on in the container's network would be worse than to end.
    if let Err(errno) = setns(home.as_fd(), CloneFlags::CLONE_NEWNET) {
        let error = failed("setns")(errno);
        panic!("the engine cannot return to its own network namespace: {error}");
    }
    Ok((opened.map_err(failed("socket"))?, index.map_err(failed("ioctl"))?))
}

/// Whether the link of that name is the store's bridge: its hardware address tells.
pub(super) fn is_own_bridge(name: &str, root: &Path) -> bool {
    read_hardware_address(name) == Some(hardware_address(root))
}

/// SIOCGIFHWADDR, netdevice(7). Not from /sys, which shows the network namespace in which it was mounted.
fn read_hardware_address(name: &str) -> Option<[u8; 6]> {
    let socket = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None).ok()?;
    // SAFETY: ifreq is plain old data for which all zeroes is a valid value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().take(libc::IFNAMSIZ - 1).zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    // SAFETY: request is a valid ifreq to read from and write to; on success the kernel has filled in the address.
    let bytes = unsafe {
        let ret = libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFHWADDR as _, &raw mut request);
        Errno::result(ret).ok()?;
        request.ifr_ifru.ifru_hwaddr.sa_data
    };
    let mut address = [0; 6];
    address.iter_mut().zip(bytes).for_each(|(to, from)| *to = from as u8);
    Some(address)
}

/// A locally administered address (IEEE 802, bit 1 of the first byte) after the store's folder.
fn hardware_address(root: &Path) -> [u8; 6] {
    let digest = Sha256::digest(root.as_os_str().as_encoded_bytes());
    [0x02, digest[0], digest[1], digest[2], digest[3], digest[4]]
}

fn inside_address(address: Ipv4Addr) -> [u8; 6] {
    let [a, b, c, d] = address.octets();
    [0x02, 0x64, a, b, c, d]
}
