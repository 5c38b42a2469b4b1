//! The recipes of System V and POSIX interprocess communication: counters and limits of the task's IPC namespace.

use super::Place::{AroundInode, Caller, Task};
use super::memory::{COMMITTED, KBYTES, OVERCOMMIT, RAM, RATIO, SWAP};
use super::table::{CAPS, MEMLOCK, NOFILE, NSPROXY, Named, TOTAL_VM};
use super::{Add, Set, Step, Then};
use crate::capture::btf::Want::{Array, Int, Pointer, StructArray};
use libc::{E2BIG, EAGAIN, EINVAL, EMFILE, EMSGSIZE, ENFILE, ENOMEM, ENOSPC, EPERM, ETIMEDOUT};

const IPC_NS: Step = ("nsproxy", "ipc_ns", Pointer("ipc_namespace"));

macro_rules! ipc {
    ($name:literal, $path:literal, $want:expr) => {
        ($name, Task(&[NSPROXY, IPC_NS, ("ipc_namespace", $path, $want)], &[]))
    };
    ($name:literal, $path:literal, $want:expr, $($add:expr),+) => {
        ($name, Task(&[NSPROXY, IPC_NS, ("ipc_namespace", $path, $want)], &[$($add),+]))
    };
}

/// Semaphores, queues and segments in use (`ids[IPC_SEM_IDS]` … in ipc/util.h).
macro_rules! in_use {
    ($name:literal, $index:literal) => {
        ipc!(
            $name,
            "ids",
            StructArray("ipc_ids"),
            Add::Elements("ipc_ids", $index),
            Add::Member(("ipc_ids", "in_use", Int(4)))
        )
    };
}

/// Of the queue behind the first argument (ipc/mqueue.c `struct mqueue_inode_info`).
const fn of_queue(name: &'static str, path: &'static str) -> Named {
    (name, AroundInode(0, "mqueue_inode_info", "vfs_inode", ("mqueue_inode_info", path, Int(8))))
}

pub(super) const SETS: &[Set] = &[
    Set {
        calls: &["semget", "semop", "semtimedop", "semctl"],
        errnos: &[ENOSPC, EINVAL, E2BIG, ENOMEM],
        then: Then::Nothing,
        values: &[
            ipc!("~semmsl", "sem_ctls", Array(4)),
            ipc!("~semmns", "sem_ctls", Array(4), Add::Bytes(4)),
            ipc!("~semopm", "sem_ctls", Array(4), Add::Bytes(8)),
            ipc!("~semmni", "sem_ctls", Array(4), Add::Bytes(12)),
            ipc!("~used_sems", "used_sems", Int(4)),
            in_use!("~sets", 0),
        ],
    },
    Set {
        calls: &["shmget", "shmat", "shmctl"],
        errnos: &[ENOSPC, EINVAL, ENOMEM, EPERM],
        then: Then::Nothing,
        values: &[
            ipc!("~shmmni", "shm_ctlmni", Int(4)),
            ipc!("~shmmax", "shm_ctlmax", Int(8)),
            ipc!("~shmall", "shm_ctlall", Int(8)),
            ipc!("~shm_tot", "shm_tot", Int(8)),
            in_use!("~segments", 2),
            CAPS,
            MEMLOCK,
            TOTAL_VM,
            COMMITTED,
            RAM,
            SWAP,
            OVERCOMMIT,
            RATIO,
            KBYTES,
        ],
    },
    Set {
        calls: &["msgget", "msgsnd"],
        errnos: &[ENOSPC, EAGAIN, EINVAL, ENOMEM],
        then: Then::Nothing,
        values: &[
            ipc!("~msgmni", "msg_ctlmni", Int(4)),
            ipc!("~msgmax", "msg_ctlmax", Int(4)),
            ipc!("~msgmnb", "msg_ctlmnb", Int(4)),
            in_use!("~queues", 1),
        ],
    },
    Set {
        calls: &["mq_open"],
        errnos: &[EINVAL, EMFILE, ENOSPC, ENFILE],
        then: Then::Nothing,
        values: &[
            ipc!("~mq_queues", "mq_queues_count", Int(4)),
            ipc!("~mq_queues_max", "mq_queues_max", Int(4)),
            ipc!("~mq_msg_max", "mq_msg_max", Int(4)),
            ipc!("~mq_msgsize_max", "mq_msgsize_max", Int(4)),
            // struct mq_attr { mq_flags, mq_maxmsg, mq_msgsize, mq_curmsgs, … }
            ("~mq_maxmsg", Caller(3, 8, 8)),
            ("~mq_msgsize", Caller(3, 16, 8)),
            CAPS,
            NOFILE,
        ],
    },
    Set {
        calls: &["mq_timedsend"],
        errnos: &[EAGAIN, ETIMEDOUT, EMSGSIZE],
        then: Then::Nothing,
        values: &[
            of_queue("~mq_curmsgs", "attr.mq_curmsgs"),
            of_queue("~mq_maxmsg", "attr.mq_maxmsg"),
            of_queue("~mq_msgsize", "attr.mq_msgsize"),
        ],
    },
    Set {
        calls: &["mq_timedreceive"],
        errnos: &[EMSGSIZE],
        then: Then::Nothing,
        values: &[of_queue("mq_msgsize of the queue", "attr.mq_msgsize")],
    },
];
