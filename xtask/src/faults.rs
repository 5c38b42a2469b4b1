//! `cargo xtask faults`: every fault of the catalogue on real kernels, each explained by its own cause; the table
//! goes to docs/accuracy.md.
//!
//! A guest runs `diag repro CAUSE --variant V --json` for each variant and prints the answers between marks. What
//! counts is the first finding of the first incident: the fault's own cause, and how sure.

use crate::artifacts;
use crate::cache::Cache;
use crate::guest::{Guest, Stream};
use crate::initramfs::GuestFile;
use crate::kernels;
use crate::progress::seconds;
use crate::setup::{self, Need};
use crate::vm;
use anyhow::{Context, Result, anyhow};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

/// Two guests keep two processors busy.
const SIDE_BY_SIDE: usize = 2;
/// All faults of one kernel; arming a tracer takes seconds under emulation, for each of them.
const DEADLINE: Duration = Duration::from_secs(90 * 60);
/// One fault. What hangs is a failure of the fault.
const ONE_SECONDS: u32 = 120;
/// Between these the table stands in docs/accuracy.md; the rest of the page is written by people.
const MARKS: [&str; 2] = ["<!-- faults -->", "<!-- end of faults -->"];

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Kernels to run them on
    #[arg(long, value_delimiter = ',', default_value = kernels::EVERY)]
    kernels: Vec<String>,
    /// Only causes whose name contains this; the table is then only printed
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
}

/// A cause and one of its variants.
type Fault = (String, String);
/// What each fault gave, by kernel.
type Answers = BTreeMap<String, BTreeMap<Fault, Verdict>>;

#[derive(Clone, Debug, PartialEq)]
enum Verdict {
    /// Its own cause came first, this sure.
    Own(String),
    /// Something else did.
    Other(String),
    /// The kernel did not refuse, or the fault cannot be provoked there.
    NotHere(String),
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let cache = setup::ensure(Need::Guests(&options.kernels))?;
    let diag = artifacts::diag()?.path;
    let faults = known(&diag, options.filter.as_deref())?;
    let started = Instant::now();
    let answers = on_every_kernel(&cache, options, &diag, &faults)?;
    let table = table(&faults, &answers);
    println!("{table}");
    eprintln!("{} faults in {}", faults.len(), seconds(started.elapsed()));
    if options.filter.is_none() {
        write_page(&table)?;
    }
    let wrong = answers.values().flat_map(BTreeMap::values).any(|v| matches!(v, Verdict::Other(_)));
    Ok(ExitCode::from(u8::from(wrong)))
}

/// All variants of all causes, as the program itself lists them.
fn known(diag: &Path, filter: Option<&str>) -> Result<Vec<Fault>> {
    let output = Command::new(diag).args(["causes", "--json"]).output().context("cannot run diag causes")?;
    let causes: Value = serde_json::from_slice(&output.stdout).context("diag causes printed no JSON")?;
    let mut faults = Vec::new();
    for cause in causes.as_array().into_iter().flatten() {
        let name = cause["cause"].as_str().unwrap_or_default();
        if filter.is_some_and(|text| !name.contains(text)) {
            continue;
        }
        let variants = cause["faults"].as_array().into_iter().flatten().filter_map(Value::as_str);
        faults.extend(variants.map(|variant| (name.to_owned(), variant.to_owned())));
    }
    Ok(faults)
}

fn on_every_kernel(cache: &Cache, options: &Options, diag: &Path, faults: &[Fault]) -> Result<Answers> {
    let scratch = cache.scratch()?;
    let small = artifacts::stripped(diag, scratch.path())?;
    let kernels = vm::kernels_of(cache, &options.kernels)?;
    let queue = Mutex::new(kernels.into_iter());
    let answers = Mutex::new(Answers::new());
    let failed = || anyhow!("a thread that runs guests panicked");
    thread::scope(|scope| -> Result<()> {
        let worker = || -> Result<()> {
            while let Some(kernel) = { queue.lock().map_err(|_| failed())?.next() } {
                let release = kernel.release.clone();
                let mut guest = Guest::new(kernel);
                guest.deadline = DEADLINE;
                guest.files.push(GuestFile::executable(&small, "/bin/diag"));
                guest.environment.push(("DIAG_TEST_DISPOSABLE".to_owned(), "1".to_owned()));
                let of_kernel = in_guest(cache, &guest, faults)?;
                answers.lock().map_err(|_| failed())?.insert(release, of_kernel);
            }
            Ok(())
        };
        let workers: Vec<_> = (0..SIDE_BY_SIDE).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().map_err(|_| failed())?)
    })?;
    answers.into_inner().map_err(|_| failed())
}

fn in_guest(cache: &Cache, guest: &Guest, faults: &[Fault]) -> Result<BTreeMap<Fault, Verdict>> {
    let mut script = String::new();
    for (cause, variant) in faults {
        writeln!(script, "echo 'FAULT {cause} {variant}'")?;
        writeln!(
            script,
            "timeout {ONE_SECONDS} diag repro {cause} --variant {variant} --json 2>/tmp/err; echo; echo \"RC $?\""
        )?;
        writeln!(script, "echo \"SAID $(tail -n 1 /tmp/err)\"")?;
    }
    let argv = ["sh", "-c", &script].map(str::to_owned);
    let mut out = Vec::new();
    guest
        .run(cache, &argv, &mut |stream, bytes| {
            if stream == Stream::Out {
                out.extend_from_slice(bytes);
            }
        })
        .with_context(|| format!("guest {}", guest.kernel.release))?;
    Ok(verdicts(&String::from_utf8_lossy(&out)))
}

