//! `diag graph` on recordings that somebody brings: what is printed is compared with `graphs/dat/*`. The recordings
//! are of a guest that was let mount until `fs.mount-max` forbade it. `DIAG_BLESS=1` writes what is printed now.

#![allow(clippy::unwrap_used, reason = "a test says what it sees and fails loudly")]

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::{env, fs, io::Read};

const DAT: &str = "6.12.v7.dat";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/graphs/dat")
}

/// In the folder, so that no path of this machine is in what is printed.
fn graph(words: &[&str]) -> Output {
    let mut diag = Command::new(env!("CARGO_BIN_EXE_diag"));
    diag.arg("graph").args(words).current_dir(folder()).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Stands in the committed pages for the style sheet, which is itself in the tree.
const STYLE: (&str, &str) = ("/* render/graph.css */\n", include_str!("../src/render/graph.css"));

fn compare(name: &str, output: &Output, code: i32) {
    assert_eq!(output.status.code(), Some(code), "{}", text(&output.stderr));
    let (path, now) = (folder().join(name), text(&output.stdout));
    if env::var_os("DIAG_BLESS").is_some() {
        return fs::write(path, now.replace(STYLE.1, STYLE.0)).unwrap();
    }
    let committed = fs::read_to_string(&path)
        .unwrap_or_else(|e| panic!("{}: {e}; DIAG_BLESS=1 writes it", path.display()));
    assert!(
        committed.replace(STYLE.0, STYLE.1) == now,
        "{} differs; it would now be:\n{now}",
        path.display()
    );
}

/// A recording that is kept packed, whole.
fn unpacked(name: &str) -> tempfile::NamedTempFile {
    let packed = fs::read(folder().join(name)).unwrap();
    let mut whole = Vec::new();
    flate2::read::GzDecoder::new(&packed[..]).read_to_end(&mut whole).unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), whole).unwrap();
    file
}

#[test]
fn what_a_file_holds() {
    compare("6.12.v7.overview.txt", &graph(&[DAT]), 0);
    let kinds: Value = serde_json::from_slice(&graph(&[DAT, "--format", "json"]).stdout).unwrap();
    assert_eq!((&kinds[0]["function"], &kinds[0]["calls"]), (&"__x64_sys_mount".into(), &4.into()));
}

#[test]
fn a_call_of_it() {
    compare("6.12.v7.tree.txt", &graph(&["mount", "--from", DAT, "--depth", "3"]), 0);
}

/// The same buffer, as the kernel printed it and as trace-cmd kept it.
#[test]
fn text_and_pages_give_the_same_tree() {
    let printed = unpacked("6.12.v7.txt.gz");
    let names = |from: &str| {
        let out = graph(&["mount", "--from", from, "--format", "json", "-n", "9"]);
        let pictures: Value = serde_json::from_slice(&out.stdout).unwrap();
        fn walk(call: &Value, out: &mut Vec<String>) {
            if call["function"] != "<interrupt>" {
                out.push(call["function"].as_str().unwrap().to_owned());
            }
            call["children"].as_array().into_iter().flatten().for_each(|child| walk(child, out));
        }
        let mut names = Vec::new();
        pictures.as_array().unwrap().iter().for_each(|picture| walk(&picture["root"], &mut names));
        names
    };
    let from_pages = names(DAT);
    assert!(from_pages.len() > 1000, "{}", from_pages.len());
    assert_eq!(from_pages, names(printed.path().to_str().unwrap()));
}

/// The bind mount that worked against the one that found the table full.
#[test]
fn two_recordings_side_by_side() {
    let (ok, full) = ("../6.12/ok-bind.txt", "../6.12/max-bind.txt");
    compare("bind.diff.txt", &graph(&["mount", "--diff", ok, full]), 1);
    compare("bind.diff.html", &graph(&["mount", "--diff", ok, full, "--format", "html"]), 1);
    let tree: Value =
        serde_json::from_slice(&graph(&["mount", "--diff", ok, full, "--format", "json"]).stdout).unwrap();
    assert_eq!(tree["alike"], false);
    assert_eq!(graph(&["mount", "--diff", ok, ok]).status.code(), Some(0));
    let perfetto = graph(&["mount", "--diff", ok, full, "--format", "perfetto"]);
    assert_eq!(perfetto.status.code(), Some(2));
    assert!(text(&perfetto.stderr).contains("json or html"));
}

#[test]
fn one_page_of_html() {
    compare("bind.html", &graph(&["mount", "--from", "../6.12/max-bind.txt", "--format", "html"]), 0);
}

#[test]
fn what_is_no_recording_is_said_in_one_sentence() {
    let said = |words: &[&str]| {
        let out = graph(words);
        assert_eq!(out.status.code(), Some(2));
        text(&out.stderr)
    };
    let words = tempfile::NamedTempFile::new().unwrap();
    fs::write(words.path(), "no trace at all\n").unwrap();
    assert!(said(&["mount", "--from", words.path().to_str().unwrap()]).contains("no function_graph text"));
    assert!(said(&["no_such_call", "--from", DAT]).contains("recorded were calls of __x64_sys_mount"));
    assert!(said(&[DAT, "--format", "html"]).contains("which call"));
    let cut = tempfile::NamedTempFile::new().unwrap();
    fs::write(cut.path(), &fs::read(folder().join(DAT)).unwrap()[..300]).unwrap();
    assert!(said(&["mount", "--from", cut.path().to_str().unwrap()]).contains("ends within"));
}
