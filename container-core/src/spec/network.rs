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

impl Port {
    /// `[[ADDRESS:]HOST:]CONTAINER[/udp]`, where HOST and CONTAINER may be ranges of the same length, `8000-8009`, as
    /// docker has it.
    ///
    /// # Errors
    /// A sentence about what is none.
    pub fn several(text: &str) -> Result<Vec<Port>, String> {
        let (ports, protocol) = match text.rsplit_once('/') {
            None | Some((_, "tcp")) => (text.trim_end_matches("/tcp"), Protocol::Tcp),
            Some((ports, "udp")) => (ports, Protocol::Udp),
            Some((_, other)) => return Err(format!("{other:?} is no protocol; there are tcp and udp")),
        };
        let parts: Vec<&str> = ports.split(':').collect();
        let (address, host, container) = match parts.as_slice() {
            [container] => (None, "", container),
            [host, container] if !host.is_empty() => (None, *host, container),
            [address, host, container] => {
                let address = address.parse().map_err(|_| format!("{address:?} is no IPv4 address"))?;
                (Some(address), *host, container)
            }
            _ => return Err("a port is [[ADDRESS:]HOST:]CONTAINER[/udp]".to_owned()),
        };
        let container = numbers(container)?;
        // Without a number, or with 0, a free one for each.
        let host: Vec<u16> = match host {
            "" | "0" => vec![0; container.len()],
            host => numbers(host)?,
        };
        if host.len() != container.len() {
            return Err(format!(
                "{} ports of the machine for {} of the container",
                host.len(),
                container.len()
            ));
        }
        let pairs = host.into_iter().zip(container);
        Ok(pairs.map(|(host, container)| Port { address, host, container, protocol }).collect())
    }
}

/// `80` or `8000-8009`.
fn numbers(text: &str) -> Result<Vec<u16>, String> {
    let number = |text: &str| text.parse::<u16>().map_err(|_| format!("{text:?} is no port"));
    let (first, last) = match text.split_once('-') {
        Some((first, last)) => (number(first)?, number(last)?),
        None => (number(text)?, number(text)?),
    };
    if first > last {
        return Err(format!("{text:?} ends before it begins"));
    }
    Ok((first..=last).collect())
}

impl FromStr for Port {
    type Err = String;

    /// As [`Port::several`], of one.
    fn from_str(text: &str) -> Result<Self, String> {
        match Port::several(text)?.as_slice() {
            [port] => Ok(*port),
            ports => Err(format!("{text:?} are {} ports", ports.len())),
        }
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
        let range = Port::several("127.0.0.1:8000-8002:80-82/udp").unwrap();
        assert_eq!(range.len(), 3);
        assert_eq!(Ok(range[2]), port(Some([127, 0, 0, 1]), 8002, 82, Protocol::Udp));
        assert_eq!(Port::several("80-81").unwrap().iter().map(|p| p.host).collect::<Vec<_>>(), [0, 0]);
        for bad in ["8000-8002:80", "9-8:9-8", "1-2-3:1-3", "-:80"] {
            assert!(Port::several(bad).is_err(), "{bad}");
        }
        assert!("80-81".parse::<Port>().is_err());
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
