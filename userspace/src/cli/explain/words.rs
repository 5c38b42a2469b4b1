//! What is said where no failure can be shown: how far that holds.

use crate::{
    model::{Ended, Errno, Explained, Explanation, FailureKind, Host, Killer},
    render,
};

/// In a command that went well: a process that another one ended, which is how scripts stop their helpers; a cgroup
/// that was not empty yet, and a task that had ended before it was moved, which engines meet and try again.
pub(super) fn is_housekeeping(e: &Explained) -> bool {
    let failure = &e.incident.failure;
    let again = failure.syscall().is_some_and(|(call, errno)| {
        matches!(call, "rmdir" | "unlinkat") && errno == Errno::EBUSY
            || call == "write" && errno == Errno(libc::ESRCH)
    });
    again
        || matches!(
            &failure.kind,
            FailureKind::Killed { by: Killer::Process { .. } | Killer::Init { .. }, .. }
        )
}

/// The answer when the kernel refused nothing: that the words the user saw were somebody else's.
pub(super) fn nothing(e: &Explanation, ended: Option<Ended>) -> String {
    let lost = match e.loss.events_dropped {
        0 => "nothing was lost on the way".to_string(),
        n => format!("but {n} events were lost, so this is no proof"),
    };
    match (ended, &e.container) {
        (Some(Ended::Code(0)), _) => {
            format!("The command succeeded, and the kernel refused it nothing worth a word; {lost}.\n")
        }
        (Some(ended), _) if e.incidents.is_empty() => format!(
            "The command failed ({}), but no system call of it or its children returned an error; {lost}. {} What it \
             said, if anything, is its own.\n",
            words(ended),
            beside(&e.host)
        ),
        (Some(ended), _) => {
            let mut out = format!(
                "The command failed ({}). The kernel refused it nothing but names that are not there; {lost}. The last \
                 of them:\n",
                words(ended)
            );
            for incident in e.incidents.iter().take(5) {
                out += &format!("  {}\n", render::text::line(incident));
            }
            out
        }
        (None, Some(c)) => {
            format!(
                "{} ({}) is known, and no kernel refusal of it is on record; {lost}.\n",
                c.label(),
                c.engine
            )
        }
        (None, None) => format!("No failure is on record; {lost}.\n"),
    }
}

/// What can fail without a system call, and whether it was seen: "no system call failed" says no more than this.
fn beside(host: &Host) -> String {
    let state = &host.capture;
    let ways = [("kills", &state.kills), ("io_uring", &state.io_uring), ("netlink answers", &state.netlink)];
    let names = |seen: bool| {
        let of: Vec<&str> = ways.iter().filter(|(_, a)| a.is_yes() == seen).map(|(name, _)| *name).collect();
        match of.as_slice() {
            [first @ .., last] if !first.is_empty() => format!("{} and {last}", first.join(", ")),
            few => few.concat(),
        }
    };
    match (names(true).as_str(), names(false).as_str()) {
        ("", unseen) => format!("Not watched: {unseen}."),
        (seen, "") => format!("Watched too, without a failure: {seen}."),
        (seen, unseen) => format!("Watched too, without a failure: {seen}. Not watched: {unseen}."),
    }
}

fn words(ended: Ended) -> String {
    match ended {
        Ended::Code(code) => format!("exit code {code}"),
        Ended::Signal(signal) => format!("killed by signal {signal}"),
    }
}
