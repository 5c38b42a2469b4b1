//! Guests that run faults: several parts of the list, two guests side by side. What hangs or kills its guest is lost
//! alone; the faults behind it run in a new one.

use super::kept::Kept;
use super::{Fault, Verdict};
use crate::cache::Cache;
use crate::guest::{Guest, Stream};
use crate::initramfs::GuestFile;
use crate::kernels::Kernel;
use crate::progress::seconds;
use anyhow::{Result, anyhow};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

/// Two guests keep two processors busy.
const SIDE_BY_SIDE: usize = 2;
/// Faults of one guest: booting is cheap beside arming a tracer for each of them.
const PART: usize = 24;
/// One fault: asked to end, then killed.
const ONE_SECONDS: u64 = 150;
const GRACE_SECONDS: u64 = 15;
const BOOT_SECONDS: u64 = 120;

/// Runs each fault, and keeps what it gave.
pub(super) fn answer(
    cache: &Cache,
    kernel: &Kernel,
    diag: &Path,
    faults: &[Fault],
    kept: &mut Kept,
) -> Result<()> {
    let parts = faults.chunks(PART).map(<[Fault]>::to_vec).collect();
    let work = Work { parts: Mutex::new(parts), kept: Mutex::new(kept), tried: Mutex::default() };
    let guest = |part: &[Fault]| {
        let mut guest = Guest::new(kernel.clone());
        guest.silence = Some(Duration::from_secs(ONE_SECONDS + GRACE_SECONDS + BOOT_SECONDS));
        guest.deadline =
            Duration::from_secs(BOOT_SECONDS + (ONE_SECONDS + GRACE_SECONDS) * part.len() as u64);
        guest.files.push(GuestFile::executable(diag, "/bin/diag"));
        guest.environment.push(("DIAG_TEST_DISPOSABLE".to_owned(), "1".to_owned()));
        guest
    };
    thread::scope(|scope| -> Result<()> {
        let worker = || -> Result<()> {
            while let Some(part) = work.next()? {
                let answers = in_guest(cache, &guest(&part), &part)?;
                work.done(&part, answers)?;
            }
            Ok(())
        };
        let workers: Vec<_> = (0..SIDE_BY_SIDE).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().map_err(|_| poisoned())?)
    })
}

fn poisoned() -> anyhow::Error {
    anyhow!("a thread that runs guests panicked")
}

/// What is left to run, and what came of the rest.
struct Work<'a> {
    parts: Mutex<VecDeque<Vec<Fault>>>,
    kept: Mutex<&'a mut Kept>,
    /// Faults that were lost once: an emulated machine may hang by itself, twice in the same place hardly.
    tried: Mutex<BTreeSet<Fault>>,
}

impl Work<'_> {
    fn next(&self) -> Result<Option<Vec<Fault>>> {
        Ok(self.parts.lock().map_err(|_| poisoned())?.pop_front())
    }

    /// Keeps the answers; what has none yet, and what was lost for the first time, is run again.
    fn done(&self, part: &[Fault], mut answers: BTreeMap<Fault, Verdict>) -> Result<()> {
        let mut tried = self.tried.lock().map_err(|_| poisoned())?;
        answers.retain(|fault, verdict| !matches!(verdict, Verdict::Lost(_)) || !tried.insert(fault.clone()));
        let left: Vec<Fault> = part.iter().filter(|fault| !answers.contains_key(*fault)).cloned().collect();
        self.kept.lock().map_err(|_| poisoned())?.add(answers)?;
        if !left.is_empty() {
            self.parts.lock().map_err(|_| poisoned())?.push_back(left);
        }
        Ok(())
    }
}

