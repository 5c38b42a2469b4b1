//! The search for the deciding call, one level of both trees at a time.

use super::Sureness;
use super::align;
use super::noise::{cleans_up, releases, undoes};
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
        match inside(ours, theirs, path) {
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
        if let Some(verdict) = went_aside(failed, at, path) {
            return verdict;
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
    let depth = path.len();
    if !ours.same(theirs) {
        return match inside(ours, theirs, path) {
            Verdict::Nothing => Verdict::Decider(sure_if(passes_on(failed, ours), Sureness::Medium)),
            verdict => verdict,
        };
    }
    match last_words(ours, path) {
        // It may have found nothing, or something that its caller did not like.
        Verdict::Decider(sureness) if path.len() == depth => {
            Verdict::Decider(sure_if(passes_on(failed, ours), sureness))
        }
        verdict => verdict,
    }
}

fn sure_if(so: bool, sureness: Sureness) -> Sureness {
    if so { sureness } else { Sureness::Low }
}

/// Whether what `callee` returns can be what `caller` returns: a pointer to something else is looked at first.
fn passes_on(caller: &Node, callee: &Node) -> bool {
    match (&caller.pointee, &callee.pointee) {
        (_, None) => true,
        // Walking a path gives the text of a link to follow, or an error (fs/namei.c).
        (None, Some(other)) if other == "char" => true,
        (Some(own), Some(other)) => own == other,
        (None, Some(_)) => caller.tells == Tells::Unknown,
    }
}

/// The search in a call that both made and that differs; `path` ends with it. What says yes or no, and why, is for its
/// caller to judge; and what says nothing can have decided nothing itself, but an answer may be written inside it.
fn inside(ours: &Node, theirs: &Node, path: &mut Vec<String>) -> Verdict {
    let depth = path.len();
    let verdict = search(ours, theirs, path);
    let callers = match ours.tells {
        Tells::Verdict => true,
        Tells::Nothing => path.len() == depth,
        Tells::Error | Tells::Unknown => false,
    };
    if callers && depth > 1 && matches!(verdict, Verdict::Decider(_)) {
        path.truncate(depth - 1);
        return Verdict::Decider(Sureness::Medium);
    }
    verdict
}

/// Both made the same call, and it brought the error. If the last thing it did was another call, it
/// most likely passed on what that one returned: the value belongs to the one that first produced it.
/// Where it made several calls, any of them may have brought it, or what came between them.
fn last_words(call: &Node, path: &mut Vec<String>) -> Verdict {
    let (mut at, mut sureness) = (call, Sureness::High);
    while let Some(last) = spoke_last(at) {
        let several = at.children.iter().filter(|child| may_bring(child)).count() > 1;
        let alike = passes_on(at, last);
        if at.pointee.is_some() && !alike {
            break;
        }
        sureness = sureness.min(if several || !alike { Sureness::Low } else { Sureness::Medium });
        path.push(last.name.clone());
        at = last;
    }
    Verdict::Decider(sureness)
}

/// Whether the failed call asked this for a yes or no, which the success had no need of, and then gave up: the errno
/// is its own.
fn asked_last(failed: &Node, at: usize) -> bool {
    let rest = &failed.children[at + 1..];
    failed.children[at].tells == Tells::Verdict && !rest.iter().any(may_bring)
}

/// The failed call made this, which the success did not, and then gave up: so it brought the error, if all the way down
/// one call alone can have brought it.
fn went_aside(failed: &Node, at: usize, path: &mut Vec<String>) -> Option<Verdict> {
    let (call, rest) = (&failed.children[at], &failed.children[at + 1..]);
    if call.tells != Tells::Error || rest.iter().any(may_bring) || !passes_on(failed, call) {
        return None;
    }
    let depth = path.len();
    path.push(call.name.clone());
    match last_words(call, path) {
        Verdict::Decider(sureness) if sureness > Sureness::Low => Some(Verdict::Decider(Sureness::Medium)),
        _ => {
            path.truncate(depth);
            None
        }
    }
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
    let last_work = failed.children.iter().rposition(may_bring);
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
        let detour = (our_start..our_end).find(|&i| may_bring(&failed.children[i]));
        // Unlocking and putting come between the call that failed and the return: step back over them.
        let bringer = pairs[..at].iter().rev().find(|(i, _)| may_bring(&failed.children[*i]));
        return Some(Gap { bringer: bringer.copied(), detour });
    }
    None
}

/// The success does nothing that the failed call does not; the failed call does more.
fn does_more(failed: &Node, pairs: &[(usize, usize)], path: &mut Vec<String>) -> Verdict {
    let extra = |i: &usize| !pairs.iter().any(|pair| pair.0 == *i);
    let work = |i: &usize| may_bring(&failed.children[*i]);
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
    let bringer = (0..first).rev().map(|i| &failed.children[i]).find(|child| may_bring(child));
    let Some(bringer) = bringer.filter(|_| !failed.hole) else { return Verdict::Nothing };
    if undoes(&failed.children[first].name, &bringer.name) {
        // What is undone had been done: the caller did not like it.
        return Verdict::Decider(Sureness::Medium);
    }
    path.push(bringer.name.clone());
    match last_words(bringer, path) {
        Verdict::Decider(_) => Verdict::Decider(Sureness::Low),
        verdict => verdict,
    }
}
