//! The engine's half of the root file system: the overlay mount, made and unmade in its own mount namespace.

use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::stat::Mode;

use crate::error::StepError;
use crate::rootless;
use crate::steps::Step;
use crate::store::bundle::Bundle;

/// Step "mount overlay rootfs": the image's layers (lowest first) below the container's own upper folder,
/// overlayfs in the kernel's Documentation/filesystems.
///
/// `throwaway` adds `volatile` (kernel ≥ 5.10): unmounting then does not flush the whole upper file system to
/// disk, and the upper folder may not be mounted again, which a container that removes itself never is.
pub(crate) fn mount_overlay(bundle: &Bundle, layers: &[PathBuf], throwaway: bool) -> Result<(), StepError> {
    let target = bundle.rootfs();
    let failed = |syscall: &'static str| {
        let object = target.display().to_string();
        let hint = match rootless::in_user_namespace() {
            true => {
                " (overlayfs for a normal user needs kernel 5.11, and a store on a file system of the machine's)"
            }
            false => "",
        };
        move |errno| match errno {
            Errno::EPERM | Errno::ENODEV => {
                StepError::here(Step::MountOverlay, syscall, format_args!("{object}{hint}"), errno)
            }
            _ => StepError::here(Step::MountOverlay, syscall, object, errno),
        }
    };
    let mut options = options(bundle, layers, throwaway);
    let mut short = Vec::new();
    if options.len() >= MOST_OPTIONS {
        for layer in layers {
            let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
            short.push(open(layer, flags, Mode::empty()).map_err(failed("openat"))?);
        }
        let paths: Vec<PathBuf> =
            short.iter().map(|fd| PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd()))).collect();
        options = self::options(bundle, &paths, throwaway);
    }
    mount(Some("overlay"), &target, Some("overlay"), MsFlags::empty(), Some(options.as_slice()))
        .map_err(failed("mount"))
}

/// mount(2) takes one page of options and cuts off the rest (kernel: copy_mount_options). An image of many layers
/// needs more; then their folders are named by open descriptors, which are short.
const MOST_OPTIONS: usize = 4096;

fn options(bundle: &Bundle, layers: &[PathBuf], throwaway: bool) -> Vec<u8> {
    let mut options = Vec::from(b"lowerdir=");
    for (index, layer) in layers.iter().rev().enumerate() {
        if index > 0 {
            options.push(b':');
        }
        push_escaped(&mut options, layer);
    }
    for (key, path) in [("upperdir", bundle.upper()), ("workdir", bundle.work())] {
        options.extend_from_slice(b",");
        options.extend_from_slice(key.as_bytes());
        options.extend_from_slice(b"=");
        push_escaped(&mut options, &path);
    }
    if rootless::in_user_namespace() {
        // Its own marks where a normal user may set attributes.
        options.extend_from_slice(b",userxattr");
    }
    if throwaway {
        options.extend_from_slice(b",volatile");
    }
    options
}

/// Overlayfs splits options at commas and lower folders at colons; a backslash keeps them together.
fn push_escaped(options: &mut Vec<u8>, path: &Path) {
    for byte in path.as_os_str().as_bytes() {
        if matches!(byte, b',' | b':' | b'\\') {
            options.push(b'\\');
        }
        options.push(*byte);
    }
}

/// Step "unmount rootfs". Lazily, because a process killed a moment ago may still hold a file; whatever is
/// mounted on top goes with it. A folder on which nothing is mounted (EINVAL) or that is gone is done.
pub(crate) fn unmount(target: &Path) -> Result<(), StepError> {
    loop {
        match umount2(target, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW) {
            // Two engines may have mounted there if one was killed: until nothing is left.
            Ok(()) => {}
            Err(Errno::EINVAL | Errno::ENOENT) => return Ok(()),
            Err(errno) => {
                return Err(StepError::here(Step::UnmountRootfs, "umount2", target.display(), errno));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators_in_a_path_are_escaped() {
        let mut options = Vec::new();
        push_escaped(&mut options, Path::new("/a:b,c\\d"));
        assert_eq!(options, b"/a\\:b\\,c\\\\d");
    }

    #[test]
    fn what_is_not_mounted_is_unmounted() {
        if nix::unistd::geteuid().is_root() {
            unmount(Path::new("/no/such/folder")).unwrap();
        }
    }
}
