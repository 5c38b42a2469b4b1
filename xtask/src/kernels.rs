//! The kernels of the guests: which series, and how each is fetched from Debian and unpacked into the cache.

use crate::cache::{Cache, replace_folder};
use crate::debian::{self, Suite};
use crate::kernel_modules::{self, WANTED};
use anyhow::{Context, Result, bail};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A kernel series and the Debian suites that carry it, the first that answers wins.
pub(crate) struct Series {
    pub(crate) name: &'static str,
    suites: &'static [&'static str],
}

/// Oldest first. The newest package of a suite is taken, never a fixed version: pools move.
pub(crate) const SERIES: [Series; 4] = [
    Series { name: "5.10", suites: &["bullseye"] },
    Series { name: "6.1", suites: &["bookworm"] },
    Series { name: "6.12", suites: &["trixie"] },
    Series { name: "newest", suites: &["sid", "trixie-backports"] },
];

/// What is booted where nothing else was asked for.
pub(crate) const DEFAULT: &str = "6.12";

/// What the tests run on.
pub(crate) const EVERY: &str = "5.10,6.1,6.12,newest";

/// Made for emulators: small, with the paravirtual devices built in or as few modules.
const META_PACKAGE: &str = "linux-image-cloud-amd64";

/// A kernel that lies ready in the cache.
#[derive(Clone, Debug, Default)]
pub(crate) struct Kernel {
    pub(crate) series: String,
    pub(crate) release: String,
    pub(crate) image: PathBuf,
    pub(crate) modules: PathBuf,
}

impl Series {
    pub(crate) fn find(name: &str) -> Result<&'static Self> {
        let known = || SERIES.iter().map(|series| series.name).collect::<Vec<_>>().join(", ");
        SERIES
            .iter()
            .find(|series| series.name == name)
            .with_context(|| format!("no kernel series {name}; there are {}", known()))
    }

    /// The kernel, when it is there and was unpacked with today's list of modules.
    pub(crate) fn cached(&self, cache: &Cache) -> Option<Kernel> {
        let folder = cache.kernel(self.name);
        let wanted = fs::read_to_string(folder.join("modules/wanted")).ok()?;
        let release = fs::read_to_string(folder.join("release")).ok()?;
        let image = folder.join("vmlinuz");
        (image.is_file() && wanted == WANTED.join("\n")).then(|| Kernel {
            series: self.name.to_owned(),
            release: release.trim().to_owned(),
            image,
            modules: folder.join("modules"),
        })
    }

    /// Downloads and unpacks it.
    pub(crate) fn fetch(&self, cache: &Cache) -> Result<()> {
        let mut reasons = Vec::new();
        for suite in self.suites {
            match fetch_from(cache, self.name, suite) {
                Ok(()) => return Ok(()),
                Err(error) => reasons.push(format!("{error:#}")),
            }
        }
        bail!("kernel {} cannot be had: {}", self.name, reasons.join("; "))
    }
}

fn fetch_from(cache: &Cache, series: &str, suite: &str) -> Result<()> {
    let log = cache.log(&format!("kernel-{series}"));
    let suite = Suite::open(cache, suite)?;
    let scratch = cache.scratch()?;
    let unpacked = scratch.path().join("unpacked");
    for package in kernel_packages(&suite)? {
        debian::unpack(&suite.download(&package, None)?, &unpacked, &log)?;
    }
    let tree = kernel_modules::module_tree(&unpacked)?;
    let release = tree.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let ready = scratch.path().join("ready");
    fs::create_dir(&ready)?;
    fs::copy(find_image(&unpacked, &tree, &release)?, ready.join("vmlinuz"))?;
    fs::write(ready.join("release"), format!("{release}\n"))?;
    // The configuration tells what a kernel can do; not every package has it.
    for candidate in [unpacked.join(format!("boot/config-{release}")), tree.join("config")] {
        if candidate.is_file() {
            fs::copy(candidate, ready.join("config"))?;
        }
    }
    kernel_modules::collect(&tree, &ready.join("modules"))?;
    replace_folder(&ready, &cache.kernel(series))
}

/// The packages behind the meta package. Up to 6.x one package holds all; from 7.x on the image is split into
/// `linux-binary-*` and `linux-modules-*`, reached through each other's dependencies.
fn kernel_packages(suite: &Suite) -> Result<BTreeSet<String>> {
    let (mut found, mut open) = (BTreeSet::new(), vec![META_PACKAGE.to_owned()]);
    while let Some(package) = open.pop() {
        for dependency in suite.dependencies(&package)? {
            if is_kernel_package(&dependency) && found.insert(dependency.clone()) {
                open.push(dependency);
            }
        }
    }
    if found.is_empty() {
        bail!("{META_PACKAGE} names no kernel");
    }
    Ok(found)
}

fn is_kernel_package(name: &str) -> bool {
    ["linux-image-", "linux-binary-", "linux-modules-"].iter().any(|start| name.starts_with(start))
        && !name.ends_with("-unsigned")
        && !name.ends_with("-dbg")
}

fn find_image(unpacked: &Path, tree: &Path, release: &str) -> Result<PathBuf> {
    let places = [unpacked.join(format!("boot/vmlinuz-{release}")), tree.join("vmlinuz")];
    places
        .into_iter()
        .find(|path| path.is_file())
        .with_context(|| format!("the packages of kernel {release} hold no vmlinuz"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_series_are_answered_with_the_known_ones() {
        let error = Series::find("4.4").err().unwrap().to_string();
        assert!(error.contains("5.10") && error.contains("newest"), "{error}");
        assert_eq!(Series::find(DEFAULT).unwrap().name, DEFAULT);
    }

    #[test]
    fn only_packages_with_kernel_files_count() {
        assert!(is_kernel_package("linux-image-6.12.1+deb13-cloud-amd64"));
        assert!(is_kernel_package("linux-modules-7.3.1-cloud-amd64"));
        assert!(!is_kernel_package("linux-image-6.12.1-cloud-amd64-unsigned"));
        assert!(!is_kernel_package("linux-base"));
    }

    #[test]
    fn a_kernel_with_other_modules_is_not_ready() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("modules");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("wanted"), "overlay").unwrap();
        assert_ne!(fs::read_to_string(folder.join("wanted")).unwrap(), WANTED.join("\n"));
    }
}
