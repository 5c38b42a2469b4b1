//! `cargo xtask engines`: each engine meets each limit on this machine, and diag explains what comes of it; the table
//! goes to docs/accuracy.md.
//!
//! A cell is one `diag explain --json -- ENGINE …` with the limit lowered. What counts is the first incident: the
//! limit's own cause, how sure, the container's name, and the kernel function that decided, where this kernel shows it.

mod cells;
mod inside;
mod scene;

use crate::artifacts;
use crate::progress::{Working, seconds};
use crate::setup::{self, Need};
use anyhow::{Context, Result, bail};
use cells::{ENGINES, Engine, LIMITS, Limit};
use scene::Scene;
use serde_json::Value;
use std::fs;
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

/// Between these the tables stand in docs/accuracy.md; the rest of the page is written by people.
const HERE: [&str; 2] = ["<!-- engines -->", "<!-- end of engines -->"];
const IN_A_GUEST: [&str; 2] = ["<!-- engines in a guest -->", "<!-- end of engines in a guest -->"];

/// One cell, from start to report. What hangs is a failure.
const ONE_SECONDS: u32 = 90;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only cells whose `ENGINE LIMIT` contains this; the table is then only printed
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// Twelve of the cells in a guest with this kernel, where they must be proven by the kernel's own path
    #[arg(long, value_name = "KERNEL")]
    vm: Option<String>,
    /// This is that guest
    #[arg(long, hide = true, conflicts_with = "vm")]
    inside: bool,
}

#[derive(Clone, Debug, PartialEq)]
enum Verdict {
    /// The limit's cause came first, this sure; whether the container was named, and which function decided.
    Own { sure: String, named: bool, decider: Option<String> },
    /// No system call failed, and that is what diag said.
    Words(String),
    /// Something else came first.
    Other(String),
    /// The engine has no such option, or does not meet the limit.
    NotHere(String),
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    if !nix::unistd::geteuid().is_root() {
        bail!("needs root: engines run and limits are lowered (run `sudo -E cargo xtask engines`)");
    }
    if let Some(series) = &options.vm {
        let (table, code) = inside::run(options, series)?;
        if options.filter.is_none() {
            write_page(IN_A_GUEST, &table)?;
        }
        return Ok(code);
    }
    let started = Instant::now();
    let (scene, missing) = if options.inside {
        (Scene::start(inside::BUSYBOX.as_ref(), inside::DIAG.into())?, Ok(()))
    } else {
        let cache = setup::ensure(Need::Build)?;
        let missing = setup::install_engines(&cache);
        (Scene::start(&cache.busybox(), artifacts::diag()?.path)?, missing)
    };
    let rows = rows(&scene, options)?;
    let text = format!("{}\n\n{}", table(&rows), scene.versions());
    println!("{text}");
    eprintln!("all of it took {}", seconds(started.elapsed()));
    if let Err(error) = missing {
        eprintln!("not everything could be installed: {error:#}");
    }
    if options.filter.is_none() && !options.inside {
        write_page(HERE, &text)?;
    }
    let mut verdicts = rows.iter().flat_map(|(_, row)| row).map(|(_, verdict)| verdict);
    Ok(ExitCode::from(u8::from(verdicts.any(|verdict| is_wrong(verdict, options.inside)))))
}

/// In the guest nothing less will do than a name, a proof, and the function that decided.
fn is_wrong(verdict: &Verdict, inside: bool) -> bool {
    match verdict {
        Verdict::Own { sure, named, decider } => inside && !(sure == "proven" && *named && decider.is_some()),
        Verdict::Other(_) => true,
        Verdict::Words(_) | Verdict::NotHere(_) => inside,
    }
}

