//! A user may not have more kernel keys: the disk quota that is none.

use super::case::{ceiling::Ceiling, remedies, switch::FILTER};
use super::{Case, Cause, Fault, Proof};
use crate::limits::keys::{MAXBYTES, MAXKEYS, ROOT_MAXBYTES, ROOT_MAXKEYS};
use crate::model::{Confidence, Errno, Remedy};

/// A limit, the calls and the errno it shows itself as, and its words behind the number.
struct Row {
    ceiling: Ceiling,
    calls: &'static [&'static str],
    errno: Errno,
    words: &'static str,
}

const ROWS: &[Row] = &[
    Row {
        ceiling: Ceiling {
            limit: &MAXKEYS,
            deciders: &["key_alloc"],
            callers: &[
                "keyring_alloc",
                "join_session_keyring",
                "key_create_or_update",
                "__key_create_or_update",
                "keyctl_join_session_keyring",
                "install_session_keyring_to_cred",
                "construct_alloc_key",
                "request_key_and_link",
                "lookup_user_key",
            ],
        },
        calls: &["add_key", "request_key", "keyctl"],
        errno: Errno::EDQUOT,
        words: "keys belong to the user",
    },
    Row {
        ceiling: Ceiling {
            limit: &MAXBYTES,
            deciders: &["key_alloc", "key_payload_reserve"],
            callers: &[
                "keyring_alloc",
                "join_session_keyring",
                "key_create_or_update",
                "__key_create_or_update",
                "__key_instantiate_and_link",
                "generic_key_instantiate",
                "user_update",
                "keyctl_update_key",
                "__key_link_begin",
            ],
        },
        calls: &["add_key", "request_key", "keyctl"],
        errno: Errno::EDQUOT,
        words: "bytes are in the keys of the user",
    },
    Row {
        ceiling: Ceiling {
            limit: &ROOT_MAXKEYS,
            deciders: &["key_alloc"],
            callers: &[
                "keyring_alloc",
                "join_session_keyring",
                "key_create_or_update",
                "__key_create_or_update",
                "construct_alloc_key",
            ],
        },
        calls: &["add_key", "request_key", "keyctl"],
        errno: Errno::EDQUOT,
        words: "keys belong to root",
    },
    Row {
        ceiling: Ceiling {
            limit: &ROOT_MAXBYTES,
            deciders: &["key_alloc", "key_payload_reserve"],
            callers: &[
                "keyring_alloc",
                "join_session_keyring",
                "key_create_or_update",
                "__key_create_or_update",
                "__key_instantiate_and_link",
            ],
        },
        calls: &["add_key", "request_key", "keyctl"],
        errno: Errno::EDQUOT,
        words: "bytes are in the keys of root",
    },
];

pub(super) static CAUSE: Cause = Cause {
    slug: "keys-quota",
    title: "a user may not have more kernel keys (kernel.keys.*)",
    about: "\
docker run fails with \"unable to join session keyring: unable to create session key: disk quota exceeded\", or add_key(2),
request_key(2) and keyctl(2) with EDQUOT, \"Disk quota exceeded\"; no disk has a quota. runc makes a keyring for each container
that starts. key_alloc() in security/keys/key.c counts keys and their bytes per user of the whole machine: kernel.keys.maxkeys
(200) and maxbytes for ordinary users, root_maxkeys and root_maxbytes for root, different numbers.

It surprises because keys of dead containers stay until their last user is gone, because user namespaces count for the user
outside, and because raising the numbers for one kind of user does nothing for the other.",
    shows_as: &[("keyctl", "EDQUOT"), ("add_key", "EDQUOT"), ("request_key", "EDQUOT")],
    deciders: &["key_alloc", "key_payload_reserve"],
    reads: &[&MAXBYTES, &MAXKEYS, &ROOT_MAXBYTES, &ROOT_MAXKEYS],
    rivals: &[FILTER],
    explain,
    remedy,
    fault: Fault::None("the limit is the machine's: lowering it would refuse other programs, too"),
    see: &[
        "keyrings(7), /proc/key-users",
        "security/keys/key.c: key_alloc(), key_payload_reserve()",
        "https://github.com/opencontainers/runc/issues/726",
        "https://github.com/moby/moby/issues/22865",
    ],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    let (_, errno) = case.failure().syscall()?;
    let mine = ROWS.iter().filter(|row| row.errno == errno && case.denied(row.calls, errno).is_some());
    // The one that a reading convicts; where there is none, what is left of them.
    let root = case.value("fsuid").unwrap_or(u64::from(case.failure().task.uid)) == 0;
    let known = |row: &Row| case.reading(row.ceiling.limit).is_some();
    let mine = mine.filter(|row| known(row) || row.ceiling.limit.id.contains("root_") == root);
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

fn remedy(_: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let limit = CAUSE.reads.iter().find(|l| l.id == proof.knob.name).copied().unwrap_or(&MAXKEYS);
    let mut all = remedies::double(
        limit,
        proof,
        "for all users of this kind, at once; each key takes about 1 KiB of kernel memory",
    );
    all.push(remedies::look(
        "cat /proc/key-users; cat /proc/keys | awk '{print $8}' | sort | uniq -c",
        "whose keys they are; _ses.… are containers'",
    ));
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{judge_with, over, valued};
    use crate::model::Reading;

    fn judged(call: &str, errno: Errno, reading: Reading) -> Option<Confidence> {
        // Readings of the others show room, as the probe reads them all.
        let mut readings: Vec<Reading> =
            CAUSE.reads.iter().map(|limit| over(limit, 0, u64::MAX, 1)).collect();
        readings.retain(|r| r.limit != reading.limit);
        readings.push(reading);
        judge_with(&CAUSE, &valued(call, errno, &[], &[], readings)).map(|f| f.confidence)
    }

    #[test]
    fn each_overflow_is_proven() {
        assert_eq!(judged("add_key", Errno::EDQUOT, over(&MAXKEYS, 200, 200, 1)), Some(Confidence::Proven));
        assert_eq!(
            judged("keyctl", Errno::EDQUOT, over(&MAXBYTES, 19990, 20000, 20)),
            Some(Confidence::Proven)
        );
        assert_eq!(judged("add_key", Errno::EDQUOT, over(&ROOT_MAXKEYS, 4, 4, 1)), Some(Confidence::Proven));
    }

    #[test]
    fn room_or_another_errno_is_not_claimed() {
        assert_eq!(judged("add_key", Errno::EDQUOT, over(&MAXKEYS, 3, 200, 1)), None);
        assert_eq!(judged("write", Errno::EDQUOT, over(&MAXKEYS, 200, 200, 1)), None);
    }
}
