//! `cargo xtask engines`: each engine meets each limit on this machine, and diag explains what comes of it; the table
//! goes to docs/accuracy.md.
//!
//! A cell is one `diag explain --json -- ENGINE …` with the limit lowered. What counts is the first incident: the
//! limit's own cause, how sure, and the container's name.

mod cells;
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

/// Between these the table stands in docs/accuracy.md; the rest of the page is written by people.
const MARKS: [&str; 2] = ["<!-- engines -->", "<!-- end of engines -->"];

/// One cell, from start to report. What hangs is a failure.
const ONE_SECONDS: &str = "90";

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only cells whose `ENGINE LIMIT` contains this; the table is then only printed
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
enum Verdict {
    /// The limit's cause came first, this sure; whether the container was named.
    Own { sure: String, named: bool },
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
    let cache = setup::ensure(Need::Build)?;
    let missing = setup::install_engines(&cache);
    let scene = Scene::start(&cache, artifacts::diag()?.path)?;
    let started = Instant::now();
    let mut rows = Vec::new();
    for limit in LIMITS {
        let mut row = Vec::new();
        for engine in ENGINES {
            let name = format!("{} {}", engine.name(), limit.name);
            if options.filter.as_ref().is_some_and(|text| !name.contains(text.as_str())) {
                continue;
            }
            let working = Working::on(name);
            let verdict = match scene.missing(*engine) {
                Some(why) => Verdict::NotHere(why),
                None => cell(&scene, *engine, limit)?,
            };
            match &verdict {
                Verdict::Words(text) => working.done(&format!("the engine's own words: {text}")),
                other => working.done(&said(other)),
            };
            row.push((*engine, verdict));
        }
        rows.push((limit, row));
    }
    let table = table(&rows);
    println!("{table}\n\n{} in {}", scene.versions(), seconds(started.elapsed()));
    if let Err(error) = missing {
        println!("not everything could be installed: {error:#}");
    }
    if options.filter.is_none() {
        write_page(&format!("{table}\n\n{}", scene.versions()))?;
    }
    let wrong = rows.iter().flat_map(|(_, row)| row).any(|(_, verdict)| matches!(verdict, Verdict::Other(_)));
    Ok(ExitCode::from(u8::from(wrong)))
}

fn cell(scene: &Scene, engine: Engine, limit: &Limit) -> Result<Verdict> {
    let name = scene.fresh_name();
    let words = match cells::words(scene, engine, limit, &name)? {
        Ok(words) => words,
        Err(why) => return Ok(Verdict::NotHere(why.to_owned())),
    };
    let lowered = cells::lower(limit)?;
    let output = Command::new("timeout")
        .args([ONE_SECONDS, &scene.diag.display().to_string(), "explain", "--json", "--"])
        .args(&words)
        .envs(scene.environment())
        .stdin(Stdio::null())
        .output()
        .context("cannot run diag")?;
    drop(lowered);
    scene.clean(engine, &name);
    let answer: Value = match serde_json::from_slice(&output.stdout) {
        Ok(answer) => answer,
        Err(_) => return Ok(Verdict::Other(last_line(&output.stderr))),
    };
    Ok(verdict(&answer, limit, engine, &name, output.status.code(), &last_line(&output.stderr)))
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
        return Verdict::NotHere(format!(
            "it starts all the same: {}",
            if last.is_empty() { "no error" } else { last }
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
            Verdict::Own { sure: sure.to_owned(), named }
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
        Verdict::Own { sure, named: true } => sure.clone(),
        Verdict::Own { sure, named: false } => format!("{sure}, **no name**"),
        Verdict::Words(_) => "the engine's own words".to_owned(),
        Verdict::Other(other) => format!("**{other}**"),
        Verdict::NotHere(_) => "–".to_owned(),
    }
}

fn table(rows: &[(&Limit, Vec<(Engine, Verdict)>)]) -> String {
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
    use serde_json::json;

    fn judged(answer: &Value) -> Verdict {
        verdict(answer, &LIMITS[0], Engine::Docker, "e-1", Some(1), "docker: no")
    }

    #[test]
    fn the_first_incident_is_judged_by_cause_and_name() {
        let answer = |cause: &str, name: &str| {
            json!({"incidents": [{"failure": {"kind": "syscall"}, "container": {"name": name, "id": "x"},
                "findings": [{"cause": cause, "confidence": "proven"}]}]})
        };
        assert_eq!(judged(&answer("mount-max", "e-1")), Verdict::Own { sure: "proven".into(), named: true });
        assert_eq!(judged(&answer("mount-max", "e-2")), Verdict::Own { sure: "proven".into(), named: false });
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
