//! Which arguments of a call name the object that permission checks look at.

use crate::model::Failure;

/// How an argument leads to an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) role: &'static str,
    pub(super) way: Way,
    /// Whether a link at the end stands for what it points to.
    pub(super) follow: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Way {
    /// Relative to a descriptor of the task, or (`None`) to its working folder.
    Path {
        dirfd: Option<i32>,
        path: String,
    },
    Fd(i32),
}

/// (calls, folder's descriptor, path, follow).
type Row = (&'static [&'static str], Option<&'static str>, &'static str, bool);

const PATHS: &[Row] = &[
    (&["open", "creat", "execve", "mkdir", "access", "stat", "stat64", "statfs"], None, "pathname", true),
    (&["chdir", "acct", "chmod", "chown", "chown32"], None, "pathname", true),
    (
        &["lstat", "lstat64", "readlink", "unlink", "rmdir", "lchown", "lchown32", "mknod"],
        None,
        "pathname",
        false,
    ),
    (
        &["chroot", "truncate", "truncate64", "setxattr", "getxattr", "removexattr", "swapon"],
        None,
        "path",
        true,
    ),
    (&["inotify_add_watch"], None, "pathname", true),
    (&["lsetxattr", "lgetxattr", "lremovexattr"], None, "path", false),
    (&["openat", "openat2", "faccessat", "faccessat2"], Some("dirfd"), "pathname", true),
    (&["execveat", "newfstatat", "fstatat64", "statx"], Some("dirfd"), "pathname", true),
    (
        &["fchmodat", "fchmodat2", "fchownat", "utimensat", "name_to_handle_at"],
        Some("dirfd"),
        "pathname",
        true,
    ),
    (&["mkdirat", "mknodat", "unlinkat", "readlinkat"], Some("dirfd"), "pathname", false),
    (&["rename", "link"], None, "oldpath", false),
    (&["rename", "link"], None, "newpath", false),
    (&["renameat", "renameat2", "linkat"], Some("olddirfd"), "oldpath", false),
    (&["renameat", "renameat2", "linkat"], Some("newdirfd"), "newpath", false),
    (&["symlink"], None, "linkpath", false),
    (&["symlinkat"], Some("newdirfd"), "linkpath", false),
];

const DESCRIPTORS: &[(&[&str], &str)] = &[
    (&["write", "pwrite64", "writev", "pwritev", "pwritev2", "ioctl", "ftruncate", "ftruncate64"], "fd"),
    (&["epoll_ctl"], "fd"),
    (&["fchmod", "fchown", "fchown32", "fsetxattr", "fremovexattr", "fchdir", "finit_module"], "fd"),
];

/// Calls whose address may be the path of a local socket; bind(2) makes it, and does not follow a link there
/// (`unix_bind_bsd()`, net/unix/af_unix.c).
const SOCKETS: &[&str] = &["bind", "connect", "sendto", "sendmsg", "sendmmsg"];

/// `AT_SYMLINK_NOFOLLOW`, `AT_EMPTY_PATH` (include/uapi/linux/fcntl.h) and `O_NOFOLLOW`.
const AT_NOFOLLOW: u64 = 0x100;
const AT_EMPTY: u64 = 0x1000;
const O_NOFOLLOW: u64 = 0o400_000;

/// The objects a call names, in the order of its arguments.
pub(super) fn of(failure: &Failure) -> Vec<Named> {
    let Some((call, _)) = failure.syscall() else { return Vec::new() };
    let fd = |name: &str| failure.number_arg(name).map(|raw| raw as u32 as i32);
    let mut out = Vec::new();
    for (calls, arg) in DESCRIPTORS {
        if calls.contains(&call)
            && let Some(fd) = fd(arg).filter(|fd| *fd >= 0)
        {
            out.push(Named { role: arg, way: Way::Fd(fd), follow: true });
        }
    }
    if SOCKETS.contains(&call)
        && let Some(path) = failure.socket_file()
    {
        let way = Way::Path { dirfd: None, path: path.to_owned() };
        out.push(Named { role: "addr", way, follow: call != "bind" });
    }
    for (calls, dir, arg, follow) in PATHS {
        if !calls.contains(&call) {
            continue;
        }
        let Some(path) = failure.text_arg(arg).filter(|path| !path.ends_with('…')) else { continue };
        let dirfd = dir.and_then(&fd).filter(|fd| *fd != libc::AT_FDCWD);
        let flags = failure.number_arg("flags").unwrap_or(0);
        let bits = if call.starts_with("open") { O_NOFOLLOW } else { AT_NOFOLLOW };
        let at = call.ends_with("at")
            || call.ends_with("at2")
            || call == "statx"
            || call == "open"
            || call == "openat";
        match (path.is_empty(), dirfd) {
            (true, Some(fd)) if fd >= 0 && flags & AT_EMPTY != 0 => {
                out.push(Named { role: arg, way: Way::Fd(fd), follow: true });
            }
            (true, _) => {}
            (false, dirfd) => out.push(Named {
                role: arg,
                way: Way::Path { dirfd, path: path.to_owned() },
                follow: *follow && !(at && flags & bits != 0),
            }),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Abi, Address, Arg, ArgValue, Errno, FailureKind, Stamp, Task};

    fn failure(name: &str, args: &[(&str, ArgValue)]) -> Failure {
        let args = args.iter().map(|(n, v)| Arg { name: (*n).into(), value: v.clone() }).collect();
        let kind =
            FailureKind::Syscall { name: name.into(), nr: 0, abi: Abi::Native, errno: Errno::EACCES, args };
        Failure { time: Stamp::default(), task: Task::default(), kind, readings: vec![] }
    }

    fn text(t: &str) -> ArgValue {
        ArgValue::Text(t.into())
    }

    #[test]
    fn paths_descriptors_and_links() {
        let exec = of(&failure("execve", &[("pathname", text("./app"))]));
        assert_eq!(exec.len(), 1);
        assert!(exec[0].follow && exec[0].way == Way::Path { dirfd: None, path: "./app".into() });
        let rename = of(&failure("rename", &[("oldpath", text("a")), ("newpath", text("b"))]));
        assert_eq!(rename.iter().map(|n| n.role).collect::<Vec<_>>(), ["oldpath", "newpath"]);
        assert!(!rename[0].follow);
        let write = of(&failure("write", &[("fd", ArgValue::Number(4))]));
        assert_eq!(write[0].way, Way::Fd(4));
        let flags = ArgValue::Flags { raw: AT_EMPTY, words: "AT_EMPTY_PATH".into() };
        let memfd = [("dirfd", ArgValue::Number(5)), ("pathname", text("")), ("flags", flags)];
        assert_eq!(of(&failure("execveat", &memfd))[0].way, Way::Fd(5));
    }

    #[test]
    fn the_path_of_a_local_socket_is_one_and_its_abstract_name_is_none() {
        let to = |path: &str| ArgValue::Address(Address::Local { path: path.into() });
        let all = of(&failure("connect", &[("addr", to("/run/docker.sock"))]));
        assert_eq!(all.len(), 1);
        assert!(all[0].follow && all[0].role == "addr");
        assert!(!of(&failure("bind", &[("addr", to("/run/docker.sock"))]))[0].follow);
        assert_eq!(of(&failure("connect", &[("addr", to("@name"))])), []);
    }

    #[test]
    fn what_was_cut_or_not_read_names_nothing() {
        assert_eq!(of(&failure("open", &[("pathname", text("/long…"))])), []);
        assert_eq!(of(&failure("open", &[("pathname", ArgValue::Unread)])), []);
        assert_eq!(of(&failure("getppid", &[])), []);
    }
}