type Row = (&'static Limit, Vec<(Engine, Verdict)>);

fn rows(scene: &Scene, options: &Options) -> Result<Vec<Row>> {
    let (limits, engines) =
        if options.inside { (inside::limits(), inside::ENGINES) } else { (LIMITS.iter().collect(), ENGINES) };
    let mut rows = Vec::new();
    for limit in limits {
        let mut row = Vec::new();
        for engine in engines {
            let name = format!("{} {}", engine.name(), limit.name);
            if options.filter.as_ref().is_some_and(|text| !name.contains(text.as_str())) {
                continue;
            }
            let working = Working::on(name);
            let verdict = match scene.missing(*engine) {
                Some(why) => Verdict::NotHere(why),
                None => cell(scene, *engine, limit, options.inside)?,
            };
            match &verdict {
                Verdict::Words(text) => working.done(&format!("the engine's own words: {text}")),
                Verdict::NotHere(why) => working.done(&format!("– {why}")),
                other => working.done(&said(other)),
            };
            row.push((*engine, verdict));
        }
        rows.push((limit, row));
    }
    Ok(rows)
}

fn cell(scene: &Scene, engine: Engine, limit: &Limit, inside: bool) -> Result<Verdict> {
    let name = scene.fresh_name();
    let words = match cells::words(scene, engine, limit, &name)? {
        Ok(words) => words,
        Err(why) => return Ok(Verdict::NotHere(why.to_owned())),
    };
    let most_seconds = if inside { inside::ONE_SECONDS } else { ONE_SECONDS };
    let lowered = cells::lower(limit)?;
    let output = Command::new("timeout")
        .args([
            "-k",
            "10",
            &most_seconds.to_string(),
            &scene.diag.display().to_string(),
            "explain",
            "--json",
            "--",
        ])
        .args(&words)
        .envs(scene.environment())
        // conmon leaves a file `oom` wherever it was started (conmon's write_oom_files).
        .current_dir(scene.folder())
        .stdin(Stdio::null())
        .output()
        .context("cannot run diag")?;
    drop(lowered);
    scene.clean(engine, &name);
    let answer: Value = match serde_json::from_slice(&output.stdout) {
        Ok(answer) => answer,
        Err(_) => return Ok(Verdict::Other(last_line(&output.stderr))),
    };
    let verdict = verdict(&answer, limit, engine, &name, output.status.code(), &last_line(&output.stderr));
    if is_wrong(&verdict, inside) {
        // What somebody who mends it needs to see.
        eprintln!("{}\n{answer:#}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(verdict)
}

fn verdict(
    answer: &Value,
    limit: &Limit,
    engine: Engine,
    name: &str,
    code: Option<i32>,
    last: &str,
) -> Verdict {
    let incident = &answer["incidents"][0];
    if code == Some(0) || incident.is_null() {
        let why = if limit.is_filled_by_engines() { "it fills the cgroup from its parent" } else { last };
        return Verdict::NotHere(format!(
            "it starts all the same: {}",
            if why.is_empty() { "no error" } else { why }
        ));
    }
    if incident["failure"]["kind"] == "userspace-text" {
        if !limit.is_compared_by_engines() {
            return Verdict::Other("taken for the engine's own words".to_owned());
        }
        return Verdict::Words(incident["failure"]["text"].as_str().unwrap_or_default().to_owned());
    }
    let finding = &incident["findings"][0];
    let container = &incident["container"];
    let named = !engine.has_names() || container["name"] == name || container["id"] == name;
    match (finding["cause"].as_str(), finding["confidence"].as_str()) {
        (Some(cause), Some(sure)) if limit.causes.contains(&cause) => {
            let decider = incident["path"]["decider"].as_str().map(str::to_owned);
            Verdict::Own { sure: sure.to_owned(), named, decider }
        }
        (Some(cause), Some(sure)) => Verdict::Other(format!("{cause}, {sure}")),
        _ => Verdict::Other("unknown".to_owned()),
    }
}

fn last_line(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default().trim().to_owned()
}

fn said(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Own { sure, named, decider } => {
            let mut said = sure.clone();
            said += &decider.as_ref().map(|function| format!(", `{function}`")).unwrap_or_default();
            said + if *named { "" } else { ", **no name**" }
        }
        Verdict::Words(_) => "the engine's own words".to_owned(),
        Verdict::Other(other) => format!("**{other}**"),
        Verdict::NotHere(_) => "–".to_owned(),
    }
}

fn table(rows: &[Row]) -> String {
    let mut out = String::from("| limit |");
    let Some((_, first)) = rows.first() else { return out };
    first.iter().for_each(|(engine, _)| out += &format!(" {} |", engine.name()));
    out += "\n|---|";
    first.iter().for_each(|_| out += "---|");
    out += "\n";
    let mut notes: Vec<String> = Vec::new();
    for (limit, row) in rows {
        out += &format!("| {} |", limit.name);
        for (_, verdict) in row {
            let cell = match verdict {
                Verdict::NotHere(why) => {
                    let at = notes.iter().position(|note| note == why).unwrap_or_else(|| {
                        notes.push(why.clone());
                        notes.len() - 1
                    });
                    format!("– ({})", at + 1)
                }
                other => said(other),
            };
            out += &format!(" {cell} |");
        }
        out += "\n";
    }
    for (at, note) in notes.iter().enumerate() {
        out += &format!("\n({}) {note}", at + 1);
    }
    out
}

fn write_page(marks: [&str; 2], table: &str) -> Result<()> {
    let path = artifacts::workspace().join("docs/accuracy.md");
    let page = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let lost = || format!("{} has lost its marks {marks:?}", path.display());
    let (head, rest) = page.split_once(marks[0]).with_context(lost)?;
    let (_, tail) = rest.split_once(marks[1]).with_context(lost)?;
    let page = format!("{head}{}\n\n{table}\n\n{}{tail}", marks[0], marks[1]);
    fs::write(&path, page).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn judged(answer: &Value) -> Verdict {
        verdict(answer, &LIMITS[0], Engine::Docker, "e-1", Some(1), "docker: no")
    }

    fn own(sure: &str, named: bool) -> Verdict {
        Verdict::Own { sure: sure.into(), named, decider: None }
    }

    #[test]
    fn in_a_guest_a_proof_by_the_path_is_asked_for() {
        let decided = |sure: &str| Verdict::Own {
            sure: sure.into(),
            named: true,
            decider: Some("count_mounts".into()),
        };
        assert!(!is_wrong(&own("likely", false), false));
        assert!(is_wrong(&own("proven", true), true));
        assert!(is_wrong(&decided("likely"), true) && !is_wrong(&decided("proven"), true));
        assert_eq!(said(&decided("proven")), "proven, `count_mounts`");
        // Their names are those of the table: a wrong one would be left out without a word.
        assert_eq!(inside::limits().len() * inside::ENGINES.len(), 12);
    }

    #[test]
    fn the_first_incident_is_judged_by_cause_and_name() {
        let answer = |cause: &str, name: &str| {
            json!({"incidents": [{"failure": {"kind": "syscall"}, "container": {"name": name, "id": "x"},
                "findings": [{"cause": cause, "confidence": "proven"}]}]})
        };
        assert_eq!(judged(&answer("mount-max", "e-1")), own("proven", true));
        assert_eq!(judged(&answer("mount-max", "e-2")), own("proven", false));
        assert_eq!(judged(&answer("disk-full", "e-1")), Verdict::Other("disk-full, proven".into()));
        let words = json!({"incidents": [{"failure": {"kind": "userspace-text", "text": "no"}}]});
        assert!(matches!(judged(&words), Verdict::Other(_)), "mount-max is the kernel's");
        assert!(matches!(judged(&json!({"incidents": []})), Verdict::NotHere(_)));
    }

    #[test]
    fn the_table_says_why_a_cell_is_empty_once() {
        let none = || Verdict::NotHere("no such option".into());
        let rows = vec![(&LIMITS[0], vec![(Engine::Docker, none()), (Engine::Bwrap, none())])];
        let table = table(&rows);
        assert!(table.contains("| – (1) | – (1) |"), "{table}");
        assert_eq!(table.matches("no such option").count(), 1);
    }
}
