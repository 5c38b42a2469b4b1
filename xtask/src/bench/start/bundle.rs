//! An OCI bundle equal to what `diag run` does with its limits: the same namespaces, limits, capabilities, masked
//! paths, and docker's seccomp profile as the package of podman and buildah carries it.

use crate::shell::output_of;
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::Command;

/// In the format of containers-common, which says which rows are for which architecture and capability.
const PROFILE: &str = "/usr/share/containers/seccomp.json";

/// docker's default set.
const CAPABILITIES: [&str; 14] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FSETID",
    "CAP_FOWNER",
    "CAP_MKNOD",
    "CAP_NET_RAW",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETFCAP",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
    "CAP_KILL",
    "CAP_AUDIT_WRITE",
];

/// Write `config.json` into the bundle's folder.
pub(super) fn write(bundle: &Path) -> Result<()> {
    output_of(Command::new("runc").arg("spec").current_dir(bundle))?;
    let file = bundle.join("config.json");
    let mut config: Value = serde_json::from_slice(&fs::read(&file)?)?;
    let process = &mut config["process"];
    process["terminal"] = json!(false);
    process["args"] = json!(["/bin/true"]);
    process["noNewPrivileges"] = json!(false);
    process["rlimits"] = json!([]);
    let set = json!(CAPABILITIES);
    process["capabilities"] = json!({"bounding": set, "effective": set, "permitted": set});
    config["root"]["readonly"] = json!(false);
    let kinds = ["pid", "network", "ipc", "uts", "mount", "cgroup"];
    let linux = &mut config["linux"];
    linux["namespaces"] = kinds.iter().map(|kind| json!({"type": kind})).collect();
    linux["resources"]["memory"] = json!({"limit": 64 << 20});
    linux["resources"]["pids"] = json!({"limit": 100});
    linux["resources"]["cpu"] = json!({"quota": 100_000, "period": 100_000});
    linux["seccomp"] = seccomp()?;
    Ok(fs::write(&file, serde_json::to_vec_pretty(&config)?)?)
}

/// The rows that hold for this architecture and the default capabilities, in the runtime's format.
fn seccomp() -> Result<Value> {
    let text = fs::read(PROFILE).with_context(|| format!("cannot read {PROFILE}"))?;
    let profile: Value = serde_json::from_slice(&text)?;
    let rows = profile["syscalls"].as_array().context("the profile has no rows")?;
    let row = |row: &Value| {
        let mut plain = json!({"names": row["names"], "action": row["action"]});
        for key in ["args", "errnoRet"] {
            if !row[key].is_null() {
                plain[key] = row[key].clone();
            }
        }
        plain
    };
    let rows: Vec<Value> = rows.iter().filter(|row| applies(row)).map(row).collect();
    Ok(json!({
        "defaultAction": profile["defaultAction"],
        "defaultErrnoRet": profile["defaultErrnoRet"],
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
        "syscalls": rows,
    }))
}

fn applies(row: &Value) -> bool {
    let list = |value: &Value| -> Vec<String> {
        let items = value.as_array().into_iter().flatten();
        items.filter_map(|item| item.as_str().map(str::to_owned)).collect()
    };
    let has = |name: &String| CAPABILITIES.contains(&name.as_str());
    let architectures = list(&row["includes"]["arches"]);
    (architectures.is_empty() || architectures.iter().any(|name| name == "amd64"))
        && list(&row["includes"]["caps"]).iter().all(has)
        && !list(&row["excludes"]["caps"]).iter().any(has)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_chosen_by_architecture_and_capability() {
        assert!(applies(&json!({"includes": {}, "excludes": {}})));
        assert!(applies(&json!({"includes": {"arches": ["amd64", "x32"]}})));
        assert!(!applies(&json!({"includes": {"arches": ["s390x"]}})));
        assert!(!applies(&json!({"includes": {"caps": ["CAP_SYS_ADMIN"]}})));
        assert!(applies(&json!({"excludes": {"caps": ["CAP_SYS_ADMIN"]}})));
        assert!(!applies(&json!({"excludes": {"caps": ["CAP_SYS_CHROOT"]}})));
    }
}
