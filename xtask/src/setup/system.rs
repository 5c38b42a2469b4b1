//! Programs that come from the system's own packages, installed where they are missing.

use crate::cache::Cache;
use crate::debian::{self, Suite};
use crate::shell::{as_root, find_program, output_of, run_logged, with_retries};
use anyhow::{Context, Result};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

/// (program, Debian package) of everything a build calls by name.
const BUILD_PROGRAMS: [(&str, &str); 6] = [
    ("cc", "gcc"),
    ("g++", "g++"),
    ("make", "make"),
    ("strip", "binutils"),
    ("xz", "xz-utils"),
    ("dpkg-deb", "dpkg"),
];

pub(crate) const QEMU: &str = "qemu-system-x86_64";

pub(crate) fn missing_build_packages() -> Vec<&'static str> {
    missing(&BUILD_PROGRAMS)
}

pub(crate) fn install_build_packages(cache: &Cache) -> Result<()> {
    install(&missing_build_packages(), &cache.log("system-packages"))
}

/// (program, Debian package) of the tools that `cargo xtask bench watch` compares with.
const PEERS: [(&str, &str); 3] = [("bpftrace", "bpftrace"), ("perf", "linux-perf"), ("strace", "strace")];

/// What `cargo xtask bench start` compares with; golang-github-containers-common has docker's seccomp profile.
const RUNTIMES: [(&str, &str); 4] = [
    ("crun", "crun"),
    ("runc", "runc"),
    ("bwrap", "bubblewrap"),
    ("/usr/share/containers/seccomp.json", "golang-github-containers-common"),
];

/// Registry and image tools of ring 3's tests (container-core/tests/registry): programs and packages.
const IMAGE_TOOLS: [(&str, &str); 8] = [
    ("docker-registry", "docker-registry"),
    ("buildah", "buildah"),
    ("podman", "podman"),
    ("skopeo", "skopeo"),
    ("umoci", "umoci"),
    ("openssl", "openssl"),
    ("/etc/ssl/certs/ca-certificates.crt", "ca-certificates"),
    ("ip", "iproute2"),
];

/// Installs what is missing. Only the bench needs them, so `setup` does not.
pub(crate) fn install_peers(cache: &Cache) -> Result<()> {
    install_missing(&PEERS, cache)
}

/// The same for the other bench.
pub(crate) fn install_runtimes(cache: &Cache) -> Result<()> {
    install_missing(&RUNTIMES, cache)
}

/// What `cargo xtask bench graph` records with and compares with.
pub(crate) fn install_trace_cmd(cache: &Cache) -> Result<()> {
    install_missing(&[("trace-cmd", "trace-cmd")], cache)
}

/// What is there of the image tools, when all are.
pub(crate) fn image_tools() -> Option<String> {
    let names: Vec<&str> = IMAGE_TOOLS.iter().map(|(program, _)| *program).collect();
    missing(&IMAGE_TOOLS).is_empty().then(|| names.join(", "))
}

pub(crate) fn install_image_tools(cache: &Cache) -> Result<()> {
    install(&missing(&IMAGE_TOOLS), &cache.log("image-tools"))
}

fn install_missing(programs: &[(&'static str, &'static str)], cache: &Cache) -> Result<()> {
    let packages = missing(programs);
    if packages.is_empty() {
        return Ok(());
    }
    install(&packages, &cache.log("bench"))
}

/// (program, Debian package) of the engines that `cargo xtask engines` and docker's tests run.
const ENGINES: [(&str, &str); 6] = [
    ("dockerd", "docker.io"),
    ("containerd", "containerd"),
    ("runc", "runc"),
    ("podman", "podman"),
    ("crun", "crun"),
    ("bwrap", "bubblewrap"),
];

/// Installs engines that are missing. Only their matrix and docker's tests need them, so `setup` does not.
pub(crate) fn install_engines(cache: &Cache) -> Result<()> {
    let packages = missing(&ENGINES);
    if packages.is_empty() {
        return Ok(());
    }
    install(&packages, &cache.log("engines"))
}

/// Packages of the programs that are not here.
fn missing(programs: &[(&'static str, &'static str)]) -> Vec<&'static str> {
    let is_missing = |(program, _): &&(&str, &str)| find_program(program).is_none();
    programs.iter().filter(is_missing).map(|(_, package)| *package).collect()
}

pub(crate) fn qemu_version() -> Option<String> {
    let text = output_of(Command::new(QEMU).arg("--version")).ok()?;
    Some(text.lines().next()?.trim_start_matches("QEMU emulator ").to_owned())
}

pub(crate) fn install_qemu(cache: &Cache) -> Result<()> {
    install(&["qemu-system-x86"], &cache.log("qemu"))
}

/// apt-get with the system's own sources; the lists are fetched first, because stale ones name packages that
/// have left the mirror.
fn install(packages: &[&str], log: &Path) -> Result<()> {
    let apt = || -> Result<Command> {
        let mut command = as_root("apt-get")?;
        // Another apt (an unattended upgrade) may hold the lock for a while.
        command.args(["-o", "DPkg::Lock::Timeout=300", "-q", "-y"]);
        command.env("DEBIAN_FRONTEND", "noninteractive");
        Ok(command)
    };
    // A third-party source that does not answer must not stop the rest: the install decides.
    let update = with_retries(|| run_logged(apt()?.arg("update"), log));
    let installed =
        with_retries(|| run_logged(apt()?.args(["install", "--no-install-recommends"]).args(packages), log));
    match (installed, update) {
        (Ok(()), _) => Ok(()),
        (Err(error), Err(update)) => Err(error.context(format!("apt-get update failed before: {update:#}"))),
        (Err(error), Ok(())) => Err(error),
    }
}

/// A busybox that needs no libraries, or nothing.
pub(crate) fn busybox_version(path: &Path) -> Option<String> {
    let text = output_of(Command::new(path).arg("--help")).ok()?;
    Some(text.lines().next()?.split(" (").next()?.to_owned())
}

/// From Debian's package, unpacked into the cache: nothing of the system is changed and no root is needed.
pub(crate) fn fetch_busybox(cache: &Cache) -> Result<()> {
    let scratch = cache.scratch()?;
    let suite = Suite::open(cache, "trixie")?;
    let deb = suite.download("busybox-static", None)?;
    debian::unpack(&deb, scratch.path(), &cache.log("busybox"))?;
    let found = ["usr/bin/busybox", "bin/busybox"]
        .iter()
        .map(|part| scratch.path().join(part))
        .find(|path| path.is_file())
        .context("the package busybox-static holds no busybox")?;
    let place = cache.busybox();
    if let Some(folder) = place.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::set_permissions(&found, fs::Permissions::from_mode(0o755))?;
    Ok(fs::rename(found, place)?)
}
