//! `cargo xtask bench idle`: what `diag watch` costs a machine on which nothing fails, kernel paths included.
//!
//! By instructions and not by the clock on the wall: in a guest of one emulated processor whose clock counts them
//! (QEMU's `-icount`), so that the figures depend neither on the machine nor on who else uses it. Everything that the
//! processor does during a loop counts, diag's own process and the kernel's timers among it. An instruction is not a
//! nanosecond: what waits for memory counts no more than what does not.

use super::document;
use super::loops::{self, IDLE, Sample};
use super::statistics::median;
use crate::artifacts;
use crate::cache::Cache;
use crate::guest::{Guest, Stream};
use crate::initramfs::GuestFile;
use crate::kernels::Kernel;
use crate::progress::Working;
use crate::setup::{self, Need};
use crate::vm;
use anyhow::{Context, Result, bail};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

const SCRIPT: &str = include_str!("idle.sh");

/// The script's names of what runs beside the loops; the first is what the others are held against.
const VARIANTS: [(&str, &str); 3] =
    [("nothing", "nothing"), ("light", "diag watch --capture light"), ("path", "diag watch --capture path")];

/// By loop: at most so many times the instructions that it takes beside nothing.
const GOALS: [f64; IDLE.len()] = [1.02, 1.10, 1.10];

#[derive(clap::Args)]
pub(super) struct Options {
    /// Kernels to boot, one after the other
    #[arg(long, value_delimiter = ',', default_value = "6.12")]
    kernels: Vec<String>,
    /// Rounds; every variant has one turn in each
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Measure this diag instead of building one
    #[arg(long, value_name = "FILE")]
    diag: Option<PathBuf>,
    /// Only print: leave docs/benchmarks.md as it is
    #[arg(long)]
    print_only: bool,
}

/// Instructions per call of each loop, one row a round.
type Rounds = Vec<Vec<Sample>>;

