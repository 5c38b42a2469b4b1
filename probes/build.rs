//! Links again when the BPF linker changes, which cargo does not see by itself.

use std::env;

fn main() {
    println!("cargo::rustc-check-cfg=cfg(bpf_target_arch, values(\"x86_64\", \"aarch64\"))");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=PATH");
    let path = env::var_os("PATH").unwrap_or_default();
    if let Some(linker) =
        env::split_paths(&path).map(|dir| dir.join("bpf-linker")).find(|file| file.is_file())
    {
        println!("cargo::rerun-if-changed={}", linker.display());
    }
}
