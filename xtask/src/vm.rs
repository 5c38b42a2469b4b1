//! `cargo xtask vm -- CMD…`: a command in a guest, as if it ran here; several kernels run side by side.

use crate::artifacts;
use crate::cache::Cache;
use crate::guest::{Cgroups, Guest, Stream};
use crate::initramfs::GuestFile;
use crate::kernels::{self, Kernel, Series};
use crate::progress::seconds;
use crate::setup::{self, Need};
use anyhow::{Context, Result, anyhow, bail};
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Kernel series to boot: 5.10, 6.1, 6.12, newest; may be given several times
    #[arg(long = "kernel", default_value = kernels::DEFAULT, value_delimiter = ',')]
    kernels: Vec<String>,
    /// Put a file of this machine into the guest
    #[arg(long = "file", value_name = "HOST:GUEST")]
    files: Vec<String>,
    /// Set a variable for the command
    #[arg(long = "env", value_name = "NAME=VALUE")]
    environment: Vec<String>,
    /// How control groups are mounted
    #[arg(long, value_enum, default_value_t)]
    cgroups: Cgroups,
    #[arg(long, value_name = "MIB", default_value_t = 1536)]
    memory: u32,
    /// Kill the guest after so many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    deadline: u64,
    /// Boot without diag, when only the kernel is of interest
    #[arg(long)]
    no_diag: bool,
    /// The command; diag is at /bin/diag
    #[arg(last = true, required = true)]
    command: Vec<String>,
}

/// Where guest/init.sh mounts: a file that the guest begins with would not be seen there.
const HIDDEN: [&str; 6] = ["/proc", "/sys", "/dev", "/run", "/tmp", "/var/lib"];

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let cache = setup::ensure(Need::Guests(&options.kernels))?;
    let scratch = cache.scratch()?;
    let mut files = options.files.iter().map(|text| parse_file(text)).collect::<Result<Vec<_>>>()?;
    if !options.no_diag {
        let diag = artifacts::stripped(&artifacts::diag()?.path, scratch.path())?;
        files.push(GuestFile::executable(diag, "/bin/diag"));
    }
    let environment =
        options.environment.iter().map(|text| parse_variable(text)).collect::<Result<Vec<_>>>()?;
    let guests = kernels_of(&cache, &options.kernels)?.into_iter().map(|kernel| Guest {
        files: files.clone(),
        environment: environment.clone(),
        cgroups: options.cgroups,
        memory_mib: options.memory,
        deadline: Duration::from_secs(options.deadline),
        ..Guest::new(kernel)
    });
    side_by_side(&cache, &guests.collect::<Vec<_>>(), &options.command)
}

/// The kernels by name; setup has brought them.
pub(crate) fn kernels_of(cache: &Cache, series: &[String]) -> Result<Vec<Kernel>> {
    let ready = |name: &String| {
        Series::find(name)?.cached(cache).with_context(|| format!("the kernel {name} is not in the cache"))
    };
    series.iter().map(ready).collect()
}

fn side_by_side(cache: &Cache, guests: &[Guest], command: &[String]) -> Result<ExitCode> {
    let several = guests.len() > 1;
    let outcomes: Vec<_> = thread::scope(|scope| {
        let running: Vec<_> = guests
            .iter()
            .map(|guest| {
                scope.spawn(move || {
                    let mut printer = Printer::new(several.then(|| guest.kernel.series.clone()));
                    let outcome =
                        guest.run(cache, command, &mut |stream, bytes| printer.print(stream, bytes));
                    printer.flush();
                    outcome
                })
            })
            .collect();
        running.into_iter().map(|thread| thread.join()).collect()
    });
    let mut code = 0;
    for (guest, outcome) in guests.iter().zip(outcomes) {
        let outcome = outcome.map_err(|_| anyhow!("the thread of guest {} panicked", guest.kernel.series))?;
        let outcome = outcome.with_context(|| format!("guest {}", guest.kernel.release))?;
        eprintln!(
            "guest {}: exit code {} after {}",
            guest.kernel.release,
            outcome.code,
            seconds(outcome.took)
        );
        if code == 0 {
            code = outcome.code;
        }
    }
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
}

/// Passes a guest's output on: byte by byte for one guest, line by line with its name for several.
pub(crate) struct Printer {
    name: Option<String>,
    unfinished: [Vec<u8>; 2],
}

impl Printer {
    pub(crate) fn new(name: Option<String>) -> Self {
        Self { name, unfinished: [Vec::new(), Vec::new()] }
    }

    pub(crate) fn print(&mut self, stream: Stream, bytes: &[u8]) {
        let Some(name) = &self.name else { return write(stream, bytes) };
        let pending = &mut self.unfinished[stream as usize];
        let Some(end) = bytes.iter().rposition(|byte| *byte == b'\n') else {
            return pending.extend_from_slice(bytes);
        };
        let mut whole = std::mem::take(pending);
        whole.extend_from_slice(&bytes[..end]);
        pending.extend_from_slice(&bytes[end + 1..]);
        write(stream, &with_prefix(name, &whole));
    }

    pub(crate) fn flush(&mut self) {
        for stream in [Stream::Out, Stream::Err] {
            if !self.unfinished[stream as usize].is_empty() {
                self.print(stream, b"\n");
            }
        }
    }
}

/// Each line behind the guest's name; one write, so that lines of two guests do not mix.
fn with_prefix(name: &str, lines: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(lines.len() * 2);
    for line in lines.split(|byte| *byte == b'\n') {
        text.extend_from_slice(name.as_bytes());
        text.extend_from_slice(b" | ");
        text.extend_from_slice(line);
        text.push(b'\n');
    }
    text
}

/// Whoever read this program's output may be gone; the guest's exit code still counts.
fn write(stream: Stream, bytes: &[u8]) {
    let _ = match stream {
        Stream::Out => io::stdout().write_all(bytes).and_then(|()| io::stdout().flush()),
        Stream::Err => io::stderr().write_all(bytes),
    };
}

fn parse_file(text: &str) -> Result<GuestFile> {
    let (host, guest) =
        text.split_once(':').with_context(|| format!("--file {text}: expected HOST:GUEST"))?;
    if let Some(folder) = HIDDEN.iter().find(|folder| Path::new(guest).starts_with(folder)) {
        bail!(
            "--file {text}: the guest mounts a file system of its own on {folder}; name another place, such as /root"
        );
    }
    Ok(GuestFile::executable(host, guest))
}

fn parse_variable(text: &str) -> Result<(String, String)> {
    let (name, value) = text.split_once('=').with_context(|| format!("--env {text}: expected NAME=VALUE"))?;
    Ok((name.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_carries_the_guests_name() {
        assert_eq!(with_prefix("6.1", b"a\n\nb"), b"6.1 | a\n6.1 | \n6.1 | b\n");
    }

    #[test]
    fn files_and_variables_are_pairs() {
        assert_eq!(parse_file("a/b:/c").unwrap(), GuestFile::executable("a/b", "/c"));
        assert!(parse_file("a").is_err());
        assert!(parse_file("a:/tmp/b").unwrap_err().to_string().contains("on /tmp"));
        assert!(parse_file("a:/tmpx/b").is_ok());
        assert_eq!(parse_variable("A=b=c").unwrap(), ("A".to_owned(), "b=c".to_owned()));
        assert!(parse_variable("A").is_err());
    }
}
