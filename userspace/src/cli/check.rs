//! `diag check`: how near each limit is while nothing has failed yet, and whether that is near enough to act.

use super::{Form, outcome, outcome::Outcome};
use crate::limits::{
    read::Root,
    require::{Holds, Requirement, Verdict},
    survey::{self, Standing},
};
use crate::model::spaced;
use anyhow::Context;
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Taken from the current folder where no other is named.
const POLICY: &str = "diag.toml";

#[derive(Debug, Clone, clap::Args)]
pub(super) struct Args {
    /// What must hold: NAME:headroom=20% or NAME>=NUMBER. May be given several times.
    #[arg(long, value_name = "REQUIREMENT")]
    require: Vec<String>,
    /// A file with requirements: require = ["NAME:headroom=20%", "NAME>=NUMBER"]. Without it, diag.toml here.
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    #[command(flatten)]
    form: Form,
}

/// What a policy file may hold.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Policy {
    #[serde(default)]
    require: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Report {
    schema: &'static str,
    limits: Vec<Standing>,
    requirements: Vec<Verdict>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Outcome> {
    let policy = policy(args.policy.as_deref(), Path::new("."))?;
    let texts = args.require.iter().chain(&policy.require);
    let requirements =
        texts.map(|text| Ok(text.parse::<Requirement>()?)).collect::<anyhow::Result<Vec<_>>>()?;
    let report = report(&Root::default(), &requirements);
    if args.form.is_json() {
        outcome::answer_json(&report)?;
    } else {
        outcome::answer(&text(&report));
    }
    Ok(verdict(&report.requirements))
}

/// A requirement that falls short is a finding; one that cannot be judged is diag's failure.
fn verdict(requirements: &[Verdict]) -> Outcome {
    let any = |outcome| requirements.iter().any(|r| r.outcome == outcome);
    match (any(Holds::No), any(Holds::NotJudged)) {
        (true, _) => Outcome::Found,
        (false, true) => Outcome::Failed,
        (false, false) => Outcome::Nothing,
    }
}

/// The named file, or the one in this folder if there is one.
fn policy(named: Option<&Path>, folder: &Path) -> anyhow::Result<Policy> {
    let default = folder.join(POLICY);
    let path = named.unwrap_or(&default);
    let text = match fs::read_to_string(path) {
        Err(error) if named.is_none() && error.kind() == ErrorKind::NotFound => return Ok(Policy::default()),
        text => text.with_context(|| format!("cannot read {}", path.display()))?,
    };
    toml::from_str(&text).with_context(|| format!("{} is no policy", path.display()))
}

fn report(root: &Root, requirements: &[Requirement]) -> Report {
    let limits = survey::all(root);
    let of = |requirement: &Requirement| {
        let standing = limits.iter().find(|s| s.limit == requirement.limit.id);
        standing.map(|standing| requirement.judge(standing))
    };
    let requirements = requirements.iter().filter_map(of).collect();
    Report { schema: "diag.check/1", limits, requirements }
}

fn text(report: &Report) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.force_no_tty().set_header(["LIMIT", "ALLOWED", "USED", "LEFT", "OWNER"]);
    // The nearest first; those whose usage is not known last, and with them what is switched off: nobody is near a
    // ceiling of nothing.
    let mut rows: Vec<&Standing> = report.limits.iter().collect();
    rows.sort_by_key(|s| s.headroom.filter(|_| s.ceiling != Some(0)).unwrap_or(101));
    for standing in rows {
        let ceiling = match standing.ceiling {
            Some(ceiling) if survey::is_unlimited(ceiling) => "no limit".into(),
            Some(ceiling) => spaced(ceiling),
            None => "-".into(),
        };
        let usage = standing.usage.map_or_else(|| "-".into(), spaced);
        let left = standing.headroom.map_or_else(|| "-".into(), |percent| format!("{percent} %"));
        table.add_row([standing.limit, &ceiling, &usage, &left, &standing.owner]);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    for index in 1..4 {
        if let Some(column) = table.column_mut(index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let mut out: String = table.lines().map(|line| format!("{}\n", line.trim_end())).collect();
    if !report.requirements.is_empty() {
        out.push('\n');
    }
    for requirement in &report.requirements {
        let word = match requirement.outcome {
            Holds::Yes => "holds      ",
            Holds::No => "FALLS SHORT",
            Holds::NotJudged => "not judged ",
        };
        out += &format!("{word}  {}\n", requirement.arithmetic);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine() -> (tempfile::TempDir, Root) {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("proc/sys/fs")).unwrap();
        fs::write(dir.path().join("proc/sys/fs/file-nr"), "900\t0\t1000\n").unwrap();
        let root = Root::at(dir.path());
        (dir, root)
    }

    fn outcome_of(requirements: &[&str]) -> (Outcome, String) {
        let (_dir, root) = machine();
        let all: Vec<Requirement> = requirements.iter().map(|text| text.parse().unwrap()).collect();
        let report = report(&root, &all);
        (verdict(&report.requirements), text(&report))
    }

    #[test]
    fn one_that_falls_short_decides_the_exit_code() {
        let (outcome, text) = outcome_of(&["fs.file-max>=10", "fs.file-max:headroom=20%"]);
        assert_eq!(outcome, Outcome::Found);
        assert!(
            text.contains("FALLS SHORT  fs.file-max: (1 000 - 900) / 1 000 = 10 % < 20 % required"),
            "{text}"
        );
        assert_eq!(outcome_of(&["fs.file-max:headroom=10%"]).0, Outcome::Nothing);
        assert_eq!(outcome_of(&[]).0, Outcome::Nothing);
        // No file there says how many ptys there may be.
        assert_eq!(outcome_of(&["kernel.pty.max:headroom=10%"]).0, Outcome::Failed);
    }

    #[test]
    fn a_policy_is_found_in_the_folder_and_its_mistakes_are_named() {
        let dir = tempfile::tempdir().unwrap();
        assert!(policy(None, dir.path()).unwrap().require.is_empty());
        fs::write(
            dir.path().join(POLICY),
            "# ours\nrequire = [\"fs.file-max>=10\", 'fs.mount-max:headroom=20%']\n",
        )
        .unwrap();
        assert_eq!(policy(None, dir.path()).unwrap().require.len(), 2);
        fs::write(dir.path().join(POLICY), "requires = []\n").unwrap();
        assert!(format!("{:#}", policy(None, dir.path()).unwrap_err()).contains("diag.toml is no policy"));
        assert!(policy(Some(Path::new("/no/such/file")), dir.path()).is_err());
    }

    #[test]
    fn the_nearest_limit_is_the_first_line() {
        let (_dir, root) = machine();
        let text = text(&report(&root, &[]));
        let first = text.lines().nth(1).unwrap();
        assert!(first.trim_start().starts_with("fs.file-max"), "{text}");
    }
}
