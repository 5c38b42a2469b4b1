//! Fills a small tmpfs: its blocks, its inodes, or the same below an overlay.

use super::Provoked;
use anyhow::{Context, bail};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

/// Larger than the file system, in pages.
const MOST: usize = 64;

pub(super) fn provoke(variant: &str) -> anyhow::Result<Provoked> {
    unshare(CloneFlags::CLONE_NEWNS).context("cannot make a mount namespace (CAP_SYS_ADMIN is needed)")?;
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)
        .context("cannot make mounts private")?;
    let base = Path::new("/tmp");
    mount(Some("diag-repro"), base, Some("tmpfs"), MsFlags::empty(), Some("size=64k,nr_inodes=16"))
        .context("cannot mount a tmpfs on /tmp")?;
    match variant {
        "inodes" => inodes(base),
        "fallocate" => fallocate(base),
        "overlay" => {
            for dir in ["lower", "upper", "scratch", "merged"] {
                fs::create_dir(base.join(dir)).with_context(|| format!("cannot create {dir}"))?;
            }
            let at = base.display();
            let options = format!("lowerdir={at}/lower,upperdir={at}/upper,workdir={at}/scratch");
            let (kind, options) = (Some("overlay"), Some(options.as_str()));
            mount(kind, &base.join("merged"), kind, MsFlags::empty(), options)
                .context("cannot mount an overlay")?;
            blocks(&base.join("merged"))
        }
        _ => blocks(base),
    }
}

/// What it was about can be seen through its process alone: the namespace ends with it.
fn lingering(
    error: io::Error,
    syscall: &'static str,
    again: impl FnMut() -> io::Result<()> + 'static,
) -> Provoked {
    std::thread::sleep(super::LINGER);
    Provoked { again: Some(Box::new(again)), ..Provoked::new(syscall, error) }
}

fn blocks(at: &Path) -> anyhow::Result<Provoked> {
    let mut file = File::create(at.join("file")).context("cannot create a file")?;
    for _ in 0..MOST {
        if let Err(error) = file.write_all(&[1; 4096]) {
            return Ok(lingering(error, "write", move || file.write_all(&[1; 4096])));
        }
    }
    bail!("a tmpfs of 64 KiB took {MOST} pages")
}

fn inodes(at: &Path) -> anyhow::Result<Provoked> {
    for i in 0..MOST {
        let path = at.join(format!("file-{i}"));
        let make = move || OpenOptions::new().create_new(true).write(true).open(&path).map(drop);
        if let Err(error) = make() {
            return Ok(lingering(error, "openat", make));
        }
    }
    bail!("a tmpfs of 16 inodes took {MOST} files")
}

fn fallocate(at: &Path) -> anyhow::Result<Provoked> {
    let file = File::create(at.join("file")).context("cannot create a file")?;
    let allocate = move || Ok(nix::fcntl::fallocate(&file, nix::fcntl::FallocateFlags::empty(), 0, 1 << 20)?);
    match allocate() {
        Err(error) => Ok(lingering(error, "fallocate", allocate)),
        Ok(()) => bail!("a tmpfs of 64 KiB gave 1 MiB"),
    }
}
