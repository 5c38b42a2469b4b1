//! Picks the modules a guest needs out of a kernel package, with everything they depend on, in loading order.

use crate::shell::output_of;
use anyhow::{Context, Result, bail};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What cloud kernels may not have built in: the way a guest talks to its host (virtio), and what containers use,
/// the root file system's layers, the network and its address translation.
pub(crate) const WANTED: [&str; 10] = [
    "virtio_pci",
    "virtio_console",
    "overlay",
    "veth",
    "bridge",
    "nft_chain_nat",
    "nft_masq",
    "nft_nat",
    "nft_ct",
    "nft_fib_ipv4",
];

/// Copies the wanted modules to `place` and writes `place/order`, one file name a line, dependencies first.
pub(crate) fn collect(tree: &Path, place: &Path) -> Result<()> {
    let available = find_modules(tree)?;
    if available.is_empty() {
        bail!("no kernel module below {}", tree.display());
    }
    fs::create_dir_all(place)?;
    let mut contents = BTreeMap::new();
    let mut order = Vec::new();
    for name in WANTED {
        // A kernel may have it built in; a guest notices at once when it does not.
        if available.contains_key(name) {
            visit(name, &available, &mut contents, &mut order)?;
        }
    }
    for name in &order {
        fs::write(place.join(format!("{name}.ko")), &contents[name])?;
    }
    let lines: String = order.iter().map(|name| format!("{name}.ko\n")).collect();
    fs::write(place.join("order"), lines)?;
    Ok(fs::write(place.join("wanted"), WANTED.join("\n"))?)
}

/// Depth first: a module comes after what it depends on, and only once.
fn visit(
    name: &str,
    available: &BTreeMap<String, PathBuf>,
    contents: &mut BTreeMap<String, Vec<u8>>,
    order: &mut Vec<String>,
) -> Result<()> {
    if contents.contains_key(name) {
        return Ok(());
    }
    let path = available.get(name).with_context(|| format!("the kernel package lacks the module {name}"))?;
    let object = read_object(path)?;
    let dependencies = dependencies_of(&object);
    contents.insert(name.to_owned(), object);
    for dependency in dependencies {
        visit(&dependency, available, contents, order)?;
    }
    order.push(name.to_owned());
    Ok(())
}

/// Module name -> file. The kernel spells names with `_`, file names have either.
fn find_modules(tree: &Path) -> Result<BTreeMap<String, PathBuf>> {
    let (mut found, mut folders) = (BTreeMap::new(), vec![tree.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            } else if let Some((stem, _)) = entry.file_name().to_string_lossy().split_once(".ko") {
                found.insert(stem.replace('-', "_"), entry.path());
            }
        }
    }
    Ok(found)
}

fn read_object(path: &Path) -> Result<Vec<u8>> {
    let unpacker = match path.extension().and_then(|extension| extension.to_str()) {
        Some("xz") => "xz",
        Some("zst") => "zstd",
        _ => return fs::read(path).with_context(|| path.display().to_string()),
    };
    let output = Command::new(unpacker)
        .args(["-q", "-d", "-c"])
        .arg(path)
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start {unpacker}"))?;
    if !output.status.success() {
        bail!("{unpacker} cannot unpack {}", path.display());
    }
    Ok(output.stdout)
}

/// The `depends=` entry of the object's .modinfo, a list of zero-terminated `key=value` strings.
fn dependencies_of(object: &[u8]) -> BTreeSet<String> {
    const KEY: &[u8] = b"depends=";
    let entry = object.split(|byte| *byte == 0).find_map(|text| text.strip_prefix(KEY));
    let list = String::from_utf8_lossy(entry.unwrap_or_default()).into_owned();
    list.split(',').filter(|name| !name.is_empty()).map(|name| name.replace('-', "_")).collect()
}

/// Where an unpacked package keeps its modules: `lib/modules/RELEASE`, below `usr` on newer systems.
pub(crate) fn module_tree(unpacked: &Path) -> Result<PathBuf> {
    for parent in ["lib/modules", "usr/lib/modules"] {
        let Ok(entries) = fs::read_dir(unpacked.join(parent)) else { continue };
        for entry in entries.flatten() {
            if entry.path().join("kernel").is_dir() {
                return Ok(entry.path());
            }
        }
    }
    let listing = output_of(Command::new("find").arg(unpacked).args(["-maxdepth", "4"]))?;
    bail!("no modules in the kernel package:\n{listing}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn module(folder: &Path, name: &str, depends: &str) {
        fs::write(folder.join(name), format!("\0license=GPL\0depends={depends}\0name=x\0")).unwrap();
    }

    #[test]
    fn dependencies_come_first_and_once() {
        let dir = tempfile::tempdir().unwrap();
        let tree = dir.path().join("kernel/net");
        fs::create_dir_all(&tree).unwrap();
        module(&tree, "bridge.ko", "stp,llc");
        module(&tree, "stp.ko", "llc");
        module(&tree, "llc.ko", "");
        module(&tree, "overlay.ko", "");
        module(&tree, "veth.ko", "");
        module(&tree, "unwanted.ko", "");
        let place = dir.path().join("out");
        collect(dir.path(), &place).unwrap();
        let order = fs::read_to_string(place.join("order")).unwrap();
        assert_eq!(order, "overlay.ko\nveth.ko\nllc.ko\nstp.ko\nbridge.ko\n");
        assert!(place.join("llc.ko").exists() && !place.join("unwanted.ko").exists());
    }

    #[test]
    fn a_missing_dependency_is_named() {
        let dir = tempfile::tempdir().unwrap();
        module(dir.path(), "bridge.ko", "stp");
        let error = collect(dir.path(), &dir.path().join("out")).unwrap_err().to_string();
        assert!(error.contains("stp"), "{error}");
    }
}
