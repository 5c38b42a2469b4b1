//! Lowers a limit of System V or POSIX objects in an IPC namespace of its own, and goes over it.

use super::own_limits::lower;
use super::{Provoked, result};
use anyhow::Context;
use nix::sched::{CloneFlags, unshare};
use nix::sys::resource::Resource;
use nix::unistd::{Gid, Uid, setresgid, setresuid};
use std::fs;

const MODE: i32 = 0o600;
/// An id far from what distributions and user namespaces hand out.
const NOBODY_ELSE: u32 = 2_000_999_112;

fn namespace(file: &str, value: &str) -> anyhow::Result<()> {
    unshare(CloneFlags::CLONE_NEWIPC).context("cannot make an IPC namespace")?;
    let path = format!("/proc/sys/{file}");
    fs::write(&path, value).with_context(|| format!("cannot write {path}"))
}

pub(super) fn semaphores(variant: &str) -> anyhow::Result<Provoked> {
    let numbers = match variant {
        "semaphores" => "32000 10 500 32000",
        "set-size" => "5 1024 500 32000",
        "operations" => "32000 1024 2 32000",
        _ => "32000 1024 500 1",
    };
    namespace("kernel/sem", numbers)?;
    // SAFETY: numbers, and an array that lives through the call; the namespace ends with the process.
    unsafe {
        match variant {
            "operations" => {
                let set = libc::semget(libc::IPC_PRIVATE, 1, MODE);
                let mut operations = [libc::sembuf { sem_num: 0, sem_op: 1, sem_flg: 0 }; 3];
                Provoked::by("semop", move || result(i64::from(libc::semop(set, operations.as_mut_ptr(), 3))))
            }
            "semaphores" | "set-size" => {
                Provoked::by("semget", || result(i64::from(libc::semget(libc::IPC_PRIVATE, 11, MODE))))
            }
            _ => {
                libc::semget(libc::IPC_PRIVATE, 1, MODE);
                Provoked::by("semget", || result(i64::from(libc::semget(libc::IPC_PRIVATE, 1, MODE))))
            }
        }
    }
}

/// SEMVMX is 32767.
pub(super) fn out_of_range(variant: &str) -> anyhow::Result<Provoked> {
    unshare(CloneFlags::CLONE_NEWIPC).context("cannot make an IPC namespace")?;
    // SAFETY: numbers, and an array that lives through the call; the namespace ends with the process.
    unsafe {
        let set = libc::semget(libc::IPC_PRIVATE, 1, MODE);
        if variant == "set" {
            return Provoked::by("semctl", move || {
                result(i64::from(libc::semctl(set, 0, libc::SETVAL, 40_000)))
            });
        }
        libc::semctl(set, 0, libc::SETVAL, 32_767);
        let sem_num = if variant == "number" { 3 } else { 0 };
        let mut post = [libc::sembuf { sem_num, sem_op: 1, sem_flg: 0 }];
        Provoked::by("semop", move || result(i64::from(libc::semop(set, post.as_mut_ptr(), 1))))
    }
}

/// Of a key that is taken.
pub(super) fn more_than_there_is(variant: &str) -> anyhow::Result<Provoked> {
    const KEY: i32 = 0x6469_6167;
    unshare(CloneFlags::CLONE_NEWIPC).context("cannot make an IPC namespace")?;
    // SAFETY: numbers only; the namespace ends with the process.
    unsafe {
        if variant == "set" {
            libc::semget(KEY, 1, MODE | libc::IPC_CREAT);
            return Provoked::by("semget", || result(i64::from(libc::semget(KEY, 5, MODE))));
        }
        libc::shmget(KEY, 4096, MODE | libc::IPC_CREAT);
        Provoked::by("shmget", || result(i64::from(libc::shmget(KEY, 1 << 20, MODE))))
    }
}

