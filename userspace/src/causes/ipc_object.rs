//! A System V or POSIX object of that name is not there, or is there already.

use super::case::claim::{self, cite_state, knob, look, step};
use super::case::switch::FILTER;
use super::{Case, Cause, Fault, Proof};
use crate::limits::ipc::MSGMAX;
use crate::model::{Confidence, Errno, KnobKind, Reading, Remedy};

const EIDRM: Errno = Errno(libc::EIDRM);
const DECIDERS: &[&str] = &[
    "ipcget",
    "ipcget_public",
    "ipc_obtain_object_check",
    "shm_obtain_object_check",
    "sem_obtain_object_check",
    "msq_obtain_object_check",
    "do_mq_open",
    "prepare_open",
];
const CALLERS: &[&str] = &[
    "ksys_shmget",
    "ksys_semget",
    "ksys_msgget",
    "do_shmat",
    "do_msgsnd",
    "do_msgrcv",
    "do_semtimedop",
    "__do_semtimedop",
    "ksys_semctl",
    "ksys_shmctl",
    "ksys_msgctl",
    "__x64_sys_shmget",
    "__x64_sys_semget",
    "__x64_sys_msgget",
    "__x64_sys_shmat",
    "__x64_sys_semop",
    "__x64_sys_semtimedop",
    "__x64_sys_msgsnd",
    "__x64_sys_msgrcv",
    "__x64_sys_mq_open",
    "__do_sys_mq_open",
];
/// What the sampler found of it in /proc/sysvipc.
const OBJECT: &str = "ipc object";

/// Calls that look for a key, calls that use a number, and what their objects are called, with ipcs(1)'s letter.
struct Kind {
    get: &'static str,
    uses: &'static [&'static str],
    id: &'static str,
    name: &'static str,
    letter: char,
}

const KINDS: &[Kind] = &[
    Kind {
        get: "shmget",
        uses: &["shmat", "shmctl"],
        id: "shmid",
        name: "shared memory segment",
        letter: 'm',
    },
    Kind {
        get: "semget",
        uses: &["semop", "semtimedop", "semctl"],
        id: "semid",
        name: "set of semaphores",
        letter: 's',
    },
    Kind {
        get: "msgget",
        uses: &["msgsnd", "msgrcv", "msgctl"],
        id: "msqid",
        name: "message queue",
        letter: 'q',
    },
];

