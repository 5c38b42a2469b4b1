//! The search for the deciding call, one level of both trees at a time.

use super::Sureness;
use super::align;
use super::noise::{cleans_up, releases};
use super::tree::{Node, Tells};

/// What one level and all below it tell.
pub(super) enum Verdict {
    /// The path ends with the decider.
    Decider(Sureness),
    /// The error came from below the end of the path, but from where cannot be told.
    Unknown(String),
    /// Nothing at or below this level says that the failed call gave up.
    Nothing,
}

/// Where the failed call gives up at one level.
struct Gap {
    /// The pair before it, which brought the error; `None` when the caller decided by itself.
    bringer: Option<(usize, usize)>,
    /// The first call that only the failed one makes there and that is no clean-up.
    detour: Option<usize>,
}

/// `path` ends with the name of both nodes; it is extended down to the decider.
pub(super) fn search(failed: &Node, success: &Node, path: &mut Vec<String>) -> Verdict {
    let pairs = align::pairs(&failed.children, &success.children);
    if let Some(gap) = gives_up(failed, success, &pairs) {
        if failed.hole || success.hole {
            return Verdict::Unknown(format!("events were lost inside {}", failed.name));
        }
        return below(failed, success, &gap, path);
    }
    // Nothing is missing here: the error came from below and the caller passed it on. What fails ends the
    // work, so the last call that gives up is it; those before it only differ.
    for (i, j) in pairs.iter().rev().copied() {
        let (ours, theirs) = (&failed.children[i], &success.children[j]);
        if ours.same(theirs) || releases(&ours.name) {
            continue;
        }
        path.push(ours.name.clone());
        match search(ours, theirs, path) {
            Verdict::Nothing => drop(path.pop()),
            verdict => return verdict,
        }
    }
    does_more(failed, &pairs, path)
}

/// The failed call gave up after `gap.bringer`.
fn below(failed: &Node, success: &Node, gap: &Gap, path: &mut Vec<String>) -> Verdict {
    if let Some(at) = gap.detour {
        if asked_last(failed, at) {
            return Verdict::Decider(Sureness::Medium);
        }
        let (name, own) = (&failed.children[at].name, &failed.name);
        return Verdict::Unknown(format!(
            "the failed call went through {name} in {own}, which the successful one did not: \
             not comparable there"
        ));
    }
    let Some((i, j)) = gap.bringer else {
        // Decided before calling anything: the check is inlined.
        return Verdict::Decider(Sureness::Medium);
    };
    let (ours, theirs) = (&failed.children[i], &success.children[j]);
    if ours.tells == Tells::Verdict {
        // It said yes or no: the errno is the caller's own.
        return Verdict::Decider(Sureness::Medium);
    }
    path.push(ours.name.clone());
    if ours.same(theirs) {
        return last_words(ours, path);
    }
    match search(ours, theirs, path) {
        Verdict::Nothing => Verdict::Decider(Sureness::Medium),
        verdict => verdict,
    }
}

/// Both made the same call, and it brought the error. If the last thing it did was another call, it
/// most likely passed on what that one returned: the value belongs to the one that first produced it.
fn last_words(call: &Node, path: &mut Vec<String>) -> Verdict {
    let mut at = call;
    while let Some(last) = spoke_last(at) {
        path.push(last.name.clone());
        at = last;
    }
    Verdict::Decider(if at.size == call.size { Sureness::High } else { Sureness::Low })
}

/// Whether the failed call asked this for a yes or no, which the success had no need of, and then gave up: the errno
/// is its own.
fn asked_last(failed: &Node, at: usize) -> bool {
    let rest = &failed.children[at + 1..];
    failed.children[at].tells == Tells::Verdict && !rest.iter().any(may_bring)
}

/// The last call that may have brought an error, unless clean-up or a yes-or-no came after it.
fn spoke_last(call: &Node) -> Option<&Node> {
    let last = call.children.iter().rev().find(|child| child.tells != Tells::Nothing)?;
    (last.tells != Tells::Verdict && !cleans_up(&last.name)).then_some(last)
}

/// Whether this can have brought the error.
fn may_bring(call: &Node) -> bool {
    call.tells != Tells::Nothing && !cleans_up(&call.name)
}

/// The first place after which the success does work and the failed call nothing but clean up.
fn gives_up(failed: &Node, success: &Node, pairs: &[(usize, usize)]) -> Option<Gap> {
    // From here on the failed call's own calls, paired or not, are all clean-up.
    let last_work = failed.children.iter().rposition(|child| !cleans_up(&child.name));
    for at in 0..=pairs.len() {
        let from =
            |side: fn(&(usize, usize)) -> usize| at.checked_sub(1).map_or(0, |at| side(&pairs[at]) + 1);
        let (our_start, their_start) = (from(|pair| pair.0), from(|pair| pair.1));
        let (our_end, their_end) =
            pairs.get(at).copied().unwrap_or((failed.children.len(), success.children.len()));
        if !success.children[their_start..their_end].iter().any(|child| !releases(&child.name)) {
            continue;
        }
        if last_work.is_some_and(|last| last >= our_end) {
            continue;
        }
        let detour = (our_start..our_end).find(|&i| !cleans_up(&failed.children[i].name));
        // Unlocking and putting come between the call that failed and the return: step back over them.
        let bringer = pairs[..at].iter().rev().find(|(i, _)| may_bring(&failed.children[*i]));
        return Some(Gap { bringer: bringer.copied(), detour });
    }
    None
}

/// The success does nothing that the failed call does not; the failed call does more.
fn does_more(failed: &Node, pairs: &[(usize, usize)], path: &mut Vec<String>) -> Verdict {
    let paired = |i: usize| pairs.iter().any(|pair| pair.0 == i);
    let extra = |i: &usize| !paired(*i);
    let work = |i: &usize| !cleans_up(&failed.children[*i].name);
    if let Some(more) = (0..failed.children.len()).filter(extra).find(work) {
        if asked_last(failed, more) {
            return Verdict::Decider(Sureness::Medium);
        }
        let (name, own) = (&failed.children[more].name, &failed.name);
        return Verdict::Unknown(format!(
            "the failed call made a further {name} in {own}, which the successful one did not: \
             not comparable there"
        ));
    }
    let Some(first) = (0..failed.children.len()).find(extra) else { return Verdict::Nothing };
    let bringer = (0..first).rev().find(work).map(|i| &failed.children[i]);
    let Some(bringer) = bringer.filter(|_| !failed.hole) else { return Verdict::Nothing };
    path.push(bringer.name.clone());
    match last_words(bringer, path) {
        Verdict::Decider(_) => Verdict::Decider(Sureness::Low),
        verdict => verdict,
    }
}
