//! Answers of earlier runs: one file per kernel series below `target/faults`, written after every part of a run.

use super::{Fault, Verdict};
use crate::artifacts;
use crate::kernels::Kernel;
use anyhow::{Context, Result};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// What the faults gave on one kernel.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Kept {
    pub(super) release: String,
    answers: BTreeMap<Fault, Verdict>,
    /// `None`: only for this run.
    file: Option<PathBuf>,
}

impl Kept {
    pub(super) fn nowhere(kernel: &Kernel) -> Self {
        Self { release: kernel.release.clone(), answers: BTreeMap::new(), file: None }
    }

    /// The file of the kernel's series. Without `resume`, or of another release, what it holds is not taken over.
    pub(super) fn of(kernel: &Kernel, resume: bool) -> Result<Self> {
        let file = folder().join(format!("{}.json", kernel.series));
        let before = if resume && file.exists() { Some(read(&file)?) } else { None };
        let answers = before.filter(|kept| kept.release == kernel.release).map(|kept| kept.answers);
        let release = kernel.release.clone();
        Ok(Self { release, answers: answers.unwrap_or_default(), file: Some(file) })
    }

    pub(super) fn answer(&self, fault: &Fault) -> Option<&Verdict> {
        self.answers.get(fault)
    }

    /// Takes answers over, and writes the file.
    pub(super) fn add(&mut self, answers: impl IntoIterator<Item = (Fault, Verdict)>) -> Result<()> {
        self.answers.extend(answers);
        let Some(file) = &self.file else { return Ok(()) };
        let folder = file.parent().context("a file lies in a folder")?;
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        fs::write(file, self.text()).with_context(|| format!("cannot write {}", file.display()))
    }

    fn text(&self) -> String {
        let name = |(cause, variant): &Fault| format!("{cause} {variant}");
        let answers: Map<String, Value> =
            self.answers.iter().map(|(fault, verdict)| (name(fault), verdict.to_json())).collect();
        format!("{:#}\n", json!({ "release": self.release, "answers": answers }))
    }
}

fn folder() -> PathBuf {
    artifacts::workspace().join("target").join("faults")
}

fn read(file: &Path) -> Result<Kept> {
    let told = || format!("{} is not as it was written: delete it", file.display());
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let value: Value = serde_json::from_str(&text).with_context(told)?;
    let answers = value["answers"].as_object().with_context(told)?.iter().map(|(name, verdict)| {
        let (cause, variant) = name.split_once(' ')?;
        Some(((cause.to_owned(), variant.to_owned()), Verdict::of_json(verdict)?))
    });
    Ok(Kept {
        release: value["release"].as_str().with_context(told)?.to_owned(),
        answers: answers.collect::<Option<_>>().with_context(told)?,
        file: Some(file.to_owned()),
    })
}

/// All that is kept, the oldest kernel first.
pub(super) fn every() -> Result<Vec<Kept>> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder()).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    files.retain(|file| file.extension().is_some_and(|end| end == "json"));
    let mut all = files.iter().map(|file| read(file)).collect::<Result<Vec<_>>>()?;
    let numbers = |release: &str| -> Vec<u32> {
        release.split(['.', '-', '+']).map_while(|word| word.parse().ok()).collect()
    };
    all.sort_by_key(|kept| numbers(&kept.release));
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_survive_being_kept() {
        let dir = tempfile::tempdir().unwrap();
        let fault = ("pids-max".to_owned(), "own".to_owned());
        let mut kept = Kept {
            release: "6.12.1".to_owned(),
            answers: BTreeMap::new(),
            file: Some(dir.path().join("faults").join("6.12.json")),
        };
        kept.add([(fault, Verdict::Own("proven".to_owned()))]).unwrap();
        assert_eq!(read(kept.file.as_deref().unwrap()).unwrap(), kept);
        fs::write(dir.path().join("broken"), "{}").unwrap();
        assert!(read(&dir.path().join("broken")).is_err());
    }
}
