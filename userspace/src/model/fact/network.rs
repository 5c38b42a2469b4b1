//! The names of states of a network namespace, as the sampler writes and causes read them.

/// Who has the address that a call asked for. One state for each holder.
pub const HOLDER: &str = "holder of the address";
/// Whether somebody listens where a call connected to.
pub const LISTENER: &str = "listener";
/// Whether an address is one of the namespace's own: `yes`, `no`.
pub const LOCAL: &str = "address of this network namespace";
/// The addresses of one family that there are.
pub const ADDRESSES: &str = "addresses";
/// What the routing table answers for a destination: an errno, or the kind of route.
pub const ROUTE: &str = "route";
/// The entry of the routing table that matches best.
pub const ENTRY: &str = "routing entry";
/// `complete` or `incomplete`.
pub const NEIGHBOUR: &str = "neighbour";
pub const IPV6_ALL: &str = "net.ipv6.conf.all.disable_ipv6";
pub const IPV6_LO: &str = "net.ipv6.conf.lo.disable_ipv6";
pub const MPTCP: &str = "net.mptcp.enabled";
pub const PING_GROUPS: &str = "net.ipv4.ping_group_range";
/// The chains of a firewall that packets leave through.
pub const FIREWALL: &str = "firewall chains for packets that leave";
/// `socket`, `file`, `absent`: what is at a local socket's path.
pub const PATH: &str = "path of the socket";
/// Address families that the kernel has now.
pub const FAMILIES: &str = "protocols that the kernel has";
/// The names of all interfaces, and what the interface of a request is: `bridge br0, port of …`, `not there`.
pub const INTERFACES: &str = "interfaces";
pub const INTERFACE: &str = "interface";
/// Packets of listeners that were turned away, counted per namespace.
pub const OVERFLOWS: &str = "TcpExt ListenOverflows";
/// The congestion control algorithms of TCP that the kernel has now.
pub const CONGESTION: &str = "net.ipv4.tcp_available_congestion_control";
/// The tables of the older iptables that the namespace has, and the one that was asked for.
pub const TABLES: &str = "tables of iptables";
pub const TABLE: &str = "table asked for";
/// Of an own IPv6 address: `usable`, `tentative`, `duplicate`.
pub const ADDRESS_STATE: &str = "state of the address";
/// Sources that one group of a socket may have.
pub const MAX_MSF: &str = "net.ipv4.igmp_max_msf";
pub const MAX_MSF_V6: &str = "net.ipv6.mld_max_msf";
