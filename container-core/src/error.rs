//! What can go wrong, in types: a failed step, a failed launch with what its clean-up could not undo, and the
//! engine's own answers (no such container, not an image …).

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use serde::{Deserialize, Serialize};

use crate::image::Refusal;
use crate::steps::Step;

/// One kernel-facing step that the kernel refused.
///
/// Displayed as `step "mount overlay rootfs" failed: mount /…/rootfs: No space left on device (ENOSPC)`.
/// In JSON: `{"step","syscall","object","errno":28,"errno_name":"ENOSPC","pid"}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "StepErrorForm", from = "StepErrorForm")]
pub struct StepError {
    /// The step, which is also a row in [`crate::steps::TABLE`].
    pub step: Step,
    /// The system call that failed, by its name in the x86-64 table.
    pub syscall: String,
    /// What it was applied to: a path, a command, a set of namespaces. May be empty.
    pub object: String,
    /// The kernel's answer, errno(3), positive.
    pub errno: i32,
    /// The process that made the call, as the engine's pid namespace numbers it.
    pub pid: i32,
}

/// The serialised form: the errno by number and by name, so that a reader needs no table.
#[derive(Serialize, Deserialize)]
struct StepErrorForm {
    step: Step,
    syscall: String,
    object: String,
    errno: i32,
    #[serde(default)]
    errno_name: String,
    pid: i32,
}

impl From<StepError> for StepErrorForm {
    fn from(e: StepError) -> Self {
        let errno_name = e.errno_name();
        StepErrorForm {
            step: e.step,
            syscall: e.syscall,
            object: e.object,
            errno: e.errno,
            errno_name,
            pid: e.pid,
        }
    }
}

impl From<StepErrorForm> for StepError {
    fn from(e: StepErrorForm) -> Self {
        StepError { step: e.step, syscall: e.syscall, object: e.object, errno: e.errno, pid: e.pid }
    }
}

impl StepError {
    /// The error of a step made by this very process.
    pub(crate) fn here(step: Step, syscall: &str, object: impl fmt::Display, errno: Errno) -> Self {
        StepError {
            step,
            syscall: syscall.to_owned(),
            object: object.to_string(),
            errno: errno as i32,
            pid: std::process::id() as i32,
        }
    }

    /// The same from a standard library error; one that carries no errno (a short write) counts as EIO.
    pub(crate) fn from_io(step: Step, syscall: &str, object: &Path, error: &io::Error) -> Self {
        let errno = Errno::from_raw(error.raw_os_error().unwrap_or(Errno::EIO as i32));
        StepError::here(step, syscall, object.display(), errno)
    }

    /// `ENOSPC`; `errno 1234` for a number that has no name.
    #[must_use]
    pub fn errno_name(&self) -> String {
        match Errno::from_raw(self.errno) {
            Errno::UnknownErrno => format!("errno {}", self.errno),
            known => format!("{known:?}"),
        }
    }
}

impl fmt::Display for StepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "step \"{}\" failed: {}", self.step, self.syscall)?;
        if !self.object.is_empty() {
            write!(f, " {}", self.object)?;
        }
        write!(f, ": {} ({})", Errno::from_raw(self.errno).desc(), self.errno_name())
    }
}

impl std::error::Error for StepError {}

/// A start (or an exec) that failed: the step that failed first, and what then could not be undone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaunchError {
    /// The reason.
    pub first: StepError,
    /// Steps of the clean-up that failed too; empty when nothing is left behind.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cleanup: Vec<StepError>,
}

impl fmt::Display for LaunchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.first)?;
        for error in &self.cleanup {
            write!(f, "; while cleaning up, {error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for LaunchError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.first)
    }
}

impl From<StepError> for LaunchError {
    fn from(first: StepError) -> Self {
        LaunchError { first, cleanup: Vec::new() }
    }
}

