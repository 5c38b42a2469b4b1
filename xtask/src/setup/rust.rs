//! What the probes need on top of stable Rust: the standard library's source, and the linker for BPF objects.

use crate::cache::{Cache, replace_folder};
use crate::debian::{self, Suite};
use crate::shell::{output_of, run_logged, run_logged_within, with_retries};
use anyhow::{Context, Result, bail};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const BPF_LINKER_VERSION: &str = "0.13.0";

/// The LLVM that the pinned toolchain carries; bpf-linker must be built for exactly this one.
const LLVM_MAJOR: &str = "22";

/// Suites that may carry a `rust-src` of the pinned version, the likeliest first.
const RUST_SRC_SUITES: [&str; 3] = ["trixie-backports", "sid", "trixie"];

/// rustup waits long for a network that does not answer; Debian's package is the other way.
const RUSTUP_DEADLINE: Duration = Duration::from_secs(120);

/// The toolchain that builds this workspace.
pub(crate) struct Toolchain {
    pub(crate) version: String,
    pub(crate) sysroot: PathBuf,
}

impl Toolchain {
    pub(crate) fn current() -> Result<Self> {
        let text = output_of(Command::new("rustc").arg("--version"))?;
        let version = text.split_whitespace().nth(1).context("rustc does not tell its version")?.to_owned();
        let sysroot = output_of(Command::new("rustc").args(["--print", "sysroot"]))?;
        Ok(Self { version, sysroot: PathBuf::from(sysroot.trim()) })
    }

    /// Where cargo looks for the standard library's source.
    fn source_place(&self) -> PathBuf {
        self.sysroot.join("lib/rustlib/src/rust")
    }

    fn library(&self) -> Result<PathBuf> {
        let folder = self.sysroot.join("lib");
        let start = format!("libLLVM.so.{LLVM_MAJOR}");
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(&start) {
                return Ok(entry.path());
            }
        }
        bail!("the toolchain has no {start}* in {}: is it Rust 1.95 from rustup?", folder.display())
    }
}

/// The lock file is part of it: build-std resolves the standard library's own dependencies with it.
fn is_source(folder: &Path) -> bool {
    folder.join("library/core/src/lib.rs").is_file() && folder.join("library/Cargo.lock").is_file()
}

/// Where the source is, when it is there: in the sysroot, where cargo finds it by itself, or in the cache, of
/// which the build of the probes is told.
pub(crate) fn rust_src(cache: &Cache, toolchain: &Toolchain) -> Option<PathBuf> {
    let places = [toolchain.source_place(), cache.rust_src(&toolchain.version)];
    places.into_iter().find(|place| is_source(place))
}

/// rustup's component where rustup can bring it, else Debian's package of the same version.
pub(crate) fn install_rust_src(cache: &Cache, toolchain: &Toolchain) -> Result<()> {
    let place = cache.rust_src(&toolchain.version);
    let mut rustup = Command::new("rustup");
    rustup.args(["component", "add", "rust-src", "--toolchain", &toolchain.version]);
    let by_rustup = run_logged_within(&mut rustup, &cache.log("rust-src"), RUSTUP_DEADLINE);
    if rust_src(cache, toolchain).is_some() {
        return Ok(());
    }
    let reason = by_rustup.err().map_or_else(|| "left no source".to_owned(), |error| format!("{error:#}"));
    fetch_rust_src(cache, toolchain, &place).with_context(|| format!("rustup: {reason}"))?;
    link_source(&place, toolchain);
    Ok(())
}

fn fetch_rust_src(cache: &Cache, toolchain: &Toolchain, place: &Path) -> Result<()> {
    let wanted = format!("{}+", toolchain.version);
    for name in RUST_SRC_SUITES {
        let suite = Suite::open(cache, name)?;
        let versions = suite.versions("rust-src")?;
        let Some(version) = versions.iter().find(|version| version.starts_with(&wanted)) else { continue };
        let deb = suite.download("rust-src", Some(version))?;
        let scratch = cache.scratch()?;
        debian::unpack(&deb, scratch.path(), &cache.log("rust-src"))?;
        let source = find_source(&scratch.path().join("usr/src"))?;
        // The compiler's source, which nothing needs here, is most of the package.
        let ready = scratch.path().join("ready");
        fs::create_dir(&ready)?;
        fs::rename(source.join("library"), ready.join("library"))?;
        return replace_folder(&ready, place);
    }
    bail!("no rust-src {} in Debian's {}", toolchain.version, RUST_SRC_SUITES.join(", "))
}

/// The package keeps it in `usr/src/rustc-VERSION`; its folder beside it is a link for the sysroot.
fn find_source(folder: &Path) -> Result<PathBuf> {
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())?.flatten() {
        if entry.file_type()?.is_dir() && is_source(&entry.path()) {
            return Ok(entry.path());
        }
    }
    bail!("the package rust-src holds no library folder with a Cargo.lock")
}

/// So that cargo finds it by itself; where the sysroot may not be written, the cache is enough.
fn link_source(source: &Path, toolchain: &Toolchain) {
    let place = toolchain.source_place();
    if let Some(parent) = place.parent()
        && fs::create_dir_all(parent).is_ok()
    {
        let _ = fs::remove_file(&place);
        let _ = symlink(source, &place);
    }
}

/// What the linker says of itself, when it is there and starts.
pub(crate) fn bpf_linker_version(cache: &Cache, toolchain: &Toolchain) -> Option<String> {
    let program = cache.tools(&toolchain.version).join("bin/bpf-linker");
    let text = output_of(Command::new(program).arg("--version")).ok()?;
    let version = text.trim().to_owned();
    version.contains(BPF_LINKER_VERSION).then_some(version)
}

/// Builds it against the toolchain's own LLVM, found at run time through an rpath.
pub(crate) fn build_bpf_linker(cache: &Cache, toolchain: &Toolchain) -> Result<()> {
    let root = cache.tools(&toolchain.version);
    let prefix = root.join("llvm");
    fs::create_dir_all(prefix.join("lib"))?;
    let link = prefix.join("lib/libLLVM.so");
    let _ = fs::remove_file(&link);
    symlink(toolchain.library()?, &link)?;
    let scratch = cache.scratch()?;
    let rpath = format!("-Clink-arg=-Wl,-rpath,{}", toolchain.sysroot.join("lib").display());
    with_retries(|| {
        let mut cargo = Command::new("cargo");
        cargo
            .args(["install", "bpf-linker", "--version", BPF_LINKER_VERSION, "--locked", "--force"])
            .args(["--no-default-features", "--features", &format!("llvm-{LLVM_MAJOR}")])
            .arg("--root")
            .arg(&root)
            .env("LLVM_PREFIX", &prefix)
            .env("CARGO_ENCODED_RUSTFLAGS", &rpath)
            .env("CARGO_TARGET_DIR", scratch.path())
            // Outside the workspace, so that its configuration does not reach in; the toolchain stays the same.
            .env("RUSTUP_TOOLCHAIN", &toolchain.version)
            .current_dir(cache.root());
        run_logged(&mut cargo, &cache.log("bpf-linker"))
    })
}
