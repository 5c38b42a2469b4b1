//! Lowers a limit of namespaces in a user namespace of its own, then asks for one.

use super::Provoked;
use anyhow::Context;
use nix::sched::{CloneFlags, unshare};
use std::fs;

pub(super) fn provoke(variant: &str) -> anyhow::Result<Provoked> {
    let ancestor = variant == "ancestor";
    let kind = if ancestor { "net" } else { variant };
    let flag = match kind {
        "user" => CloneFlags::CLONE_NEWUSER,
        "uts" => CloneFlags::CLONE_NEWUTS,
        "ipc" => CloneFlags::CLONE_NEWIPC,
        "mnt" => CloneFlags::CLONE_NEWNS,
        "cgroup" => CloneFlags::CLONE_NEWCGROUP,
        "pid" => CloneFlags::CLONE_NEWPID,
        _ => CloneFlags::CLONE_NEWNET,
    };
    enter_user_namespace()?;
    let file = format!("/proc/sys/user/max_{kind}_namespaces");
    fs::write(&file, "0").with_context(|| format!("cannot write {file}"))?;
    if ancestor {
        // The limit stays one level up, where the file inside does not show it.
        enter_user_namespace()?;
    }
    Provoked::by("unshare", move || Ok(unshare(flag)?))
}

/// A user namespace in which this process is root.
pub(super) fn enter_user_namespace() -> anyhow::Result<()> {
    let (uid, gid) = (nix::unistd::geteuid(), nix::unistd::getegid());
    unshare(CloneFlags::CLONE_NEWUSER).context("cannot make a user namespace")?;
    // setgroups must be given up before a group may be mapped without privilege (user_namespaces(7)).
    for (file, text) in [
        ("setgroups", "deny".to_owned()),
        ("uid_map", format!("0 {uid} 1")),
        ("gid_map", format!("0 {gid} 1")),
    ] {
        let path = format!("/proc/self/{file}");
        fs::write(&path, text).with_context(|| format!("cannot write {path}"))?;
    }
    Ok(())
}
