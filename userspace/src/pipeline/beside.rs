//! Work that engines' daemons do for one command: not by its children, and yet its own.
//!
//! `docker run` only asks; dockerd, containerd and the shim do the work, and fail. Those daemons are followed beside
//! the tree, for what the curated table wants of themselves and for everything of what they start, and of all that
//! only what belongs to a container that the command's own clients asked for is kept.

use super::Pipeline;
use crate::attribute::{Request, request_of};
use crate::capture::{
    engines::{Process, makes_containers, works_alone},
    errno_watch::ErrnoWatch,
    interest::Table,
};
use crate::model::{Availability, Container, Failure, FailureKind};
use std::collections::HashMap;

/// The daemons, and what was asked of them.
pub(super) struct Beside {
    /// Name by pid.
    daemons: HashMap<u32, String>,
    curated: Table,
    /// The command itself.
    words: Vec<String>,
    /// By the command and its children, and by anybody else meanwhile.
    asked: Vec<Request>,
    others: Vec<Request>,
    /// Failures that may have been for the command, and that nothing ties to a container.
    untied: u64,
}

impl Beside {
    /// Follows every engine's daemon that runs. `words` are the command's own.
    pub(super) fn follow(daemons: Vec<Process>, watch: &mut ErrnoWatch, words: &[String]) -> Self {
        let followed = daemons.into_iter().filter(|daemon| watch.follow_beside(daemon.pid).is_ok());
        Self {
            daemons: followed.map(|daemon| (daemon.pid, daemon.comm)).collect(),
            curated: Table::curated(),
            words: words.to_vec(),
            asked: request_of(words).into_iter().collect(),
            others: vec![],
            untied: 0,
        }
    }

    pub(super) fn state(&self) -> Availability {
        let mut names: Vec<String> =
            self.daemons.iter().map(|(pid, comm)| format!("{comm} (pid {pid})")).collect();
        names.sort();
        match names.as_slice() {
            [] => Availability::no("none was running"),
            names => Availability::yes(names.join(", ")),
        }
    }

    /// Takes note of who asks for containers. Clients of the tree are ours.
    pub(super) fn hear(&mut self, watch: &mut ErrnoWatch) {
        for client in watch.new_clients() {
            let Some(request) = request_of(&client.words) else { continue };
            let list = match watch.is_beside(client.pid) {
                Some(false) => &mut self.asked,
                _ => &mut self.others,
            };
            if !list.contains(&request) {
                list.push(request);
            }
        }
    }

    /// Whether a daemon's failure is worth a look: they fail all day long in ways that nobody hears of.
    fn speaks(&self, failure: &Failure) -> bool {
        let FailureKind::Syscall { name, abi, errno, .. } = &failure.kind else {
            return !self.daemons.contains_key(&failure.task.pid);
        };
        // Shims and runtimes unmount, when a start has failed, what may not be mounted.
        let tidies = matches!(name.as_str(), "umount2" | "umount");
        let is_daemon = self.daemons.contains_key(&failure.task.pid);
        !(is_daemon || tidies) || self.curated.covers(name, *abi, *errno)
    }

    fn is_asked_for(&self, container: &Container) -> bool {
        let is_called = |name: &String| {
            container.name.as_ref() == Some(name)
                || name.len() >= 4 && container.id.starts_with(name.as_str())
        };
        let fits = |request: &Request| match (&request.name, &request.image) {
            (Some(name), _) => is_called(name),
            (None, image) => {
                request.creates && (image.is_none() || container.image.is_none() || *image == container.image)
            }
        };
        let by_others = self.others.iter().filter_map(|request| request.name.as_ref()).any(is_called);
        self.asked.iter().any(fits) && !by_others
    }
}

impl Pipeline {
    /// Of what happens beside the tree: whether it may matter, before anything costly is read.
    pub(super) fn may_matter(&self, failure: &Failure) -> bool {
        let Some(beside) = self.beside.as_ref().filter(|_| self.is_beside(failure)) else { return true };
        !beside.asked.is_empty() && beside.speaks(failure)
    }

    /// Whether the failure is the command's: its own, or that of a container it asked for.
    pub(super) fn is_ours(&mut self, failure: &Failure, container: Option<&Container>) -> bool {
        if !self.is_beside(failure) {
            return true;
        }
        let Some(beside) = &mut self.beside else { return true };
        if container.is_none()
            && let FailureKind::Syscall { name, abi, errno, .. } = &failure.kind
            && beside.curated.covers(name, *abi, *errno)
        {
            beside.untied += 1;
        }
        container.is_some_and(|container| beside.is_asked_for(container))
    }

    /// Failures of engines that may have been for the command: with some, "none failed" is no proof.
    pub fn untied(&self) -> u64 {
        self.beside.as_ref().map_or(0, |beside| beside.untied)
    }

