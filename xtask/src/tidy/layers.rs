//! Which module of `diag` may use which: the arrows of the picture in ARCHITECTURE.md, checked.
//!
//! One crate with checked layers is simpler than seven small crates, and splits cleanly later.

use super::{Complaint, Source};
use std::collections::BTreeSet;
use syn::UseTree;
use syn::visit::{self, Visit};

const ROOT: &str = "userspace/src/";

/// (module, what it may import with `crate::`). A module always may import itself; one that is not in the table
/// may import nothing, so a new one has to be placed.
const ALLOWED: [(&str, &[&str]); 13] = [
    ("model", &[]),
    ("limits", &["model"]),
    ("causes", &["model", "limits"]),
    ("explain", &["model", "limits", "causes"]),
    // The stages know the data between them, never each other.
    ("capture", &["model", "limits"]),
    ("attribute", &["model", "limits"]),
    ("correlate", &["model", "limits"]),
    ("render", &["model", "limits"]),
    ("journal", &["model"]),
    // Alone knows the order of the stages.
    ("pipeline", &["model", "limits", "capture", "attribute", "correlate", "causes", "explain", "journal"]),
    ("repro", &["model", "limits", "causes", "pipeline"]),
    ("doctor", &["model", "limits", "capture", "causes", "journal", "pipeline"]),
    (
        "cli",
        &[
            "model",
            "limits",
            "capture",
            "attribute",
            "correlate",
            "causes",
            "explain",
            "journal",
            "render",
            "pipeline",
            "repro",
            "doctor",
        ],
    ),
];

/// Files that may reach further, and why: (file, module, reason).
const EXCEPTIONS: [(&str, &str, &str); 1] = [(
    "userspace/src/explain/decider/tests.rs",
    "capture",
    "recorded graphs are read by the parser that reads live ones, so that both are judged alike",
)];

pub(super) fn check(source: &Source) -> Vec<Complaint> {
    let Some(module) = module_of(&source.path) else { return Vec::new() };
    let Ok(file) = syn::parse_file(&source.text) else { return Vec::new() };
    let mut imports = Imports::default();
    imports.visit_file(&file);
    let allowed = ALLOWED.iter().find(|(name, _)| *name == module).map(|(_, allowed)| *allowed);
    let Some(allowed) = allowed else {
        return vec![
            source.complaint(1, format!("the module {module} has no place in xtask/src/tidy/layers.rs")),
        ];
    };
    let excepted = |name: &str| EXCEPTIONS.iter().any(|row| row.0 == source.path && row.1 == name);
    let is_wrong =
        |name: &str| name != module && is_module(name) && !allowed.contains(&name) && !excepted(name);
    let wrong = imports.found.into_iter().filter(|(_, name)| is_wrong(name));
    wrong.map(|(line, name)| source.complaint(line, format!("{module} may not use {name}"))).collect()
}

/// The top-level module a file belongs to; the crate's own roots belong to none.
fn module_of(path: &str) -> Option<&str> {
    let rest = path.strip_prefix(ROOT)?;
    let module = rest.split('/').next()?.trim_end_matches(".rs");
    (!["lib", "main"].contains(&module)).then_some(module)
}

/// Other names behind `crate::` are items of the crate's root.
fn is_module(name: &str) -> bool {
    ALLOWED.iter().any(|(module, _)| *module == name)
}

/// (line, first name behind `crate::`) of imports and of paths in the code. Test modules count: a test that
/// reaches across layers ties them together all the same.
#[derive(Default)]
struct Imports {
    found: BTreeSet<(usize, String)>,
}

impl Imports {
    fn add(&mut self, ident: &syn::Ident) {
        self.found.insert((ident.span().start().line, ident.to_string()));
    }

    fn first_names(&mut self, tree: &UseTree) {
        match tree {
            UseTree::Path(path) => self.add(&path.ident),
            UseTree::Name(name) => self.add(&name.ident),
            UseTree::Rename(rename) => self.add(&rename.ident),
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.first_names(tree)),
            UseTree::Glob(_) => {}
        }
    }
}

impl<'ast> Visit<'ast> for Imports {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if let UseTree::Path(path) = &item.tree
            && path.ident == "crate"
        {
            self.first_names(&path.tree);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let mut segments = path.segments.iter();
        if segments.next().is_some_and(|first| first.ident == "crate")
            && let Some(second) = segments.next()
        {
            self.add(&second.ident);
        }
        visit::visit_path(self, path);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::source;
    use super::*;

    fn complaints(path: &str, text: &str) -> Vec<String> {
        check(&source(path, text)).into_iter().map(|complaint| complaint.what).collect()
    }

    #[test]
    fn a_stage_may_not_use_its_neighbour() {
        let text = "use crate::model::Incident;\nuse crate::{limits, capture::Source};\n";
        assert_eq!(complaints("userspace/src/explain/mod.rs", text), ["explain may not use capture"]);
        let path = "fn f() { crate::render::text(); }";
        assert_eq!(complaints("userspace/src/causes/pids_max.rs", path), ["causes may not use render"]);
    }

    #[test]
    fn own_module_and_items_of_the_root_are_free() {
        let text = "use crate::limits::Limit; use crate::model::Reading; use crate::VERSION;";
        assert!(complaints("userspace/src/limits/read.rs", text).is_empty());
        assert!(complaints("userspace/src/main.rs", "use crate::cli;").is_empty());
        assert!(complaints("container-core/src/engine.rs", "use crate::launch;").is_empty());
    }

    #[test]
    fn a_new_module_must_be_placed() {
        assert_eq!(complaints("userspace/src/helpers.rs", "").len(), 1);
    }

    #[test]
    fn the_table_has_no_circle() {
        let of = |name: &str| ALLOWED.iter().find(|row| row.0 == name).map_or(&[][..], |row| row.1);
        for (start, _) in ALLOWED {
            let (mut open, mut seen) = (vec![start], BTreeSet::new());
            while let Some(module) = open.pop() {
                for next in of(module) {
                    assert_ne!(*next, start, "{start} reaches itself");
                    if seen.insert(*next) {
                        open.push(next);
                    }
                }
            }
        }
    }
}
