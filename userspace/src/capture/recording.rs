//! Incidents on disk outside the journal: what `--save` writes and `--replay` reads, on any machine.

use crate::model::{Container, Cost, Host, Incident, Loss};
use serde::{Deserialize, Serialize};
use std::{
    fs,
    path::{Path, PathBuf},
};

pub const SCHEMA: &str = "diag.recording/1";

/// The evidence of one question; the verdict is always made anew from it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recording {
    pub schema: String,
    pub host: Host,
    pub container: Option<Container>,
    pub incidents: Vec<Incident>,
    pub loss: Loss,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Cost>,
}

#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    #[error("cannot {action} {path}: {source}")]
    Io { action: &'static str, path: PathBuf, source: std::io::Error },
    #[error("{path} is no recording of diag: {source}")]
    Form { path: PathBuf, source: serde_json::Error },
    #[error("{path} has the form {found:?}, this diag reads {SCHEMA:?}")]
    Schema { path: PathBuf, found: String },
}

impl Recording {
    pub fn read(path: &Path) -> Result<Self, RecordingError> {
        let text = fs::read_to_string(path).map_err(|source| RecordingError::Io {
            action: "read",
            path: path.into(),
            source,
        })?;
        let form = |source| RecordingError::Form { path: path.into(), source };
        let value: serde_json::Value = serde_json::from_str(&text).map_err(form)?;
        let found = value.get("schema").and_then(|s| s.as_str()).unwrap_or_default();
        if found != SCHEMA {
            return Err(RecordingError::Schema { path: path.into(), found: found.into() });
        }
        serde_json::from_value(value).map_err(form)
    }

    /// Writes beside the target first, so that a full disk leaves no half file under the name.
    pub fn write(&self, path: &Path) -> Result<(), RecordingError> {
        let io = |action, source| RecordingError::Io { action, path: path.into(), source };
        let text = serde_json::to_vec_pretty(self)
            .map_err(|source| RecordingError::Form { path: path.into(), source })?;
        let part = PathBuf::from(format!("{}.part", path.display()));
        fs::write(&part, text).and_then(|()| fs::rename(&part, path)).map_err(|source| {
            let _ = fs::remove_file(&part);
            io("write", source)
        })
    }
}
