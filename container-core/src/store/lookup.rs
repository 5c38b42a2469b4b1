//! From what a user types (name, id, start of an id) to a container; and who owns which name.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;

use super::Store;
use super::bundle::Bundle;
use crate::error::Error;
use crate::id;

/// Digits of an id in the link of a name. Ext4 keeps a target of less than 60 bytes in the link itself; a longer one takes a
/// block of the disk, which is given back when the container goes.
const LINKED_DIGITS: usize = 56;

impl Store {
    /// The container called `query`: a full id, else a name, else the unique start of an id.
    pub(crate) fn find(&self, query: &str) -> Result<Bundle, Error> {
        if id::is_id_prefix(query) && query.len() == 64 && self.bundle(query).exists() {
            return Ok(self.bundle(query));
        }
        if let Some(id) = self.owner_of_name(query)? {
            return Ok(self.bundle(&id));
        }
        let matches = match id::is_id_prefix(query) {
            true => self.ids()?.into_iter().filter(|id| id.starts_with(query)).collect(),
            false => Vec::new(),
        };
        match matches.as_slice() {
            [] => Err(Error::NoSuchContainer { query: query.to_owned() }),
            [id] => Ok(self.bundle(id)),
            many => Err(Error::Ambiguous {
                query: query.to_owned(),
                matches: many.iter().map(|id| id.chars().take(12).collect()).collect(),
            }),
        }
    }

    /// The ids of all containers, in no order.
    pub(crate) fn ids(&self) -> Result<Vec<String>, Error> {
        let dir = self.containers();
        let entries = fs::read_dir(&dir).map_err(Error::store("read", &dir))?;
        let mut ids = Vec::new();
        for entry in entries {
            let name = entry.map_err(Error::store("read", &dir))?.file_name();
            // Folders being made or deleted start with a dot.
            if let Some(id) = name.to_str().filter(|name| name.len() == 64 && id::is_id_prefix(name)) {
                ids.push(id.to_owned());
            }
        }
        Ok(ids)
    }

    /// Whose name this is. A link to a container that is gone counts as nobody's.
    pub(crate) fn owner_of_name(&self, name: &str) -> Result<Option<String>, Error> {
        if name.is_empty() || name.contains('/') || name.starts_with('.') {
            return Ok(None);
        }
        let link = self.names().join(name);
        match fs::read_link(&link) {
            Ok(target) => {
                let start = String::from_utf8_lossy(target.as_os_str().as_bytes()).into_owned();
                // Older stores have whole ids there.
                if start.len() < LINKED_DIGITS || self.bundle(&start).exists() {
                    return Ok(self.bundle(&start).exists().then_some(start));
                }
                let id = self.ids()?.into_iter().find(|id| id.starts_with(&start));
                Ok(id.filter(|id| self.bundle(id).exists()))
            }
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidFilename) => {
                Ok(None)
            }
            Err(e) => Err(Error::store("read", &link)(e)),
        }
    }

    /// Names whose container is gone.
    pub(crate) fn stray_names(&self) -> Result<Vec<String>, Error> {
        let dir = self.names();
        let mut stray = Vec::new();
        for entry in fs::read_dir(&dir).map_err(Error::store("read", &dir))?.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if self.owner_of_name(&name)?.is_none() {
                stray.push(name);
            }
        }
        Ok(stray)
    }

    /// Give `name` to container `id`. The store's lock must be held.
    pub(crate) fn claim_name(&self, name: &str, id: &str) -> Result<(), Error> {
        if let Some(owner) = self.owner_of_name(name)? {
            return Err(Error::NameTaken { name: name.to_owned(), id: owner });
        }
        self.drop_name(name)?;
        let link = self.names().join(name);
        let start = id.get(..LINKED_DIGITS).unwrap_or(id);
        std::os::unix::fs::symlink(start, &link).map_err(Error::store("create", &link))
    }

    /// Forget a name. The store's lock must be held.
    pub(crate) fn drop_name(&self, name: &str) -> Result<(), Error> {
        let link = self.names().join(name);
        match fs::remove_file(&link) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(Error::store("remove", &link)(e)),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Scratch;

    fn put(store: &Store, id: &str, name: &str) {
        fs::create_dir(store.containers().join(id)).unwrap();
        fs::write(store.containers().join(id).join("config.json"), "{}").unwrap();
        store.claim_name(name, id).unwrap();
    }

    #[test]
    fn names_ids_and_prefixes() {
        let dir = Scratch::new("lookup");
        let store = Store::open(dir.path()).unwrap();
        let (a, b) = (format!("ab{}", "0".repeat(62)), format!("ac{}", "0".repeat(62)));
        put(&store, &a, "web");
        assert_eq!(fs::read_link(store.names().join("web")).unwrap().as_os_str().len(), LINKED_DIGITS);
        std::os::unix::fs::symlink(&a, store.names().join("whole")).unwrap();
        assert_eq!(store.owner_of_name("whole").unwrap(), Some(a.clone()));
        put(&store, &b, "db");
        let found = |query: &str| store.find(query).map(|bundle| bundle.dir().to_owned());
        assert!(found(&a).unwrap().ends_with(&a));
        assert!(found("db").unwrap().ends_with(&b));
        assert!(found("ab").unwrap().ends_with(&a));
        assert!(matches!(found("a"), Err(Error::Ambiguous { matches, .. }) if matches.len() == 2));
        for nobody in ["f", "nobody", "", "..", "a/b", &"n".repeat(300)] {
            assert!(matches!(found(nobody), Err(Error::NoSuchContainer { .. })), "{nobody}");
        }
        assert!(matches!(store.claim_name("web", &b), Err(Error::NameTaken { .. })));
        fs::remove_dir_all(store.containers().join(&a)).unwrap();
        assert!(matches!(found("web"), Err(Error::NoSuchContainer { .. })));
        store.claim_name("web", &b).unwrap();
    }
}
