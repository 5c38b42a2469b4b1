//! From the user that was asked for to the numbers the kernel knows, passwd(5) and group(5) of the container.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, open, openat2};
use nix::sys::stat::Mode;

use crate::error::StepError;
use crate::isolate::privileges::Identity;
use crate::spec::{Spec, User};
use crate::steps::Step;

/// Most of such a file that is read: more is no user database.
const MAX_BYTES: u64 = 4 << 20;

/// Who the workload is, and its home folder when the database names one.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) identity: Identity,
    pub(crate) home: Option<String>,
}

/// The workload's user: given by number, by name, or root.
pub(crate) fn of(spec: &Spec, rootfs: &Path) -> Result<Account, StepError> {
    match (spec.user, &spec.user_name) {
        (Some(user), _) => Ok(numeric(user)),
        (None, None) => Ok(numeric(User { uid: 0, gid: 0 })),
        (None, Some(text)) => {
            let passwd = read_inside(rootfs, "etc/passwd")?;
            let group = read_inside(rootfs, "etc/group")?;
            find(text, &passwd, &group)
        }
    }
}

pub(crate) fn numeric(user: User) -> Account {
    Account { identity: Identity { uid: user.uid, gid: user.gid, groups: vec![user.gid] }, home: None }
}

/// A file of the container; links of the image resolve inside. Empty when there is none.
fn read_inside(rootfs: &Path, path: &str) -> Result<String, StepError> {
    let failed = |syscall| move |errno| StepError::here(Step::FindUser, syscall, path, errno);
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let top = open(rootfs, flags, Mode::empty()).map_err(failed("openat"))?;
    // Without O_NONBLOCK a fifo by that name would hold us up.
    let how = OpenHow::new()
        .flags(OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
    let file = match openat2(&top, path, how) {
        Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(String::new()),
        done => File::from(done.map_err(failed("openat2"))?),
    };
    let mut bytes = Vec::new();
    let read = file.take(MAX_BYTES).read_to_end(&mut bytes);
    read.map_err(|e| StepError::from_io(Step::FindUser, "read", Path::new(path), &e))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// `name`, `uid`, `name:group`, `uid:gid`, as docker and the OCI image specification have it.
fn find(text: &str, passwd: &str, group: &str) -> Result<Account, StepError> {
    let missing = |what: &str, file: &str| {
        StepError::here(
            Step::FindUser,
            "read",
            format_args!("{what} in {file} of the container"),
            Errno::ENOENT,
        )
    };
    let (user, group_name) = match text.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (text, None),
    };
    let number: Option<u32> = user.parse().ok();
    let row = lines(passwd).find(|row| match number {
        Some(uid) => row.get(2).is_some_and(|field| field.parse() == Ok(uid)),
        None => row.first() == Some(&user),
    });
    let (name, uid, own_gid, home) = match &row {
        Some(row) => {
            let field = |index: usize| row.get(index).and_then(|field| field.parse::<u32>().ok());
            let uid = field(2).ok_or_else(|| missing(user, "/etc/passwd"))?;
            let home = row.get(5).filter(|home| !home.is_empty()).map(|home| (*home).to_owned());
            (Some(row[0]), uid, field(3).unwrap_or(0), home)
        }
        None => (None, number.ok_or_else(|| missing(user, "/etc/passwd"))?, 0, None),
    };
    let gid = match group_name {
        None => own_gid,
        Some(wanted) => match (wanted.parse(), lines(group).find(|row| row.first() == Some(&wanted))) {
            (Ok(gid), _) => gid,
            (Err(_), Some(row)) => {
                row.get(2).and_then(|f| f.parse().ok()).ok_or_else(|| missing(wanted, "/etc/group"))?
            }
            (Err(_), None) => return Err(missing(wanted, "/etc/group")),
        },
    };
    let mut groups = vec![gid];
    // A group that is given stands alone; else those that list the user come along.
    if let (None, Some(name)) = (group_name, name) {
        let lists = |row: &Vec<&str>| row.get(3).is_some_and(|members| members.split(',').any(|m| m == name));
        groups.extend(lines(group).filter(lists).filter_map(|row| row.get(2)?.parse::<u32>().ok()));
        groups.dedup();
    }
    Ok(Account { identity: Identity { uid, gid, groups }, home })
}

fn lines(file: &str) -> impl Iterator<Item = Vec<&str>> {
    file.lines().filter(|line| !line.starts_with('#')).map(|line| line.split(':').collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_found_as_docker_finds_them() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nweb:x:33:34::/var/www:/bin/false\nbroken:x\n";
        let group = "root:x:0:\nweb:x:34:\nlog:x:4:web,other\nadm:x:5:\n";
        let ids = |text: &str| {
            let account = find(text, passwd, group).unwrap();
            (account.identity.uid, account.identity.gid, account.identity.groups)
        };
        assert_eq!(ids("web"), (33, 34, vec![34, 4]));
        assert_eq!(ids("33"), (33, 34, vec![34, 4]));
        assert_eq!(ids("web:adm"), (33, 5, vec![5]));
        assert_eq!(ids("1000"), (1000, 0, vec![0]));
        assert_eq!(ids("1000:1001"), (1000, 1001, vec![1001]));
        assert_eq!(find("web", passwd, group).unwrap().home.unwrap(), "/var/www");
        for bad in ["nobody", "web:nogroup", "broken", ""] {
            assert_eq!(find(bad, passwd, group).unwrap_err().errno, libc::ENOENT, "{bad}");
        }
    }
}