pub(super) static CAUSE: Cause = Cause {
    slug: "ipc-object",
    title: "the System V or POSIX object is not there, or is there already",
    about: "\
shmget(2), semget(2), msgget(2) and mq_open(3) fail with ENOENT, \"No such file or directory\", where nothing with this key or name \
exists and the call did not ask to make it (IPC_CREAT, O_CREAT); and with EEXIST, \"File exists\", where something does and the call \
wanted to be the one that makes it (IPC_EXCL, O_EXCL). No file is involved. shmat(2), msgsnd(2), msgrcv(2), semop(2) and their kin say \
EINVAL, \"Invalid argument\", of a number that stands for nothing any more, and EIDRM, \"Identifier removed\", when that happened while \
they waited.

Each IPC namespace has objects of its own, so that two containers, or a container and the host, do not meet unless they share it \
(docker run --ipc container:NAME, hostIPC; containers of one pod share it). Objects outlive their processes: one that was killed leaves \
them behind, and its next start meets EEXIST. And RemoveIPC=yes of systemd-logind removes those of a user whose last session ends: \
PostgreSQL on a host dies of that with \"could not open shared memory segment\" and EIDRM.",
    shows_as: &[
        ("shmget", "ENOENT"),
        ("shmget", "EEXIST"),
        ("semget", "ENOENT"),
        ("semget", "EEXIST"),
        ("msgget", "ENOENT"),
        ("msgget", "EEXIST"),
        ("mq_open", "ENOENT"),
        ("mq_open", "EEXIST"),
        ("mq_open", "EACCES"),
        ("shmat", "EINVAL"),
        ("semop", "EINVAL"),
        ("semop", "EIDRM"),
        ("semtimedop", "EIDRM"),
        ("msgsnd", "EINVAL"),
        ("msgrcv", "EINVAL"),
        ("msgrcv", "EIDRM"),
    ],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[FILTER],
    explain,
    remedy,
    fault: Fault::Action {
        about: "looks for an object that is not there, makes one that is, uses one that was removed",
        risk: "none: it happens in an IPC namespace of its own",
        variants: &["missing", "exists", "removed", "queue-missing", "queue-exists", "queue-name"],
    },
    see: &[
        "sysvipc(7), shmget(2), semop(2), msgop(2), mq_open(3), ipc_namespaces(7)",
        "ipc/util.c: ipcget_public(), ipc_obtain_object_check(); ipc/mqueue.c: prepare_open()",
    ],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    let (call, errno) = case.failure().syscall()?;
    if call == "mq_open" {
        return queue(case, errno);
    }
    let kind = KINDS.iter().find(|kind| kind.get == call || kind.uses.contains(&call))?;
    let seen = case.state(OBJECT).map(|object| object.value != "none");
    let number = |name: &str| case.failure().number_arg(name);
    let who = &case.failure().task.comm;
    let (name, state, sentence, path) = if kind.get == call {
        let key = number("key").filter(|key| *key != 0)? as u32;
        let with = format!("{} with the key {key:#010x}", kind.name);
        match errno {
            // ipcget_public() has one way to each; what is seen later may have come or gone since.
            Errno::ENOENT => (
                "missing",
                Some(true),
                format!("There is no {with}, and {who} did not ask to make one."),
                key,
            ),
            Errno::EEXIST => (
                "exists",
                Some(true),
                format!("A {with} is there already, and {who} wanted to be the one to make it."),
                key,
            ),
            _ => return None,
        }
    } else {
        let id = number(kind.id)? as u32;
        let gone = || {
            format!(
                "The {} {} that {who} uses was removed, or is of another IPC namespace.",
                kind.name, id as i32
            )
        };
        match errno {
            EIDRM => ("missing", Some(true), gone(), id),
            // The number is one of several things that may be wrong.
            Errno::EINVAL if seen == Some(false) && !too_long(case) => ("missing", Some(true), gone(), id),
            _ => return None,
        }
    };
    let weighed = claim::weigh(case, DECIDERS, CALLERS, state)?;
    // Programs tidy up behind a failure: what is not there later may have been there.
    let seen_no = case.verdict(DECIDERS).is_some();
    let most = if errno == Errno::EINVAL && !seen_no { Confidence::Likely } else { Confidence::Proven };
    let path = if kind.get == call { format!("{path:#010x}") } else { format!("{}", path as i32) };
    let object = format!("{name} {}", kind.letter);
    Some(
        weighed
            .proof(case, DECIDERS, sentence, knob(KnobKind::Other, &object, path))
            .because(cite_state(case, OBJECT))
            .at_most(most, "that it was gone before the call, not only after it"),
    )
}

/// msgsnd(2) of more than kernel.msgmax, which has the same errno.
fn too_long(case: &Case<'_>) -> bool {
    case.reading(&MSGMAX).and_then(Reading::exceeded) == Some(true)
}

/// mq_open(2): a file of the mqueue file system of the namespace.
fn queue(case: &Case<'_>, errno: Errno) -> Option<Proof> {
    let name = case.failure().text_arg("name")?;
    let who = &case.failure().task.comm;
    let (object, sentence, sure) = match errno {
        Errno::ENOENT if name.is_empty() => return None,
        Errno::ENOENT => (
            "missing queue",
            format!("There is no message queue {name}, and {who} did not ask to make one."),
            true,
        ),
        Errno::EEXIST => (
            "exists queue",
            format!("A message queue {name} is there already, and {who} wanted to be the one to make it."),
            true,
        ),
        // lookup_one_len() takes no name with a slash in it; the C library has taken away the first.
        Errno::EACCES if name.contains('/') => (
            "name queue",
            format!("{name:?} is no name of a message queue: there is a slash in it beside the first."),
            true,
        ),
        Errno::EACCES => (
            "rights queue",
            format!(
                "The message queue {name} is another user's, and its mode does not let {who} open it so."
            ),
            false,
        ),
        _ => return None,
    };
    let weighed = claim::weigh(case, DECIDERS, CALLERS, sure.then_some(true))?;
    let mut proof = weighed.proof(case, DECIDERS, sentence, knob(KnobKind::Other, object, name));
    if !sure {
        proof.confidence = Confidence::Likely;
        proof.missing =
            vec!["its mode and owner: ls -l in a mount of the mqueue file system shows them".into()];
    }
    Some(proof)
}