    /// What the watched command asked of the engine that this process is, or works for.
    pub(super) fn asked_by_the_command(&self, failure: &Failure) -> Vec<Request> {
        let Some(beside) = &self.beside else { return Vec::new() };
        let comm = failure.task.comm.as_str();
        let engine = match self.watch.is_beside(failure.task.pid) {
            Some(true) if comm == "dockerd" => "docker",
            // podman and ctr make containers themselves, by the runtimes below them.
            Some(false) if works_alone(comm) => {
                return beside.asked.iter().filter(|asked| asked.engine != "docker").cloned().collect();
            }
            _ => return Vec::new(),
        };
        beside.asked.iter().filter(|asked| asked.engine == engine).cloned().collect()
    }

    /// The watched command, which is above everything in its tree, alive or not.
    pub(super) fn command_above(&self, failure: &Failure) -> Option<Process> {
        let words = behind_wrappers(&self.beside.as_ref()?.words);
        let comm = program(words.first()?).to_owned();
        let own = self.watch.is_beside(failure.task.pid) == Some(false);
        own.then(|| Process { comm, words: words.to_vec(), ..Process::default() })
    }

    /// What the watched command called the one container that it asked for.
    pub(super) fn name_by_the_command(&self, container: &Container, failure: &Failure) -> Option<String> {
        match self.asked_by_the_command(failure).as_slice() {
            [one] if one.creates && one.engine == container.engine => one.name.clone(),
            _ => None,
        }
    }

    fn is_beside(&self, failure: &Failure) -> bool {
        self.watch.is_beside(failure.task.pid) == Some(true)
    }

    /// The engine whose client the command is, or has started.
    pub fn client_of(&self) -> Option<&'static str> {
        self.beside.as_ref()?.asked.first().map(|request| request.engine)
    }
}

/// `sudo crun run web`, `unshare -m sh -c 'exec "$@"' sh crun run web`: the part that makes a container, if there is one.
fn behind_wrappers(words: &[String]) -> &[String] {
    let at = words.iter().position(|word| makes_containers(program(word)));
    &words[at.unwrap_or(0)..]
}

fn program(word: &str) -> &str {
    word.rsplit('/').next().unwrap_or(word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Abi, Errno, Stamp, Task};

    #[test]
    fn what_makes_a_container_may_be_wrapped() {
        let of = |line: &str| {
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            behind_wrappers(&words).join(" ")
        };
        assert_eq!(of("sudo /usr/bin/crun run web"), "/usr/bin/crun run web");
        assert_eq!(of("unshare -m sh -c x sh runc run web"), "runc run web");
        assert_eq!(of("make test"), "make test");
    }

    fn beside(asked: &str, others: &str) -> Beside {
        let request = |line: &str| {
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            request_of(&words)
        };
        Beside {
            daemons: HashMap::from([(7, "dockerd".to_owned())]),
            curated: Table::curated(),
            words: vec![],
            asked: request(asked).into_iter().collect(),
            others: request(others).into_iter().collect(),
            untied: 0,
        }
    }

    fn container(name: &str, image: &str) -> Container {
        let (name, image) = (Some(name.to_owned()), Some(image.to_owned()));
        Container { engine: "docker".into(), id: "abcdef".into(), name, image, ..Container::default() }
    }

    #[test]
    fn only_the_container_that_was_asked_for_is_ours() {
        let named = beside("docker run --name web bb:1", "docker run --name db bb:1");
        assert!(named.is_asked_for(&container("web", "bb:1")));
        assert!(!named.is_asked_for(&container("db", "bb:1")));
        let unnamed = beside("docker run bb:1", "docker run --name db bb:1");
        assert!(unnamed.is_asked_for(&container("brave_ride", "bb:1")));
        assert!(!unnamed.is_asked_for(&container("db", "bb:1")), "somebody else's");
        assert!(!unnamed.is_asked_for(&container("brave_ride", "nginx")));
        assert!(beside("docker start abcd", "").is_asked_for(&container("web", "bb:1")));
        assert!(!beside("make test", "").is_asked_for(&container("web", "bb:1")));
    }

    #[test]
    fn a_daemon_is_heard_for_what_is_curated_and_its_children_for_all() {
        let failure = |pid, call: &str, errno| Failure {
            time: Stamp::default(),
            task: Task { pid, ..Task::default() },
            kind: FailureKind::Syscall { name: call.into(), nr: 0, abi: Abi::Native, errno, args: vec![] },
            readings: vec![],
        };
        let beside = beside("docker run bb:1", "");
        assert!(beside.speaks(&failure(7, "mount", Errno::ENOSPC)));
        assert!(!beside.speaks(&failure(7, "openat", Errno(libc::ENOENT))));
        assert!(beside.speaks(&failure(8, "openat", Errno(libc::ENOENT))));
        assert!(!beside.speaks(&failure(8, "umount2", Errno(libc::EINVAL))));
        assert_eq!(beside.state(), Availability::yes("dockerd (pid 7)"));
    }
}
