//! Whose failure it is, where that takes more than one stage: capture reads processes and engines' files,
//! attribute knows what they mean.

use super::Pipeline;
use crate::attribute::{
    Ancestor, Place, Request, asked_for, at_work_for, is_own_cgroup, place_in, request_of,
};
use crate::capture::cgroups::ids_of;
use crate::capture::engines::{DOCKER_HOST, Process, daemons, hosts, lineage};
use crate::model::{ArgValue, CgroupId, Container, ContainerEvent, Failure, Stamp, Task};
use std::collections::HashMap;

impl Pipeline {
    /// The processes above each of these, where nothing that is known says whose it is. Before anything else is read: an
    /// engine that was refused something ends within a millisecond, and its command line with it.
    pub(super) fn above(&self, failures: &[Failure]) -> Vec<Vec<Process>> {
        let mut read: HashMap<u32, Vec<Process>> = HashMap::new();
        let mut of = |failure: &Failure| match self.index.owner(failure) {
            Some(_) => Vec::new(),
            None => {
                let known = read.entry(failure.task.pid);
                let of = || lineage(&self.root, self.watch.engines(), &failure.task, failure.time.mono_ns);
                known.or_insert_with(of).clone().into_iter().chain(self.command_above(failure)).collect()
            }
        };
        failures.iter().map(&mut of).collect()
    }

    /// Hears what engines' programs do: who asks for containers, as long as one command is watched, and whose cgroups
    /// runtimes make. What runs in those is the container's, also where no shape of a path says so (ctr's, runc's own).
    pub(super) fn hear_engines(&mut self) {
        if let Some(beside) = &mut self.beside {
            beside.hear(&mut self.watch);
        }
        for (made, by, at_ns) in self.watch.cgroups_of_runtimes() {
            let maker = Task { pid: by, ..Task::default() };
            let above = lineage(&self.root, self.watch.engines(), &maker, at_ns);
            let own = |container: &Container| is_own_cgroup(&made.path, &container.id);
            if let Some(container) = at_work(&above).filter(own) {
                self.learn_of(container, ids_of(&self.root, &made));
            }
        }
    }

    fn learn_of(&mut self, container: Container, cgroups: Vec<CgroupId>) {
        self.index.learn(&ContainerEvent {
            time: Stamp::default(),
            container,
            cgroups,
            engine_pid: None,
            init_pid: None,
            paths: vec![],
            what: "found".into(),
        });
    }

    /// Whose failure it is. Where nothing that is known so far says it, the processes above the failed one may be
    /// engines at work, or the call's own arguments lie in a container's folders; where an id is all there is, the
    /// engine's files have name and image.
    pub(super) fn owner(&mut self, failure: &Failure, above: &[Process]) -> Option<Container> {
        let mut container = match self.index.owner(failure) {
            Some(owned) => owned.container,
            None => self.find_owner(failure, above)?,
        };
        if self.engines.complete(&self.root, &mut container, failure.time.mono_ns) {
            self.index.complete(&container);
        }
        if container.name.is_none()
            && let Some(name) = self.name_by_the_command(&container, failure)
        {
            // Its engine has forgotten it already.
            container.name = Some(name);
            self.index.complete(&container);
        }
        Some(container)
    }

    fn find_owner(&mut self, failure: &Failure, above: &[Process]) -> Option<Container> {
        if let Some(container) = at_work(above) {
            self.index.at_work(container, failure);
            return self.index.owner(failure).map(|owned| owned.container);
        }
        let container = match self.place(failure) {
            Some(Place::Container { engine, id }) => {
                Container { engine: engine.into(), id, ..Container::default() }
            }
            Some(Place::Layer { engine, store, layer }) => {
                match self.engines.owner_of_layer(&self.root, engine, &store, &layer) {
                    Some((engine, id)) => Container { engine, id, ..Container::default() },
                    None => self.asked_for(failure, above, Some(&layer))?,
                }
            }
            None => self.asked_for(failure, above, None)?,
        };
        let id = container.id.clone();
        // A daemon works for many at once, so its process is tied to none of them.
        self.learn_of(container, vec![]);
        self.index.get(&id).cloned()
    }

    fn place(&self, failure: &Failure) -> Option<Place> {
        failure.args().iter().find_map(|arg| match &arg.value {
            ArgValue::Text(text) => place_in(text),
            _ => None,
        })
    }

    /// By the one who asked for it: podman and ctr make containers themselves; dockerd does it for clients that wait
    /// for it meanwhile.
    fn asked_for(&self, failure: &Failure, above: &[Process], layer: Option<&str>) -> Option<Container> {
        let comm = failure.task.comm.as_str();
        let own =
            above.iter().find_map(|process| request_of(&process.words)).filter(|r| r.engine != "docker");
        let mut waiting = match own {
            Some(request) => vec![request],
            None if comm == "dockerd" => self.waiting_for_docker(layer, failure.time.mono_ns),
            None => vec![],
        };
        if waiting.is_empty() {
            // Whoever asked may have ended by now; what the watched command asked for is known.
            waiting = self.asked_by_the_command(failure);
        }
        asked_for(&waiting, layer, &format!("{comm}-{}", failure.task.pid))
    }

    /// Clients that wait for this machine's dockerd, as far as they may be meant: while the first layer is made, no
    /// container of that name is on disk yet.
    fn waiting_for_docker(&self, layer: Option<&str>, at_ns: u64) -> Vec<Request> {
        let daemons = daemons(&self.root);
        let hosts: Vec<&str> =
            daemons.iter().filter(|d| d.comm == "dockerd").flat_map(|d| hosts(&d.words)).collect();
        let of = |client: &&Process| {
            let request = request_of(&client.words).filter(|request| request.engine == "docker")?;
            let host = request.host.as_deref().or(client.host.as_deref()).unwrap_or(DOCKER_HOST);
            hosts.contains(&host).then_some(request)
        };
        let clients = self.watch.engines().clients(&self.root, at_ns);
        let mut waiting: Vec<Request> = clients.iter().filter_map(of).collect();
        let first = layer.is_some_and(|layer| layer.ends_with("-init"));
        waiting.retain(|request| request.creates || !first);
        if first && waiting.len() > 1 {
            let made = self.engines.names(&self.root, "docker");
            waiting.retain(|request| request.name.as_ref().is_none_or(|name| !made.contains(name)));
        }
        waiting
    }
}

/// The container that the nearest of these works for.
fn at_work(above: &[Process]) -> Option<Container> {
    let ancestors: Vec<_> = above.iter().map(|p| Ancestor { comm: &p.comm, words: &p.words }).collect();
    at_work_for(&ancestors)
}
