//! /dev: the six device nodes every program expects, and the links beside them (null(4), full(4), random(4),
//! tty(4); the list is the one of the OCI runtime specification, "Default Devices").

use std::ffi::{CStr, CString};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::mount::{MsFlags, mount};
use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use nix::unistd::{Gid, Uid, chown, mkdir, symlinkat};

use super::{Failure, c_path, refused};
use crate::error::Error;
use crate::spec::Device;
use crate::steps::Step;

/// Name on the host, device number.
const NODES: [(&str, u64, u64); 6] = [
    ("/dev/null", 1, 3),
    ("/dev/zero", 1, 5),
    ("/dev/full", 1, 7),
    ("/dev/random", 1, 8),
    ("/dev/urandom", 1, 9),
    ("/dev/tty", 5, 0),
];

/// Link in /dev, what it points to.
const LINKS: [(&str, &CStr); 5] = [
    ("dev/fd", c"/proc/self/fd"),
    ("dev/stdin", c"/proc/self/fd/0"),
    ("dev/stdout", c"/proc/self/fd/1"),
    ("dev/stderr", c"/proc/self/fd/2"),
    ("dev/ptmx", c"pts/ptmx"),
];

/// The prepared paths.
#[derive(Debug)]
pub(crate) struct Devices {
    nodes: Vec<Node>,
    links: Vec<(CString, &'static CStr)>,
}

#[derive(Debug)]
struct Node {
    host: CString,
    inside: CString,
    number: u64,
    kind: SFlag,
    mode: Mode,
    /// For a node of the host; the others are root's.
    owner: Option<(Uid, Gid)>,
    /// Folders below /dev on the way to it.
    folders: Vec<CString>,
}

impl Devices {
    /// The nodes of every container, and those of the host that were asked for.
    pub(crate) fn prepare(rootfs: &Path, wanted: &[Device]) -> Result<Devices, Error> {
        let mut devices = Devices { nodes: Vec::new(), links: Vec::new() };
        for (host, major, minor) in NODES {
            devices.nodes.push(Node {
                host: super::c_string(host)?,
                inside: c_path(&rootfs.join(host.trim_start_matches('/')))?,
                number: makedev(major, minor),
                kind: SFlag::S_IFCHR,
                mode: Mode::from_bits_truncate(0o666),
                owner: None,
                folders: Vec::new(),
            });
        }
        for device in wanted {
            devices.nodes.push(Node::of(rootfs, device)?);
        }
        for (link, target) in LINKS {
            devices.links.push((c_path(&rootfs.join(link))?, target));
        }
        Ok(devices)
    }

    /// Steps "create device node" and, where mknod(2) is refused (a user namespace), "bind device node".
    /// The umask must be 0, or mode 0666 becomes 0644.
    pub(crate) fn create_nodes(&self) -> Result<(), Failure<'_>> {
        for node in &self.nodes {
            for folder in &node.folders {
                match mkdir(folder.as_c_str(), Mode::from_bits_truncate(0o755)) {
                    Ok(()) | Err(Errno::EEXIST) => {}
                    Err(errno) => return Err(refused(Step::CreateDeviceNode, "mkdir", folder)(errno)),
                }
            }
            match mknod(node.inside.as_c_str(), node.kind, node.mode, node.number) {
                Ok(()) => {}
                Err(Errno::EPERM) => {
                    bind_node(node)?;
                    continue;
                }
                Err(errno) => return Err(refused(Step::CreateDeviceNode, "mknod", &node.inside)(errno)),
            }
            if let Some((uid, gid)) = node.owner {
                chown(node.inside.as_c_str(), Some(uid), Some(gid)).map_err(refused(
                    Step::CreateDeviceNode,
                    "chown",
                    &node.inside,
                ))?;
            }
        }
        Ok(())
    }

    /// Step "create symbolic link in /dev".
    pub(crate) fn create_links(&self) -> Result<(), Failure<'_>> {
        for (link, target) in &self.links {
            symlinkat(*target, nix::fcntl::AT_FDCWD, link.as_c_str()).map_err(refused(
                Step::LinkDevice,
                "symlink",
                link,
            ))?;
        }
        Ok(())
    }
}

impl Node {
    fn of(rootfs: &Path, device: &Device) -> Result<Node, Error> {
        use std::os::unix::fs::MetadataExt;
        let found = std::fs::metadata(&device.host).map_err(Error::store("read", &device.host))?;
        let relative = device.inside.strip_prefix("/").unwrap_or(&device.inside);
        let above = relative.ancestors().skip(1).filter(|path| path.components().count() > 1);
        let mut folders = above.map(|path| c_path(&rootfs.join(path))).collect::<Result<Vec<_>, _>>()?;
        folders.reverse();
        Ok(Node {
            host: c_path(&device.host)?,
            inside: c_path(&rootfs.join(relative))?,
            number: found.rdev(),
            kind: SFlag::from_bits_truncate(found.mode() & libc::S_IFMT),
            mode: Mode::from_bits_truncate(found.mode() & 0o777),
            owner: Some((Uid::from_raw(found.uid()), Gid::from_raw(found.gid()))),
            folders,
        })
    }
}

fn bind_node(node: &Node) -> Result<(), Failure<'_>> {
    let flags = OFlag::O_CREAT | OFlag::O_WRONLY | OFlag::O_CLOEXEC;
    open(node.inside.as_c_str(), flags, Mode::from_bits_truncate(0o666)).map_err(refused(
        Step::BindDeviceNode,
        "openat",
        &node.inside,
    ))?;
    mount(Some(node.host.as_c_str()), node.inside.as_c_str(), None::<&CStr>, MsFlags::MS_BIND, None::<&CStr>)
        .map_err(refused(Step::BindDeviceNode, "mount", &node.inside))
}
