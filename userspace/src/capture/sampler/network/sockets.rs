//! The sockets of a network namespace by `/proc/net`: who holds a port, who listens, how many ports are in use.

use super::{Answers, Question};
use crate::limits::{network as limits, read::Root};
use crate::model::{network as states, number_list};
use std::collections::HashSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// `TCP_LISTEN`, `TCP_TIME_WAIT` (include/net/tcp_states.h).
const LISTEN: u8 = 10;
const TIME_WAIT: u8 = 6;

/// One line of `/proc/net/tcp` and its relatives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    local: (IpAddr, u16),
    remote: (IpAddr, u16),
    state: u8,
    waiting: u64,
    uid: u32,
    inode: u64,
}

pub(super) fn rows(text: &str) -> Vec<Row> {
    text.lines().skip(1).filter_map(row).collect()
}

fn row(line: &str) -> Option<Row> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let number = |index: usize| words.get(index)?.parse().ok();
    let waiting = words.get(4)?.split_once(':')?.1;
    Some(Row {
        local: end(words.get(1)?)?,
        remote: end(words.get(2)?)?,
        state: u8::from_str_radix(words.get(3)?, 16).ok()?,
        waiting: u64::from_str_radix(waiting, 16).ok()?,
        uid: number(7)? as u32,
        inode: number(9)?,
    })
}

/// `0100007F:1F90`: the words of an address are printed as the machine has them.
fn end(text: &str) -> Option<(IpAddr, u16)> {
    let (ip, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| Some(u32::from_str_radix(ip.get(at * 8..at * 8 + 8)?, 16).ok()?.to_ne_bytes());
    if ip.len() == 8 {
        return Some((IpAddr::V4(Ipv4Addr::from(word(0)?)), port));
    }
    let mut bytes = [0; 16];
    for (index, part) in bytes.chunks_exact_mut(4).enumerate() {
        part.copy_from_slice(&word(index)?);
    }
    let ip = Ipv6Addr::from(bytes);
    Some((ip.to_ipv4_mapped().map_or(IpAddr::V6(ip), IpAddr::V4), port))
}

fn table(q: &Question<'_>) -> (&'static str, Vec<Row>) {
    let udp = q.failure.socket().is_some_and(|s| s.is_datagram());
    let (name, files) = if udp { ("udp", ["udp", "udp6"]) } else { ("tcp", ["tcp", "tcp6"]) };
    (name, files.iter().flat_map(|file| rows(&q.net(file).unwrap_or_default())).collect())
}

/// Whether two local addresses cannot both have one port.
fn clash(a: IpAddr, b: IpAddr) -> bool {
    a == b || a.is_unspecified() || b.is_unspecified()
}

fn overlap(row: &Row, ip: IpAddr, port: u16) -> bool {
    row.local.1 == port && clash(row.local.0, ip)
}

pub(super) fn holders(q: &Question<'_>, out: &mut Answers) {
    let named = q.failure.internet();
    // listen(2) names no address: the socket has it.
    let own = q.failure.socket().map(|s| (IpAddr::V4(Ipv4Addr::UNSPECIFIED), s.local_port as u16));
    let Some((ip, port)) = named.or(own).filter(|(_, port)| *port != 0) else { return };
    let (name, mut rows) = table(q);
    rows.retain(|row| overlap(row, ip, port));
    rows.sort_by_key(|row| row.state != LISTEN);
    for row in rows.iter().take(4) {
        let who = owner(q.root, row.inode).unwrap_or_else(|| match row.inode {
            0 => "no process any more".into(),
            inode => format!("a process that was not found (socket {inode}, user {})", row.uid),
        });
        let state = match (name, row.state) {
            ("udp", _) => "bound",
            (_, LISTEN) => "listening",
            (_, TIME_WAIT) => "in TIME_WAIT",
            _ => "connected",
        };
        let value = format!("{name} {}:{} {state}, of {who}", row.local.0, row.local.1);
        out.facts.push(q.state(states::HOLDER, &format!("port {port}"), value, &format!("/proc/net/{name}")));
    }
}

/// The process that has a socket, by its descriptors.
pub(super) fn owner(root: &Root, inode: u64) -> Option<String> {
    let wanted = format!("socket:[{inode}]");
    for entry in fs::read_dir(root.join("proc")).ok()?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|n| n.parse::<u32>().ok()) else { continue };
        let Ok(descriptors) = fs::read_dir(entry.path().join("fd")) else { continue };
        let has = descriptors.flatten().any(|fd| {
            fs::read_link(fd.path())
                .is_ok_and(|link| link.as_os_str().as_encoded_bytes() == wanted.as_bytes())
        });
        if inode != 0 && has {
            let comm = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
            return Some(format!("{} (pid {pid})", comm.trim()));
        }
    }
    None
}

