//! A host name that is longer than the kernel keeps.

use super::case::claim::{self, knob, step};
use super::case::switch::FILTER;
use super::{Case, Cause, Fault, Proof};
use crate::model::{Errno, KnobKind, Remedy};

const DECIDERS: &[&str] =
    &["__do_sys_sethostname", "__do_sys_setdomainname", "__x64_sys_sethostname", "__x64_sys_setdomainname"];
const CALLERS: &[&str] = &["__se_sys_sethostname", "__se_sys_setdomainname"];
/// `__NEW_UTS_LEN` (linux/utsname.h).
const MOST: u64 = 64;

pub(super) static CAUSE: Cause = Cause {
    slug: "hostname-length",
    title: "the host name is longer than 64 bytes",
    about: "\
A container does not start, \"sethostname: invalid argument\": sethostname(2) and setdomainname(2) take 64 bytes (__NEW_UTS_LEN, a \
constant) and say EINVAL, \"Invalid argument\", for more. Names that are put together from a project, a branch and a service, or a \
fully qualified name, grow past it. Kubernetes cuts a pod's name to 63; docker run --hostname hands it on as it is.",
    shows_as: &[("sethostname", "EINVAL"), ("setdomainname", "EINVAL")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[FILTER],
    explain,
    remedy,
    fault: Fault::Action {
        about: "sets a name of 65 bytes in a UTS namespace of its own",
        risk: "none",
        variants: &["host"],
    },
    see: &[
        "sethostname(2), EINVAL",
        "kernel/sys.c: sethostname(); include/uapi/linux/utsname.h: __NEW_UTS_LEN",
    ],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    let call = case.denied(&["sethostname", "setdomainname"], Errno::EINVAL)?;
    let length = case.failure().number_arg("len")?;
    let weighed = claim::weigh(case, DECIDERS, CALLERS, Some(length > MOST))?;
    let what = if call == "sethostname" { "host" } else { "domain" };
    let sentence = format!(
        "The {what} name of {} has {length} bytes, and {MOST} are the most there may be.",
        case.failure().task.comm
    );
    let mut proof = weighed.proof(case, DECIDERS, sentence, knob(KnobKind::Other, "__NEW_UTS_LEN", ""));
    (proof.limit, proof.usage, proof.unit) = (Some(MOST), Some(length), "bytes".into());
    proof.evidence.push(format!("{call} was given {length} bytes"));
    Some(proof)
}

fn remedy(_: &Case<'_>, _: &Proof) -> Vec<Remedy> {
    vec![step(
        "now",
        "docker run --hostname SHORT …",
        "63 bytes at most, which is what DNS takes for one label; the rest belongs to the domain",
        "start it with the old name",
    )]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{judge_with, valued};
    use crate::model::Confidence;

    fn judged(call: &str, errno: Errno, length: u64) -> Option<(Confidence, Option<u64>)> {
        judge_with(&CAUSE, &valued(call, errno, &[("len", length)], &[], vec![]))
            .map(|f| (f.confidence, f.usage))
    }

    #[test]
    fn only_a_name_that_is_too_long() {
        assert_eq!(judged("sethostname", Errno::EINVAL, 70), Some((Confidence::Proven, Some(70))));
        assert_eq!(judged("sethostname", Errno::EINVAL, 64), None);
        assert_eq!(judged("sethostname", Errno::EPERM, 70), None);
    }
}
