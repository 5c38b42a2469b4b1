//! SCHED_DEADLINE: asks for more than can be promised, or breaks the rules of those who have it.

use super::{Provoked, result};
use anyhow::Context;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

const DEADLINE: u64 = 6;
const PERIOD_NS: u64 = 100_000_000;
/// More threads than any machine has processors would be needed to get past this.
const MOST_THREADS: usize = 4096;

/// `struct sched_attr` (linux/sched/types.h) in 64-bit words, for a task that runs so long in each period.
fn take(runtime_ns: u64) -> std::io::Result<()> {
    const SIZE: u64 = 48;
    let attributes = [SIZE | DEADLINE << 32, 0, 0, runtime_ns, PERIOD_NS, PERIOD_NS];
    // SAFETY: a whole structure that lives through the call.
    result(unsafe { libc::syscall(libc::SYS_sched_setattr, 0, attributes.as_ptr(), 0) })
}

/// Threads that reserve nine tenths of a processor each and sleep, until one is refused.
pub(super) fn bandwidth(_: &str) -> anyhow::Result<Provoked> {
    const MOST_OF_IT: u64 = PERIOD_NS / 10 * 9;
    for _ in 0..MOST_THREADS {
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let took = take(MOST_OF_IT);
            let holds = took.is_ok();
            // Whoever was told waits on nothing else, so it is there.
            let _ = tell.send(took.map_err(|error| error.raw_os_error()));
            if holds {
                loop {
                    std::thread::park();
                }
            }
        });
        match told.recv().context("a thread ended without a word")? {
            Ok(()) => {}
            Err(Some(libc::EBUSY)) => return Provoked::by("sched_setattr", || take(MOST_OF_IT)),
            Err(other) => {
                let error = std::io::Error::from_raw_os_error(other.unwrap_or_default());
                return Err(error).context("cannot have a deadline policy (CAP_SYS_NICE is needed)");
            }
        }
    }
    anyhow::bail!("{MOST_THREADS} threads were promised nine tenths of a processor each")
}

pub(super) fn rules(variant: &str) -> anyhow::Result<Provoked> {
    const A_LITTLE: u64 = PERIOD_NS / 100;
    let one = one_processor()?;
    if variant == "bound" {
        sched_setaffinity(Pid::from_raw(0), &one).context("cannot bind this process to one processor")?;
        return Provoked::by("sched_setattr", || take(A_LITTLE));
    }
    take(A_LITTLE).context("cannot have a deadline policy (CAP_SYS_NICE is needed, and all processors)")?;
    if variant == "bind" {
        return Provoked::by("sched_setaffinity", move || {
            sched_setaffinity(Pid::from_raw(0), &one).map_err(std::io::Error::from)
        });
    }
    Provoked::by("clone", || {
        // SAFETY: the child ends at once, without running the parent's exit handlers.
        let child = unsafe { libc::fork() };
        if child == 0 {
            // SAFETY: as above.
            unsafe { libc::_exit(0) }
        }
        result(i64::from(child))
    })
}

/// One of several that this process may run on.
fn one_processor() -> anyhow::Result<CpuSet> {
    let all = sched_getaffinity(Pid::from_raw(0)).context("cannot read the affinity mask")?;
    let mut numbers = (0..CpuSet::count()).filter(|number| all.is_set(*number).unwrap_or(false));
    let first = numbers.next().context("the affinity mask is empty")?;
    numbers.next().context("this machine has one processor: there is nothing to be bound to")?;
    let mut one = CpuSet::new();
    one.set(first).context("cannot make a set of processors")?;
    Ok(one)
}
