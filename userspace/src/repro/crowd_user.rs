//! Becomes a user that nobody else is, with a low RLIMIT_NPROC, and forks until that is refused.

use super::own_limits::lower;
use super::{Provoked, children::Children};
use anyhow::{Context, bail};
use nix::sys::resource::Resource;
use nix::unistd::{Gid, Uid, setresgid, setresuid};

const ROOM: u64 = 3;
/// An id far from what distributions and user namespaces hand out, and from the overflow id 65534.
const NOBODY_ELSE: u32 = 2_000_999_111;

pub(super) fn provoke(_: &str) -> anyhow::Result<Provoked> {
    lower(Resource::RLIMIT_NPROC, ROOM)?;
    let (uid, gid) = (Uid::from_raw(NOBODY_ELSE), Gid::from_raw(NOBODY_ELSE));
    setresgid(gid, gid, gid).context("cannot change the group")?;
    // Takes the capabilities that are exempt from the limit along (capabilities(7)).
    setresuid(uid, uid, uid).context("cannot change the user (CAP_SETUID is needed)")?;
    let mut children = Children::default();
    let refused = (0..=ROOM).find_map(|_| children.fork().err());
    let Some(error) = refused else { bail!("RLIMIT_NPROC = {ROOM} did not refuse process {}", ROOM + 1) };
    Ok(Provoked { again: Some(Box::new(move || children.fork())), ..Provoked::new("clone", error) })
}
