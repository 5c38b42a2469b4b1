//! From the engine's power to the workload's: resource limits, user, capabilities, the system call filter.

use std::ffi::CString;
use std::os::fd::BorrowedFd;

use nix::errno::Errno;

use super::seccomp::Filter;
use super::{Failure, refused, standing};
use crate::error::Error;
use crate::rootless;
use crate::spec::{CapabilitySet, ResourceLimit, Seccomp, Security};
use crate::steps::Step;
use crate::sys;

/// Who the workload is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Supplementary groups, credentials(7).
    pub(crate) groups: Vec<u32>,
}

/// The prepared change.
#[derive(Debug)]
pub(crate) struct Privileges {
    identity: Identity,
    capabilities: CapabilitySet,
    no_new_privileges: bool,
    filter: Option<Filter>,
    limits: Vec<(u32, libc::rlimit, CString)>,
}

impl Privileges {
    pub(crate) fn prepare(
        security: &Security,
        identity: &Identity,
        limits: &[ResourceLimit],
    ) -> Result<Privileges, Error> {
        // A normal user has all of them in the user namespace that he is about to join.
        let held = match rootless::is_normal_user() {
            true => CapabilitySet::ALL.0,
            false => sys::permitted_capabilities().unwrap_or(0),
        };
        let capabilities = security.capabilities.resolve(CapabilitySet(held)).map_err(Error::InvalidSpec)?;
        let value = |limit: Option<u64>| limit.unwrap_or(libc::RLIM_INFINITY);
        let mut prepared = Vec::new();
        for limit in limits {
            if let Some(number) = limit.number() {
                let pair = libc::rlimit { rlim_cur: value(limit.soft), rlim_max: value(limit.hard) };
                let name = format!("RLIMIT_{}", limit.name.to_ascii_uppercase());
                prepared.push((number, pair, super::c_string(name)?));
            }
        }
        Ok(Privileges {
            identity: identity.clone(),
            capabilities,
            no_new_privileges: security.no_new_privileges,
            filter: (security.seccomp == Seccomp::Default).then(|| Filter::standard(capabilities)),
            limits: prepared,
        })
    }

    /// Give up everything that the workload may not have. The order is the kernel's: a filter wants CAP_SYS_ADMIN or
    /// no_new_privs, changing the bounding set wants CAP_SETPCAP, groups go before the user that may change them.
    /// `engine` is the report pipe of a process that must not outlive its engine.
    pub(crate) fn apply(&self, engine: Option<BorrowedFd<'_>>) -> Result<(), Failure<'_>> {
        for (number, limit, name) in &self.limits {
            // SAFETY: the limit is a valid rlimit that is only read.
            let ret = unsafe { libc::setrlimit(*number, limit) };
            Errno::result(ret).map_err(refused(Step::SetResourceLimit, "prlimit64", name))?;
        }
        if !self.no_new_privileges {
            self.load_filter()?;
        }
        sys::bound_capabilities(self.capabilities.0).map_err(refused(
            Step::BoundCapabilities,
            "prctl",
            c"PR_CAPBSET_DROP",
        ))?;
        let keep = |keep| {
            sys::keep_capabilities(keep).map_err(refused(Step::SetCapabilities, "prctl", c"PR_SET_KEEPCAPS"))
        };
        keep(true)?;
        match sys::set_groups(&self.identity.groups) {
            // A normal user who is alone in his user namespace cannot be in other groups than his own.
            Err(Errno::EPERM) if sys::groups_are_closed() => {}
            done => done.map_err(refused(Step::SetUser, "setgroups", c""))?,
        }
        sys::set_gid(self.identity.gid).map_err(refused(Step::SetUser, "setgid", c""))?;
        sys::set_uid(self.identity.uid).map_err(refused(Step::SetUser, "setuid", c""))?;
        keep(false)?;
        // A change of credentials clears what prctl(PR_SET_PDEATHSIG) set: set it again.
        if let Some(report) = engine {
            standing::die_with_engine(report)?;
        }
        sys::set_capabilities(self.capabilities.0).map_err(refused(Step::SetCapabilities, "capset", c""))?;
        if self.no_new_privileges {
            sys::no_new_privileges().map_err(refused(
                Step::NoNewPrivileges,
                "prctl",
                c"PR_SET_NO_NEW_PRIVS",
            ))?;
            self.load_filter()?;
        }
        Ok(())
    }

    fn load_filter(&self) -> Result<(), Failure<'static>> {
        self.filter.as_ref().map_or(Ok(()), Filter::load)
    }
}