/// Everything a call on [`crate::Engine`] may answer instead of a result.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing has that name, id or id prefix.
    #[error("no container is called {query:?}, and no id starts with it")]
    NoSuchContainer {
        /// What was asked for.
        query: String,
    },
    /// A prefix fits more than one id.
    #[error("{query:?} is the start of {} ids: {}", matches.len(), matches.join(", "))]
    Ambiguous {
        /// What was asked for.
        query: String,
        /// The ids, shortened to twelve digits.
        matches: Vec<String>,
    },
    /// Names are unique in a store.
    #[error("the name {name:?} is taken by container {id}")]
    NameTaken {
        /// The name.
        name: String,
        /// Who has it.
        id: String,
    },
    /// No image of that name.
    #[error("no image is called {name:?}")]
    NoSuchImage {
        /// What was asked for.
        name: String,
    },
    /// The file or folder is no root file system.
    #[error("{} is not an image: {reason}", path.display())]
    NotAnImage {
        /// What was to be imported.
        path: PathBuf,
        /// Why it is none.
        reason: String,
    },
    /// An image that cannot be pulled.
    #[error("cannot pull {image}: {refusal}")]
    Pull {
        /// What was asked for.
        image: String,
        /// Why, and what to do.
        #[source]
        refusal: Box<Refusal>,
    },
    /// An image that containers were made from.
    #[error("image {name:?} is in use by container {container}")]
    ImageInUse {
        /// The image.
        name: String,
        /// One of its containers.
        container: String,
    },
    /// The operation does not fit the container's state.
    #[error("container {name} is {state}: cannot {operation}")]
    WrongState {
        /// The container's name.
        name: String,
        /// Its state in one word.
        state: &'static str,
        /// What was asked for, as an infinitive: `start it`.
        operation: &'static str,
    },
    /// A specification that cannot be run, found before anything was made.
    #[error("invalid specification: {0}")]
    InvalidSpec(String),
    /// A wait with a deadline ran out.
    #[error("container {name} did not {what} within {seconds} s")]
    TimedOut {
        /// The container's name.
        name: String,
        /// What was waited for, as an infinitive.
        what: &'static str,
        /// How long.
        seconds: u64,
    },
    /// Starting failed.
    #[error(transparent)]
    Launch(#[from] LaunchError),
    /// A step outside of a start failed (stop, kill, rm).
    #[error(transparent)]
    Step(#[from] StepError),
    /// The engine's own files.
    #[error("{what} {}: {source}", path.display())]
    Store {
        /// What was tried: `read`, `create` …
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// The reason.
        #[source]
        source: io::Error,
    },
    /// A file of the store that is not what it must be.
    #[error("{} is damaged: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

impl Error {
    /// Shorthand for `map_err` on file operations of the store.
    pub(crate) fn store(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
        let path = path.to_owned();
        move |source| Error::Store { what, path, source }
    }

    /// The failed step, if one is the reason.
    #[must_use]
    pub fn step(&self) -> Option<&StepError> {
        match self {
            Error::Launch(launch) => Some(&launch.first),
            Error::Step(step) => Some(step),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_error_reads_well_and_survives_json() {
        let error = StepError {
            step: Step::MountOverlay,
            syscall: "mount".into(),
            object: "/x/rootfs".into(),
            errno: 28,
            pid: 7,
        };
        let text = "step \"mount overlay rootfs\" failed: mount /x/rootfs: No space left on device (ENOSPC)";
        assert_eq!(error.to_string(), text);
        let json = serde_json::to_string(&error).unwrap();
        assert!(json.contains("\"errno_name\":\"ENOSPC\""), "{json}");
        assert_eq!(serde_json::from_str::<StepError>(&json).unwrap(), error);
    }

    #[test]
    fn both_errors_survive() {
        let first = StepError::here(Step::PivotRoot, "pivot_root", ".", Errno::EINVAL);
        let second = StepError::here(Step::RemoveCgroup, "rmdir", "/cg", Errno::EBUSY);
        let both = LaunchError { first, cleanup: vec![second] }.to_string();
        assert!(
            both.contains("pivot_root .: Invalid argument")
                && both.contains("rmdir /cg: Device or resource busy")
        );
    }
}
