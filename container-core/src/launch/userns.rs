//! A container's user namespace, user_namespaces(7): its maps of ids, and the image's files as seen through them.

use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::mount::{MntFlags, umount2};
use nix::sched::CloneFlags;

use super::undo::end_child;
use crate::error::StepError;
use crate::isolate::c_path;
use crate::spec::{UserNamespace, lines, outside};
use crate::steps::Step;
use crate::store::Store;
use crate::store::bundle::Bundle;
use crate::sys::{self, Cloned};

/// Step "map user ids": of a process that waits for it in a new user namespace. Groups may be set in it (setgroups), for
/// the engine is root.
pub(super) fn map_ids(pid: i32, namespace: &UserNamespace) -> Result<(), StepError> {
    for (file, maps) in [("uid_map", &namespace.users), ("gid_map", &namespace.groups)] {
        let path = PathBuf::from(format!("/proc/{pid}/{file}"));
        fs::write(&path, lines(maps)).map_err(|e| {
            let object = format!("{} to {}", lines(maps).trim().replace('\n', ", "), path.display());
            let errno = Errno::from_raw(e.raw_os_error().unwrap_or(libc::EIO));
            StepError::here(Step::MapIds, "write", object, errno)
        })?;
    }
    Ok(())
}

/// Step "shift image layers": each layer mounted once more with its owners mapped (mount_setattr(2) MOUNT_ATTR_IDMAP;
/// below overlayfs since kernel 5.19), in folders of the bundle. They are to be detached once the overlay
/// stands on them.
pub(super) fn shift_layers(
    bundle: &Bundle,
    layers: &[PathBuf],
    namespace: &UserNamespace,
) -> Result<Vec<PathBuf>, StepError> {
    let map = namespace_of(namespace)?;
    let mut shifted = Vec::new();
    for (index, layer) in layers.iter().enumerate() {
        let place = bundle.shifted().join(index.to_string());
        let failed = |syscall| {
            let object = layer.display().to_string();
            move |errno| StepError::here(Step::ShiftLayers, syscall, explain(object, errno), errno)
        };
        fs::create_dir_all(&place).map_err(|e| StepError::from_io(Step::ShiftLayers, "mkdir", &place, &e))?;
        let layer = c_path(layer).map_err(super::unprepared)?;
        let tree = sys::open_tree_clone(&layer).map_err(failed("open_tree"))?;
        sys::map_tree(tree.as_fd(), map.as_fd()).map_err(failed("mount_setattr"))?;
        let target = fs::File::open(&place)
            .map_err(|e| StepError::from_io(Step::ShiftLayers, "openat", &place, &e))?;
        sys::move_mount(tree.as_fd(), target.as_fd()).map_err(failed("move_mount"))?;
        shifted.push(place);
    }
    Ok(shifted)
}

fn explain(object: String, errno: Errno) -> String {
    match errno {
        Errno::ENOSYS | Errno::EINVAL => format!(
            "{object} (this kernel, or the file system of the store, cannot map owners of a mount: a user namespace of \
             the container's own needs kernel 5.19 and a file system that can, like ext4, xfs or btrfs)"
        ),
        _ => object,
    }
}

/// Undo [`shift_layers`], whatever of it is there.
pub(crate) fn detach_shifted(bundle: &Bundle) -> Result<(), StepError> {
    let dir = bundle.shifted();
    let Ok(entries) = fs::read_dir(&dir) else { return Ok(()) };
    let places: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    for place in &places {
        loop {
            match umount2(place, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW) {
                Ok(()) => {}
                Err(Errno::EINVAL | Errno::ENOENT) => break,
                Err(errno) => {
                    return Err(StepError::here(Step::UnmountRootfs, "umount2", place.display(), errno));
                }
            }
        }
    }
    let removed = |path: &Path| {
        // Never what is in them: it would be the image's.
        fs::remove_dir(path).map_err(|e| StepError::from_io(Step::UnmountRootfs, "rmdir", path, &e))
    };
    places.iter().try_for_each(|place| removed(place))?;
    removed(&dir)
}

/// A user namespace with these maps, by a process that lives as long as it takes to open it.
fn namespace_of(namespace: &UserNamespace) -> Result<OwnedFd, StepError> {
    let failed = |syscall| move |errno| StepError::here(Step::ShiftLayers, syscall, "user", errno);
    // SAFETY: the child waits for a signal and is killed; it does nothing else.
    let pid = match unsafe { sys::clone_process(CloneFlags::CLONE_NEWUSER.bits() as u64, None) } {
        Ok((Cloned::Child, _)) => {
            // Not to outlive an engine that is killed at this moment.
            let _ = sys::die_with_parent();
            loop {
                // SAFETY: pause(2) takes nothing.
                unsafe { libc::pause() };
            }
        }
        Ok((Cloned::Parent(pid, _), _)) => pid,
        Err(errno) => return Err(failed("clone3")(errno)),
    };
    let opened = map_ids(pid, namespace).and_then(|()| {
        let path = PathBuf::from(format!("/proc/{pid}/ns/user"));
        let file = fs::File::open(&path);
        file.map(OwnedFd::from).map_err(|e| StepError::from_io(Step::ShiftLayers, "openat", &path, &e))
    });
    end_child(pid)?;
    opened
}

/// Step "open store to mapped root": the container's root is nobody in particular on this machine, and must reach its
/// root file system through the store's private folders. They let everybody pass but not look, the container's own
/// only its root's group.
pub(super) fn let_in(store: &Store, bundle: &Bundle, namespace: &UserNamespace) -> Result<(), StepError> {
    let nobody = u32::MAX - 1;
    let user = outside(&namespace.users, 0).unwrap_or(nobody);
    let group = outside(&namespace.groups, 0).unwrap_or(nobody);
    let set_mode = |dir: &Path, mode: u32| {
        fs::set_permissions(dir, fs::Permissions::from_mode(mode))
            .map_err(|e| StepError::from_io(Step::LetIn, "chmod", dir, &e))
    };
    set_mode(store.root(), 0o711)?;
    set_mode(&store.containers(), 0o711)?;
    let own = |dir: &Path, user: Option<u32>, group: u32| {
        chown(dir, user, Some(group)).map_err(|e| StepError::from_io(Step::LetIn, "chown", dir, &e))
    };
    own(bundle.dir(), None, group)?;
    set_mode(bundle.dir(), 0o710)?;
    // The merged root shows the owner of the upper folder; a new one has that of the image.
    let upper = bundle.upper();
    let found =
        fs::metadata(&upper).map_err(|e| StepError::from_io(Step::LetIn, "newfstatat", &upper, &e))?;
    if outside(&namespace.users, found.uid()).is_some() && found.uid() != user {
        own(&upper, outside(&namespace.users, found.uid()), group)?;
    }
    Ok(())
}
