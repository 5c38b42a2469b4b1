//! The operations of io_uring by name.

use diag_abi::NO_OPCODE;

/// `enum io_uring_op` (include/uapi/linux/io_uring.h), in its order; new ones are appended there.
const OPERATIONS: &[&str] = &[
    "nop",
    "readv",
    "writev",
    "fsync",
    "read_fixed",
    "write_fixed",
    "poll_add",
    "poll_remove",
    "sync_file_range",
    "sendmsg",
    "recvmsg",
    "timeout",
    "timeout_remove",
    "accept",
    "async_cancel",
    "link_timeout",
    "connect",
    "fallocate",
    "openat",
    "close",
    "files_update",
    "statx",
    "read",
    "write",
    "fadvise",
    "madvise",
    "send",
    "recv",
    "openat2",
    "epoll_ctl",
    "splice",
    "provide_buffers",
    "remove_buffers",
    "tee",
    "shutdown",
    "renameat",
    "unlinkat",
    "mkdirat",
    "symlinkat",
    "linkat",
    "msg_ring",
    "fsetxattr",
    "setxattr",
    "fgetxattr",
    "getxattr",
    "socket",
    "uring_cmd",
    "send_zc",
    "sendmsg_zc",
    "read_multishot",
    "waitid",
    "futex_wait",
    "futex_wake",
    "futex_waitv",
    "fixed_fd_install",
    "ftruncate",
    "bind",
    "listen",
    "recv_zc",
    "epoll_wait",
    "readv_fixed",
    "writev_fixed",
    "pipe",
];

/// The operation's name; `None` when the kernel did not tell which it was.
pub fn operation(opcode: u32) -> Option<String> {
    if opcode == NO_OPCODE {
        return None;
    }
    let known = OPERATIONS.get(opcode as usize).map(|name| (*name).to_owned());
    Some(known.unwrap_or_else(|| format!("operation {opcode}")))
}

/// As `Failure::label` has it, to find the failure that repeats.
pub fn label(opcode: u32) -> String {
    crate::model::uring_label(operation(opcode).as_deref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opcodes_have_the_kernels_numbers() {
        assert_eq!(operation(18).as_deref(), Some("openat"));
        assert_eq!(operation(45).as_deref(), Some("socket"));
        assert_eq!(operation(255).as_deref(), Some("operation 255"));
        assert_eq!(operation(NO_OPCODE), None);
    }
}
