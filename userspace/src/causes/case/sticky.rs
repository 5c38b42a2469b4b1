//! What other users put into a folder that all may write (/tmp), and the switches that forbid to use it.

use super::switch::Switch;
use super::{Case, Proof, remedies};
use crate::model::Remedy;

/// The walk of a path down to the check: fs/namei.c.
pub(in crate::causes) const CALLERS: &[&str] = &[
    "do_sys_openat2",
    "do_filp_open",
    "do_file_open",
    "path_openat",
    "open_last_lookups",
    "do_open",
    "walk_component",
    "link_path_walk",
    "path_lookupat",
    "filename_lookup",
];

/// Whether a switch forbids it. EACCES has many causes: unless the object was `found`, or the function itself seen, nothing
/// points here.
pub(in crate::causes) fn judge(
    case: &Case<'_>,
    switch: &Switch,
    found: bool,
    sentence: String,
) -> Option<Proof> {
    if !found && case.verdict(switch.deciders).is_none() {
        return None;
    }
    switch.judge(case, |value| value != 0, sentence)
}

pub(in crate::causes) fn remedy(switch: &Switch) -> Vec<Remedy> {
    let mut all = vec![remedies::step(
        "now",
        "chown the object to the user that opens it, or put it into a folder that is not shared",
        "no privilege needed on the host",
        "none",
    )];
    all.extend(remedies::sysctl(
        switch.name,
        "0",
        Some("1"),
        "for the whole machine; opens an old class of attacks in /tmp",
    ));
    all
}