/// The answers between the marks.
fn verdicts(text: &str) -> BTreeMap<Fault, Verdict> {
    let mut found = BTreeMap::new();
    for part in text.split("FAULT ").skip(1) {
        let Some((head, rest)) = part.split_once('\n') else { continue };
        let Some((cause, variant)) = head.trim().split_once(' ') else { continue };
        let (answer, said) = rest.split_once("SAID ").unwrap_or((rest, ""));
        let document = answer.rsplit_once("\nRC ").map_or(answer, |(document, _)| document);
        found.insert((cause.to_owned(), variant.to_owned()), verdict(cause, document, said.trim()));
    }
    found
}

fn verdict(cause: &str, document: &str, said: &str) -> Verdict {
    let Ok(answer) = serde_json::from_str::<Value>(document.trim()) else {
        return Verdict::NotHere(said.trim_start_matches("diag: ").to_owned());
    };
    let finding = &answer["incidents"][0]["findings"][0];
    match (finding["cause"].as_str(), finding["confidence"].as_str()) {
        (Some(first), Some(sure)) if first == cause => Verdict::Own(sure.to_owned()),
        (Some(first), Some(sure)) => Verdict::Other(format!("{first}, {sure}")),
        _ if answer["incidents"].as_array().is_none_or(Vec::is_empty) => {
            Verdict::NotHere(said.trim_start_matches("diag: ").to_owned())
        }
        _ => Verdict::Other("unknown".to_owned()),
    }
}

fn table(faults: &[Fault], answers: &Answers) -> String {
    let mut out = String::from("| fault |");
    answers.keys().for_each(|kernel| out += &format!(" {kernel} |"));
    out += "\n|---|";
    answers.keys().for_each(|_| out += "---|");
    out += "\n";
    let mut notes = Vec::new();
    for fault in faults {
        out += &format!("| {} {} |", fault.0, fault.1);
        for answers in answers.values() {
            let cell = match answers.get(fault) {
                Some(Verdict::Own(sure)) => sure.clone(),
                Some(Verdict::Other(other)) => format!("**{other}**"),
                Some(Verdict::NotHere(why)) => {
                    let at = notes.iter().position(|note| note == why).unwrap_or_else(|| {
                        notes.push(why.clone());
                        notes.len() - 1
                    });
                    format!("– ({})", at + 1)
                }
                None => "no answer".to_owned(),
            };
            out += &format!(" {cell} |");
        }
        out += "\n";
    }
    for (at, note) in notes.iter().enumerate() {
        out +=
            &format!("\n({}) {}", at + 1, if note.is_empty() { "the kernel did not refuse" } else { note });
    }
    out
}

/// Puts the table between its marks.
fn write_page(table: &str) -> Result<()> {
    let path = artifacts::workspace().join("docs/accuracy.md");
    let page = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let lost = || format!("{} has lost its marks {MARKS:?}", path.display());
    let (head, rest) = page.split_once(MARKS[0]).with_context(lost)?;
    let (_, tail) = rest.split_once(MARKS[1]).with_context(lost)?;
    let page = format!("{head}{}\n\n{table}\n\n{}{tail}", MARKS[0], MARKS[1]);
    fs::write(&path, page).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "FAULT pids-max own\n{\"incidents\":[{\"findings\":[{\"cause\":\"pids-max\",\
        \"confidence\":\"proven\"}]}]}\n\nRC 1\nSAID x\nFAULT pids-max ancestor\n{\"incidents\":[{\"findings\":\
        [{\"cause\":\"pid-max\",\"confidence\":\"likely\"}]}]}\n\nRC 1\nSAID \nFAULT sigbus full\n\nRC 2\n\
        SAID diag: no such thing here\n";

    fn fault(cause: &str, variant: &str) -> Fault {
        (cause.to_owned(), variant.to_owned())
    }

    #[test]
    fn answers_are_read_between_their_marks() {
        let found = verdicts(OUTPUT);
        assert_eq!(found[&fault("pids-max", "own")], Verdict::Own("proven".to_owned()));
        assert_eq!(found[&fault("pids-max", "ancestor")], Verdict::Other("pid-max, likely".to_owned()));
        assert_eq!(found[&fault("sigbus", "full")], Verdict::NotHere("no such thing here".to_owned()));
    }

    #[test]
    fn the_table_names_what_is_wrong_and_why_something_is_not_there() {
        let faults = [fault("pids-max", "own"), fault("pids-max", "ancestor"), fault("sigbus", "full")];
        let answers = Answers::from([("6.12".to_owned(), verdicts(OUTPUT))]);
        let table = table(&faults, &answers);
        assert!(table.contains("| pids-max own | proven |"), "{table}");
        assert!(table.contains("| pids-max ancestor | **pid-max, likely** |"), "{table}");
        assert!(
            table.contains("| sigbus full | – (1) |") && table.contains("(1) no such thing here"),
            "{table}"
        );
    }
}
