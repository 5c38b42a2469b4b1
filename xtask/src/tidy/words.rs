//! Nothing in the repository says on which machine it was written, or through which mirror.

use super::{Complaint, Source};
use std::env;
use std::path::Path;

/// Strings that would tie the repository to one machine.
pub(super) struct Machine {
    forbidden: Vec<String>,
}

impl Machine {
    /// This machine's: where the clone and the home folder are, and hosts that are read at run time.
    pub(super) fn this(root: &Path) -> Self {
        // Put together here, so that this file does not complain about itself.
        let mut forbidden = vec![concat!("deb.debian", ".org").to_owned()];
        let root = root.display().to_string();
        // A clone at `/src` or the like would forbid half of the language.
        if root.matches('/').count() > 1 {
            forbidden.push(root);
        }
        if let Some(home) = env::var_os("HOME").filter(|home| home.len() > 1) {
            for hidden in [".cache", ".cargo", ".rustup"] {
                forbidden.push(Path::new(&home).join(hidden).display().to_string());
            }
        }
        Self { forbidden }
    }
}

pub(super) fn check(source: &Source, machine: &Machine) -> Vec<Complaint> {
    let mut found = Vec::new();
    for (number, line) in source.text.lines().enumerate() {
        for word in &machine.forbidden {
            if line.contains(word.as_str()) {
                found.push(source.complaint(number + 1, format!("names {word}, which only one machine has")));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::tests::source;
    use super::*;

    #[test]
    fn the_place_of_the_clone_is_found() {
        let machine = Machine::this(Path::new("/somewhere/clone"));
        let text = "fine\n/etc/passwd\nsee /somewhere/clone/README.md\n";
        let found = check(&source("README.md", text), &machine);
        assert_eq!(found.iter().map(|complaint| complaint.line).collect::<Vec<_>>(), [3]);
        assert_eq!(
            Machine::this(Path::new("/src")).forbidden.iter().filter(|word| *word == "/src").count(),
            0
        );
    }
}
