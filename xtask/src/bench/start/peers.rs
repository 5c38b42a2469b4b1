//! Who is compared, and the words that start each.

use super::WithoutV2;
use super::bundle;
use crate::shell::{find_program, output_of};
use anyhow::{Context, Result};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Limits that every engine sets, as diag's options; bundle.rs has the same for the others.
const LIMITS: [&str; 6] = ["--memory", "64m", "--pids-limit", "100", "--cpus", "1"];

/// A folder for everybody's root file system and state.
pub(super) struct Place {
    diag: PathBuf,
    pub(super) busybox: PathBuf,
    scratch: tempfile::TempDir,
    pub(super) without_v2: Option<WithoutV2>,
}

impl Place {
    pub(super) fn prepare(diag: &Path, busybox: &Path, folder: &Path) -> Result<Place> {
        let scratch = tempfile::tempdir_in(folder).context("cannot make a scratch folder")?;
        let place = Place {
            diag: diag.to_owned(),
            busybox: busybox.to_owned(),
            scratch,
            without_v2: WithoutV2::make()?,
        };
        let rootfs = place.path("bundle/rootfs");
        for folder in ["bin", "proc", "dev", "sys", "etc", "tmp"] {
            fs::create_dir_all(rootfs.join(folder))?;
        }
        fs::copy(busybox, rootfs.join("bin/busybox"))?;
        symlink("busybox", rootfs.join("bin/true"))?;
        bundle::write(&place.path("bundle"))?;
        let import = ["--root", &place.text("diag"), "import", &place.text("bundle/rootfs"), "true"];
        output_of(Command::new(diag).args(import))?;
        Ok(place)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }
}

/// One way to start a container.
pub(super) struct Peer {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// How to get what is needed, beside the words.
    pub(super) needs_v1_only: bool,
    words: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Diag,
    /// An engine with limits, capabilities and a filter.
    Engine,
    /// Namespaces and nothing else.
    Bare,
}

/// In the words of a peer: an id that no other turn has.
const ID: &str = "{id}";

impl Peer {
    pub(super) fn words(&self, round: u32) -> Vec<String> {
        let id = format!("bench-{}-{round}", std::process::id());
        self.words.iter().map(|word| word.replace(ID, &id)).collect()
    }

    pub(super) fn is_missing(&self) -> bool {
        !Path::new(&self.words[0]).is_absolute() && find_program(&self.words[0]).is_none()
    }

    /// As one would type it.
    pub(super) fn shown(&self) -> String {
        let short = |word: &String| match word.starts_with('/') && word != "/bin/true" && word.len() > 8 {
            true => word.rsplit_once('/').map_or("…".to_owned(), |(_, name)| format!("…/{name}")),
            false => word.clone(),
        };
        self.words.iter().map(short).collect::<Vec<_>>().join(" ")
    }
}

/// In the order of the table.
pub(super) fn all(place: &Place) -> Result<Vec<Peer>> {
    let peer = |name, kind, words: &[&str]| Peer {
        name,
        kind,
        needs_v1_only: name == "crun",
        words: words.iter().map(|word| (*word).to_owned()).collect(),
    };
    let (bundle, rootfs) = (place.text("bundle"), place.text("bundle/rootfs"));
    let (diag, store) = (place.diag.display().to_string(), place.text("diag"));
    let own =
        [&[diag.as_str(), "--root", &store, "run", "--rm"], &LIMITS[..], &["true", "/bin/true"]].concat();
    let run =
        |root: &str| vec!["--root".to_owned(), root.to_owned(), "run".to_owned(), "--bundle".to_owned()];
    let runtime = |name: &'static str| {
        let root = place.text(name);
        let mut words = vec![name.to_owned()];
        words.extend(run(&root));
        words.extend([bundle.clone(), ID.to_owned()]);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        peer(name, Kind::Engine, &words)
    };
    let unshare = ["unshare", "-mpfuinC", "--mount-proc", "-R", &rootfs, "/bin/true"];
    let bwrap =
        ["bwrap", "--bind", &rootfs, "/", "--proc", "/proc", "--dev", "/dev", "--unshare-all", "/bin/true"];
    Ok(vec![
        peer("diag", Kind::Diag, &own),
        runtime("crun"),
        runtime("runc"),
        peer("bwrap", Kind::Bare, &bwrap),
        peer("unshare", Kind::Bare, &unshare),
    ])
}
