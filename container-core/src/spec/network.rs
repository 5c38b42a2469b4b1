//! What a container sees of the network, and which of its ports the machine shows to others.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::invalid;
use crate::error::Error;

/// The container's network.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Network {
    /// A network namespace of its own with nothing in it but the loopback device.
    #[default]
    None,
    /// The engine's network namespace.
    Host,
    /// A network namespace of its own, a veth(4) pair to a bridge that all such containers of the store share, an IPv4
    /// address there, and the way out through the machine's own addresses.
    Bridge,
}

/// What a port speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// tcp(7)
    Tcp,
    /// udp(7)
    Udp,
}

impl Protocol {
    /// The number in an IP header, protocols(5).
    pub(crate) fn number(self) -> u8 {
        match self {
            Protocol::Tcp => 6,
            Protocol::Udp => 17,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if *self == Protocol::Tcp { "tcp" } else { "udp" })
    }
}

/// A port of the machine that leads into the container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Port {
    /// Only at this address of the machine; at all of them by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<Ipv4Addr>,
    /// The machine's port; 0 takes a free one.
    pub host: u16,
    /// The container's.
    pub container: u16,
    /// What it speaks.
    pub protocol: Protocol,
}

impl FromStr for Port {
    type Err = String;

    /// `[[ADDRESS:]HOST:]CONTAINER[/udp]`, as docker has it.
    fn from_str(text: &str) -> Result<Self, String> {
        let (ports, protocol) = match text.rsplit_once('/') {
            None | Some((_, "tcp")) => (text.trim_end_matches("/tcp"), Protocol::Tcp),
            Some((ports, "udp")) => (ports, Protocol::Udp),
            Some((_, other)) => return Err(format!("{other:?} is no protocol; there are tcp and udp")),
        };
        let number = |text: &str| text.parse::<u16>().map_err(|_| format!("{text:?} is no port"));
        let parts: Vec<&str> = ports.split(':').collect();
        let (address, host, container) = match parts.as_slice() {
            [container] => (None, 0, number(container)?),
            [host, container] => (None, number(host)?, number(container)?),
            [address, host, container] => {
                let address = address.parse().map_err(|_| format!("{address:?} is no IPv4 address"))?;
                let host = if host.is_empty() { 0 } else { number(host)? };
                (Some(address), host, number(container)?)
            }
            _ => return Err("a port is [[ADDRESS:]HOST:]CONTAINER[/udp]".to_owned()),
        };
        Ok(Port { address, host, container, protocol })
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = self.address.unwrap_or(Ipv4Addr::UNSPECIFIED);
        write!(f, "{address}:{}->{}/{}", self.host, self.container, self.protocol)
    }
}

/// How names are found inside: resolv.conf(5) and hosts(5).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Names {
    /// Name servers; the machine's by default.
    pub servers: Vec<IpAddr>,
    /// Names for /etc/hosts.
    pub hosts: Vec<(String, IpAddr)>,
}

pub(super) fn validate(network: Network, ports: &[Port], names: &Names) -> Result<(), Error> {
    if !ports.is_empty() && network != Network::Bridge {
        return invalid("ports are published on a bridge network only");
    }
    if ports.iter().any(|port| port.container == 0) {
        return invalid("the container's port is 0");
    }
    for (index, port) in ports.iter().enumerate().filter(|(_, port)| port.host != 0) {
        let same = |other: &Port| other.host == port.host && other.protocol == port.protocol;
        if ports[..index].iter().any(same) {
            return invalid(format_args!("port {}/{} is published twice", port.host, port.protocol));
        }
    }
    let odd = |name: &String| name.is_empty() || name.contains(|c: char| c.is_whitespace() || c == '#');
    match names.hosts.iter().find(|(name, _)| odd(name)) {
        Some((name, _)) => invalid(format_args!("{name:?} is no host's name")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_read_as_docker_writes_them() {
        let port = |address: Option<[u8; 4]>, host, container, protocol| {
            Ok(Port { address: address.map(Ipv4Addr::from), host, container, protocol })
        };
        assert_eq!("8080:80".parse(), port(None, 8080, 80, Protocol::Tcp));
        assert_eq!("53:53/udp".parse(), port(None, 53, 53, Protocol::Udp));
        assert_eq!("80".parse(), port(None, 0, 80, Protocol::Tcp));
        assert_eq!("127.0.0.1:8080:80/tcp".parse(), port(Some([127, 0, 0, 1]), 8080, 80, Protocol::Tcp));
        assert_eq!("127.0.0.1::80".parse(), port(Some([127, 0, 0, 1]), 0, 80, Protocol::Tcp));
        for bad in ["", "x", "1:2:3:4", "70000:1", "80/sctp", ":80", "::1:80:80"] {
            assert!(bad.parse::<Port>().is_err(), "{bad}");
        }
        assert_eq!("8080:80".parse::<Port>().unwrap().to_string(), "0.0.0.0:8080->80/tcp");
    }

    #[test]
    fn what_cannot_be_published_is_refused() {
        let names = Names::default();
        let ports = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<Port>>();
        validate(Network::Bridge, &ports(&["80:80", "80:80/udp", "1", "1"]), &names).unwrap();
        assert!(validate(Network::None, &ports(&["80:80"]), &names).is_err());
        assert!(validate(Network::Bridge, &ports(&["80:80", "80:81"]), &names).is_err());
        assert!(validate(Network::Bridge, &ports(&["80:0"]), &names).is_err());
    }
}