/// Runs a part. Without an answer stay those behind the fault at which the guest died.
fn in_guest(cache: &Cache, guest: &Guest, part: &[Fault]) -> Result<BTreeMap<Fault, Verdict>> {
    let argv = ["sh", "-c", &script(part)?].map(str::to_owned);
    let (mut out, mut told, started) = (Vec::new(), 0, Instant::now());
    let outcome = guest.run(cache, &argv, &mut |stream, bytes| {
        if stream != Stream::Out {
            return;
        }
        out.extend_from_slice(bytes);
        let found = verdicts(&String::from_utf8_lossy(&out));
        let answers = part.iter().filter_map(|fault| Some((fault, found.get(fault)?)));
        for ((cause, variant), verdict) in answers.skip(told) {
            let after = seconds(started.elapsed());
            eprintln!("  {} | {cause} {variant}: {verdict:?} ({after})", guest.kernel.release);
        }
        told = found.len();
    });
    let mut found = verdicts(&String::from_utf8_lossy(&out));
    if let Err(error) = outcome
        && let Some(fault) = part.iter().find(|fault| !found.contains_key(*fault))
    {
        eprintln!("guest {} was lost at {} {}: {error:#}", guest.kernel.release, fault.0, fault.1);
        found.insert(fault.clone(), Verdict::Lost("the guest hung or died".to_owned()));
    }
    Ok(found)
}

fn script(part: &[Fault]) -> Result<String> {
    let mut script = String::new();
    for (cause, variant) in part {
        writeln!(script, "echo 'FAULT {cause} {variant}'")?;
        writeln!(
            script,
            "timeout -k {GRACE_SECONDS} {ONE_SECONDS} diag repro {cause} --variant {variant} --json \
             </dev/null 2>/tmp/err; rc=$?"
        )?;
        writeln!(script, "echo; echo \"RC $rc\"; echo \"SAID $(grep '^diag: ' /tmp/err | tail -n 1)\"")?;
        writeln!(script, "echo DONE")?;
    }
    Ok(script)
}

/// The answers between the marks; one without its end is none.
fn verdicts(text: &str) -> BTreeMap<Fault, Verdict> {
    let mut found = BTreeMap::new();
    for part in text.split("FAULT ").skip(1) {
        let Some((answer, _)) = part.split_once("\nDONE\n") else { continue };
        let Some((head, rest)) = answer.split_once('\n') else { continue };
        let Some((cause, variant)) = head.trim().split_once(' ') else { continue };
        let Some((answer, said)) = rest.split_once("\nSAID ") else { continue };
        let Some((document, code)) = answer.rsplit_once("\nRC ") else { continue };
        let verdict = Verdict::of(cause, document, code.trim().parse().unwrap_or(-1), said);
        found.insert((cause.to_owned(), variant.to_owned()), verdict);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "FAULT pids-max own\n{\"incidents\":[{\"findings\":[{\"cause\":\"pids-max\",\
        \"confidence\":\"proven\"}]}]}\n\nRC 1\nSAID \nDONE\nFAULT sigbus full\n\nRC 2\n\
        SAID diag: no such thing here\nDONE\nFAULT pids-max ancestor\n{\"incidents\":[";

    fn fault(cause: &str, variant: &str) -> Fault {
        (cause.to_owned(), variant.to_owned())
    }

    #[test]
    fn answers_are_read_between_their_marks() {
        let found = verdicts(OUTPUT);
        assert_eq!(found[&fault("pids-max", "own")], Verdict::Own("proven".to_owned()));
        assert_eq!(found[&fault("sigbus", "full")], Verdict::Lost("no such thing here".to_owned()));
        assert_eq!(found.get(&fault("pids-max", "ancestor")), None, "it has no end");
    }

    #[test]
    fn what_has_no_answer_runs_again_and_what_is_lost_only_once() {
        let (own, hung, behind) = (fault("a", "own"), fault("a", "hung"), fault("b", "behind"));
        let part = vec![own.clone(), hung.clone(), behind.clone()];
        let kernel = Kernel { series: "0".into(), release: "0.1".into(), ..Kernel::default() };
        let mut kept = Kept::nowhere(&kernel);
        let work = Work { parts: Mutex::default(), kept: Mutex::new(&mut kept), tried: Mutex::default() };
        let lost = || (hung.clone(), Verdict::Lost("hung".to_owned()));
        work.done(&part, BTreeMap::from([(own.clone(), Verdict::Own("proven".to_owned())), lost()])).unwrap();
        assert_eq!(work.next().unwrap(), Some(vec![hung.clone(), behind.clone()]));
        work.done(&[hung.clone(), behind.clone()], BTreeMap::from([lost()])).unwrap();
        assert_eq!(work.next().unwrap(), Some(vec![behind]), "lost twice is an answer");
        assert_eq!(work.next().unwrap(), None);
        assert_eq!(kept.answer(&hung), Some(&Verdict::Lost("hung".to_owned())));
        assert!(kept.answer(&own).is_some());
    }
}