/// Of a key or name that is not there, is there, or was taken away.
pub(super) fn objects(variant: &str) -> anyhow::Result<Provoked> {
    const KEY: i32 = 0x6469_6168;
    unshare(CloneFlags::CLONE_NEWIPC).context("cannot make an IPC namespace")?;
    let queue = |name: &'static std::ffi::CStr, flags: i32| {
        // SAFETY: a constant name that lives through the call, and no attributes.
        result(unsafe {
            libc::syscall(libc::SYS_mq_open, name.as_ptr(), flags, MODE, std::ptr::null::<i64>())
        })
    };
    let make = libc::O_RDWR | libc::O_CREAT;
    // SAFETY: numbers only; the namespace ends with the process.
    unsafe {
        match variant {
            "exists" => {
                let flags = MODE | libc::IPC_CREAT | libc::IPC_EXCL;
                libc::shmget(KEY, 4096, flags);
                Provoked::by("shmget", move || result(i64::from(libc::shmget(KEY, 4096, flags))))
            }
            "removed" => {
                let segment = libc::shmget(KEY, 4096, MODE | libc::IPC_CREAT);
                libc::shmctl(segment, libc::IPC_RMID, std::ptr::null_mut());
                Provoked::by("shmat", move || result(libc::shmat(segment, std::ptr::null(), 0) as i64))
            }
            "queue-missing" => Provoked::by("mq_open", move || queue(c"a", libc::O_RDWR)),
            "queue-exists" => {
                queue(c"a", make).context("cannot make a message queue")?;
                Provoked::by("mq_open", move || queue(c"a", make | libc::O_EXCL))
            }
            "queue-name" => Provoked::by("mq_open", move || queue(c"a/b", make)),
            _ => Provoked::by("shmget", || result(i64::from(libc::shmget(KEY, 4096, MODE)))),
        }
    }
}

pub(super) fn segments(variant: &str) -> anyhow::Result<Provoked> {
    match variant {
        "pages" => namespace("kernel/shmall", "2")?,
        "size" => namespace("kernel/shmmax", "8192")?,
        _ => namespace("kernel/shmmni", "1")?,
    }
    let size = if variant == "segments" { 4096 } else { 16_384 };
    // SAFETY: numbers only; the namespace ends with the process.
    unsafe {
        if variant == "segments" {
            libc::shmget(libc::IPC_PRIVATE, size, MODE);
        }
        Provoked::by("shmget", move || result(i64::from(libc::shmget(libc::IPC_PRIVATE, size, MODE))))
    }
}

pub(super) fn queues(variant: &str) -> anyhow::Result<Provoked> {
    match variant {
        "message" => namespace("kernel/msgmax", "64")?,
        "queue" => namespace("kernel/msgmnb", "64")?,
        _ => namespace("kernel/msgmni", "1")?,
    }
    // SAFETY: a buffer that begins with a type and lives through the call; the namespace ends with the process.
    unsafe {
        let queue = libc::msgget(libc::IPC_PRIVATE, MODE);
        if variant == "queues" {
            return Provoked::by("msgget", || result(i64::from(libc::msgget(libc::IPC_PRIVATE, MODE))));
        }
        let message = [1_u64; 32];
        Provoked::by("msgsnd", move || {
            result(i64::from(libc::msgsnd(queue, message.as_ptr().cast(), 100, libc::IPC_NOWAIT)))
        })
    }
}

/// `mq_open(2)` of a new queue, by number: the C library hides `attr`'s layout no further.
fn open_queue(name: &std::ffi::CStr, messages: i64, size: i64) -> i64 {
    // struct mq_attr: flags, messages, size, current, four reserved words.
    let attributes = [0, messages, size, 0, 0, 0, 0, 0_i64];
    // SAFETY: a constant name and a whole structure that live through the call.
    unsafe {
        libc::syscall(
            libc::SYS_mq_open,
            name.as_ptr(),
            libc::O_CREAT | libc::O_RDWR,
            MODE,
            attributes.as_ptr(),
        )
    }
}

/// An ordinary user: privilege is exempt from these limits.
fn become_ordinary() -> anyhow::Result<()> {
    let (uid, gid) = (Uid::from_raw(NOBODY_ELSE), Gid::from_raw(NOBODY_ELSE));
    setresgid(gid, gid, gid).context("cannot change the group")?;
    setresuid(uid, uid, uid).context("cannot change the user (CAP_SETUID is needed)")
}

