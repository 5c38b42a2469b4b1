//! `system check`: what is in the store, or in the kernel because of it, that nothing accounts for; and its repair.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Engine;
use crate::cgroup::{Cgroup, Hierarchies};
use crate::error::Error;
use crate::events;
use crate::image;
use crate::launch::rootfs;
use crate::store::json;
use crate::store::sweep;

/// One thing that should not be there, or should.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "kind", content = "object", rename_all = "kebab-case")]
pub enum Leftover {
    /// A container whose engine was killed and that nobody has looked at since.
    Abandoned(String),
    /// A folder or file whose maker was killed before it was complete, or completely deleted.
    Unfinished(PathBuf),
    /// A name that leads to no container.
    Name(String),
    /// A layer that no image and no container uses.
    Layer(String),
    /// A layer that is missing, and who needs it.
    Missing(String),
    /// A mount in the store that belongs to no running container.
    Mount(PathBuf),
    /// A cgroup that belongs to no running container.
    Cgroup(PathBuf),
    /// A file that cannot be read.
    Damaged(String),
}

impl fmt::Display for Leftover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Leftover::Abandoned(name) => write!(f, "container {name} was left by a killed engine"),
            Leftover::Unfinished(path) => write!(f, "{} was left by a killed engine", path.display()),
            Leftover::Name(name) => write!(f, "the name {name} leads to no container"),
            Leftover::Layer(digest) => write!(f, "layer {digest} is used by no image and no container"),
            Leftover::Missing(text) => write!(f, "{text}"),
            Leftover::Mount(path) => write!(f, "{} is mounted for no running container", path.display()),
            Leftover::Cgroup(path) => write!(f, "{} is the cgroup of no running container", path.display()),
            Leftover::Damaged(text) => write!(f, "{text}"),
        }
    }
}

impl Engine {
    /// Everything that nothing accounts for. Looks and changes nothing; what other engines do at the same time may
    /// be seen half-way.
    pub fn check(&self) -> Result<Vec<Leftover>, Error> {
        let mut found = Vec::new();
        let mut live = BTreeSet::new();
        for id in self.store.ids()? {
            match self.store.bundle(&id).container() {
                Ok(Some(container)) if container.state.is_abandoned() => {
                    found.push(Leftover::Abandoned(container.name().to_owned()));
                }
                Ok(Some(container)) if container.state.is_live() => drop(live.insert(id)),
                Ok(_) => {}
                Err(error) => found.push(Leftover::Damaged(error.to_string())),
            }
        }
        for dir in [self.store.containers(), self.store.layers()] {
            found.extend(sweep::abandoned(&dir)?.into_iter().map(Leftover::Unfinished));
        }
        found.extend(json::half_written(self.root())?.into_iter().map(Leftover::Unfinished));
        found.extend(self.store.stray_names()?.into_iter().map(Leftover::Name));
        match image::account(&self.store) {
            Ok((unused, missing)) => {
                found.extend(unused.into_iter().map(Leftover::Layer));
                found.extend(missing.into_iter().map(Leftover::Missing));
            }
            Err(error) => found.push(Leftover::Damaged(error.to_string())),
        }
        found.extend(self.stray_mounts(&live)?.into_iter().map(Leftover::Mount));
        found.extend(self.stray_cgroups(&live)?.into_iter().map(Leftover::Cgroup));
        found.sort();
        Ok(found)
    }

    /// Finish what killed engines left; what remains then needs a person.
    pub fn repair_store(&self) -> Result<Vec<Leftover>, Error> {
        self.list()?;
        sweep::sweep(&self.store.layers())?;
        for path in json::half_written(self.root())? {
            fs::remove_file(&path).map_err(Error::store("remove", &path))?;
        }
        {
            let _lock = self.store.lock()?;
            for name in self.store.stray_names()? {
                self.store.drop_name(&name)?;
            }
        }
        image::collect_unused(&self.store)?;
        for leftover in self.check()? {
            if let Leftover::Mount(path) = leftover {
                rootfs::unmount(&path)?;
            }
        }
        let hierarchies = Hierarchies::find()?;
        let live = self.live()?;
        for id in self.known_ids()?.difference(&live) {
            if let Some(error) = Cgroup::of(&hierarchies, id).end().into_iter().next() {
                return Err(error.into());
            }
        }
        self.check()
    }

    fn live(&self) -> Result<BTreeSet<String>, Error> {
        let containers = self.list()?.into_iter().filter(|container| container.state.is_live());
        Ok(containers.map(|container| container.id().to_owned()).collect())
    }

    /// Ids of containers there are, and of those that the event log remembers.
    fn known_ids(&self) -> Result<BTreeSet<String>, Error> {
        let mut ids: BTreeSet<String> = self.store.ids()?.into_iter().collect();
        let log = events::read(self.root())?;
        ids.extend(log.events.into_iter().map(|event| event.container.id));
        Ok(ids)
    }

    fn stray_mounts(&self, live: &BTreeSet<String>) -> Result<Vec<PathBuf>, Error> {
        let file = Path::new("/proc/self/mountinfo");
        let text = fs::read_to_string(file).map_err(Error::store("read", file))?;
        let containers = self.store.containers();
        // proc_pid_mountinfo(5): the mount point is field 5.
        let points = text.lines().filter_map(|line| line.split(' ').nth(4)).map(PathBuf::from);
        let is_stray = |point: &PathBuf| {
            point.strip_prefix(&containers).is_ok_and(|rest| {
                let id = rest.components().next().map(|id| id.as_os_str().to_string_lossy().into_owned());
                id.is_some_and(|id| !live.contains(&id))
            })
        };
        Ok(points.filter(is_stray).collect())
    }

    fn stray_cgroups(&self, live: &BTreeSet<String>) -> Result<Vec<PathBuf>, Error> {
        let hierarchies = Hierarchies::find()?;
        let ids = self.known_ids()?;
        Ok(ids.difference(live).flat_map(|id| Cgroup::of(&hierarchies, id).existing()).collect())
    }
}