/// How many of the ports that the kernel may choose from are in use.
pub(super) fn ports(q: &Question<'_>, out: &mut Answers) {
    let Some(socket) = q.failure.socket().filter(|s| s.is_internet()) else { return };
    let range = q.failure.task.net.and_then(|net| net.ports).or_else(|| {
        let text = q.sysctl(limits::LOCAL_PORTS.id)?;
        let mut ends = text.split_whitespace().map_while(|n| n.parse::<u32>().ok());
        Some((ends.next()?, ends.next()?))
    });
    let Some((low, high)) = range.filter(|(low, high)| low <= high) else { return };
    let (name, rows) = table(q);
    let reserved =
        q.sysctl("net.ipv4.ip_local_reserved_ports").as_deref().and_then(number_list).unwrap_or_default();
    let to = q.failure.internet().filter(|_| q.call == "connect" && socket.is_stream()).map(|(ip, port)| {
        // The kernel takes "any" for the loopback address (tcp_v4_connect).
        let any = |ip: IpAddr| if ip.is_unspecified() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { ip };
        (any(ip), port)
    });
    let free = |port: &u32| (low..=high).contains(port) && !reserved.contains(port);
    // A connection shares its port with those to other destinations; a port that was bound is nobody else's.
    let taken = rows.iter().filter(|row| to.is_none_or(|to| row.remote == to || row.state == LISTEN));
    let used: HashSet<u32> = taken.map(|row| u32::from(row.local.1)).filter(free).collect();
    let most = (low..=high).filter(free).count() as u64;
    let source = format!("/proc/net/{name}, net.ipv4.ip_local_port_range {low} {high}");
    let mut reading = q.reading(&limits::LOCAL_PORTS, used.len() as u64, most, None, &source);
    if let Some((ip, port)) = to {
        reading.scope = format!("{} to {ip}:{port}", reading.scope);
    }
    out.readings.push(reading);
}

/// Whether somebody listens where the call wanted to go, or elsewhere on that port.
pub(super) fn listener(q: &Question<'_>, out: &mut Answers) {
    let Some((ip, port)) = q.failure.internet() else { return };
    let (name, rows) = table(q);
    let bound = rows.iter().filter(|row| row.local.1 == port && (name == "udp" || row.state == LISTEN));
    let (here, elsewhere): (Vec<&Row>, Vec<&Row>) = bound.partition(|row| clash(row.local.0, ip));
    let own = match ip {
        IpAddr::V4(_) => super::routes::own_v4(&q.net("fib_trie").unwrap_or_default()),
        IpAddr::V6(_) => super::routes::own_v6(&q.net("if_inet6").unwrap_or_default()),
    };
    let is_own = ip.is_loopback() || ip.is_unspecified() || own.contains(&ip);
    let words = |row: &Row| format!("{}:{}", row.local.0, row.local.1);
    let value = match (is_own, here.first(), elsewhere.first()) {
        (false, ..) => "not in this network namespace".to_string(),
        (true, Some(row), _) => {
            let who = owner(q.root, row.inode).unwrap_or_else(|| "somebody".into());
            format!("{} by {who}, {} waiting", words(row), row.waiting)
        }
        (true, None, Some(row)) => format!("none there; one on {}", words(row)),
        (true, None, None) => "none".into(),
    };
    out.facts.push(q.state(
        states::LISTENER,
        &format!("{name} {ip}:{port}"),
        value,
        &format!("/proc/net/{name}"),
    ));
    if let Some(count) = q.net("netstat").and_then(|text| counter(&text, "TcpExt", "ListenOverflows")) {
        out.facts.push(q.state(states::OVERFLOWS, &q.scope(), count.to_string(), "/proc/net/netstat"));
    }
}

/// A column of `/proc/net/netstat`: a line of names and a line of numbers for each group.
fn counter(text: &str, group: &str, name: &str) -> Option<u64> {
    let mut lines = text.lines().filter(|line| line.starts_with(group));
    let (names, numbers) = (lines.next()?, lines.next()?);
    let column = names.split_whitespace().position(|n| n == name)?;
    numbers.split_whitespace().nth(column)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TCP: &str = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000002 00:00000000 00000000   101        0 5555 1 0 100 0 0 10 0
";

    #[test]
    fn lines_of_proc_net_are_read() {
        let rows = rows(TCP);
        let local = (IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);
        assert_eq!((rows[0].local, rows[0].state, rows[0].waiting, rows[0].inode), (local, LISTEN, 2, 5555));
        assert_eq!(rows[0].uid, 101);
        assert!(overlap(&rows[0], IpAddr::V4(Ipv4Addr::UNSPECIFIED), 8080));
        assert!(!overlap(&rows[0], IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), 8080));
        let v6 = end("00000000000000000000000001000000:0050").unwrap();
        assert_eq!(v6, (IpAddr::V6(Ipv6Addr::LOCALHOST), 80));
    }

    #[test]
    fn counters_are_read() {
        let text = "TcpExt: A ListenOverflows\nTcpExt: 1 7\nIpExt: X\nIpExt: 3\n";
        assert_eq!(counter(text, "TcpExt", "ListenOverflows"), Some(7));
    }
}
