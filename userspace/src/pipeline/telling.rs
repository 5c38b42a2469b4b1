//! Which failures are somebody's story at all.

use super::Pipeline;
use crate::model::{Container, Errno, Failure, FailureKind, Killer};

impl Pipeline {
    /// Names the container that a killer ran in. Of kills among processes, a machine-wide watch tells those
    /// that came into a container from outside: people and init systems end processes all day. And an engine ends
    /// the process by which it failed to make a container: that failure is the story, not its end.
    pub(super) fn is_worth_telling(&self, failure: &mut Failure, container: Option<&Container>) -> bool {
        if let FailureKind::Killed { by: Killer::Init { .. }, .. } = &failure.kind {
            // That is how every container ends.
            return self.tree;
        }
        if let FailureKind::IgnoredSetId(_) = &failure.kind {
            // Of a whole machine, what containers suffer from: elsewhere services give their rights up on purpose.
            return self.tree || container.is_some();
        }
        if let Some((_, errno)) = failure.syscall()
            && !self.tree
        {
            return worth_watching(failure, errno);
        }
        let (victim, parent, at) = (failure.task.pid, failure.task.ppid, failure.time.mono_ns);
        let FailureKind::Killed { by: Killer::Process { pid, comm, cgroups, container: from, .. }, .. } =
            &mut failure.kind
        else {
            return true;
        };
        let killer = self.index.of_cgroups(cgroups);
        *from = killer.map(|c| c.label().to_owned());
        let inside = container.is_some() && killer.map(|c| &c.id) == container.map(|c| &c.id);
        // One that still runs its parent's program has not become the container yet.
        let gave_up = *pid == parent && (*comm == failure.task.comm || self.index.failed_lately(victim, at));
        self.tree || (container.is_some() && !inside && !gave_up)
    }
}

/// Of writes on a whole machine: what ran out, and what cgroupfs and the maps of ids refuse.
fn worth_watching(failure: &Failure, errno: Errno) -> bool {
    const SPEAKING: [u64; 3] = [0x27_e0eb, 0x6367_7270, 0x9fa0];
    let resources = [Errno::ENOSPC, Errno::EDQUOT, Errno::ENOMEM, Errno::EMFILE, Errno::ENFILE];
    let write = failure.syscall().is_some_and(|(name, _)| name == "write");
    !write || resources.contains(&errno) || failure.file().is_some_and(|f| SPEAKING.contains(&f.magic))
}