fn remedy(case: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let (pid, path) = (case.failure().task.pid, proof.knob.path.as_str());
    let (what, kind) = proof.knob.name.split_once(' ').unwrap_or(("missing", "queue"));
    if what == "name" {
        return vec![step(
            "now",
            "name it /something, with no other slash",
            "mq_overview(7): queues have no folders",
            "none needed",
        )];
    }
    let queue = kind == "queue";
    let list = if queue {
        format!("nsenter -t {pid} -m -i ls -l /dev/mqueue")
    } else {
        format!("nsenter -t {pid} -i ipcs -{kind}; nsenter -t {pid} -i ipcs -{kind} -p")
    };
    let mut out = vec![look(list, "the objects of its IPC namespace, with owner and maker")];
    if what == "exists" {
        let by_key = kind.to_uppercase();
        let command = if queue {
            format!("nsenter -t {pid} -m -i rm /dev/mqueue/{}", path.trim_start_matches('/'))
        } else {
            format!("nsenter -t {pid} -i ipcrm -{by_key} {path}")
        };
        out.push(step(
            "now",
            command,
            "where nobody uses it any more: its program makes it anew",
            "cannot be undone: what it holds is lost",
        ));
        out.push(step(
            "for good",
            "docker run --ipc private …",
            "an IPC namespace of its own, whose objects go with the container",
            "docker run --ipc host",
        ));
    } else {
        out.push(step(
            "for good",
            "docker run --ipc container:OTHER … (in Kubernetes: both in one pod)",
            "both see the objects of one namespace; who makes them has to start first",
            "start it without the option",
        ));
        out.push(step(
            "for good",
            "RemoveIPC=no in /etc/systemd/logind.conf; systemctl restart systemd-logind",
            "on a host: a user's objects stay when the last session ends; system users (uid below 1000) are exempt anyway",
            "RemoveIPC=yes",
        ));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{judge_with, over, set_args, state, valued};

    fn judged(call: &str, errno: i32, args: &[(&str, u64)], seen: &str) -> Option<(Confidence, String)> {
        let mut i = valued(call, Errno(errno), args, &[], vec![]);
        if !seen.is_empty() {
            i.facts.push(state(OBJECT, "key 0x00007357", seen));
        }
        judge_with(&CAUSE, &i).map(|f| (f.confidence, f.sentence))
    }

    #[test]
    fn keys_that_are_there_or_not() {
        let (confidence, sentence) = judged("shmget", libc::ENOENT, &[("key", 0x7357)], "none").unwrap();
        assert_eq!(confidence, Confidence::Proven);
        assert!(
            sentence.starts_with("There is no shared memory segment with the key 0x00007357"),
            "{sentence}"
        );
        assert!(judged("semget", libc::EEXIST, &[("key", 7)], "").unwrap().1.contains("there already"));
        assert_eq!(judged("shmget", libc::ENOENT, &[("key", 0)], ""), None, "IPC_PRIVATE");
        assert_eq!(judged("shmget", libc::ENOSPC, &[("key", 7)], ""), None);
    }

    #[test]
    fn a_number_that_stands_for_nothing_any_more() {
        assert!(judged("semop", libc::EIDRM, &[("semid", 5)], "").unwrap().1.contains("5"));
        assert_eq!(
            judged("shmat", libc::EINVAL, &[("shmid", 5)], "none").map(|t| t.0),
            Some(Confidence::Likely)
        );
        assert_eq!(judged("shmat", libc::EINVAL, &[("shmid", 5)], "shmid 5: perms 600"), None, "it is there");
        assert_eq!(judged("shmat", libc::EINVAL, &[("shmid", 5)], ""), None, "nobody looked");
    }

    #[test]
    fn a_message_that_is_too_long_is_another_cause() {
        let sent = |size: u64| {
            let mut i =
                valued("msgsnd", Errno::EINVAL, &[("msqid", 5)], &[], vec![over(&MSGMAX, 0, 8192, size)]);
            i.facts.push(state(OBJECT, "id 5", "none"));
            judge_with(&CAUSE, &i).map(|f| f.confidence)
        };
        assert_eq!((sent(10), sent(9000)), (Some(Confidence::Likely), None));
    }

    #[test]
    fn posix_queues_by_name() {
        let queue = |name: &str, errno: i32| {
            let mut i = valued("mq_open", Errno(errno), &[], &[], vec![]);
            set_args(&mut i, &[("name", name)], &[]);
            judge_with(&CAUSE, &i).map(|f| (f.confidence, f.knob.name))
        };
        assert_eq!(queue("jobs", libc::ENOENT), Some((Confidence::Proven, "missing queue".into())));
        assert_eq!(queue("jobs", libc::EEXIST), Some((Confidence::Proven, "exists queue".into())));
        assert_eq!(queue("a/b", libc::EACCES), Some((Confidence::Proven, "name queue".into())));
        assert_eq!(queue("jobs", libc::EACCES), Some((Confidence::Likely, "rights queue".into())));
        assert_eq!(queue("jobs", libc::EINVAL), None);
    }
}
