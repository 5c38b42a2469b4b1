//! Mounts, devices, limits and rights on the command line, in docker's spellings.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use container_core::{Capabilities, Device, Mount, MountSource, ResourceLimit, Seccomp, Security, Sysctl};

/// `/host:/inside[:ro]`, or `/inside` alone for a volume of the container's own.
pub(super) fn volume(text: &str) -> Result<Mount, String> {
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, options) = match parts.as_slice() {
        [target] => (None, *target, ""),
        [source, target] => (Some(*source), *target, ""),
        [source, target, options] => (Some(*source), *target, *options),
        _ => return Err("a volume is SOURCE:TARGET, SOURCE:TARGET:ro or TARGET".to_owned()),
    };
    let mut read_only = false;
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match option {
            "ro" => read_only = true,
            // What is the case anyhow, and labels of a security module that is not used here.
            "rw" | "rprivate" | "private" | "z" | "Z" => {}
            other => return Err(format!("the option {other:?} of a volume is not known; there is ro")),
        }
    }
    let source = match source {
        None => MountSource::Anonymous,
        Some(path) => MountSource::Bind { source: host_path(path)? },
    };
    Ok(Mount { target: target.into(), source, read_only })
}

/// `type=bind,source=/host,target=/inside,readonly`, and the same for `tmpfs` and `volume`.
pub(super) fn mount(text: &str) -> Result<Mount, String> {
    let (mut kind, mut source, mut target, mut read_only) = ("volume", None, None, false);
    let mut options: Vec<String> = Vec::new();
    for part in text.split(',') {
        let (key, value) = part.split_once('=').unwrap_or((part, "true"));
        match key {
            "type" => kind = value,
            "source" | "src" => source = Some(value),
            "target" | "destination" | "dst" => target = Some(value),
            "readonly" | "ro" => read_only = matches!(value, "true" | "1"),
            "tmpfs-size" => options.push(format!("size={value}")),
            "tmpfs-mode" => options.push(format!("mode={value}")),
            other => return Err(format!("{other:?} is no part of a mount that is known here")),
        }
    }
    let target = target.ok_or("a mount needs target=")?.into();
    let source = match (kind, source) {
        ("bind", Some(path)) => MountSource::Bind { source: host_path(path)? },
        ("bind", None) => return Err("a bind mount needs source=".to_owned()),
        ("tmpfs", _) => MountSource::Tmpfs { options: options.join(",") },
        ("volume", None) => MountSource::Anonymous,
        ("volume", Some(name)) => return Err(named_volume(name)),
        (other, _) => {
            return Err(format!("the type {other:?} is not known; there are bind, tmpfs and volume"));
        }
    };
    Ok(Mount { target, source, read_only })
}

/// A path of this machine; a relative one counts from the working directory.
fn host_path(text: &str) -> Result<PathBuf, String> {
    match text.starts_with(['/', '.']) {
        true => std::path::absolute(Path::new(text)).map_err(|e| e.to_string()),
        false => Err(named_volume(text)),
    }
}

fn named_volume(name: &str) -> String {
    format!("there are no named volumes here: give a path for {name:?}")
}

/// `/inside[:size=64m,mode=1777]`
pub(super) fn tmpfs(text: &str) -> Result<Mount, String> {
    let (target, options) = text.split_once(':').unwrap_or((text, ""));
    let read_only = options.split(',').any(|option| option == "ro");
    Ok(Mount { target: target.into(), source: MountSource::Tmpfs { options: options.to_owned() }, read_only })
}

/// `/dev/host[:/dev/inside][:rwm]`
pub(super) fn device(text: &str) -> Result<Device, String> {
    let parts: Vec<&str> = text.split(':').collect();
    let (host, inside, access) = match parts.as_slice() {
        [host] => (*host, *host, "rwm"),
        [host, second] if second.starts_with('/') => (*host, *second, "rwm"),
        [host, access] => (*host, *host, *access),
        [host, inside, access] => (*host, *inside, *access),
        _ => return Err("a device is HOST, HOST:INSIDE or HOST:INSIDE:rwm".to_owned()),
    };
    Ok(Device { host: host.into(), inside: inside.into(), access: access.to_owned() })
}

/// `nofile=1024`, `nofile=1024:2048`, -1 for no limit.
pub(super) fn ulimit(text: &str) -> Result<ResourceLimit, String> {
    let (name, values) = text.split_once('=').ok_or("a limit is NAME=SOFT or NAME=SOFT:HARD")?;
    let (soft, hard) = values.split_once(':').unwrap_or((values, values));
    let value = |text: &str| match text {
        "-1" | "unlimited" => Ok(None),
        number => number.parse().map(Some).map_err(|_| format!("{number:?} is no limit")),
    };
    Ok(ResourceLimit { name: name.to_owned(), soft: value(soft)?, hard: value(hard)? })
}

