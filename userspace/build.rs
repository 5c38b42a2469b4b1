//! Builds the probes and puts the object where `capture::loader` embeds it.
//!
//! Where the BPF tools are not installed the object is empty: check, clippy and the tests that need no
//! kernel then still work, and `diag` says at run time what to do. `DIAG_REQUIRE_PROBES=1` makes that an
//! error, for builds that are to be shipped.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The pinned toolchain: bpf-linker is linked to its LLVM, and its source is what `core` is built from.
const TOOLCHAIN: &str = "1.95.0";

/// The package and its binary; the object's name in `OUT_DIR`.
const PROBES: &str = "diag-probes";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    for variable in
        ["DIAG_REQUIRE_PROBES", "DIAG_BUILD_CACHE", "XDG_CACHE_HOME", "HOME", "PATH", "AYA_BUILD_SKIP"]
    {
        println!("cargo::rerun-if-env-changed={variable}");
    }
    if let Err(why) = build() {
        if env::var_os("DIAG_REQUIRE_PROBES").is_some_and(|value| value == "1") {
            println!("cargo::error={why}");
            return;
        }
        println!("cargo::warning=diag is built without its probes: {why}");
        if let Err(error) = fs::write(object(), []) {
            println!("cargo::error=cannot write {}: {error}", object().display());
        }
    }
}

fn object() -> PathBuf {
    PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default()).join(PROBES)
}

/// Builds the object, or says in one line why there is none. Ends the build when the tools are there and
/// the probes do not compile.
fn build() -> Result<(), String> {
    if env::var_os("AYA_BUILD_SKIP").is_some_and(|value| value == "1" || value.eq_ignore_ascii_case("true")) {
        return Err("AYA_BUILD_SKIP is set".into());
    }
    let arch = env::var("CARGO_CFG_TARGET_ARCH").unwrap_or_default();
    if arch != "x86_64" {
        return Err(format!("they are written for x86_64, not for {arch}"));
    }
    let cache = cache()?;
    let tools = cache.join("tools").join(TOOLCHAIN).join("bin");
    find_linker(&cache, &tools)?;
    let source = rust_source(&cache)?;

    let path = env::var_os("PATH").unwrap_or_default();
    let path = env::join_paths([tools].into_iter().chain(env::split_paths(&path)))
        .map_err(|error| format!("PATH: {error}"))?;
    // SAFETY: build scripts have one thread here, so nobody reads the environment meanwhile.
    unsafe {
        env::set_var("PATH", path);
        // For the nested build alone: it lets the pinned stable compiler build `core` for the BPF target.
        env::set_var("RUSTC_BOOTSTRAP", "1");
        if let Some(source) = source {
            env::set_var("__CARGO_TESTS_ONLY_SRC_ROOT", source);
        }
    }
    println!("cargo::rerun-if-changed=../probes/abi");
    let package = aya_build::Package { name: PROBES, root_dir: "../probes", ..Default::default() };
    match aya_build::build_ebpf([package], aya_build::Toolchain::Custom(TOOLCHAIN)) {
        Ok(()) => {}
        Err(error) => println!("cargo::error=the probes do not build: {error:#}"),
    }
    Ok(())
}

/// Where `cargo xtask setup` puts what it installs.
fn cache() -> Result<PathBuf, String> {
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("DIAG_BUILD_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|dir| dir.join("diag-build")))
        .or_else(|| set("HOME").map(|dir| dir.join(".cache/diag-build")))
        .ok_or_else(|| "no cache folder: set HOME or DIAG_BUILD_CACHE".into())
}

/// bpf-linker from the cache or, for those who installed it themselves, from PATH.
fn find_linker(cache: &Path, tools: &Path) -> Result<(), String> {
    let linker = tools.join("bpf-linker");
    if linker.is_file() {
        println!("cargo::rerun-if-changed={}", linker.display());
        return Ok(());
    }
    // Watch the nearest folder that exists, so that installing the tools starts a rebuild. Without even a
    // cache folder the linker itself is watched: cargo then asks again at every build.
    let watch = linker.ancestors().find(|dir| dir.starts_with(cache) && dir.is_dir()).unwrap_or(&linker);
    println!("cargo::rerun-if-changed={}", watch.display());
    let path = env::var_os("PATH").unwrap_or_default();
    if env::split_paths(&path).any(|dir| dir.join("bpf-linker").is_file()) {
        return Ok(());
    }
    Err("bpf-linker is not installed; run `cargo xtask setup`".into())
}

/// The source of the standard library: `None` when the toolchain has it where cargo looks.
fn rust_source(cache: &Path) -> Result<Option<PathBuf>, String> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc)
        .args(["--print", "sysroot"])
        .output()
        .map_err(|error| format!("rustc --print sysroot: {error}"))?;
    let sysroot = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    if sysroot.join("lib/rustlib/src/rust/library/core/Cargo.toml").is_file() {
        return Ok(None);
    }
    let cached = cache.join("rust-src").join(TOOLCHAIN).join("library");
    if cached.join("core/Cargo.toml").is_file() {
        return Ok(Some(cached));
    }
    // Neither place exists, so cargo asks again at every build until one does.
    println!("cargo::rerun-if-changed={}", cached.display());
    Err("the source of Rust's core library is not installed; run `cargo xtask setup`".into())
}
