//! Podman: conmon, the process that stays with each container, is told its name; the image is in the storage.

use super::containerd::last_log;
use super::remembered::{Remembered, is_called, nanoseconds};
use super::{Found, command_lines, folders, option_values};
use crate::limits::read::Root;
use crate::model::Container;
use serde_json::Value;
use std::fs;
use std::path::Path;

const DEFAULT: &str = "var/lib/containers/storage";

pub(super) fn find(root: &Root, id: &str) -> Option<Found> {
    let mut stores = folders(root, &["podman"], "--root", DEFAULT);
    let mut found = Found::default();
    for words in command_lines(root, &["conmon"]) {
        if !option_values(&words, "-c").chain(option_values(&words, "--cid")).any(|cid| cid == id) {
            continue;
        }
        found.name =
            option_values(&words, "-n").chain(option_values(&words, "--name")).next().map(str::to_owned);
        // `-b <store>/overlay-containers/<id>/userdata`
        let bundle = option_values(&words, "-b").chain(option_values(&words, "--bundle")).next();
        let store = bundle.and_then(|bundle| bundle.split_once("/overlay-containers/"));
        stores.extend(store.map(|(store, _)| root.join(store)));
    }
    for store in stores {
        let list = fs::read_to_string(store.join("overlay-containers/containers.json")).unwrap_or_default();
        if let Some(stored) = read(&list, id) {
            found.name = found.name.or(stored.name);
            found.image = stored.image;
            break;
        }
    }
    (found != Found::default()).then_some(found)
}

/// Containers that are called so. The storage's list has name and image; podman's own database, which runtime error
/// and which exit code there were.
pub(super) fn remembered(root: &Root, target: &str) -> Vec<Remembered> {
    let mut stores = folders(root, &["podman", "conmon"], "--root", DEFAULT);
    stores.dedup();
    stores.iter().flat_map(|store| of_store(root, store, target)).collect()
}

