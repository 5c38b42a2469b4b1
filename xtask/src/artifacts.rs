//! Builds the workspace's programs the one way that runs everywhere: static, for guests and this machine alike.
//!
//! Everything xtask compiles shares one target and one set of flags, so nothing is compiled twice.

use crate::progress::Working;
use crate::shell::{display, run_logged};
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const TARGET: &str = "x86_64-unknown-linux-gnu";
const STATIC: &str = "-C target-feature=+crt-static";

/// For the last step of a build alone. Stack, heap and everything mapped still lie at random places.
const AT_ITS_PLACE: &str = "-Crelocation-model=static";

/// An executable that cargo produced.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Executable {
    /// The package's folder below the workspace.
    pub(crate) folder: String,
    /// Name of the binary or of the test.
    pub(crate) target: String,
    /// Cargo's word: `bin`, `test`, `lib`, …
    pub(crate) kind: String,
    /// Built with the test harness.
    pub(crate) is_test: bool,
    pub(crate) path: PathBuf,
}

/// cargo with the shared target and flags; the first words are the subcommand's.
pub(crate) fn cargo(words: &[&str]) -> Command {
    let mut command = Command::new("cargo");
    // Given by `cargo xtask` to this program: passed on they would name xtask's package to build scripts, and one of them
    // (ring's) then builds again, and all that stands on it, whenever cargo is called by itself in between.
    let given = |name: &str| ["CARGO_MANIFEST_", "CARGO_PKG_"].iter().any(|start| name.starts_with(start));
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(|name| given(name) || name == "CARGO_ENCODED_RUSTFLAGS") {
            command.env_remove(name);
        }
    }
    let flags = match env::var("RUSTFLAGS") {
        Ok(own) if !own.is_empty() => format!("{own} {STATIC}"),
        _ => STATIC.to_owned(),
    };
    command.args(words).args(["--target", TARGET]).env("RUSTFLAGS", flags).current_dir(workspace());
    command
}

/// Runs a build and returns the executables it made or found fresh.
pub(crate) fn build(purpose: &str, words: &[&str]) -> Result<Vec<Executable>> {
    build_with(purpose, words, &[])
}

/// The same with words for the compiler, in its last run alone (`cargo rustc`).
fn build_with(purpose: &str, words: &[&str], last: &[&str]) -> Result<Vec<Executable>> {
    let mut command = cargo(words);
    command.arg("--message-format=json-render-diagnostics");
    if !last.is_empty() {
        command.arg("--").args(last);
    }
    let messages = quietly(&format!("build of {purpose}"), &mut command)?;
    Ok(messages.lines().filter_map(executable_of).collect())
}

/// Runs cargo and returns its stdout. What it says on stderr, which is much, is shown when it fails.
pub(crate) fn quietly(label: &str, command: &mut Command) -> Result<String> {
    let working = Working::on(label);
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start {}", display(command)))?;
    if output.status.success() {
        working.done("ok");
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    working.done("failed");
    let said = String::from_utf8_lossy(&output.stderr);
    said.lines().filter(|line| !is_nested_progress(line)).for_each(|line| eprintln!("{line}"));
    bail!("`{}` ended with {}", display(command), output.status)
}

/// The build of the probes, nested in a build script, reports each crate it compiles as a warning.
fn is_nested_progress(line: &str) -> bool {
    let words = ["Compiling", "Finished", "Downloaded", "Downloading", "Fresh", "Locking", "Updating"];
    line.strip_prefix("warning: diag@")
        .and_then(|rest| rest.split_whitespace().nth(1))
        .is_some_and(|word| words.contains(&word))
}

/// The static `diag`.
pub(crate) fn diag() -> Result<Executable> {
    program(build("diag", &["build", "--package", "diag", "--bin", "diag"])?)
}

/// The same, as it would be given away: fast, and linked to run at one address. A static program that runs anywhere
/// begins with writing that address into some fifty thousand pointers of its own, each time it is executed.
pub(crate) fn release_diag() -> Result<Executable> {
    let words = ["rustc", "--release", "--package", "diag", "--bin", "diag"];
    program(build_with("diag", &words, &[AT_ITS_PLACE])?)
}

fn program(built: Vec<Executable>) -> Result<Executable> {
    built
        .into_iter()
        .find(|built| built.kind == "bin" && built.target == "diag")
        .context("cargo built no executable named diag")
}

/// A copy without debug information: it travels through an emulated memory.
pub(crate) fn stripped(program: &Path, folder: &Path) -> Result<PathBuf> {
    let place = folder.join(program.file_name().context("a program has a file name")?);
    let mut command = Command::new("strip");
    command.arg("--strip-debug").arg("-o").arg(&place).arg(program);
    run_logged(&mut command, &folder.join("strip.log"))?;
    Ok(place)
}

/// The folder of the workspace's Cargo.toml.
pub(crate) fn workspace() -> PathBuf {
    let here = env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    here.parent().map(Path::to_owned).unwrap_or(here)
}

fn executable_of(line: &str) -> Option<Executable> {
    let message: Value = serde_json::from_str(line).ok()?;
    if message["reason"] != "compiler-artifact" {
        return None;
    }
    let folder = Path::new(message["manifest_path"].as_str()?).parent()?;
    let folder = folder.strip_prefix(workspace()).unwrap_or(folder);
    Some(Executable {
        folder: folder.to_string_lossy().into_owned(),
        target: message["target"]["name"].as_str()?.to_owned(),
        kind: message["target"]["kind"][0].as_str()?.to_owned(),
        is_test: message["profile"]["test"].as_bool().unwrap_or(false),
        path: PathBuf::from(message["executable"].as_str()?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn executables_are_read_from_cargos_messages() {
        let line = r#"{"reason":"compiler-artifact","manifest_path":"/w/userspace/Cargo.toml",
            "target":{"name":"kernel","kind":["test"]},"profile":{"test":true},"executable":"/t/kernel-1"}"#;
        let found = executable_of(line).unwrap();
        assert_eq!((found.folder.as_str(), found.target.as_str()), ("/w/userspace", "kernel"));
        assert_eq!((found.kind.as_str(), found.path), ("test", PathBuf::from("/t/kernel-1")));
        assert!(found.is_test);
    }

    #[test]
    fn libraries_and_other_messages_are_none() {
        let library = r#"{"reason":"compiler-artifact","manifest_path":"/w/x/Cargo.toml",
            "target":{"name":"x","kind":["lib"]},"executable":null}"#;
        assert_eq!(executable_of(library), None);
        assert_eq!(executable_of(r#"{"reason":"build-finished","success":true}"#), None);
        assert_eq!(executable_of("not json"), None);
    }

    #[test]
    fn progress_of_the_nested_build_is_no_warning() {
        assert!(is_nested_progress("warning: diag@0.1.0:    Compiling libc v0.2.1"));
        assert!(!is_nested_progress("warning: diag@0.1.0: diag is built without its probes"));
        assert!(!is_nested_progress("warning: unused import"));
    }

    #[test]
    fn the_workspace_is_where_its_manifest_is() {
        assert!(workspace().join("Cargo.lock").exists());
    }
}
