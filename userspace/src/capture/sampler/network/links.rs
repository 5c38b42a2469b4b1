//! The interfaces of a network namespace, for refused netlink requests.

use super::{Answers, Question};
use crate::limits::network as limits;
use crate::model::network as states;

const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
const REQUEST_DUMP: u16 = 0x301;

/// One interface: `IFLA_IFNAME`, `IFLA_MASTER`, `IFLA_LINKINFO`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Link {
    index: u32,
    name: String,
    master: Option<u32>,
    kind: Option<String>,
}

pub(super) fn look(q: &Question<'_>, out: &mut Answers) {
    let Some(refused) = q.failure.netlink() else { return };
    let mut links = Vec::new();
    // struct ifinfomsg, all zero: every interface.
    let dump =
        super::routes::exchange(libc::NETLINK_ROUTE, RTM_GETLINK, REQUEST_DUMP, &[0; 16], |kind, payload| {
            links.extend((kind == RTM_NEWLINK).then(|| link(payload)).flatten());
        });
    if dump.is_err() || links.is_empty() {
        return;
    }
    let names: Vec<&str> = links.iter().map(|l| l.name.as_str()).collect();
    out.facts.push(q.state(states::INTERFACES, &q.scope(), names.join(" "), "RTM_GETLINK"));
    let by_name = refused.interface.as_ref().and_then(|name| links.iter().find(|l| l.name == *name));
    let by_index = refused.index.filter(|n| *n != 0).and_then(|n| links.iter().find(|l| l.index == n));
    let asked = refused.index.filter(|n| *n != 0).is_some() || refused.interface.is_some();
    if asked {
        let value = match by_index.or(by_name) {
            None => "not there".to_string(),
            Some(link) => {
                let master = link.master.and_then(|m| links.iter().find(|l| l.index == m));
                let kind = link.kind.clone().unwrap_or_else(|| "device".into());
                let port = master.map_or_else(String::new, |m| format!(", port of {}", m.name));
                format!("{kind} {}{port}", link.name)
            }
        };
        out.facts.push(q.state(states::INTERFACE, "the request's", value, "RTM_GETLINK"));
    }
    fullest_bridge(q, &links, out);
}

/// Which bridge a request wants to join is not kept, so the fullest stands for it.
fn fullest_bridge(q: &Question<'_>, links: &[Link], out: &mut Answers) {
    let ports = |bridge: &Link| links.iter().filter(|l| l.master == Some(bridge.index)).count() as u64;
    let bridges = links.iter().filter(|l| l.kind.as_deref() == Some("bridge"));
    if let Some((bridge, count)) = bridges.map(|b| (b, ports(b))).max_by_key(|(_, count)| *count) {
        let mut reading =
            q.reading(&limits::BRIDGE_PORTS, count, limits::BRIDGE_PORTS.default, None, "RTM_GETLINK");
        reading.scope = format!("bridge {}", bridge.name);
        out.readings.push(reading);
    }
}

/// `struct ifinfomsg` and its attributes.
fn link(payload: &[u8]) -> Option<Link> {
    use super::routes::attribute;
    let number = |bytes: &[u8]| Some(u32::from_ne_bytes(bytes.get(..4)?.try_into().ok()?));
    let attributes = payload.get(16..)?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end_matches('\0').to_string();
    Some(Link {
        index: number(payload.get(4..)?)?,
        name: text(attribute(attributes, 3)?),
        master: attribute(attributes, 10).and_then(number),
        kind: attribute(attributes, 18).and_then(|info| attribute(info, 1)).map(text),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_is_read_from_its_message() {
        let mut payload = vec![0_u8; 16];
        payload[4] = 7;
        payload.extend([9, 0, 3, 0, b'v', b'e', b't', b'h', 0, 0, 0, 0]);
        payload.extend([8, 0, 10, 0, 3, 0, 0, 0]);
        payload.extend([14, 0, 18, 0, 10, 0, 1, 0, b'b', b'r', b'i', b'd', b'g', b'e']);
        let found = link(&payload).unwrap();
        assert_eq!((found.index, found.name.as_str(), found.master), (7, "veth", Some(3)));
        assert_eq!(found.kind.as_deref(), Some("bridge"));
    }
}
