//! From the captured graph to the path and its decider: the ladder of DESIGN §4.3, rung by rung.

use super::{
    DeciderMethod, Options,
    decider::{self, ByReturn, Sureness},
};
use crate::causes;
use crate::model::{FailureKind, GraphEvidence, Incident, Path, base_name};

/// The kernel path of an incident; `None` when nothing was captured.
pub(super) fn of(incident: &Incident, options: Options) -> Option<Path> {
    let evidence = incident.graph.as_ref()?;
    let seen = returned(incident, evidence, options);
    let mut path = by_return_value(evidence, &seen)
        .or_else(|| by_difference(incident, evidence, options))
        .or_else(|| by_catalogue(incident, evidence, options))
        .unwrap_or_else(|| bare(evidence));
    path.returns = seen.returns;
    Some(path)
}

/// What functions returned, as far as that was recorded and is wanted.
fn returned(incident: &Incident, evidence: &GraphEvidence, options: Options) -> ByReturn {
    let wanted = options.decider != Some(DeciderMethod::Difference);
    if !wanted {
        return ByReturn::default();
    }
    let seen = match &incident.failure.kind {
        FailureKind::Netlink(request) => decider::by_answer(evidence, request.errno),
        _ => incident.failure.syscall().and_then(|(_, errno)| decider::by_return_value(evidence, errno)),
    };
    seen.unwrap_or_default()
}

fn by_return_value(evidence: &GraphEvidence, seen: &ByReturn) -> Option<Path> {
    // Which rung it stood on, where it is not the one that the whole capture stands on.
    let again = evidence.probes.as_ref().map(|way| format!("{way} on its path, when it was refused again"));
    let notes: Vec<String> = again.into_iter().chain(seen.note.clone()).collect();
    Some(Path {
        functions: seen.path.clone(),
        decider: Some(seen.decider.clone()?),
        decider_method: Some("return-value".into()),
        note: (!notes.is_empty()).then(|| notes.join("; ")),
        ..Path::default()
    })
}

/// A difference that is not sure is told as a hint, not as the decider: a wrong name costs more than none.
fn by_difference(incident: &Incident, evidence: &GraphEvidence, options: Options) -> Option<Path> {
    if options.decider == Some(DeciderMethod::ReturnValue) {
        return None;
    }
    let found = decider::by_difference(&evidence.failed, &evidence.succeeded, &evidence.types);
    let name = found.decider?;
    let fits = decider::can_come(&found.path, incident.failure.label().1);
    let sureness = found.sureness.filter(|_| fits).unwrap_or(Sureness::Low);
    let mut notes = found.notes;
    if sureness == Sureness::Low {
        notes.insert(0, format!("possibly decided in {name}"));
        return Some(Path {
            functions: found.path,
            decider: None,
            decider_method: None,
            note: Some(notes.join("; ")),
            ..Path::default()
        });
    }
    Some(Path {
        functions: found.path,
        decider: Some(name),
        decider_method: Some("difference".into()),
        note: (!notes.is_empty()).then(|| notes.join("; ")),
        ..Path::default()
    })
}

/// The deepest function on the failing path that some cause names as its decider.
fn by_catalogue(incident: &Incident, evidence: &GraphEvidence, options: Options) -> Option<Path> {
    if options.no_catalogue || options.decider.is_some() {
        return None;
    }
    // A function that refuses one call may well be passed by another: only what fits this failure counts.
    let known = |name: &str| match incident.failure.syscall() {
        Some((call, errno)) => causes::decides(name, call, &errno.name()),
        None => causes::by_decider(name).is_some(),
    };
    let mut deepest: Option<Vec<String>> = None;
    let mut stack = vec![(&evidence.failed.root, vec![evidence.failed.root.name.clone()])];
    while let Some((call, trail)) = stack.pop() {
        let deeper = deepest.as_ref().is_none_or(|d| trail.len() > d.len());
        if deeper && known(base_name(&call.name)) {
            deepest = Some(trail.clone());
        }
        for child in &call.children {
            let mut longer = trail.clone();
            longer.push(child.name.clone());
            stack.push((child, longer));
        }
    }
    let functions = deepest?;
    Some(Path {
        decider: functions.last().cloned(),
        functions,
        decider_method: Some("catalogue".into()),
        note: Some("the path holds this function; that it decided was not seen".into()),
        ..Path::default()
    })
}

/// Nothing names a decider: the deepest way down, which is where the error came back up.
fn bare(evidence: &GraphEvidence) -> Path {
    let note = if evidence.succeeded.is_empty() {
        "no comparable call succeeded while diag was watching, so nothing to hold this one against"
    } else {
        "the calls that succeeded do not differ from this one in a way that names a decider"
    };
    let functions = decider::deepest_path(&evidence.failed);
    Path { functions, note: Some(note.into()), ..Path::default() }
}
