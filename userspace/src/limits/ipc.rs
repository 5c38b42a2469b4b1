//! Limits on System V and POSIX interprocess communication, one set for each IPC namespace.

use super::{
    Ceiling::{Fixed, Sysctl},
    Limit, Usage,
    row::limits,
    system,
};
use crate::model::KnobKind;

limits! {
    SEMMSL: Sysctl Sysctl("kernel/sem"), "kernel.sem SEMMSL", "semaphores in one set (first number of kernel.sem)",
        "semaphores", "set", Usage::Hidden, 32_000, "1.0", "sysvipc(7), semget(2); ipc/sem.c, ksys_semget()";
    SEMMNS: Sysctl Sysctl("kernel/sem"), "kernel.sem SEMMNS", "semaphores in all sets (second number of kernel.sem)",
        "semaphores", "IPC namespace", Usage::Read(system::semaphores), 1_024_000_000, "1.0", "semget(2), ENOSPC; ipc/sem.c, newary()";
    SEMOPM: Sysctl Sysctl("kernel/sem"), "kernel.sem SEMOPM", "operations in one semop(2) (third number of kernel.sem)",
        "operations", "call", Usage::Hidden, 500, "1.0", "semop(2), E2BIG; ipc/sem.c, do_semtimedop()";
    SEMMNI: Sysctl Sysctl("kernel/sem"), "kernel.sem SEMMNI", "semaphore sets (fourth number of kernel.sem)", "sets",
        "IPC namespace", Usage::Read(system::sem_sets), 32_000, "1.0", "semget(2), ENOSPC; ipc/util.c, ipc_addid()";
    SHMMNI: Sysctl Sysctl("kernel/shmmni"), "kernel.shmmni", "shared memory segments", "segments", "IPC namespace",
        Usage::Read(system::segments), 4096, "1.0", "shmget(2), ENOSPC; ipc/util.c, ipc_addid()";
    SHMALL: Sysctl Sysctl("kernel/shmall"), "kernel.shmall", "pages in all shared memory segments", "pages",
        "IPC namespace", Usage::Read(system::segment_pages), 18_446_744_073_692_774_399, "1.0", "shmget(2), ENOSPC; ipc/shm.c, newseg()";
    SHMMAX: Sysctl Sysctl("kernel/shmmax"), "kernel.shmmax", "size of one shared memory segment", "bytes", "segment",
        Usage::Hidden, 18_446_744_073_692_774_399, "1.0", "shmget(2), EINVAL; ipc/shm.c, newseg()";
    MSGMNI: Sysctl Sysctl("kernel/msgmni"), "kernel.msgmni", "System V message queues", "queues", "IPC namespace",
        Usage::Read(system::queues), 32_000, "1.0", "msgget(2), ENOSPC; ipc/util.c, ipc_addid()";
    MSGMAX: Sysctl Sysctl("kernel/msgmax"), "kernel.msgmax", "size of one System V message", "bytes", "message",
        Usage::Hidden, 8192, "1.0", "msgop(2), EINVAL; ipc/msg.c, do_msgsnd()";
    MSGMNB: Sysctl Sysctl("kernel/msgmnb"), "kernel.msgmnb", "bytes in one System V queue, as it is made", "bytes", "queue",
        Usage::Read(system::queue_bytes), 16_384, "1.0", "msgop(2), EAGAIN; ipc/msg.c, do_msgsnd()";
    MQ_QUEUES: Sysctl Sysctl("fs/mqueue/queues_max"), "fs.mqueue.queues_max", "POSIX message queues", "queues",
        "IPC namespace", Usage::Read(system::posix_queues), 256, "2.6.6", "mq_overview(7); ipc/mqueue.c, mqueue_create_attr()";
    MQ_MSG: Sysctl Sysctl("fs/mqueue/msg_max"), "fs.mqueue.msg_max", "messages that a POSIX queue may be made for",
        "messages", "queue", Usage::Hidden, 10, "2.6.6", "mq_overview(7); ipc/mqueue.c, mq_attr_ok()";
    MQ_SIZE: Sysctl Sysctl("fs/mqueue/msgsize_max"), "fs.mqueue.msgsize_max", "size of messages that a POSIX queue may be made for",
        "bytes", "message", Usage::Hidden, 8192, "2.6.6", "mq_overview(7); ipc/mqueue.c, mq_attr_ok()";
    MQ_HELD: Other Fixed(10), "mq_maxmsg", "messages that wait in one POSIX queue, settled when it is made", "messages",
        "queue", Usage::Hidden, 10, "2.6.6", "mq_send(3), EAGAIN; ipc/mqueue.c, do_mq_timedsend()";
    MQ_LENGTH: Other Fixed(8192), "mq_msgsize", "size of a message for one POSIX queue, settled when it is made", "bytes",
        "message", Usage::Hidden, 8192, "2.6.6", "mq_send(3), EMSGSIZE; ipc/mqueue.c, do_mq_timedsend()";
}
