//! Packs a guest's first file system: busybox, the kernel's modules, the init, the job, and files of the host.

use crate::cpio::Archive;
use crate::kernels::Kernel;
use crate::shell::output_of;
use anyhow::{Context, Result};
use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What process 1 of a guest runs; it says itself what it does.
const INIT: &str = include_str!("guest/init.sh");

/// A file of this machine that the guest shall see.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct GuestFile {
    pub(crate) host: PathBuf,
    pub(crate) guest: String,
    pub(crate) permissions: u32,
}

impl GuestFile {
    pub(crate) fn executable(host: impl Into<PathBuf>, guest: impl Into<String>) -> Self {
        Self { host: host.into(), guest: guest.into(), permissions: 0o755 }
    }
}

/// What goes into it besides the init.
pub(crate) struct Contents<'a> {
    pub(crate) busybox: &'a Path,
    pub(crate) kernel: &'a Kernel,
    /// Shell text that tells the init what to run.
    pub(crate) job: &'a str,
    pub(crate) files: &'a [GuestFile],
}

/// Writes the archive, uncompressed: unpacking takes an emulated processor longer than the bytes take to load.
pub(crate) fn write(place: &Path, contents: &Contents) -> Result<()> {
    let mut archive = Archive::new(BufWriter::new(File::create(place)?));
    archive.character_device("/dev/console", 5, 1)?;
    for folder in ["proc", "sys", "run", "tmp", "root", "etc", "var/lib", "var/log", "var/tmp"] {
        archive.folder(folder)?;
    }
    archive.file("/init", 0o755, INIT.as_bytes())?;
    archive.file("/guest/initramfs", 0o644, b"the init removes this when it leaves the initramfs\n")?;
    archive.file("/guest/job", 0o644, contents.job.as_bytes())?;
    archive.file(
        "/etc/passwd",
        0o644,
        b"root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/tmp:/bin/sh\n",
    )?;
    archive.file("/etc/group", 0o644, b"root:x:0:\nuser:x:1000:\n")?;
    archive.file("/etc/hosts", 0o644, b"127.0.0.1 localhost guest\n")?;
    add_busybox(&mut archive, contents.busybox)?;
    for entry in fs::read_dir(&contents.kernel.modules)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        archive.file(&format!("/guest/modules/{name}"), 0o644, &fs::read(&path)?)?;
    }
    for file in contents.files {
        let bytes = fs::read(&file.host).with_context(|| format!("cannot read {}", file.host.display()))?;
        archive.file(&file.guest, file.permissions, &bytes)?;
    }
    archive.finish()?;
    Ok(())
}

/// The program, a link for each of its applets, and one folder of programs under all the usual names.
fn add_busybox(archive: &mut Archive<impl std::io::Write>, busybox: &Path) -> Result<()> {
    archive.file("/bin/busybox", 0o755, &fs::read(busybox)?)?;
    for applet in applets(busybox)? {
        archive.link(&format!("/bin/{applet}"), "busybox")?;
    }
    archive.link("/sbin", "bin")?;
    archive.link("/usr/bin", "../bin")?;
    Ok(archive.link("/usr/sbin", "../bin")?)
}

/// What this busybox can be called as, itself left out.
pub(crate) fn applets(busybox: &Path) -> Result<Vec<String>> {
    let list = output_of(Command::new(busybox).arg("--list"))?;
    Ok(list.lines().filter(|name| !name.is_empty() && *name != "busybox").map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_archive_has_init_modules_applets_and_the_given_files() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        fs::write(path("busybox"), "#!/bin/sh\nprintf 'busybox\\nsh\\ncat\\n'\n").unwrap();
        fs::set_permissions(path("busybox"), fs::Permissions::from_mode(0o755)).unwrap();
        fs::create_dir(path("modules")).unwrap();
        fs::write(path("modules/order"), "x.ko\n").unwrap();
        fs::write(path("given"), "contents of the given file").unwrap();
        let kernel = Kernel {
            series: "6.12".into(),
            release: "6.12.1".into(),
            image: path("vmlinuz"),
            modules: path("modules"),
        };
        let files = [GuestFile::executable(path("given"), "/bin/given")];
        let contents =
            Contents { busybox: &path("busybox"), kernel: &kernel, job: "set -- true\n", files: &files };
        write(&path("out"), &contents).unwrap();
        let bytes = fs::read(path("out")).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        for part in [
            "init\0",
            "guest/modules/order\0",
            "bin/cat\0",
            "bin/given\0",
            "contents of the given",
            "TRAILER",
        ] {
            assert!(text.contains(part), "{part:?} is missing");
        }
        assert_eq!(bytes.len() % 4, 0);
    }
}
