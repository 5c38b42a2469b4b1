//! The report pipe: how a step that fails in the child reaches the parent whole.
//!
//! Records have a fixed size under PIPE_BUF, so each is written atomically, pipe(7). The child writes
//! "executing" right before execve(2), which closes the pipe; so the parent reads either that and the end of the
//! file (the workload runs), or a failed step, or the end alone (the child was killed on its way).

use std::ffi::CStr;
use std::fs::File;
use std::io::Read;
use std::os::fd::{BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};

use nix::errno::Errno;
use nix::unistd::write;

use super::stamps::{self, Stamps};
use crate::error::StepError;
use crate::isolate::Failure;
use crate::steps::Step;

/// Size of every record in bytes: room for a path of the store; a longer object is cut.
const SIZE: usize = 1024;

const FAILED: u8 = 1;
const EXECUTING: u8 = 2;
const BORN: u8 = 3;

// Offsets in a record: kind, step, errno or pid, mount namespace, lengths, then the two texts.
const STEP: usize = 2;
const NUMBER: usize = 4;
const MOUNT_NS: usize = 8;
const SYSCALL_LEN: usize = 16;
const OBJECT_LEN: usize = 18;
const SYSCALL: usize = 20;
const SYSCALL_MAX: usize = 28;
const OBJECT: usize = SYSCALL + SYSCALL_MAX;
// Of "executing": the notes, in place of the texts.
const STAMPS: usize = SYSCALL;

/// What the parent learns.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Report {
    /// A step failed; the pid is not filled in, for the child only knows its own namespace's.
    Failed(StepError),
    /// execve(2) is next; the inode number of the child's mount namespace, and when it took its steps.
    Executing { mount_ns: u64, stamps: Vec<(Step, u64)> },
    /// The middle process of an `exec` made the one that becomes the command.
    Born { pid: i32 },
}

/// Send a failure. Allocates nothing. When even this fails nobody is left to tell.
pub(crate) fn send_failure(pipe: BorrowedFd<'_>, failure: &Failure<'_>) {
    let mut record = [0u8; SIZE];
    record[0] = FAILED;
    put(&mut record, STEP, &(failure.step as u16).to_ne_bytes());
    put(&mut record, NUMBER, &(failure.errno as i32).to_ne_bytes());
    put_text(&mut record, SYSCALL_LEN, SYSCALL, SYSCALL_MAX, failure.syscall.as_bytes());
    put_text(&mut record, OBJECT_LEN, OBJECT, SIZE - OBJECT, CStr::to_bytes(failure.object));
    let _ = write(pipe, &record);
}

/// Send "execve(2) is next".
pub(crate) fn send_executing(pipe: BorrowedFd<'_>, mount_ns: u64, stamps: &Stamps) {
    let mut record = [0u8; SIZE];
    record[0] = EXECUTING;
    put(&mut record, MOUNT_NS, &mount_ns.to_ne_bytes());
    put(&mut record, STAMPS, stamps.bytes());
    let _ = write(pipe, &record);
}

/// Send the pid of the process that becomes the command.
pub(crate) fn send_born(pipe: BorrowedFd<'_>, pid: i32) {
    let mut record = [0u8; SIZE];
    record[0] = BORN;
    put(&mut record, NUMBER, &pid.to_ne_bytes());
    let _ = write(pipe, &record);
}

fn put(record: &mut [u8; SIZE], at: usize, bytes: &[u8]) {
    record[at..at + bytes.len()].copy_from_slice(bytes);
}

fn put_text(record: &mut [u8; SIZE], len_at: usize, at: usize, max: usize, text: &[u8]) {
    let cut = &text[..text.len().min(max)];
    put(record, len_at, &(cut.len() as u16).to_ne_bytes());
    put(record, at, cut);
}

/// The parent's end.
#[derive(Debug)]
pub(crate) struct Reports {
    pipe: File,
}

impl Reports {
    pub(crate) fn new(pipe: OwnedFd) -> Reports {
        // SAFETY: into_raw_fd gives up the ownership that the File takes.
        Reports { pipe: unsafe { File::from_raw_fd(pipe.into_raw_fd()) } }
    }

    /// The next record; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Report>, StepError> {
        let mut record = [0u8; SIZE];
        match self.pipe.read_exact(&mut record) {
            Ok(()) => {}
            Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(e) => {
                let errno = Errno::from_raw(e.raw_os_error().unwrap_or(libc::EIO));
                return Err(StepError::here(Step::ReadReport, "read", "", errno));
            }
        }
        decode(&record).map(Some)
    }
}

fn decode(record: &[u8; SIZE]) -> Result<Report, StepError> {
    let number = i32::from_ne_bytes(take(record, NUMBER));
    match record[0] {
        EXECUTING => Ok(Report::Executing {
            mount_ns: u64::from_ne_bytes(take(record, MOUNT_NS)),
            stamps: Stamps::read(&record[STAMPS..STAMPS + stamps::SIZE]),
        }),
        BORN => Ok(Report::Born { pid: number }),
        FAILED => match Step::from_number(u16::from_ne_bytes(take(record, STEP))) {
            Some(step) => Ok(Report::Failed(StepError {
                step,
                syscall: text(record, SYSCALL_LEN, SYSCALL),
                object: text(record, OBJECT_LEN, OBJECT),
                errno: number,
                pid: 0,
            })),
            None => Err(nonsense()),
        },
        _ => Err(nonsense()),
    }
}

/// Nobody but our own child has the other end; still, no panic over it.
fn nonsense() -> StepError {
    StepError::here(Step::ReadReport, "read", "an unknown record", Errno::EBADMSG)
}

fn take<const N: usize>(record: &[u8; SIZE], at: usize) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(&record[at..at + N]);
    bytes
}

fn text(record: &[u8; SIZE], len_at: usize, at: usize) -> String {
    let len = usize::from(u16::from_ne_bytes(take(record, len_at)));
    let bytes = record.get(at..(at + len).min(SIZE)).unwrap_or_default();
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isolate::refused;
    use std::ffi::CString;
    use std::os::fd::AsFd;

    #[test]
    fn a_failure_crosses_whole() {
        let (read, write) = nix::unistd::pipe().unwrap();
        let long = CString::new("x".repeat(5000)).unwrap();
        let mut stamps = Stamps::new();
        stamps.mark(Step::PivotRoot);
        send_executing(write.as_fd(), 77, &stamps);
        send_failure(write.as_fd(), &refused(Step::PivotRoot, "pivot_root", c"/r")(Errno::EINVAL));
        send_failure(write.as_fd(), &refused(Step::BindRootfs, "mount", &long)(Errno::ENOSPC));
        drop(write);
        let mut reports = Reports::new(read);
        let Some(Report::Executing { mount_ns: 77, stamps }) = reports.next().unwrap() else {
            panic!("not whole")
        };
        assert!(matches!(stamps.as_slice(), [(Step::PivotRoot, 1..)]), "{stamps:?}");
        let Some(Report::Failed(error)) = reports.next().unwrap() else { panic!("no failure") };
        assert_eq!((error.step, error.errno, error.object.as_str()), (Step::PivotRoot, libc::EINVAL, "/r"));
        let Some(Report::Failed(error)) = reports.next().unwrap() else { panic!("no failure") };
        assert_eq!((error.syscall.as_str(), error.object.len()), ("mount", SIZE - OBJECT));
        assert_eq!(reports.next().unwrap(), None);
    }
}
