//! `cargo xtask service`: `diag service` under a real systemd, beside docker, in a guest.
//!
//! This machine's systemd and docker go into the guest, where systemd is process 1. What is to happen there is
//! told by service/story.sh.

use crate::artifacts;
use crate::guest::Guest;
use crate::initramfs::GuestFile;
use crate::programs::with_libraries;
use crate::setup::{self, Need};
use crate::shell::find_program;
use crate::vm::{Printer, kernels_of};
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

const MEMORY_MIB: u32 = 3072;
const DEADLINE: Duration = Duration::from_secs(40 * 60);

const STORY: &str = include_str!("service/story.sh");

/// systemd and what belongs to it, where it expects them.
const SYSTEMD: [&str; 3] = ["/lib/systemd/systemd", "/usr/bin/systemctl", "/usr/bin/systemd-analyze"];

/// Besides all targets.
const UNITS: [&str; 3] = ["docker.service", "docker.socket", "containerd.service"];
const UNIT_FOLDER: &str = "/lib/systemd/system";

const ENGINE: [&str; 6] = ["dockerd", "docker", "containerd", "containerd-shim-runc-v2", "ctr", "runc"];

#[derive(clap::Args)]
pub(crate) struct Options {
    /// The guest's kernel series
    #[arg(long, default_value = "6.12")]
    kernel: String,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let series = [options.kernel.clone()];
    let cache = setup::ensure(Need::Guests(&series))?;
    setup::install_engines(&cache)?;
    let scratch = cache.scratch()?;
    let mut guest = Guest::new(kernels_of(&cache, &series)?.remove(0));
    (guest.memory_mib, guest.deadline, guest.systemd) = (MEMORY_MIB, DEADLINE, true);
    guest.files = files(scratch.path())?;
    let mut printer = Printer::new(None);
    let words = ["/bin/sh".to_owned(), "/story".to_owned()];
    let outcome = guest.run(&cache, &words, &mut |stream, bytes| printer.print(stream, bytes))?;
    Ok(ExitCode::from(u8::try_from(outcome.code).unwrap_or(1)))
}

fn files(scratch: &Path) -> Result<Vec<GuestFile>> {
    let diag = artifacts::stripped(&artifacts::diag()?.path, scratch)?;
    let story = scratch.join("story");
    fs::write(&story, STORY)?;
    let mut programs = vec![(diag, "/bin/diag".to_owned()), (story, "/story".to_owned())];
    // In a guest /usr/bin is another name of /bin.
    programs.extend(SYSTEMD.map(|place| (PathBuf::from(place), place.replace("/usr/bin/", "/bin/"))));
    for name in ENGINE {
        let place = find_program(name).with_context(|| format!("{name} is not installed"))?;
        programs.push((place, format!("/bin/{name}")));
    }
    let mut files = with_libraries(programs)?;
    files.extend(units()?.into_iter().map(|unit| {
        let place = unit.display().to_string();
        GuestFile { permissions: 0o644, ..GuestFile::executable(unit, place) }
    }));
    Ok(files)
}

fn units() -> Result<Vec<PathBuf>> {
    let folder = Path::new(UNIT_FOLDER);
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {UNIT_FOLDER}"))?;
    let paths = entries.flatten().map(|entry| entry.path());
    let targets = paths.filter(|path| path.is_file() && path.extension().is_some_and(|end| end == "target"));
    Ok(targets.chain(UNITS.map(|name| folder.join(name))).collect())
}
