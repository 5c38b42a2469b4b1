//! The workload that is slowed down: system calls in a loop, in a process of their own.
//!
//! Each loop is cut into short batches and the median batch counts: what else runs on the machine then costs
//! some batches, not the result.

use super::statistics::median;
use anyhow::{Context, Result};
use nix::libc;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use std::hint::black_box;
use std::process::{Command, Stdio};
use std::time::Instant;

/// The hidden verb's name.
pub(crate) const VERB: &str = "bench-loops";

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Leave at once: what the fork+exec loop executes
    #[arg(long)]
    nothing: bool,
    /// The loops of a machine on which nothing fails, by what they take as a whole
    #[arg(long)]
    idle: bool,
}

/// Nanoseconds per call of one loop.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Sample(pub(crate) f64);

/// A loop, its batches and the calls in each.
pub(crate) struct Loop {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    /// Whether the goal (at most 1.1 times the bare tracepoint) is asked of it.
    pub(crate) is_judged: bool,
    batches: usize,
    calls: u32,
    call: fn(),
}

/// In the order in which they run and are printed.
pub(crate) const LOOPS: [Loop; 5] = [
    Loop {
        name: "getppid",
        what: "getppid(2): the shortest call there is",
        is_judged: true,
        batches: 201,
        calls: 2000,
        call: getppid,
    },
    Loop {
        name: "failing open",
        what: "open(2) of a file that is not there: fails, and nobody wants to hear of it",
        is_judged: true,
        batches: 151,
        calls: 500,
        call: failing_open,
    },
    Loop {
        name: "read",
        what: "read(2) of one byte from /dev/zero",
        is_judged: true,
        batches: 151,
        calls: 1000,
        call: read,
    },
    Loop {
        name: "fork+exec",
        what: "a process started, executed and waited for",
        is_judged: true,
        batches: 61,
        calls: 1,
        call: fork_exec,
    },
    Loop {
        name: "refused mount",
        what: "mount(2) on a folder that is not there: a failure that diag counts and reports",
        is_judged: false,
        batches: 101,
        calls: 200,
        call: refused_mount,
    },
];

/// What a machine does on which nothing fails.
pub(crate) const IDLE: [Loop; 3] = [
    Loop {
        name: "file read",
        what: "a file opened, a page of it read, and closed",
        is_judged: true,
        batches: 20,
        calls: 500,
        call: read_file,
    },
    Loop {
        name: "fork+exec",
        what: "busybox started, executed as `true` and waited for",
        is_judged: true,
        batches: 6,
        calls: 20,
        call: fork_busybox,
    },
    Loop {
        name: "mount",
        what: "a tmpfs mounted and unmounted again",
        is_judged: true,
        batches: 20,
        calls: 20,
        call: mount_tmpfs,
    },
];

pub(crate) fn run(options: &Options) -> Result<()> {
    if options.nothing {
        return Ok(());
    }
    if options.idle {
        IDLE.iter().for_each(|each| println!("{}", whole(each).0));
        return Ok(());
    }
    // Moving between processors costs more than what is measured.
    let mut one = CpuSet::new();
    one.set(0)?;
    sched_setaffinity(Pid::from_raw(0), &one).context("cannot stay on one processor")?;
    for each in &LOOPS {
        println!("{}", batches(each).0);
    }
    Ok(())
}

/// What [`run`] printed of so many loops.
pub(crate) fn parse(printed: &str, loops: &[Loop]) -> Result<Vec<Sample>> {
    let samples: Result<Vec<_>, _> = printed.lines().map(|line| line.trim().parse().map(Sample)).collect();
    let samples = samples.with_context(|| format!("the loops printed {printed:?}"))?;
    anyhow::ensure!(samples.len() == loops.len(), "the loops printed {printed:?}");
    Ok(samples)
}

/// All calls together, and with them whatever else the processor did meanwhile: there the clock counts instructions.
fn whole(each: &Loop) -> Sample {
    (0..each.calls).for_each(|_| (each.call)());
    let (started, calls) = (Instant::now(), each.calls * each.batches as u32);
    (0..calls).for_each(|_| (each.call)());
    Sample(started.elapsed().as_nanos() as f64 / f64::from(calls))
}

fn batches(each: &Loop) -> Sample {
    (0..each.calls).for_each(|_| (each.call)());
    let per_call = (0..each.batches).map(|_| {
        let started = Instant::now();
        (0..each.calls).for_each(|_| (each.call)());
        started.elapsed().as_nanos() as f64 / f64::from(each.calls)
    });
    Sample(median(per_call.collect()).unwrap_or(f64::NAN))
}

fn getppid() {
    // SAFETY: takes nothing and cannot fail. By number: a library might keep the answer.
    black_box(unsafe { libc::syscall(libc::SYS_getppid) });
}

fn failing_open() {
    // SAFETY: the path is NUL-terminated; the call fails, so no descriptor is left.
    black_box(unsafe { libc::open(c"/no-such-file-of-the-bench".as_ptr(), libc::O_RDONLY) });
}

fn read() {
    use std::os::fd::AsRawFd;
    use std::sync::OnceLock;
    static ZERO: OnceLock<Option<std::fs::File>> = OnceLock::new();
    let Some(file) = ZERO.get_or_init(|| std::fs::File::open("/dev/zero").ok()) else { return };
    let mut byte = [0_u8; 1];
    // SAFETY: the buffer has room for the one byte asked for.
    black_box(unsafe { libc::read(file.as_raw_fd(), byte.as_mut_ptr().cast(), 1) });
}

fn fork_exec() {
    let mut command = Command::new("/proc/self/exe");
    let _ = black_box(command.args([VERB, "--nothing"]).stdin(Stdio::null()).status());
}

fn refused_mount() {
    let (none, at) = (c"none".as_ptr(), c"/no-such-folder-of-the-bench".as_ptr());
    // SAFETY: the strings are NUL-terminated; the call fails, so nothing is mounted.
    black_box(unsafe { libc::mount(none, at, c"tmpfs".as_ptr(), 0, std::ptr::null()) });
}

fn read_file() {
    use std::io::Read;
    let mut page = [0_u8; 4096];
    black_box(std::fs::File::open("/bin/busybox").and_then(|mut file| file.read(&mut page)).ok());
}

fn fork_busybox() {
    let _ = black_box(Command::new("/bin/busybox").arg("true").stdin(Stdio::null()).status());
}

fn mount_tmpfs() {
    let (none, at) = (c"none".as_ptr(), c"/mnt".as_ptr());
    // SAFETY: the strings are NUL-terminated; what is mounted is unmounted again.
    black_box(unsafe { (libc::mount(none, at, c"tmpfs".as_ptr(), 0, std::ptr::null()), libc::umount(at)) });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_takes_time() {
        let short = Loop { batches: 3, calls: 5, ..LOOPS[0] };
        assert!(batches(&short).0 > 1.0);
    }

    #[test]
    fn one_number_for_each_loop() {
        assert_eq!(parse("1\n2.5\n3\n4\n5\n", &LOOPS).unwrap()[1], Sample(2.5));
        assert!(parse("1\n", &LOOPS).is_err());
        assert!(parse("x\n", &LOOPS).is_err());
    }
}