fn of_store(root: &Root, store: &Path, target: &str) -> Vec<Remembered> {
    let list = fs::read_to_string(store.join("overlay-containers/containers.json")).unwrap_or_default();
    let all: Value = serde_json::from_str(&list).unwrap_or_default();
    let of = |container: &Value| {
        let id = container["id"].as_str()?.to_owned();
        let found = read(&list, &id)?;
        if !is_called(target, found.name.as_deref(), &id) {
            return None;
        }
        let state = state(store, &id);
        let exited = state["exited"].as_bool() == Some(true);
        let code = state["exitCode"].as_i64().filter(|_| exited);
        let word = match (code, state["state"].as_i64()) {
            (Some(code), _) => Some(format!("exited ({code})")),
            // libpod/define/containerstate.go: 3 runs, 1 and 2 are before the start.
            (None, Some(3)) => Some("running".to_owned()),
            (None, Some(1 | 2)) => Some("created, and never started".to_owned()),
            _ => None,
        };
        let times =
            [state["finishedTime"].as_str(), state["startedTime"].as_str(), container["created"].as_str()];
        // The folder of the container's run; conmon leaves the runtime's log there.
        let folder = state["runDir"].as_str().map(|folder| root.join(folder));
        Some(Remembered {
            container: Container {
                engine: "podman".into(),
                id,
                name: found.name,
                image: found.image,
                cgroup: None,
                state: word,
            },
            error: folder.and_then(|folder| last_log(&folder.join("oci-log"))),
            exit_code: code,
            oom_killed: state["oomKilled"].as_bool() == Some(true),
            pid: state["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid > 0),
            memory_max: None,
            unix_ns: times.into_iter().map(nanoseconds).max().unwrap_or(0),
        })
    };
    all.as_array().into_iter().flatten().filter_map(of).collect()
}

/// libpod's own record of a container: JSON, in SQLite since podman 4.8 (libpod/sqlite_state.go), in a bolt file
/// before (libpod/boltdb_state.go: bucket `ctr`, in it one by id, in it the key `state`).
fn state(store: &Path, id: &str) -> Value {
    let sqlite = || {
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
        let db = rusqlite::Connection::open_with_flags(store.join("db.sql"), flags).ok()?;
        let query = "SELECT JSON FROM ContainerState WHERE ID = ?1";
        db.query_row(query, [id], |row| row.get::<_, String>(0)).ok()
    };
    let bolt = || {
        let file = super::bolt::Bolt::open(&store.join("libpod/bolt_state.db"))?;
        let value = file.get(&[b"ctr", id.as_bytes()], b"state")?;
        String::from_utf8(value).ok()
    };
    let text = sqlite().or_else(bolt).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}

/// containers/storage's list; what podman adds is JSON in a string.
fn read(list: &str, id: &str) -> Option<Found> {
    let all: Value = serde_json::from_str(list).ok()?;
    let container = all.as_array()?.iter().find(|container| container["id"].as_str() == Some(id))?;
    let metadata = container["metadata"].as_str().and_then(|text| serde_json::from_str::<Value>(text).ok());
    let metadata = metadata.unwrap_or_default();
    Some(Found {
        name: container["names"][0].as_str().map(str::to_owned),
        image: metadata["image-name"].as_str().filter(|name| !name.is_empty()).map(str::to_owned),
        state: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libpods_record_says_how_it_ended() {
        let dir = tempfile::tempdir().unwrap();
        let id = "cd".repeat(32);
        let store = dir.path().join(DEFAULT);
        let run = dir.path().join("run/c");
        fs::create_dir_all(store.join("overlay-containers")).unwrap();
        fs::create_dir_all(&run).unwrap();
        let list =
            format!(r#"[{{"id":"{id}","names":["pod1"],"created":"2026-11-28T09:12:15Z","metadata":""}}]"#);
        fs::write(store.join("overlay-containers/containers.json"), list).unwrap();
        fs::write(run.join("oci-log"), r#"{"level":"error","msg":"runc create failed: no"}"#).unwrap();
        let db = rusqlite::Connection::open(store.join("db.sql")).unwrap();
        db.execute_batch("CREATE TABLE ContainerState (ID TEXT PRIMARY KEY, JSON TEXT)").unwrap();
        let json = r#"{"state":6,"exitCode":137,"exited":true,"oomKilled":true,"runDir":"/run/c",
            "finishedTime":"2026-11-28T09:12:16Z"}"#;
        db.execute("INSERT INTO ContainerState VALUES (?1, ?2)", [&id, json]).unwrap();
        let found = remembered(&Root::at(dir.path()), "pod1");
        assert_eq!((found[0].exit_code, found[0].oom_killed), (Some(137), true));
        assert_eq!(found[0].error.as_deref(), Some("runc create failed: no"));
        assert_eq!(found[0].container.state.as_deref(), Some("exited (137)"));
        assert_eq!(found[0].unix_ns, 1_795_857_136_000_000_000);
    }

    #[test]
    fn conmon_has_the_name_and_the_store_the_image() {
        let dir = tempfile::tempdir().unwrap();
        let id = "cd".repeat(32);
        let process = dir.path().join("proc/9");
        let store = dir.path().join("srv/p/overlay-containers");
        fs::create_dir_all(&process).unwrap();
        fs::create_dir_all(&store).unwrap();
        fs::write(process.join("comm"), "conmon\n").unwrap();
        let line = format!("conmon\0-c\0{id}\0-b\0/srv/p/overlay-containers/{id}/userdata\0-n\0pod1\0");
        fs::write(process.join("cmdline"), line).unwrap();
        let list = format!(
            r#"[{{"id":"{id}","names":["pod1"],"metadata":"{{\"image-name\":\"localhost/bb:1\"}}"}}]"#
        );
        fs::write(store.join("containers.json"), list).unwrap();
        let found = find(&Root::at(dir.path()), &id).unwrap();
        assert_eq!((found.name.as_deref(), found.image.as_deref()), (Some("pod1"), Some("localhost/bb:1")));
        assert_eq!(find(&Root::at(dir.path()), &"ee".repeat(32)), None);
    }
}