/// `db:192.0.2.7`
pub(super) fn host(text: &str) -> Result<(String, IpAddr), String> {
    let (name, address) = text.split_once(':').ok_or("a host is NAME:ADDRESS")?;
    let parsed = address.trim_matches(['[', ']']).parse();
    parsed.map(|address| (name.to_owned(), address)).map_err(|_| format!("{address:?} is no address"))
}

/// `net.ipv4.ip_forward=1`
pub(super) fn sysctl(text: &str) -> Result<Sysctl, String> {
    let (name, value) = text.split_once('=').ok_or("a kernel parameter is NAME=VALUE")?;
    Ok(Sysctl { name: name.to_owned(), value: value.to_owned() })
}

/// The lists of `--cap-add` and `--cap-drop`; `ALL` stands for every one.
pub(super) fn capabilities(add: &[String], drop: &[String]) -> Result<Capabilities, String> {
    let is_all = |name: &&String| name.eq_ignore_ascii_case("all");
    let parse = |names: &[String]| {
        names.iter().filter(|name| !is_all(name)).map(|name| name.parse()).collect::<Result<Vec<_>, String>>()
    };
    Ok(Capabilities {
        all: add.iter().any(|name| is_all(&name)),
        none: drop.iter().any(|name| is_all(&name)),
        add: parse(add)?,
        drop: parse(drop)?,
    })
}

/// One `--security-opt`, into what is there so far.
pub(super) fn security(option: &str, security: &mut Security) -> Result<(), String> {
    let (key, value) = option.split_once(['=', ':']).unwrap_or((option, ""));
    match (key, value) {
        ("no-new-privileges", "" | "true") => security.no_new_privileges = true,
        ("no-new-privileges", "false") => security.no_new_privileges = false,
        ("seccomp", "unconfined") => security.seccomp = Seccomp::Unconfined,
        ("seccomp", "default" | "builtin") => security.seccomp = Seccomp::Default,
        ("systempaths", "unconfined") => security.unmask_system_paths = true,
        // No profile of a security module is set here, which is what these ask for.
        ("apparmor", "unconfined") | ("label", "disable") => {}
        _ => {
            return Err(format!(
                "the security option {option:?} is not known; there are no-new-privileges, seccomp=unconfined \
                 and systempaths=unconfined"
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docker_spellings_are_understood() {
        let bind = |source: &str| MountSource::Bind { source: source.into() };
        let mount_of = |target: &str, source, read_only| Mount { target: target.into(), source, read_only };
        assert_eq!(volume("/a:/b:ro").unwrap(), mount_of("/b", bind("/a"), true));
        assert_eq!(volume("/b").unwrap(), mount_of("/b", MountSource::Anonymous, false));
        assert!(volume("name:/b").unwrap_err().contains("named volumes"));
        assert!(volume("/a:/b:rw:x").is_err() && volume("/a:/b:fast").is_err());
        let text = "type=bind,source=/a,target=/b,readonly";
        assert_eq!(mount(text).unwrap(), volume("/a:/b:ro").unwrap());
        let memory = MountSource::Tmpfs { options: "size=64m".into() };
        assert_eq!(mount("type=tmpfs,dst=/t,tmpfs-size=64m").unwrap(), mount_of("/t", memory.clone(), false));
        assert_eq!(tmpfs("/t:size=64m").unwrap(), mount_of("/t", memory, false));
        assert_eq!(device("/dev/fuse:rw").unwrap().access, "rw");
        assert_eq!(device("/dev/a:/dev/b").unwrap().inside, Path::new("/dev/b"));
        assert_eq!(host("db:::1").unwrap(), ("db".to_owned(), "::1".parse().unwrap()));
        assert!(host("db").is_err() && host("db:x").is_err());
        let limit = ulimit("nofile=1024:-1").unwrap();
        assert_eq!((limit.soft, limit.hard), (Some(1024), None));
        assert!(ulimit("nofile").is_err() && ulimit("nofile=x").is_err());
        let rights = capabilities(&["net_admin".into()], &["ALL".into()]).unwrap();
        assert!(rights.none && rights.add.len() == 1 && rights.drop.is_empty());
        assert!(capabilities(&["fly".into()], &[]).is_err());
        let mut all = Security::default();
        security("no-new-privileges", &mut all).unwrap();
        security("seccomp=unconfined", &mut all).unwrap();
        assert!(all.no_new_privileges && all.seccomp == Seccomp::Unconfined);
        assert!(security("seccomp=/profile.json", &mut all).is_err());
    }
}
