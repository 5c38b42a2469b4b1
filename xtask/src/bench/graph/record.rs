//! The files that are measured: one recording of a guest, as text and as trace.dat in several forms.

use crate::cache::Cache;
use crate::guest::{Guest, Stream};
use crate::initramfs::GuestFile;
use crate::progress::Working;
use crate::shell::{find_program, output_of, run_logged};
use crate::vm;
use anyhow::{Context, Result, bail};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

const SCRIPT: &str = include_str!("record.sh");
/// Of the ring buffer; two processors, and the text is some two times as long.
const KIB_PER_CPU: u32 = 12_000;
/// The text again and again, to show that memory does not follow.
const TIMES: usize = 4;

/// One recording in all its forms.
pub(super) struct Files {
    /// Version 7, as trace-cmd packs it.
    pub(super) packed: PathBuf,
    /// Version 6, not packed.
    pub(super) plain: PathBuf,
    /// What the kernel printed.
    pub(super) text: PathBuf,
    /// What `trace-cmd report` prints.
    pub(super) report: PathBuf,
    /// The kernel's text several times over.
    pub(super) long: PathBuf,
}

impl Files {
    pub(super) fn make(cache: &Cache, kernel: &str, folder: &Path) -> Result<Self> {
        if !folder.join("same.dat").exists() || !folder.join("same.txt").exists() {
            record(cache, kernel, folder)?;
        }
        let place = |name: &str| folder.join(name);
        let files = Self {
            packed: place("same.dat"),
            plain: place("plain.dat"),
            text: place("same.txt"),
            report: place("report.txt"),
            long: place("long.txt"),
        };
        let mut convert = Command::new("trace-cmd");
        convert.args(["convert", "--file-version", "6", "-i"]).arg(&files.packed).arg("-o").arg(&files.plain);
        run_logged(&mut convert, &cache.log("bench"))?;
        let report = Command::new("trace-cmd")
            .args(["report", "-i"])
            .arg(&files.packed)
            .stdout(File::create(&files.report)?)
            .status()?;
        if !report.success() {
            bail!("trace-cmd report ended with {report}");
        }
        let mut long = File::create(&files.long)?;
        let text = fs::read(&files.text)?;
        (0..TIMES).try_for_each(|_| long.write_all(&text))?;
        Ok(files)
    }
}

fn record(cache: &Cache, kernel: &str, folder: &Path) -> Result<()> {
    let working = Working::on(format!("recording on Linux {kernel}"));
    let kernel = vm::kernels_of(cache, &[kernel.to_owned()])?.pop().context("no kernel")?;
    let script = folder.join("record.sh");
    fs::write(&script, SCRIPT)?;
    let mut files = program_with_libraries("trace-cmd")?;
    files.push(GuestFile::executable(script, "/record.sh"));
    let environment = vec![("KIB_PER_CPU".to_owned(), KIB_PER_CPU.to_string())];
    let guest = Guest { files, environment, ..Guest::new(kernel) };
    let mut tar = File::create(folder.join("out.tar"))?;
    let (mut failed, mut said) = (None, Vec::new());
    let mut sink = |stream: Stream, bytes: &[u8]| match stream {
        Stream::Out => failed = failed.take().or(tar.write_all(bytes).err()),
        Stream::Err => said.extend_from_slice(bytes),
    };
    let outcome = guest.run(cache, &["sh".to_owned(), "/record.sh".to_owned()], &mut sink)?;
    if let Some(error) = failed {
        return Err(error).context("cannot keep the recording");
    }
    if outcome.code != 0 {
        bail!("the recording ended with {}: {}", outcome.code, String::from_utf8_lossy(&said).trim());
    }
    run_logged(
        Command::new("tar").arg("-xf").arg(folder.join("out.tar")).arg("-C").arg(folder),
        &cache.log("bench"),
    )?;
    working.done("ok");
    Ok(())
}

/// A program of this machine and what it is linked with, at the same places in the guest.
fn program_with_libraries(name: &str) -> Result<Vec<GuestFile>> {
    let program = find_program(name).with_context(|| format!("{name} is missing"))?;
    let text = output_of(Command::new("ldd").arg(&program))?;
    let libraries = text.split_whitespace().filter(|word| word.starts_with('/'));
    let mut files = vec![GuestFile::executable(&program, program.display().to_string())];
    files.extend(libraries.map(|library| GuestFile::executable(library, library)));
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_comes_with_its_libraries() {
        let files = program_with_libraries("sh").unwrap();
        assert!(files[0].guest.ends_with("/sh"));
        assert!(files.iter().skip(1).all(|file| file.guest.starts_with('/') && file.host.exists()));
    }
}