pub(super) fn run(options: &Options) -> Result<ExitCode> {
    let cache = setup::ensure(Need::Guests(&options.kernels))?;
    let scratch = cache.scratch()?;
    let diag = match &options.diag {
        Some(diag) => diag.clone(),
        None => artifacts::release_diag()?.path,
    };
    let files = files(&diag, scratch.path())?;
    let (mut text, mut met) = (head(options.rounds, options.diag.is_some()), true);
    for kernel in vm::kernels_of(&cache, &options.kernels)? {
        let release = kernel.release.clone();
        let measured = measure(&cache, kernel, &files, options.rounds)?;
        let (table, kept) = table(&release, &measured)?;
        text += &table;
        met &= kept;
    }
    println!("{text}");
    if !options.print_only {
        document::put("idle", &text)?;
    }
    Ok(if met { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn files(diag: &Path, scratch: &Path) -> Result<Vec<GuestFile>> {
    let diag = artifacts::stripped(diag, scratch)?;
    let built = artifacts::build("the loops", &["build", "--package", "xtask", "--bin", "xtask"])?;
    let loops = built.into_iter().find(|built| built.target == "xtask").context("cargo built no xtask")?.path;
    let folder = scratch.join("loops");
    fs::create_dir(&folder)?;
    let script = scratch.join("idle.sh");
    fs::write(&script, SCRIPT)?;
    Ok(vec![
        GuestFile::executable(diag, "/bin/diag"),
        GuestFile::executable(artifacts::stripped(&loops, &folder)?, "/bin/loops"),
        GuestFile::executable(script, "/idle.sh"),
    ])
}

/// By variant, in their order.
fn measure(cache: &Cache, kernel: Kernel, files: &[GuestFile], rounds: u32) -> Result<Vec<Rounds>> {
    let working = Working::on(format!("{rounds} rounds on Linux {}", kernel.release));
    let guest = Guest {
        files: files.to_vec(),
        environment: vec![("ROUNDS".to_owned(), rounds.to_string())],
        counts_instructions: true,
        deadline: Duration::from_secs(3600),
        ..Guest::new(kernel)
    };
    let (mut out, mut said) = (Vec::new(), Vec::new());
    let mut sink = |stream: Stream, bytes: &[u8]| match stream {
        Stream::Out => out.extend_from_slice(bytes),
        Stream::Err => said.extend_from_slice(bytes),
    };
    let outcome = guest.run(cache, &["sh".to_owned(), "/idle.sh".to_owned()], &mut sink)?;
    let said = String::from_utf8_lossy(&said);
    if outcome.code != 0 {
        bail!("the loops ended with {}: {}", outcome.code, said.trim());
    }
    if !said.contains("kernel paths by function_graph") {
        bail!("no kernel paths are traced there: {}", said.trim());
    }
    working.done("ok");
    parse(&String::from_utf8_lossy(&out))
}

fn parse(printed: &str) -> Result<Vec<Rounds>> {
    let mut found: Vec<Rounds> = VARIANTS.iter().map(|_| Vec::new()).collect();
    let lines: Vec<&str> = printed.lines().collect();
    for turn in lines.chunks(1 + IDLE.len()) {
        let (name, samples) = turn.split_first().context("nothing was printed")?;
        let at = VARIANTS.iter().position(|(variant, _)| variant == name);
        let at = at.with_context(|| format!("the loops printed {printed:?}"))?;
        found[at].push(loops::parse(&samples.join("\n"), &IDLE)?);
    }
    Ok(found)
}

fn head(rounds: u32, given: bool) -> String {
    let build = match given {
        true => "not the release build but one that was given (`--diag`)",
        false => "the release build",
    };
    format!(
        "## What watching costs where nothing fails\n\n\
         Written by `cargo xtask bench idle`; run it on your machine.\n\n\
         Instructions per turn of a loop, counted by QEMU (`-icount shift=0`, one emulated processor), so that neither the\n\
         machine nor its load matters. All that the processor does meanwhile is among them: diag's own process, which reads\n\
         and parses what is traced, and what the kernel puts off. The mount loop does nothing but what `--capture path`\n\
         traces; under the default budget diag would step down there after half a minute, here nothing is stepped down\n\
         (`--budget 100`). Medians of {rounds} rounds, in which all take turns; ratios within the round. The diag measured\n\
         was {build}.\n"
    )
}

/// The table of one kernel, and whether the goals are met.
fn table(release: &str, measured: &[Rounds]) -> Result<(String, bool)> {
    let mut text = format!("\n### Linux {release}\n\n| beside |");
    IDLE.iter().for_each(|each| text += &format!(" {} | ratio |", each.name));
    text += "\n|---|";
    IDLE.iter().for_each(|_| text += "---:|---:|");
    text.push('\n');
    let mut met = true;
    let mut verdicts = String::new();
    for (variant, (name, shown)) in VARIANTS.iter().enumerate() {
        write!(text, "| {shown} |")?;
        for (at, each) in IDLE.iter().enumerate() {
            let of = |rounds: &Rounds| rounds.iter().map(|round| round[at].0).collect::<Vec<_>>();
            let (own, bare) = (of(&measured[variant]), of(&measured[0]));
            let ratios = own.iter().zip(&bare).map(|(own, bare)| own / bare).collect();
            let instructions = median(own).context("no rounds")?;
            let ratio = median(ratios).context("no rounds")?;
            write!(text, " {instructions:.0} | {ratio:.3} |")?;
            if *name == "path" {
                let goal = GOALS[at];
                met &= ratio < goal;
                let word = if ratio < goal { "met" } else { "MISSED" };
                writeln!(verdicts, "- {}: under {goal} times: {word}, it is {ratio:.3} times", each.name)?;
            }
        }
        text.push('\n');
    }
    text += &format!("\nGoals of `--capture path`:\n\n{verdicts}\nThe loops:\n\n");
    IDLE.iter().for_each(|each| text += &format!("- {}: {}\n", each.name, each.what));
    Ok((text, met))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_made_within_a_round_and_held_against_the_goals() {
        let printed = "nothing\n100\n200\n300\nlight\n100\n204\n303\npath\n101\n210\n390\n";
        let measured = parse(printed).unwrap();
        let (text, met) = table("6.12", &measured).unwrap();
        assert!(
            text.contains("| diag watch --capture path | 101 | 1.010 | 210 | 1.050 | 390 | 1.300 |"),
            "{text}"
        );
        assert!(text.contains("mount: under 1.1 times: MISSED"), "{text}");
        assert!(!met);
        assert!(parse("something\n1\n2\n3\n").is_err());
    }
}
