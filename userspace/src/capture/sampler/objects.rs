//! Which file a failed call was about: by descriptor, by path, or below an overlay it would have mounted.

use crate::model::Failure;

/// How an argument leads to a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Object {
    /// A descriptor of the task, and the argument's name.
    Fd { role: &'static str, fd: i32 },
    /// A path, relative to a descriptor of the task (`None`: its working folder).
    Path { role: &'static str, dirfd: Option<i32>, path: String },
}

/// The argument through which each call allocates blocks or inodes: (calls, folder's descriptor, name).
const BY_PATH: &[(&[&str], Option<&str>, &str)] = &[
    (&["open", "creat", "mkdir", "mknod"], None, "pathname"),
    (&["openat", "openat2", "mkdirat", "mknodat"], Some("dirfd"), "pathname"),
    (&["link", "rename"], None, "newpath"),
    (&["linkat", "renameat", "renameat2"], Some("newdirfd"), "newpath"),
    (&["symlink"], None, "linkpath"),
    (&["symlinkat"], Some("newdirfd"), "linkpath"),
    (&["truncate", "truncate64"], None, "path"),
];

const BY_FD: &[(&[&str], &str)] = &[
    (&["write", "pwrite64", "writev", "pwritev", "pwritev2", "fallocate", "ftruncate", "ftruncate64"], "fd"),
    (&["copy_file_range", "splice"], "fd_out"),
    (&["sendfile", "sendfile64"], "out_fd"),
];

/// Names of arguments live as long as the program, and roles are shown to users.
fn role(name: &str) -> &'static str {
    let roles = BY_PATH.iter().map(|row| row.2).chain(BY_FD.iter().map(|row| row.1));
    roles.into_iter().find(|role| *role == name).unwrap_or("path")
}

/// The file a call would have written to or created; `None` for calls that do neither.
pub(super) fn of(failure: &Failure) -> Option<Object> {
    let (name, _) = failure.syscall()?;
    if let Some((_, arg)) = BY_FD.iter().find(|row| row.0.contains(&name)) {
        return Some(Object::Fd { role: role(arg), fd: fd(failure, arg).filter(|fd| *fd >= 0)? });
    }
    if name == "mount" {
        return upper(failure);
    }
    if name == "bind" {
        let path = whole(failure.socket_file()?)?;
        return Some(Object::Path { role: "addr", dirfd: None, path });
    }
    let (_, dir, arg) = BY_PATH.iter().find(|row| row.0.contains(&name))?;
    let path = whole(failure.text_arg(arg)?)?;
    let dirfd = match dir.map(|dir| fd(failure, dir)) {
        None | Some(Some(libc::AT_FDCWD)) => None,
        Some(fd) => Some(fd?),
    };
    Some(Object::Path { role: role(arg), dirfd, path })
}

/// Overlay makes its work folder's contents below `workdir`, which lies on the file system of `upperdir`
/// (`ovl_workdir_create()`, fs/overlayfs/super.c).
fn upper(failure: &Failure) -> Option<Object> {
    if failure.text_arg("fstype") != Some("overlay") {
        return None;
    }
    let options = failure.text_arg("data")?.split(',');
    let dir = options.filter_map(|option| option.strip_prefix("workdir=")).next_back()?;
    Some(Object::Path { role: "workdir", dirfd: None, path: whole(dir)? })
}

fn fd(failure: &Failure, name: &str) -> Option<i32> {
    failure.number_arg(name).map(|raw| raw as u32 as i32)
}

/// A path that was read to its end; the probe marks those that were cut.
fn whole(path: &str) -> Option<String> {
    (!path.is_empty() && !path.ends_with('…')).then(|| path.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Abi, Address, Arg, ArgValue, Errno, FailureKind, Stamp, Task};

    fn failure(name: &str, args: &[(&str, ArgValue)]) -> Failure {
        let args = args.iter().map(|(n, v)| Arg { name: (*n).into(), value: v.clone() }).collect();
        Failure {
            time: Stamp::default(),
            task: Task::default(),
            kind: FailureKind::Syscall {
                name: name.into(),
                nr: 0,
                abi: Abi::Native,
                errno: Errno::ENOSPC,
                args,
            },
            readings: vec![],
        }
    }

    fn text(t: &str) -> ArgValue {
        ArgValue::Text(t.into())
    }

    #[test]
    fn the_argument_that_allocates_is_taken() {
        let cwd = ArgValue::Flags { raw: i64::from(libc::AT_FDCWD) as u64, words: "AT_FDCWD".into() };
        let at = failure("openat", &[("dirfd", cwd), ("pathname", text("a/b"))]);
        assert_eq!(of(&at), Some(Object::Path { role: "pathname", dirfd: None, path: "a/b".into() }));
        let link = failure("linkat", &[("newdirfd", ArgValue::Number(7)), ("newpath", text("n"))]);
        assert_eq!(of(&link), Some(Object::Path { role: "newpath", dirfd: Some(7), path: "n".into() }));
        let copy =
            failure("copy_file_range", &[("fd_in", ArgValue::Number(3)), ("fd_out", ArgValue::Number(4))]);
        assert_eq!(of(&copy), Some(Object::Fd { role: "fd_out", fd: 4 }));
    }

    #[test]
    fn only_an_overlay_writes_while_it_is_mounted() {
        let data = text("lowerdir=/l,upperdir=/u,workdir=/w");
        let overlay = failure("mount", &[("fstype", text("overlay")), ("data", data.clone())]);
        assert_eq!(of(&overlay), Some(Object::Path { role: "workdir", dirfd: None, path: "/w".into() }));
        assert_eq!(of(&failure("mount", &[("fstype", text("tmpfs")), ("data", data)])), None);
    }

    #[test]
    fn binding_a_local_socket_makes_a_file() {
        let addr = |path: &str| [("addr", ArgValue::Address(Address::Local { path: path.into() }))];
        let made = Object::Path { role: "addr", dirfd: None, path: "/run/s".into() };
        assert_eq!(of(&failure("bind", &addr("/run/s"))), Some(made));
        assert_eq!(of(&failure("bind", &addr("@s"))), None);
        assert_eq!(of(&failure("connect", &addr("/run/s"))), None);
    }

    #[test]
    fn what_is_not_known_whole_is_not_guessed() {
        assert_eq!(of(&failure("mkdir", &[("pathname", text("/long…"))])), None);
        assert_eq!(of(&failure("mkdir", &[("pathname", ArgValue::Unread)])), None);
        assert_eq!(of(&failure("inotify_add_watch", &[("pathname", text("/x"))])), None);
        assert_eq!(of(&failure("write", &[("fd", ArgValue::Number(u64::from(u32::MAX)))])), None);
    }
}
