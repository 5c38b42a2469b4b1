//! Docker: one folder a container below its data root, with the configuration that `docker inspect` shows.

use super::remembered::{Remembered, is_called, nanoseconds};
use super::{Found, folders};
use crate::limits::read::Root;
use crate::model::Container;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

const DEFAULT: &str = "var/lib/docker";
const CONFIG: &str = "etc/docker/daemon.json";

/// `<data root>/containers/<id>/config.v2.json` (moby, daemon/container/container.go `CheckpointTo`).
pub(super) fn find(root: &Root, id: &str) -> Option<Found> {
    data_roots(root).iter().find_map(|folder| {
        let text = fs::read_to_string(folder.join("containers").join(id).join("config.v2.json")).ok()?;
        read(&text)
    })
}

/// The names of all containers.
pub(super) fn names(root: &Root) -> Vec<String> {
    let folders =
        data_roots(root).into_iter().filter_map(|folder| fs::read_dir(folder.join("containers")).ok());
    let name =
        |entry: fs::DirEntry| read(&fs::read_to_string(entry.path().join("config.v2.json")).ok()?)?.name;
    folders.flatten().filter_map(Result::ok).filter_map(name).collect()
}

/// Containers that are called so, with what dockerd was told when they failed.
pub(super) fn remembered(root: &Root, target: &str) -> Vec<Remembered> {
    let folders =
        data_roots(root).into_iter().filter_map(|folder| fs::read_dir(folder.join("containers")).ok());
    folders.flatten().filter_map(Result::ok).filter_map(|entry| of_folder(&entry.path(), target)).collect()
}

fn of_folder(folder: &Path, target: &str) -> Option<Remembered> {
    let text = fs::read_to_string(folder.join("config.v2.json")).ok()?;
    let found = read(&text)?;
    let config: Value = serde_json::from_str(&text).ok()?;
    let id = config["ID"].as_str()?.to_owned();
    if !is_called(target, found.name.as_deref(), &id) {
        return None;
    }
    let state = &config["State"];
    let host = fs::read_to_string(folder.join("hostconfig.json")).unwrap_or_default();
    let host: Value = serde_json::from_str(&host).unwrap_or_default();
    let times = [&state["FinishedAt"], &state["StartedAt"], &config["Created"]];
    let failed = state["Error"].as_str().filter(|error| !error.is_empty()).map(str::to_owned);
    Some(Remembered {
        container: Container {
            engine: "docker".into(),
            id,
            name: found.name,
            image: found.image,
            cgroup: None,
            state: found.state.or_else(|| failed.as_ref().map(|_| "created, and never started".to_owned())),
        },
        error: failed,
        exit_code: state["ExitCode"].as_i64(),
        oom_killed: state["OOMKilled"].as_bool() == Some(true),
        pid: state["Pid"].as_u64().and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid > 0),
        memory_max: host["Memory"].as_u64().filter(|bytes| *bytes > 0),
        unix_ns: times.iter().map(|time| nanoseconds(time.as_str())).max().unwrap_or(0),
    })
}

fn data_roots(root: &Root) -> Vec<PathBuf> {
    let mut out = folders(root, &["dockerd"], "--data-root", DEFAULT);
    // Where the option is not given, the file may name it (dockerd(8)).
    let named = |file: PathBuf| {
        let config: Value = serde_json::from_str(&fs::read_to_string(file).ok()?).ok()?;
        Some(root.join(config["data-root"].as_str()?))
    };
    out.extend(folders(root, &["dockerd"], "--config-file", CONFIG).into_iter().filter_map(named));
    out
}

fn read(text: &str) -> Option<Found> {
    let config: Value = serde_json::from_str(text).ok()?;
    let state = &config["State"];
    let word = ended(
        state["Running"].as_bool(),
        state["ExitCode"].as_i64(),
        state["FinishedAt"].as_str(),
        state["OOMKilled"].as_bool() == Some(true),
    );
    Some(Found {
        name: config["Name"].as_str().map(|name| name.trim_start_matches('/').to_owned()),
        image: config["Config"]["Image"].as_str().map(str::to_owned),
        state: word,
    })
}

/// The state in a word; `None` for one that never ran.
pub(super) fn ended(running: Option<bool>, code: Option<i64>, at: Option<&str>, oom: bool) -> Option<String> {
    match (running, code) {
        (Some(true), _) => Some("running".to_owned()),
        (Some(false), Some(code)) if at.is_some_and(|at| !at.starts_with("0001")) => {
            let oom = if oom { ", out of memory" } else { "" };
            Some(format!("exited ({code}{oom})"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_image_and_end_are_read() {
        let text = r#"{"Name":"/web-1","Config":{"Image":"nginx:1.27"},"State":{"Running":false,"ExitCode":137,
            "OOMKilled":true,"FinishedAt":"2026-11-25T13:36:19Z"}}"#;
        let found = read(text).unwrap();
        assert_eq!((found.name.as_deref(), found.image.as_deref()), (Some("web-1"), Some("nginx:1.27")));
        assert_eq!(found.state.as_deref(), Some("exited (137, out of memory)"));
        assert_eq!(read("{"), None);
    }

    #[test]
    fn what_dockerd_was_told_is_remembered() {
        let dir = tempfile::tempdir().unwrap();
        let id = "ab".repeat(32);
        let folder = dir.path().join(DEFAULT).join("containers").join(&id);
        fs::create_dir_all(&folder).unwrap();
        let config = format!(
            r#"{{"ID":"{id}","Name":"/web","Created":"2026-11-28T09:12:06Z","Config":{{"Image":"bb:1"}},"State":
            {{"Running":false,"ExitCode":128,"Error":"mount: no space left on device","OOMKilled":false,"Pid":0,
            "FinishedAt":"0001-01-01T00:00:00Z"}}}}"#
        );
        fs::write(folder.join("config.v2.json"), config).unwrap();
        fs::write(folder.join("hostconfig.json"), r#"{"Memory":16777216}"#).unwrap();
        let root = Root::at(dir.path());
        for target in ["web", "abab"] {
            let found = remembered(&root, target);
            assert_eq!(found.len(), 1, "{target}");
            assert_eq!(found[0].error.as_deref(), Some("mount: no space left on device"));
            assert_eq!((found[0].exit_code, found[0].memory_max), (Some(128), Some(16 << 20)));
            assert_eq!(found[0].unix_ns, 1_795_857_126_000_000_000);
            assert_eq!(found[0].container.state.as_deref(), Some("created, and never started"));
        }
        assert_eq!(remembered(&root, "db"), []);
    }

    #[test]
    fn the_data_root_is_the_running_daemons() {
        let dir = tempfile::tempdir().unwrap();
        let process = dir.path().join("proc/7");
        fs::create_dir_all(&process).unwrap();
        fs::write(process.join("comm"), "dockerd\n").unwrap();
        fs::write(process.join("cmdline"), b"dockerd\0--data-root\0/srv/d\0").unwrap();
        let roots = data_roots(&Root::at(dir.path()));
        assert_eq!(roots, [dir.path().join("srv/d"), dir.path().join(DEFAULT)]);
        // Named by a file, which is named by the command line.
        fs::write(process.join("cmdline"), b"dockerd\0--config-file=/srv/c.json\0").unwrap();
        fs::create_dir_all(dir.path().join("srv")).unwrap();
        fs::write(dir.path().join("srv/c.json"), r#"{"data-root": "/srv/e"}"#).unwrap();
        let roots = data_roots(&Root::at(dir.path()));
        assert_eq!(roots, [dir.path().join(DEFAULT), dir.path().join("srv/e")]);
    }
}
