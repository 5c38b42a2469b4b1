//! A file is read in one sitting and a function on one screen; exceptions are named, with a reason, and only shrink.

use super::{Complaint, Source};
use proc_macro2::Span;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

const FILE_LINES: usize = 400;
const FUNCTION_LINES: usize = 70;

/// Longer than allowed, and why: (file, lines it may have, reason). Lower the number when the file shrinks.
const LONG_FILES: [(&str, usize, &str); 0] = [];

/// Functions longer than allowed, and why: (file, function, lines it may have, reason).
const LONG_FUNCTIONS: [(&str, &str, usize, &str); 0] = [];

pub(super) fn check(source: &Source) -> Vec<Complaint> {
    let mut found = Vec::new();
    let lines = source.text.lines().count();
    let allowed = LONG_FILES.iter().find(|(path, ..)| *path == source.path).map_or(FILE_LINES, |row| row.1);
    if lines > allowed {
        found.push(source.complaint(lines, format!("the file has {lines} lines, {allowed} are allowed")));
    }
    match syn::parse_file(&source.text) {
        Ok(file) => {
            let mut functions = Functions::default();
            functions.visit_file(&file);
            found.extend(functions.long.into_iter().filter_map(|long| long.complaint(source)));
        }
        Err(error) => found.push(source.complaint(error.span().start().line, format!("no Rust: {error}"))),
    }
    found
}

/// An exception that nothing needs any more would hide the next one.
pub(super) fn unused_exceptions(sources: &[Source]) -> Vec<Complaint> {
    let length =
        |path: &str| sources.iter().find(|source| source.path == path).map(|s| s.text.lines().count());
    LONG_FILES
        .iter()
        .filter(|(path, ..)| length(path).is_none_or(|lines| lines <= FILE_LINES))
        .map(|(path, _, reason)| Complaint {
            path: (*path).to_owned(),
            line: 1,
            what: format!("needs no exception any more ({reason})"),
        })
        .collect()
}

struct Long {
    name: String,
    line: usize,
    lines: usize,
}

impl Long {
    fn complaint(&self, source: &Source) -> Option<Complaint> {
        let exception =
            LONG_FUNCTIONS.iter().find(|(path, name, ..)| *path == source.path && *name == self.name);
        let allowed = exception.map_or(FUNCTION_LINES, |row| row.2);
        let text = format!("the function {} has {} lines, {allowed} are allowed", self.name, self.lines);
        (self.lines > allowed).then(|| source.complaint(self.line, text))
    }
}

/// Collects functions over the limit, from `fn` to the closing brace.
#[derive(Default)]
struct Functions {
    long: Vec<Long>,
}

impl Functions {
    fn measure(&mut self, name: &syn::Ident, start: Span, block: &syn::Block) {
        let (first, last) = (start.start().line, block.span().end().line);
        let lines = last - first + 1;
        if lines > FUNCTION_LINES {
            self.long.push(Long { name: name.to_string(), line: first, lines });
        }
    }
}

impl<'ast> Visit<'ast> for Functions {
    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        self.measure(&function.sig.ident, function.sig.span(), &function.block);
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        self.measure(&function.sig.ident, function.sig.span(), &function.block);
        visit::visit_impl_item_fn(self, function);
    }

    fn visit_trait_item_fn(&mut self, function: &'ast syn::TraitItemFn) {
        if let Some(block) = &function.default {
            self.measure(&function.sig.ident, function.sig.span(), block);
        }
        visit::visit_trait_item_fn(self, function);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::source;
    use super::*;

    #[test]
    fn a_function_may_have_seventy_lines() {
        let function = |lines: usize| format!("//! x\nfn f() {{\n{}}}\n", "    g();\n".repeat(lines - 2));
        assert_eq!(check(&source("a.rs", &function(70))), []);
        let found = check(&source("a.rs", &function(71)));
        assert!(found[0].line == 2 && found[0].what.contains("71"), "{found:?}");
    }

    #[test]
    fn methods_count_too_and_braces_in_text_do_not() {
        let text = format!("impl A {{ fn m(&self) {{\n{} }} }}\n", "    let _ = \"}\";\n".repeat(80));
        assert!(check(&source("a.rs", &text))[0].what.contains("function m"));
    }

    #[test]
    fn a_file_may_have_four_hundred_lines() {
        assert_eq!(check(&source("a.rs", &"//! x\n".repeat(400))), []);
        assert_eq!(check(&source("a.rs", &"//! x\n".repeat(401))).len(), 1);
    }
}
