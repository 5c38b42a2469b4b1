//! The engine's half of what is mounted into a container: its own volumes made, the sources opened.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, open as open_file, openat2};
use nix::sys::stat::Mode;

use super::Job;
use crate::error::StepError;
use crate::image;
use crate::isolate::volumes::{self, Volume};
use crate::spec::{Mount, MountSource};
use crate::steps::Step;

/// Steps "fill volume" and "open mount source".
pub(super) fn open(job: &Job<'_>, names: Vec<Mount>) -> Result<Vec<Volume>, StepError> {
    let mounts = [names, job.config.spec.mounts.clone()].concat();
    job.step(Step::FillVolume);
    let own = mounts.iter().filter(|mount| mount.source == MountSource::Anonymous);
    let filled: Result<Vec<PathBuf>, StepError> =
        own.enumerate().map(|(index, mount)| fill(job, index, &mount.target)).collect();
    job.step(Step::OpenMountSource);
    volumes::prepare(&mounts, &filled?)
}

/// The folder of the container's volume number `index`. The first start copies what the image has at `target`, and
/// gives the folder its name only when that is complete.
fn fill(job: &Job<'_>, index: usize, target: &Path) -> Result<PathBuf, StepError> {
    let dir = job.bundle.volumes();
    let volume = dir.join(index.to_string());
    if volume.exists() {
        return Ok(volume);
    }
    let draft = dir.join(format!("{index}.new"));
    let failed = |syscall: &'static str, path: &Path| {
        let path = path.to_owned();
        move |e: std::io::Error| StepError::from_io(Step::FillVolume, syscall, &path, &e)
    };
    match fs::remove_dir_all(&draft) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(failed("unlinkat", &draft)(e)),
        _ => {}
    }
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(0o700).create(&dir).map_err(failed("mkdir", &dir))?;
    fs::DirBuilder::new().mode(0o755).create(&draft).map_err(failed("mkdir", &draft))?;
    if let Some(content) = in_image(&job.bundle.rootfs(), target)? {
        image::copy_tree(&content, &draft).map_err(|reason| {
            StepError::here(
                Step::FillVolume,
                "write",
                format_args!("{}: {reason}", target.display()),
                Errno::EIO,
            )
        })?;
    }
    fs::rename(&draft, &volume).map_err(failed("rename", &volume))?;
    Ok(volume)
}

/// The folder that `target` means inside the root file system; `None` when the image has none.
fn in_image(rootfs: &Path, target: &Path) -> Result<Option<PathBuf>, StepError> {
    let failed = |e| StepError::here(Step::FillVolume, "openat2", target.display(), e);
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let top = open_file(rootfs, flags, Mode::empty()).map_err(failed)?;
    let how = OpenHow::new()
        .flags(flags)
        .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
    match openat2(&top, target, how) {
        Ok(found) => {
            use std::os::fd::AsRawFd;
            let link = format!("/proc/self/fd/{}", found.as_raw_fd());
            // The container does not run yet, so nobody changes what the path means.
            fs::read_link(&link)
                .map(Some)
                .map_err(|e| StepError::from_io(Step::FillVolume, "readlink", target, &e))
        }
        Err(Errno::ENOENT | Errno::ENOTDIR) => Ok(None),
        Err(errno) => Err(failed(errno)),
    }
}
