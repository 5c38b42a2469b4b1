//! The programs that other people make images with, each with storage of its own.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Where a program is. Ring 3 promises that it is there.
pub(crate) fn program(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    let found = places.map(|dir| dir.join(name)).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("{name} is not here: `cargo xtask setup` installs it"))
}

/// What a command prints, without the last line break; it must end well.
pub(crate) fn output(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{command:?} ended with {}: {}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

/// buildah or podman, which share their storage's options. `vfs` needs no mount that a killed test would leave.
pub(crate) fn containers(tool: &str, dir: &Path, words: &[&str]) -> String {
    let mut command = Command::new(program(tool));
    command.arg("--root").arg(dir.join("graph")).arg("--runroot").arg(dir.join("run"));
    command.args(["--storage-driver", "vfs"]).args(words);
    output(&mut command)
}

pub(crate) fn umoci(words: &[&str]) {
    output(Command::new(program("umoci")).args(words));
}

/// `skopeo copy`, without a policy of this machine's.
pub(crate) fn copy(from: &str, to: &str, more: &[&str]) {
    let mut command = Command::new(program("skopeo"));
    command.args(["--insecure-policy", "copy", "--src-tls-verify=false", "--dest-tls-verify=false"]);
    output(command.args(more).args([from, to]));
}
