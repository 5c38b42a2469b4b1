//! `cargo xtask engines --vm KERNEL`: some cells again in a guest, whose kernel shows the path to the refusal.
//!
//! The guest holds the engines of this machine, with the libraries they need, and this very program, which judges
//! there as it does here.

use super::Options;
use super::cells::{Engine, LIMITS, Limit};
use crate::artifacts;
use crate::guest::Guest;
use crate::initramfs::GuestFile;
use crate::programs::with_libraries;
use crate::setup::{self, Need};
use crate::shell::find_program;
use crate::vm::{Printer, kernels_of};
use anyhow::{Context, Result};
use std::collections::BTreeSet;
use std::env;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

/// Two engines in memory, one of them in Go four times over.
const MEMORY_MIB: u32 = 4096;
const DEADLINE: Duration = Duration::from_secs(40 * 60);

/// What the engines read besides their programs.
const SETTINGS: [&str; 4] = [
    "/etc/containers/policy.json",
    "/etc/containers/registries.conf",
    "/usr/share/containers/containers.conf",
    "/usr/share/containers/seccomp.json",
];

/// Where the guest has what `cargo xtask` has in its cache and its target folder.
pub(super) const DIAG: &str = "/bin/diag";
pub(super) const BUSYBOX: &str = "/bin/busybox";
const XTASK: &str = "/bin/xtask";

/// An emulated engine takes a minute for what takes a second here.
pub(super) const ONE_SECONDS: u32 = 600;

/// Twelve cells: in these the kernel refuses a system call on the way to a container.
pub(super) const ENGINES: &[Engine] = &[Engine::Docker, Engine::PodmanRunc, Engine::PodmanCrun];

pub(super) fn limits() -> Vec<&'static Limit> {
    let names = ["fs.mount-max, now+3", "fs.mount-max, now+8", "kernel.keys.root_maxkeys", "pids.max"];
    LIMITS.iter().filter(|limit| names.contains(&limit.name)).collect()
}

/// Boots the guest; the table that it printed, and how it ended.
pub(super) fn run(options: &Options, series: &str) -> Result<(String, ExitCode)> {
    let series = [series.to_owned()];
    let cache = setup::ensure(Need::Guests(&series))?;
    setup::install_engines(&cache)?;
    let kernel = kernels_of(&cache, &series)?.remove(0);
    let scratch = cache.scratch()?;
    let mut guest = Guest::new(kernel);
    (guest.memory_mib, guest.deadline) = (MEMORY_MIB, DEADLINE);
    guest.files = files(scratch.path())?;
    let mut words = vec![XTASK.to_owned(), "engines".into(), "--inside".into()];
    words.extend(options.filter.iter().flat_map(|filter| ["--filter".to_owned(), filter.clone()]));
    let (mut printer, mut table) = (Printer::new(None), Vec::new());
    let outcome = guest.run(&cache, &words, &mut |stream, bytes| {
        if stream == crate::guest::Stream::Out {
            table.extend_from_slice(bytes);
        }
        printer.print(stream, bytes);
    })?;
    let code = ExitCode::from(u8::try_from(outcome.code).unwrap_or(1));
    Ok((String::from_utf8_lossy(&table).into_owned(), code))
}

/// Programs, what they are linked with, and their settings.
fn files(scratch: &Path) -> Result<Vec<GuestFile>> {
    let diag = artifacts::stripped(&artifacts::diag()?.path, scratch)?;
    let own = env::current_exe().context("where is this program?")?;
    let own_stripped = artifacts::stripped(&own, scratch)?;
    let mut names: BTreeSet<&str> = ENGINES.iter().flat_map(|engine| engine.programs()).copied().collect();
    names.extend(["containerd-shim-runc-v2", "unshare"]);
    let mut programs = vec![(diag, DIAG.to_owned()), (own_stripped, XTASK.to_owned())];
    for name in names {
        let place = find_program(name).with_context(|| format!("{name} is not installed"))?;
        programs.push((place, format!("/bin/{name}")));
    }
    let mut files = with_libraries(programs)?;
    let settings = SETTINGS.iter().filter(|place| Path::new(place).exists());
    files.extend(
        settings.map(|place| GuestFile { permissions: 0o644, ..GuestFile::executable(*place, *place) }),
    );
    Ok(files)
}
