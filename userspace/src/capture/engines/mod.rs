//! Names and images of other engines' containers, from what those engines keep on disk: no API, no socket. (Built with
//! the feature `docker-api`, the daemon is asked as well, where its files say nothing.)
//!
//! A cgroup path or a command line gives an id; the rest is in the engine's own files. Where these lie is read from
//! the running engine's command line, else the default is taken. An engine writes them before the container runs
//! and removes them with it, so they are looked up as soon as a failure names the container.

mod bolt;
mod containerd;
#[cfg(feature = "docker-api")]
mod daemon;
mod docker;
mod layers;
mod podman;
pub(in crate::capture) mod programs;
mod register;
mod remembered;
mod words;

pub use programs::{DOCKER_HOST, Process, daemons, hosts, lineage, makes_containers, works_alone};
pub use register::Register;
pub use remembered::{Remembered, remembered};
pub use words::{Spoken, spoken};

use crate::limits::read::Root;
use crate::model::Container;
use std::collections::HashMap;
use std::path::PathBuf;

/// Containers that are remembered; beyond this all are looked up again.
const MOST: usize = 4096;
/// How long a container that was not found is not looked for again: its files may just be on their way.
const RETRY_NS: u64 = 200_000_000;

/// What an engine's files say of one container.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Found {
    pub name: Option<String>,
    pub image: Option<String>,
    pub state: Option<String>,
}

/// Looks containers up, each once.
#[derive(Debug, Default)]
pub struct Engines {
    found: HashMap<String, Found>,
    missed_ns: HashMap<String, u64>,
}

impl Engines {
    /// Completes a container's name and image; true when something was added.
    pub fn complete(&mut self, root: &Root, container: &mut Container, now_ns: u64) -> bool {
        if container.name.is_some() && container.image.is_some() {
            return false;
        }
        let Some(found) = self.look_up(root, &container.engine, &container.id, now_ns) else { return false };
        let before = (container.name.clone(), container.image.clone());
        container.name = container.name.take().or(found.name);
        container.image = container.image.take().or(found.image);
        container.state = container.state.take().or(found.state);
        before != (container.name.clone(), container.image.clone())
    }

    /// The engine and the id of the container that owns a layer of an engine's store.
    pub fn owner_of_layer(
        &self,
        root: &Root,
        engine: &str,
        store: &str,
        layer: &str,
    ) -> Option<(String, String)> {
        layers::owner(root, engine, store, layer)
    }

    /// The names of an engine's containers, as its files have them now.
    pub fn names(&self, root: &Root, engine: &str) -> Vec<String> {
        if engine == "docker" { docker::names(root) } else { Vec::new() }
    }

    fn look_up(&mut self, root: &Root, engine: &str, id: &str, now_ns: u64) -> Option<Found> {
        if let Some(found) = self.found.get(id) {
            return Some(found.clone());
        }
        if self.missed_ns.get(id).is_some_and(|at| now_ns.saturating_sub(*at) < RETRY_NS) {
            return None;
        }
        if self.found.len() + self.missed_ns.len() > MOST {
            self.found.clear();
            self.missed_ns.clear();
        }
        let found = match engine {
            "docker" => docker::find(root, id),
            "podman" => podman::find(root, id),
            "containerd" | "cri-o" => containerd::find(root, id),
            _ => None,
        };
        #[cfg(feature = "docker-api")]
        let found = found.or_else(|| daemon::find(root, engine, id));
        match &found {
            Some(found) => self.found.insert(id.to_owned(), found.clone()).is_none(),
            None => self.missed_ns.insert(id.to_owned(), now_ns).is_none(),
        };
        found
    }
}

/// The command lines of all processes whose program is called one of `names`.
fn command_lines(root: &Root, names: &[&str]) -> Vec<Vec<String>> {
    let running = programs::running(root, |comm| names.contains(&comm));
    running.into_iter().map(|process| process.words).collect()
}

/// The values of an option, however it is written: `--root X`, `--root=X`.
fn option_values<'a>(words: &'a [String], option: &'a str) -> impl Iterator<Item = &'a str> {
    words.iter().enumerate().filter_map(move |(at, word)| match word.strip_prefix(option) {
        Some("") => words.get(at + 1).map(String::as_str),
        Some(rest) => rest.strip_prefix('='),
        None => None,
    })
}

/// Folders to look in: those that running engines name, then the default.
fn folders(root: &Root, engine: &[&str], option: &str, default: &str) -> Vec<PathBuf> {
    let mut out: Vec<PathBuf> = Vec::new();
    for words in command_lines(root, engine) {
        out.extend(option_values(&words, option).map(|folder| root.join(folder)));
    }
    out.push(root.join(default));
    out.dedup();
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn options_are_read_both_ways() {
        let words: Vec<String> = ["dockerd", "--data-root=/d", "--root", "/r"].map(str::to_owned).into();
        assert_eq!(option_values(&words, "--data-root").collect::<Vec<_>>(), ["/d"]);
        assert_eq!(option_values(&words, "--root").collect::<Vec<_>>(), ["/r"]);
    }

    #[test]
    fn what_was_found_once_is_kept_and_what_was_not_is_asked_for_again() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::at(dir.path());
        let id = "ab".repeat(32);
        let container = || Container { engine: "docker".into(), id: id.clone(), ..Container::default() };
        let mut engines = Engines::default();
        let mut first = container();
        assert!(!engines.complete(&root, &mut first, 0));
        let folder = dir.path().join("var/lib/docker/containers").join(&id);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("config.v2.json"), r#"{"Name":"/web","Config":{"Image":"nginx:1"}}"#).unwrap();
        assert!(!engines.complete(&root, &mut first, RETRY_NS - 1), "not yet");
        assert!(engines.complete(&root, &mut first, RETRY_NS));
        fs::remove_dir_all(&folder).unwrap();
        let mut later = container();
        assert!(engines.complete(&root, &mut later, 2 * RETRY_NS), "the dead keep their name");
        assert_eq!((later.name.as_deref(), later.image.as_deref()), (Some("web"), Some("nginx:1")));
    }
}
