//! Incidents on disk outside the journal: what `--save` writes and `--replay` reads, on any machine. One file of
//! JSON, compressed with gzip; a file that is not compressed is read too, so that people can look and edit.

mod redact;

use crate::model::Evidence;
use flate2::{Compression, read::MultiGzDecoder, write::GzEncoder};
use serde::{Deserialize, Serialize};
use std::{
    fs,
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

pub const SCHEMA: &str = "diag.recording/1";

/// More than this is no recording: a small file may unpack to any size.
const MOST_BYTES: u64 = 1 << 30;

/// The evidence of one question; the verdict is always made anew from it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recording {
    pub schema: String,
    #[serde(flatten)]
    pub evidence: Evidence,
}

#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    #[error("cannot {action} {path}: {source}")]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error("{path} is no recording of diag: {source}")]
    Form { path: PathBuf, source: serde_json::Error },
    #[error("{path} has the form {found:?}, this diag reads {SCHEMA:?}")]
    Schema { path: PathBuf, found: String },
}

impl Recording {
    pub fn of(evidence: Evidence) -> Self {
        Self { schema: SCHEMA.into(), evidence }
    }

    /// Without what may be secret: values of variables and options that are called so, and passwords in URLs.
    pub fn redacted(self) -> Result<Self, serde_json::Error> {
        let mut value = serde_json::to_value(self)?;
        redact::strings(&mut value);
        serde_json::from_value(value)
    }

    pub fn read(path: &Path) -> Result<Self, RecordingError> {
        let io = |source| RecordingError::Io { action: "read", path: path.into(), source };
        let text = unpacked(&fs::read(path).map_err(io)?).map_err(io)?;
        let form = |source| RecordingError::Form { path: path.into(), source };
        let value: serde_json::Value = serde_json::from_slice(&text).map_err(form)?;
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
        let kept = packed(&text).and_then(|bytes| fs::write(&part, bytes));
        kept.and_then(|()| fs::rename(&part, path)).map_err(|source| {
            let _ = fs::remove_file(&part);
            io("write", source)
        })
    }
}

fn packed(text: &[u8]) -> io::Result<Vec<u8>> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::default());
    packer.write_all(text)?;
    packer.finish()
}

fn unpacked(bytes: &[u8]) -> io::Result<Vec<u8>> {
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return Ok(bytes.to_vec());
    }
    let mut text = Vec::new();
    MultiGzDecoder::new(bytes).take(MOST_BYTES).read_to_end(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Said;

    fn recording(text: &str) -> Recording {
        let said = vec![Said { by: "docker".into(), text: text.into(), container: None, engine: true }];
        Recording::of(Evidence { said, ..Evidence::default() })
    }

    #[test]
    fn what_is_written_is_small_and_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.diag");
        let kept = recording(&"no space left on device ".repeat(1000));
        kept.write(&path).unwrap();
        assert!(fs::metadata(&path).unwrap().len() < 2000);
        assert_eq!(Recording::read(&path).unwrap(), kept);
        fs::write(&path, serde_json::to_vec(&kept).unwrap()).unwrap();
        assert_eq!(Recording::read(&path).unwrap(), kept, "also as plain text");
    }

    #[test]
    fn a_torn_file_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.diag");
        recording("x").write(&path).unwrap();
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        assert!(Recording::read(&path).unwrap_err().to_string().contains("cannot read"));
    }

    #[test]
    fn secrets_go_and_the_rest_stays() {
        let redacted = recording("-e DB_PASSWORD=hunter2 -e MODE=fast").redacted().unwrap();
        assert_eq!(redacted.evidence.said[0].text, "-e DB_PASSWORD=*** -e MODE=fast");
        let plain = recording("mount proc: no space left on device");
        assert_eq!(plain.clone().redacted().unwrap(), plain);
    }
}
