//! Processes that do nothing but be there.

use std::io;

/// They end with this.
#[derive(Default)]
pub(super) struct Children(Vec<libc::pid_t>);

impl Children {
    /// One more.
    pub(super) fn fork(&mut self) -> io::Result<()> {
        // SAFETY: the child makes no call but pause.
        match unsafe { libc::fork() } {
            0 => loop {
                // SAFETY: waits for a signal; the first one ends this process.
                unsafe { libc::pause() };
            },
            -1 => Err(io::Error::last_os_error()),
            pid => {
                self.0.push(pid);
                Ok(())
            }
        }
    }
}

impl Drop for Children {
    fn drop(&mut self) {
        for pid in &self.0 {
            // SAFETY: a child of ours that nobody has waited for, so the number is still its.
            unsafe {
                libc::kill(*pid, libc::SIGKILL);
                libc::waitpid(*pid, std::ptr::null_mut(), 0);
            }
        }
    }
}
