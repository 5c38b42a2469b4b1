//! Mappings and System V objects, which go with their process or their namespace.

use super::told::{Told, close, text};
use std::fs;

const PAGE: usize = 4096;
const READ_WRITE: usize = (libc::PROT_READ | libc::PROT_WRITE) as usize;
const PRIVATE: usize = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS) as usize;
const NO_FD: usize = usize::MAX;
/// A hint of user space that nobody lives at, for a mapping at a chosen place.
const CHOSEN: usize = 0x1000_0000_0000;

pub(super) fn mappings(told: &mut Told) {
    let Some(at) = told.call("mmap", &[0, 8 * PAGE, READ_WRITE, PRIVATE, NO_FD, 0]) else { return };
    // In the middle, so that the mapping is split.
    told.call("mprotect", &[at + 2 * PAGE, PAGE, libc::PROT_READ as usize]);
    told.call("mlock", &[at, PAGE]);
    told.call("mlock2", &[at + 4 * PAGE, PAGE, 0]);
    told.call("madvise", &[at + 4 * PAGE, PAGE, libc::MADV_DONTNEED as usize]);
    told.call("mremap", &[at + 6 * PAGE, PAGE, 2 * PAGE, libc::MREMAP_MAYMOVE as usize]);
    told.call("munmap", &[at + PAGE, PAGE]);
    let fixed = PRIVATE | libc::MAP_FIXED_NOREPLACE as usize;
    told.call("mmap", &[CHOSEN, PAGE, READ_WRITE, fixed, NO_FD, 0]);
    let shared = (libc::MAP_SHARED | libc::MAP_ANONYMOUS) as usize;
    told.call("mmap", &[0, 2 * PAGE, READ_WRITE, shared, NO_FD, 0]);
    let file = told.call("memfd_create", &[text("diag").as_ptr() as usize, 0]);
    if let Some(file) = file {
        told.call("ftruncate", &[file, 2 * PAGE]);
        told.call("mmap", &[0, PAGE, READ_WRITE, libc::MAP_SHARED as usize, file, 0]);
        told.call("mmap", &[0, PAGE, libc::PROT_READ as usize, libc::MAP_PRIVATE as usize, file, 0]);
    }
    close(file);
    if let Some(now) = told.call("brk", &[0]) {
        told.call("brk", &[now + PAGE]);
    }
    told.call("mlockall", &[libc::MCL_CURRENT as usize]);
    huge_page(told);
}

/// One huge page, only where one is free: nobody is to miss it.
fn huge_page(told: &mut Told) {
    let free = fs::read_to_string("/proc/sys/vm/nr_hugepages").unwrap_or_default();
    if free.trim().parse::<u64>().is_ok_and(|free| free > 0) {
        let huge = PRIVATE | libc::MAP_HUGETLB as usize;
        told.call("mmap", &[0, 2 << 20, READ_WRITE, huge, NO_FD, 0]);
    }
}

/// In an IPC namespace of its own, so that nobody's limits are touched.
pub(super) fn ipc(told: &mut Told) {
    if told.call("unshare", &[libc::CLONE_NEWIPC as usize]).is_none() {
        return;
    }
    let mode = 0o600;
    if let Some(set) = told.call("semget", &[0, 1, libc::IPC_CREAT as usize | mode]) {
        let one = libc::sembuf { sem_num: 0, sem_op: 1, sem_flg: 0 };
        told.call("semop", &[set, &raw const one as usize, 1]);
        told.call("semctl", &[set, 0, libc::IPC_RMID as usize]);
    }
    if let Some(segment) = told.call("shmget", &[0, PAGE, libc::IPC_CREAT as usize | mode]) {
        told.call("shmat", &[segment, 0, 0]);
        told.call("shmctl", &[segment, libc::IPC_RMID as usize, 0]);
    }
    if let Some(queue) = told.call("msgget", &[0, libc::IPC_CREAT as usize | mode]) {
        // struct msgbuf: a type, then the text.
        let message = [1u64, 0x6761_6964];
        told.call("msgsnd", &[queue, message.as_ptr() as usize, 8, libc::IPC_NOWAIT as usize]);
        told.call("msgctl", &[queue, libc::IPC_RMID as usize, 0]);
    }
    let name = text("diag");
    let flags = (libc::O_CREAT | libc::O_RDWR) as usize;
    close(told.call("mq_open", &[name.as_ptr() as usize, flags, mode, 0]));
    told.call("mq_unlink", &[name.as_ptr() as usize]);
    // struct mq_attr: flags, messages, their size, and what is in it now.
    let attributes = [0i64, 2, 64, 0, 0, 0, 0, 0];
    close(told.call("mq_open", &[name.as_ptr() as usize, flags, mode, attributes.as_ptr() as usize]));
}
