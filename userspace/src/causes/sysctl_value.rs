//! A sysctl does not take such a value.

use super::case::rights::{refused, seccomp_stands};
use super::sysctl_owner::sysctl;
use super::{Case, Cause, Fault, Proof, Rival};
use crate::model::{Confidence, Knob, KnobKind, Remedy};

pub(super) static CAUSE: Cause = Cause {
    slug: "sysctl-value",
    title: "the sysctl does not take this value",
    about: "\
Writing to a file below /proc/sys says EINVAL, \"Invalid argument\": each sysctl has a range or a form of its own, and \
nothing outside is taken. A value copied from another kernel or a hardening guide, a number with a unit (\"64k\"), an empty \
variable in a template, or two words where one belongs. An engine that sets --sysctl writes the value inside the new \
container and reports it as a failure to start. Some switches only go up (kernel.modules_disabled, kernel.yama.ptrace_scope = 3, \
kernel.unprivileged_bpf_disabled = 1): lowering them is EINVAL or EPERM.",
    shows_as: &[("write", "EINVAL"), ("write", "ERANGE"), ("pwrite64", "EINVAL")],
    deciders: &[
        "do_proc_dointvec_minmax_conv",
        "proc_dointvec_minmax_conv",
        "do_proc_dointvec_conv",
        "do_proc_int_conv_minmax",
        "do_proc_douintvec_conv",
        "do_proc_douintvec_minmax_conv",
        "proc_dointvec_minmax",
        "__do_proc_dointvec",
        "__do_proc_doulongvec_minmax",
        "proc_doulongvec_minmax",
        "proc_get_long",
        "proc_dostring",
    ],
    reads: &[],
    rivals: &[Rival {
        name: "a seccomp filter answered instead of the kernel",
        ruled_out_by: "no filters, filters that allow the call, or a kernel path of it",
        stands: seccomp_stands,
    }],
    explain,
    remedy,
    fault: Fault::Action {
        about: "writes a word to a sysctl of a network namespace of its own, which takes numbers",
        risk: "none: nothing is changed",
        variants: &["word", "range"],
    },
    see: &[
        "https://docs.kernel.org/admin-guide/sysctl/index.html",
        "kernel/sysctl.c: proc_dointvec_minmax(), do_proc_dointvec_minmax_conv()",
    ],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    let (_, errno) = refused(case, &["write", "pwrite64", "writev"], &[libc::EINVAL, libc::ERANGE])?;
    let name = sysctl(case)?;
    let word = case.state("written word").map(|w| w.value.clone());
    let now = case.state("value of the file").map(|w| w.value.clone());
    let mut missing = Vec::new();
    // A write to a sysctl of a file that is there and takes writes fails so for what was written alone
    // (`proc_sys_call_handler()`).
    let confidence = if word.is_some() || case.verdict(CAUSE.deciders).is_some() {
        Confidence::Proven
    } else {
        missing.push("what was written".into());
        Confidence::Likely
    };
    let written = word.map_or_else(|| "what was written".to_owned(), |word| format!("{word:?}"));
    let mut evidence = vec![format!("written to /proc/sys/{}: {written}", name.replace('.', "/"))];
    evidence.extend(now.as_ref().map(|now| format!("it still says {now:?}")));
    evidence.extend(
        case.verdict(CAUSE.deciders).map(|v| format!("{} said no (found by {})", v.function, v.method)),
    );
    Some(Proof {
        confidence,
        sentence: format!(
            "{name} does not take {written} ({errno}): it is outside of its range, or not of its form."
        ),
        knob: Knob {
            kind: KnobKind::Sysctl,
            name: name.clone(),
            path: format!("/proc/sys/{}", name.replace('.', "/")),
        },
        limit: None,
        usage: None,
        unit: String::new(),
        evidence,
        missing,
    })
}

fn remedy(case: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let now = case.state("value of the file").map_or_else(|| "OLD".to_owned(), |s| s.value.clone());
    vec![Remedy {
        when: "now".into(),
        command: format!("sysctl -w {}=VALUE with a value of its range", proof.knob.name),
        effect: format!("the kernel's documentation of the sysctl names the range; it is {now:?} now"),
        undo: format!("sysctl -w {}={now:?}", proof.knob.name),
    }]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{file, judge_with, state, with_object};
    use crate::model::{Errno, PathObject};

    #[test]
    fn the_word_and_the_sysctl_are_named() {
        let path = "/proc/sys/net/ipv4/ip_forward";
        let object = PathObject { whole: Some(path.into()), ..file(path, 0o644) };
        let mut incident = with_object("write", Errno::EINVAL, object);
        assert_eq!(judge_with(&CAUSE, &incident).unwrap().confidence, Confidence::Likely);
        incident.facts.extend([state("written word", path, "yes"), state("value of the file", path, "1")]);
        let f = judge_with(&CAUSE, &incident).unwrap();
        assert_eq!((f.knob.name.as_str(), f.confidence), ("net.ipv4.ip_forward", Confidence::Proven));
        assert!(f.sentence.contains("\"yes\""));
    }

    #[test]
    fn another_file_or_errno_is_not_claimed() {
        assert_eq!(
            judge_with(
                &CAUSE,
                &with_object("write", Errno::EINVAL, file("/sys/fs/cgroup/x/cpuset.cpus", 0o644))
            ),
            None
        );
        assert_eq!(
            judge_with(&CAUSE, &with_object("write", Errno::EPERM, file("/proc/sys/vm/swappiness", 0o644))),
            None
        );
    }
}
