//! What the running kernel's functions return, for whoever asks again and again.
//!
//! The kernel's types are five megabytes, and those of its modules one file each: they are read when the first answer
//! is wanted, and what was found is remembered, as is that nothing was found.

use super::Btf;
use super::prototypes::Space;
use crate::model::Prototype;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::sync::{Mutex, OnceLock, PoisonError};

/// The kernel's own, and beside it one file a loaded module (since 5.11).
const FOLDER: &str = "/sys/kernel/btf";
const KERNEL: &str = "vmlinux";

/// They do not change while the kernel runs, so they stay as long as the process.
static KERNEL_TYPES: OnceLock<Option<Space<'static>>> = OnceLock::new();
static ANSWERS: Mutex<Option<Answers>> = Mutex::new(None);

/// Prototypes by the names that were asked for, while the same modules are loaded.
struct Answers {
    modules: Vec<String>,
    known: HashMap<String, Option<Prototype>>,
}

/// The types of these functions: of `name.isra.0` those of `name` where the kernel has none of its own. What is not
/// found is left out.
pub fn prototypes(names: &HashSet<String>) -> BTreeMap<String, Prototype> {
    let Some(kernel) = KERNEL_TYPES.get_or_init(read_kernel) else { return BTreeMap::new() };
    let mut answers = ANSWERS.lock().unwrap_or_else(PoisonError::into_inner);
    let modules = modules();
    if answers.as_ref().is_none_or(|answers| answers.modules != modules) {
        *answers = Some(Answers { modules, known: HashMap::new() });
    }
    let Some(answers) = answers.as_mut() else { return BTreeMap::new() };
    answers.learn(kernel, names);
    names.iter().filter_map(|name| Some((name.clone(), answers.known.get(name)?.clone()?))).collect()
}

fn read_kernel() -> Option<Space<'static>> {
    let bytes = std::fs::read(Path::new(FOLDER).join(KERNEL)).ok()?.leak();
    let types = Box::leak(Box::new(Btf::parse(bytes).ok()?));
    Some(Space::new(types, None))
}

fn modules() -> Vec<String> {
    let files = std::fs::read_dir(FOLDER).into_iter().flatten().flatten();
    let mut names: Vec<_> = files.filter_map(|file| file.file_name().into_string().ok()).collect();
    names.retain(|name| name != KERNEL);
    names.sort_unstable();
    names
}

impl Answers {
    fn learn(&mut self, kernel: &Space<'_>, names: &HashSet<String>) {
        let mut missing = Vec::new();
        for name in names {
            if self.known.contains_key(name) {
                continue;
            }
            match kernel.prototype_of(name) {
                Some(prototype) => drop(self.known.insert(name.clone(), Some(prototype))),
                None => missing.push(name),
            }
        }
        for module in &self.modules {
            if missing.is_empty() {
                return;
            }
            let Ok(bytes) = std::fs::read(Path::new(FOLDER).join(module)) else { continue };
            let Ok(own) = Btf::parse(&bytes) else { continue };
            let space = Space::new(kernel.kernel, Some(&own));
            missing.retain(|name| match space.prototype_of(name) {
                Some(prototype) => {
                    self.known.insert((*name).clone(), Some(prototype));
                    false
                }
                None => true,
            });
        }
        self.known.extend(missing.into_iter().map(|name| (name.clone(), None)));
    }
}
