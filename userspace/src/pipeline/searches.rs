//! Programs that were looked for in several places, and found in one.

use super::Pipeline;
use crate::model::{Errno, Fact, Incident, State};

impl Pipeline {
    /// Tells of each program that was not there what its process ran next: then it was a step of a search (execvp(3)), and
    /// no failure. Asked when the command is over, because the next step comes after the failure has been looked at.
    pub fn tell_searches(&mut self, incidents: &mut [Incident]) {
        for incident in incidents {
            let failure = &incident.failure;
            if !matches!(failure.syscall(), Some(("execve" | "execveat", Errno::ENOENT))) {
                continue;
            }
            let (pid, last) = (failure.task.pid, incident.last.mono_ns);
            let Some(program) = self.watch.recorded().ran_after(pid, last) else { continue };
            let path = failure.text_arg("pathname").unwrap_or_default();
            incident.facts.push(Fact::State(State::ran_instead(path, program)));
        }
    }
}
