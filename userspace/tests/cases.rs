//! Recorded incidents in, reports out: each `cases/NAME.json` is explained and compared with `NAME.txt` (the
//! terminal's answer) and `NAME.out.json` (the contract's). `DIAG_BLESS=1` writes what is printed now.
//!
//! Also here: the committed JSON schema is the one the types give, and every answer validates against it.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test says what it sees and fails loudly"
)]

use diag::capture::recording::Recording;
use diag::{explain, render};
use std::{env, fs, path::Path};

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases")
}

fn compare(path: &Path, now: &str) {
    if env::var_os("DIAG_BLESS").is_some() {
        fs::write(path, now).unwrap();
        return;
    }
    let committed = fs::read_to_string(path)
        .unwrap_or_else(|e| panic!("{}: {e}; DIAG_BLESS=1 writes it", path.display()));
    assert!(committed == now, "{} differs; it would now be:\n{now}", path.display());
}

fn answer(recording: Recording) -> diag::model::Explanation {
    explain::explain(recording.evidence, explain::Options::default())
}

#[test]
fn every_recorded_case_gives_its_report() {
    let mut seen = 0;
    for entry in fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_string();
        if !name.ends_with(".json") || name.ends_with(".out.json") {
            continue;
        }
        let recording = Recording::read(&path).unwrap();
        // Twelve seconds after its last incident, so that "ago" is always the same.
        let last = recording.evidence.incidents.iter().map(|i| i.last.unix_ns).max().unwrap();
        let explanation = answer(recording);
        let options = render::text::Options {
            theme: render::theme::Theme::plain(),
            now_unix_ns: last + 12_000_000_000,
            all: true,
        };
        compare(&path.with_extension("txt"), &render::text::explanation(&explanation, options));
        let json = serde_json::to_string_pretty(&render::json::explanation(&explanation)).unwrap();
        compare(&path.with_extension("out.json"), &(json + "\n"));
        seen += 1;
    }
    assert!(seen > 0, "no case was found in {}", folder().display());
}

#[test]
fn a_recording_survives_being_saved_again() {
    for entry in fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_string();
        if !name.ends_with(".json") || name.ends_with(".out.json") {
            continue;
        }
        let recording = Recording::read(&path).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let copy = dir.path().join("copy.json");
        recording.write(&copy).unwrap();
        assert_eq!(Recording::read(&copy).unwrap(), recording);
    }
}

#[test]
fn the_committed_schema_is_the_one_the_types_give() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/diag.explanation.schema.json");
    let now = serde_json::to_string_pretty(&render::json::schema()).unwrap() + "\n";
    compare(&path, &now);
}

#[test]
fn files_that_are_no_recordings_are_refused_in_one_sentence() {
    let dir = tempfile::tempdir().unwrap();
    for (text, word) in [
        ("", "no recording"),
        ("{", "no recording"),
        ("{}", "reads"),
        (r#"{"schema":"diag.recording/9"}"#, "diag.recording/9"),
    ] {
        let path = dir.path().join("x.json");
        fs::write(&path, text).unwrap();
        let err = Recording::read(&path).unwrap_err().to_string();
        assert!(err.contains(word) && !err.contains('\n'), "{text:?}: {err}");
    }
    assert!(Recording::read(&dir.path().join("none")).unwrap_err().to_string().contains("cannot read"));
}

/// The README shows what diag really says: a recorded case, word for word.
#[test]
fn the_readme_shows_a_recorded_report() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let readme = fs::read_to_string(&path).unwrap();
    let (before, rest) = readme.split_once("<!-- report: ").unwrap();
    let (name, rest) = rest.split_once(" -->\n").unwrap();
    let (_, after) = rest.split_once("<!-- end -->").unwrap();
    let report = fs::read_to_string(folder().join(name).with_extension("txt")).unwrap();
    compare(&path, &format!("{before}<!-- report: {name} -->\n```text\n{report}```\n<!-- end -->{after}"));
}
