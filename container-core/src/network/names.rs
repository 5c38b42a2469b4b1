//! The files by which names are found: /etc/hosts, /etc/hostname and /etc/resolv.conf of the container, made anew at each
//! start and mounted over the image's.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::error::StepError;
use crate::spec::{Mount, MountSource, Network, Spec};
use crate::steps::Step;

/// Where systemd-resolved(8) keeps the servers it asks itself; /etc/resolv.conf names only its own 127.0.0.53.
const BEHIND_RESOLVED: &str = "/run/systemd/resolve/resolv.conf";

/// Step "write name files", into the bundle `dir`, not in a folder of their own, for every folder costs time when it is
/// removed; the mounts that show them. A target that the specification mounts
/// something on is left to it.
pub(crate) fn mounts(
    dir: &Path,
    spec: &Spec,
    hostname: &str,
    address: Option<Ipv4Addr>,
) -> Result<Vec<Mount>, StepError> {
    let failed = |syscall: &'static str, path: &Path| {
        let path = path.to_owned();
        move |e: io::Error| StepError::from_io(Step::WriteNames, syscall, &path, &e)
    };
    let host = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let mut files = vec![
        ("hosts", hosts(spec, hostname, address, &host("/etc/hosts"))),
        ("hostname", format!("{hostname}\n")),
    ];
    if spec.network != Network::None || !spec.names.servers.is_empty() {
        let text = servers(spec, &host("/etc/resolv.conf"), &host(BEHIND_RESOLVED));
        files.push(("resolv.conf", text));
    }
    let mut mounts = Vec::new();
    for (name, text) in files {
        let target = Path::new("/etc").join(name);
        if spec.mounts.iter().any(|mount| mount.target.components().eq(target.components())) {
            continue;
        }
        let path = dir.join(name);
        let mut options = fs::OpenOptions::new();
        let file = options.write(true).create(true).truncate(true).mode(0o644).open(&path);
        let mut file = file.map_err(failed("openat", &path))?;
        io::Write::write_all(&mut file, text.as_bytes()).map_err(failed("write", &path))?;
        mounts.push(Mount { target, source: MountSource::Bind { source: path }, read_only: false });
    }
    Ok(mounts)
}

/// hosts(5): the host's own file where the network is the host's.
fn hosts(spec: &Spec, hostname: &str, address: Option<Ipv4Addr>, host: &str) -> String {
    let mut text = match spec.network {
        Network::Host => host.to_owned(),
        Network::None | Network::Bridge => {
            "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n".to_owned()
        }
    };
    if !text.ends_with('\n') && !text.is_empty() {
        text.push('\n');
    }
    if let Some(address) = address {
        text.push_str(&format!("{address}\t{hostname}\n"));
    }
    for (name, address) in &spec.names.hosts {
        text.push_str(&format!("{address}\t{name}\n"));
    }
    text
}

/// resolv.conf(5): the host's, but a server on the host's loopback is none in another network namespace.
fn servers(spec: &Spec, host: &str, behind: &str) -> String {
    let lines = |servers: &[IpAddr]| servers.iter().map(|server| format!("nameserver {server}\n")).collect();
    if !spec.names.servers.is_empty() {
        return lines(&spec.names.servers);
    }
    if spec.network == Network::Host {
        return host.to_owned();
    }
    let reachable = |text: &str| {
        let is_lost = |line: &&str| {
            let server = line.strip_prefix("nameserver").map(str::trim);
            server.is_some_and(|server| server.parse().is_ok_and(|address: IpAddr| address.is_loopback()))
        };
        text.lines().filter(|line| !is_lost(line)).map(|line| format!("{line}\n")).collect::<String>()
    };
    let has_server = |text: &str| text.lines().any(|line| line.starts_with("nameserver"));
    let texts = [reachable(host), reachable(behind)];
    let [own, _] = &texts;
    texts.iter().find(|text| has_server(text)).unwrap_or(own).clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_on_the_hosts_loopback_are_left_out() {
        let spec = |network| Spec { network, ..Spec::new("x", ["y"]) };
        let resolved = "# stub\nnameserver 127.0.0.53\nsearch example.org\n";
        let behind = "nameserver 192.0.2.1\n";
        assert_eq!(servers(&spec(Network::Bridge), resolved, behind), behind);
        assert_eq!(servers(&spec(Network::Bridge), resolved, ""), "# stub\nsearch example.org\n");
        assert_eq!(servers(&spec(Network::Host), resolved, behind), resolved);
        let mut own = spec(Network::Bridge);
        own.names.servers = vec!["192.0.2.9".parse().unwrap()];
        assert_eq!(servers(&own, resolved, behind), "nameserver 192.0.2.9\n");
    }

    #[test]
    fn a_container_knows_itself_and_whom_it_was_told() {
        let mut spec = Spec { network: Network::Bridge, ..Spec::new("x", ["y"]) };
        spec.names.hosts = vec![("db".into(), "192.0.2.7".parse().unwrap())];
        let text = hosts(&spec, "web", Some(Ipv4Addr::new(10, 64, 0, 2)), "1.2.3.4 host\n");
        assert!(text.ends_with("10.64.0.2\tweb\n192.0.2.7\tdb\n") && !text.contains("host\n1"), "{text}");
        spec.network = Network::Host;
        assert_eq!(hosts(&spec, "web", None, "1.2.3.4 host"), "1.2.3.4 host\n192.0.2.7\tdb\n");
    }
}
