//! Kernel parameters of the container's own namespaces, written through its /proc before that becomes read-only.

use std::ffi::CString;
use std::path::Path;

use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::unistd::write;

use super::{Failure, c_path, refused};
use crate::error::Error;
use crate::spec::Sysctl;
use crate::steps::Step;

/// The prepared files and values.
#[derive(Debug)]
pub(crate) struct Sysctls {
    values: Vec<(CString, Vec<u8>)>,
}

impl Sysctls {
    pub(crate) fn prepare(rootfs: &Path, sysctls: &[Sysctl]) -> Result<Sysctls, Error> {
        let file = |sysctl: &Sysctl| c_path(&rootfs.join("proc/sys").join(sysctl.path()));
        let values = sysctls.iter().map(|s| Ok((file(s)?, s.value.as_bytes().to_vec())));
        Ok(Sysctls { values: values.collect::<Result<_, Error>>()? })
    }

    /// Step "write sysctl".
    pub(crate) fn write(&self) -> Result<(), Failure<'_>> {
        for (path, value) in &self.values {
            let flags = OFlag::O_WRONLY | OFlag::O_CLOEXEC;
            let file = open(path.as_c_str(), flags, Mode::empty()).map_err(refused(
                Step::WriteSysctl,
                "openat",
                path,
            ))?;
            write(&file, value).map_err(refused(Step::WriteSysctl, "write", path))?;
        }
        Ok(())
    }
}
