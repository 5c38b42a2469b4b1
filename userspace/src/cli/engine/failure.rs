//! How the engine's errors end a verb: the sentence, the way to its explanation, the exit code.

use container_core::Error;
use container_core::steps::Step;

use crate::cli::outcome;

/// The engine itself failed, docker's convention.
pub(super) const ENGINE_FAILED: i32 = 125;
const NOT_EXECUTABLE: i32 = 126;
const NOT_FOUND: i32 = 127;

/// Tell why `container` could not be started or entered; the exit code.
pub(super) fn report(error: &Error, container: &str) -> i32 {
    outcome::say(&format!("diag: {error}"));
    if let Some(hint) = not_root() {
        outcome::say(&format!("      {hint}"));
    }
    let Some(failed) = error.step() else { return ENGINE_FAILED };
    outcome::say(&format!("      diag explain {container}"));
    match (failed.step, failed.errno) {
        (Step::ExecuteWorkload, libc::ENOENT | libc::ENOTDIR) => NOT_FOUND,
        (Step::ExecuteWorkload, libc::EACCES | libc::ENOEXEC | libc::EPERM) => NOT_EXECUTABLE,
        _ => ENGINE_FAILED,
    }
}

/// The likeliest reason of a refusal, for somebody who is not root.
pub(super) fn not_root() -> Option<&'static str> {
    // SAFETY: takes nothing and cannot fail.
    let root = unsafe { libc::geteuid() } == 0;
    (!root).then_some("as a normal user you have a store of your own; this may be one of root's")
}

/// Do `action` for each container; one that fails does not keep the others from their turn. Exit code 1 if any did.
pub(super) fn for_each(names: &[String], mut action: impl FnMut(&str) -> Result<(), Error>) -> i32 {
    let mut code = 0;
    for name in names {
        if let Err(error) = action(name) {
            report(&error, name);
            code = 1;
        }
    }
    code
}
