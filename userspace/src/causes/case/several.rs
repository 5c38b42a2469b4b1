//! Causes that are one of several numbers of a kind: each shows itself as its own calls and errno, and which one it was is
//! for the readings to say.

use super::ceiling::Ceiling;
use super::{Case, Proof};
use crate::model::{Confidence, Errno};

/// A limit, the calls and the errno it shows itself as, and its words behind the number.
pub(in crate::causes) struct Row {
    pub(in crate::causes) ceiling: Ceiling,
    pub(in crate::causes) calls: &'static [&'static str],
    pub(in crate::causes) errno: Errno,
    pub(in crate::causes) words: &'static str,
}

/// The one of these that a reading convicts; where there is none, what is left of them.
pub(in crate::causes) fn convict(
    case: &Case<'_>,
    rows: impl IntoIterator<Item = &'static Row>,
) -> Option<Proof> {
    let (_, errno) = case.failure().syscall()?;
    let mine = rows.into_iter().filter(|row| row.errno == errno && case.denied(row.calls, errno).is_some());
    let mut judged: Vec<_> = mine.filter_map(|row| Some((row, row.ceiling.judge(case)?))).collect();
    judged.sort_by_key(|(_, judged)| std::cmp::Reverse(judged.confidence));
    let alone = judged.len() == 1;
    let (row, judged) = judged.into_iter().next()?;
    let (used, most) = judged.numbers();
    let limit = row.ceiling.limit;
    let sentence = match judged.reached {
        Some(_) => format!("{used} {}, and {} allows {most}.", row.words, limit.id),
        None => format!("{} may be used up.", limit.id),
    };
    let mut proof = judged.proof(case, &row.ceiling, sentence);
    if !alone && proof.limit.is_none() {
        proof.confidence = proof.confidence.min(Confidence::Possible);
    }
    Some(proof)
}
