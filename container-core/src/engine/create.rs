//! `create`: a container on disk, with an id, a name and a folder; nothing in the kernel yet.

use std::fs;

use super::Engine;
use crate::clock;
use crate::container::{Config, Container, ContainerRef};
use crate::error::Error;
use crate::events::EventKind;
use crate::id;
use crate::image;
use crate::process::ProcessId;
use crate::spec::Spec;
use crate::store::bundle::Bundle;
use crate::store::sweep;

/// So many names are proposed for a container that was given none, before giving up.
const PROPOSALS: u32 = 64;

impl Engine {
    /// Make a container of an imported image. It appears with everything it needs, or not at all.
    pub fn create(&self, spec: &Spec) -> Result<Container, Error> {
        let image = image::find(&self.store, &spec.image)?;
        image.config.complete(spec)?.validate()?;
        let id = id::container_id();
        let mut config = Config {
            container: ContainerRef {
                id: id.clone(),
                name: spec.name.clone().unwrap_or_default(),
                image: image.name.clone(),
            },
            layers: image.layers.clone(),
            spec: Spec { image: image.name.clone(), ..spec.clone() },
            created_unix_ns: clock::unix_ns(),
        };

        // The name is not known before the lock is held: a first draft is replaced below when it was proposed.
        let maker = sweep::Maker::current(&ProcessId::current());
        let draft = Bundle::at(self.store.containers().join(maker.being_made(&id)));
        let lock = self.store.lock()?;
        let placed = self.place(&mut config, &draft, spec);
        drop(lock);
        if let Err(error) = placed {
            // The first error is the one to report; what stays is swept by the next `list`.
            let _ = fs::remove_dir_all(draft.dir());
            return Err(error);
        }
        let bundle = self.store.bundle(&id);
        self.record(&config.container, EventKind::Created { bundle: bundle.dir().to_owned() })?;
        bundle.container()?.ok_or(Error::NoSuchContainer { query: id })
    }

    /// Under the store's lock: claim the name, fill the folder, move it to its place.
    fn place(&self, config: &mut Config, draft: &Bundle, spec: &Spec) -> Result<(), Error> {
        // Again, for the image may have been removed or replaced since.
        let image = image::find(&self.store, &config.container.image)?;
        config.spec = Spec { image: image.name.clone(), ..image.config.complete(spec)? };
        config.spec.validate()?;
        config.layers = image.layers;
        let name = match &spec.name {
            Some(name) => name.clone(),
            None => self.propose_name()?,
        };
        config.container.name.clone_from(&name);
        config.spec.name = Some(name.clone());
        let top = config.layers.last().map(|layer| image::layer_tree(&self.store, layer));
        let top = top.ok_or_else(|| Error::NoSuchImage { name: config.container.image.clone() })?;
        if let Some(owner) = self.store.owner_of_name(&name)? {
            return Err(Error::NameTaken { name, id: owner });
        }
        draft.fill(config, &top)?;
        self.store.claim_name(&name, &config.container.id)?;
        let place = self.store.bundle(&config.container.id);
        fs::rename(draft.dir(), place.dir()).map_err(Error::store("create", place.dir()))
    }

    fn propose_name(&self) -> Result<String, Error> {
        for attempt in 0..PROPOSALS {
            let name = id::proposed_name(attempt);
            if self.store.owner_of_name(&name)?.is_none() {
                return Ok(name);
            }
        }
        Err(Error::InvalidSpec("no free name was found: give one".to_owned()))
    }
}