pub(super) fn posix_queues(variant: &str) -> anyhow::Result<Provoked> {
    let (file, value) = match variant {
        "size" => ("fs/mqueue/msgsize_max", "8192"),
        "queues" => ("fs/mqueue/queues_max", "1"),
        _ => ("fs/mqueue/msg_max", "10"),
    };
    namespace(file, value)?;
    become_ordinary()?;
    let (name, messages, size) = match variant {
        "size" => (c"a", 1, 65_536),
        "queues" => {
            open_queue(c"a", 1, 128);
            (c"b", 1, 128)
        }
        _ => (c"a", 1000, 128),
    };
    Provoked::by("mq_open", move || result(open_queue(name, messages, size)))
}

pub(super) fn posix_bytes(_: &str) -> anyhow::Result<Provoked> {
    unshare(CloneFlags::CLONE_NEWIPC).context("cannot make an IPC namespace")?;
    lower(Resource::RLIMIT_MSGQUEUE, 1000)?;
    become_ordinary()?;
    Provoked::by("mq_open", || result(open_queue(c"a", 10, 8192)))
}

/// A queue for two short messages, of its own namespace; `timeout`: the writer waits, for a moment that is over.
pub(super) fn full_queue(variant: &str) -> anyhow::Result<Provoked> {
    unshare(CloneFlags::CLONE_NEWIPC).context("cannot make an IPC namespace")?;
    let queue = open_queue(c"a", 2, 128);
    if queue < 0 {
        return Err(std::io::Error::last_os_error()).context("cannot make a message queue");
    }
    if variant != "timeout" {
        // SAFETY: a descriptor of ours and a flag.
        let done = unsafe { libc::fcntl(queue as i32, libc::F_SETFL, libc::O_NONBLOCK) };
        result(i64::from(done)).context("cannot make the queue non-blocking")?;
    }
    let long = if variant == "length" { 129 } else { 1 };
    let send = move || {
        let (message, over) = ([0_u8; 129], libc::timespec { tv_sec: 1, tv_nsec: 0 });
        // SAFETY: a buffer and a time that live through the call, which reads `long` bytes of the first.
        result(unsafe {
            libc::syscall(libc::SYS_mq_timedsend, queue, message.as_ptr(), long, 0, &raw const over)
        })
    };
    if long == 1 {
        for _ in 0..2 {
            send().context("cannot fill the queue")?;
        }
    }
    Provoked::by("mq_timedsend", send)
}

/// A queue with a message in it, read into eight bytes.
pub(super) fn small_buffer(variant: &str) -> anyhow::Result<Provoked> {
    const ROOM: usize = 8;
    unshare(CloneFlags::CLONE_NEWIPC).context("cannot make an IPC namespace")?;
    if variant == "system-v" {
        // SAFETY: numbers, and a buffer that begins with a type and lives through the call.
        let queue = unsafe {
            let queue = libc::msgget(libc::IPC_PRIVATE, MODE);
            let message = [1_u64; 32];
            result(i64::from(libc::msgsnd(queue, message.as_ptr().cast(), 100, libc::IPC_NOWAIT)))
                .context("cannot fill a message queue")?;
            queue
        };
        return Provoked::by("msgrcv", move || {
            let mut room = [0_u64; 1 + ROOM / 8];
            // SAFETY: room for a type and the bytes that are asked for.
            let got = unsafe { libc::msgrcv(queue, room.as_mut_ptr().cast(), ROOM, 0, libc::IPC_NOWAIT) };
            result(got as i64)
        });
    }
    let queue = open_queue(c"a", 2, 128);
    result(queue).context("cannot make a message queue")?;
    Provoked::by("mq_timedreceive", move || {
        let mut room = [0_u8; ROOM];
        let (no_priority, no_end) = (std::ptr::null_mut::<u32>(), std::ptr::null::<libc::timespec>());
        // SAFETY: room for the bytes that are asked for; it is refused before it would wait.
        result(unsafe {
            libc::syscall(libc::SYS_mq_timedreceive, queue, room.as_mut_ptr(), ROOM, no_priority, no_end)
        })
    })
}
