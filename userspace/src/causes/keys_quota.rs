//! A user may not have more kernel keys: the disk quota that is none.

use super::case::{
    ceiling::Ceiling,
    remedies,
    several::{self, Row},
    switch::FILTER,
};
use super::{Case, Cause, Fault, Proof};
use crate::limits::keys::{MAXBYTES, MAXKEYS, ROOT_MAXBYTES, ROOT_MAXKEYS};
use crate::model::{Errno, Remedy};

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
    // Root has numbers of its own: those of the other kind count only where they were read.
    let root = case.value("fsuid").unwrap_or(u64::from(case.failure().task.uid)) == 0;
    let known = |row: &Row| case.reading(row.ceiling.limit).is_some();
    let own = |row: &&Row| known(row) || row.ceiling.limit.id.contains("root_") == root;
    several::convict(case, ROWS.iter().filter(own))
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
    use crate::causes::case::testing::{judge_alone, over};
    use crate::model::{Confidence, Reading};

    fn judged(call: &str, errno: Errno, reading: Reading) -> Option<Confidence> {
        judge_alone(&CAUSE, call, errno, reading)
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
