//! A structure from a newer program than the kernel.

use super::case::claim::{knob, look, step, weigh};
use super::case::ids;
use super::{Case, Cause, Fault, Proof, Rival};
use crate::model::{Errno, KnobKind, Remedy};

/// Calls that take a structure with its size, and say E2BIG for nothing else.
const CALLS: &[&str] = &[
    "clone3",
    "openat2",
    "mount_setattr",
    "open_tree_attr",
    "sched_setattr",
    "perf_event_open",
    "landlock_create_ruleset",
    "statmount",
    "listmount",
    "lsm_set_self_attr",
];
const DECIDERS: &[&str] = &[
    "copy_clone_args_from_user",
    "copy_struct_from_user",
    "check_zeroed_user",
    "sched_copy_attr",
    "perf_copy_attr",
];
const CALLERS: &[&str] = &["__do_sys_clone3", "__se_sys_clone3", "do_sys_openat2", "build_open_how"];

pub(super) static CAUSE: Cause = Cause {
    slug: "struct-too-new",
    title: "the program's structure is newer than the kernel",
    about: "\
clone3(2), openat2(2), mount_setattr(2), sched_setattr(2) or perf_event_open(2) fails with E2BIG, \"Argument list too
long\", and no list is long. These calls take a structure and its size, so that it can grow: copy_struct_from_user()
accepts a larger one than the kernel knows as long as the rest is zero, and says E2BIG when it is not, because the
program asks for something that this kernel has never heard of. The same for more than a page.

It surprises because the text speaks of arguments of a program. Well-made programs try again with the smaller
structure; a container image that is much newer than its host is where it shows.",
    shows_as: &[("clone3", "E2BIG"), ("openat2", "E2BIG"), ("mount_setattr", "E2BIG"), ("sched_setattr", "E2BIG"), ("perf_event_open", "E2BIG")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[Rival {
        name: "a seccomp filter",
        ruled_out_by: "no filter is installed, a kernel path was seen, or the filters let the call pass",
        stands: ids::filter_stands,
    }],
    explain,
    remedy,
    fault: Fault::Action {
        about: "gives clone3 a structure of 256 bytes whose last word is not zero",
        risk: "none: only this process is refused something",
        variants: &["clone3"],
    },
    see: &["clone(2), ERRORS of clone3: E2BIG", "include/linux/uaccess.h: copy_struct_from_user()"],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    let call = case.denied(CALLS, Errno(libc::E2BIG))?;
    // The errno itself: nothing else in these calls gives it.
    let weighed = weigh(case, DECIDERS, CALLERS, Some(true))?;
    let size = case.failure().number_arg("size").map_or_else(String::new, |n| format!(" of {n} bytes"));
    let who = &case.failure().task.comm;
    let kernel = match case.incident.host.kernel.as_str() {
        "" => "this kernel".to_string(),
        release => format!("kernel {release}"),
    };
    let sentence = format!(
        "{who} gave {call} a structure{size} that {kernel} does not know: the part past its end is not zero."
    );
    let evidence = [format!("{call} says E2BIG to nothing else{size}")];
    let knob = knob(KnobKind::Other, "kernel version", "uname -r");
    Some(weighed.proof(case, DECIDERS, sentence, knob).because(evidence))
}

fn remedy(_: &Case<'_>, _: &Proof) -> Vec<Remedy> {
    vec![
        step(
            "now",
            "run an image or a version of the program that is made for this kernel's generation",
            "programs that try again with the smaller structure work on both",
            "nothing to undo",
        ),
        step(
            "for good",
            "a newer kernel on the host",
            "containers have the host's kernel, whatever their image",
            "boot the older one",
        ),
        look("uname -r", "the kernel that the container runs on"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::ids::testing::called;
    use crate::causes::case::testing::judge_with;
    use crate::model::Confidence;

    #[test]
    fn the_errno_tells_it_alone() {
        let f = judge_with(&CAUSE, &called("clone3", libc::E2BIG, 0)).unwrap();
        assert_eq!((f.confidence, f.knob.name.as_str()), (Confidence::Proven, "kernel version"));
    }

    #[test]
    fn a_long_argument_list_is_another_matter() {
        assert!(judge_with(&CAUSE, &called("execve", libc::E2BIG, 0)).is_none());
        assert!(judge_with(&CAUSE, &called("bpf", libc::E2BIG, 0)).is_none());
        assert!(judge_with(&CAUSE, &called("clone3", libc::EINVAL, 0)).is_none());
    }
}
