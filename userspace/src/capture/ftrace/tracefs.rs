//! tracefs under a replaceable root: find it, read and write its control files.

use super::FtraceError;
use std::fs::{self, File, OpenOptions};
use std::io::{self, IoSlice, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::{Path, PathBuf};

/// Where distributions mount it: by itself, or below debugfs (Documentation/trace/ftrace.rst).
const KNOWN: [&str; 2] = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];

/// A tracefs, or one of its instances: both have the same control files.
#[derive(Debug)]
pub(super) struct Tracefs {
    root: PathBuf,
    /// Keeps a private mount alive.
    _mount: Option<OwnedFd>,
}

impl Tracefs {
    /// The mounted one, else a mount that nobody else sees and that ends with this value.
    pub(super) fn find() -> Result<Self, FtraceError> {
        let mounted = KNOWN.map(Path::new).into_iter().find(|root| root.join("available_tracers").exists());
        if let Some(root) = mounted {
            return Ok(Self::at(root));
        }
        let mount = detached_mount().map_err(|source| FtraceError::NoTracefs { source })?;
        // The magic link leads into the mount although no mount table holds it.
        let root = PathBuf::from(format!("/proc/self/fd/{}", mount.as_raw_fd()));
        Ok(Self { root, _mount: Some(mount) })
    }

    pub(super) fn at(root: &Path) -> Self {
        Self { root: root.to_owned(), _mount: None }
    }

    pub(super) fn path(&self, file: &str) -> PathBuf {
        self.root.join(file)
    }

    pub(super) fn instance(&self, name: &str) -> Self {
        Self::at(&self.root.join("instances").join(name))
    }

    pub(super) fn exists(&self, file: &str) -> bool {
        self.path(file).exists()
    }

    pub(super) fn read(&self, file: &str) -> Result<String, FtraceError> {
        let path = self.path(file);
        fs::read(&path)
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .map_err(|source| FtraceError::Control { doing: "read", path, source })
    }

    /// A file that gives all it has to the first read and nothing to the second (`show_header()` in
    /// kernel/trace/trace_events.c).
    pub(super) fn read_at_once(&self, file: &str) -> Result<String, FtraceError> {
        let path = self.path(file);
        let mut bytes = vec![0; 16 << 10];
        let read = File::open(&path).and_then(|mut file| file.read(&mut bytes));
        let read = read.map_err(|source| FtraceError::Control { doing: "read", path, source })?;
        Ok(String::from_utf8_lossy(&bytes[..read]).into_owned())
    }

    /// The value of a file of one line.
    pub(super) fn value(&self, file: &str) -> Result<String, FtraceError> {
        Ok(self.read(file)?.trim().to_owned())
    }

    /// Writes without truncating: for `set_*` files truncation is itself the command "forget all".
    pub(super) fn write(&self, file: &str, text: &str) -> Result<(), FtraceError> {
        self.put(file, text, false)
    }

    /// Opens with truncation, which empties filters, pid lists and ring buffers.
    pub(super) fn replace(&self, file: &str, text: &str) -> Result<(), FtraceError> {
        self.put(file, text, true)
    }

    fn put(&self, file: &str, text: &str, truncate: bool) -> Result<(), FtraceError> {
        let path = self.path(file);
        let failed = |source| FtraceError::Control { doing: "write", path: path.clone(), source };
        let mut file = OpenOptions::new().write(true).truncate(truncate).open(&path).map_err(failed)?;
        write_lines(&mut file, text).map_err(failed)
    }

    pub(super) fn open(&self, file: &str, options: &OpenOptions) -> Result<File, FtraceError> {
        let path = self.path(file);
        options.open(&path).map_err(|source| FtraceError::Control { doing: "open", path, source })
    }

    pub(super) fn make_instance(&self, name: &str) -> Result<(), FtraceError> {
        let path = self.root.join("instances").join(name);
        fs::create_dir(&path).map_err(|source| FtraceError::Control { doing: "create", path, source })
    }

    pub(super) fn remove_instance(&self, name: &str) -> Result<(), FtraceError> {
        let path = self.root.join("instances").join(name);
        match fs::remove_dir(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            done => done.map_err(|source| FtraceError::Control { doing: "remove", path, source }),
        }
    }

    pub(super) fn instances(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.path("instances")) else { return Vec::new() };
        entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect()
    }

    /// The processors that have a part of the buffer.
    pub(super) fn cpus(&self) -> Vec<u32> {
        let Ok(entries) = fs::read_dir(self.path("per_cpu")) else { return Vec::new() };
        let number = |entry: fs::DirEntry| entry.file_name().to_str()?.strip_prefix("cpu")?.parse().ok();
        let mut cpus: Vec<_> = entries.flatten().filter_map(number).collect();
        cpus.sort_unstable();
        cpus
    }

    /// Events that the ring buffers hold, and those they overwrote or dropped, over all cpus.
    pub(super) fn buffer_counts(&self) -> BufferCounts {
        let mut counts = BufferCounts::default();
        let Ok(cpus) = fs::read_dir(self.path("per_cpu")) else { return counts };
        for cpu in cpus.flatten() {
            let Ok(stats) = fs::read_to_string(cpu.path().join("stats")) else { continue };
            for (name, value) in stats.lines().filter_map(|line| line.split_once(": ")) {
                let value = value.trim().parse().unwrap_or(0);
                match name {
                    "entries" => counts.entries += value,
                    "overrun" | "dropped events" => counts.lost += value,
                    _ => {}
                }
            }
        }
        counts
    }
}

/// Of what is written at once the kernel takes one word (`trace_get_user()` in kernel/trace/trace.c), of a vector one of
/// each part (`do_loop_readv_writev()` in fs/read_write.c): nine thousand functions are nine system calls.
fn write_lines(file: &mut impl Write, text: &str) -> io::Result<()> {
    let mut lines: Vec<_> = text.split_inclusive('\n').map(|line| IoSlice::new(line.as_bytes())).collect();
    let mut left = &mut lines[..];
    while !left.is_empty() {
        match file.write_vectored(left) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut left, written),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct BufferCounts {
    pub(super) entries: u64,
    pub(super) lost: u64,
}

/// fsopen, fsconfig, fsmount: a tracefs that is attached nowhere.
fn detached_mount() -> io::Result<OwnedFd> {
    /// The new mount API's numbers are the same on every architecture (they came after the split).
    fn call(number: libc::c_long, args: [usize; 5]) -> io::Result<libc::c_long> {
        // SAFETY: the three callers below pass what the call's manual page asks for; pointers among the
        // arguments are C string literals, which live forever.
        let result = unsafe { libc::syscall(number, args[0], args[1], args[2], args[3], args[4]) };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
    }
    fn owned(fd: libc::c_long) -> OwnedFd {
        // SAFETY: the kernel has just returned this descriptor to us; nobody else knows it.
        unsafe { OwnedFd::from_raw_fd(fd as i32) }
    }
    const FSOPEN_CLOEXEC: usize = 1;
    const FSCONFIG_CMD_CREATE: usize = 6;
    const FSMOUNT_CLOEXEC: usize = 1;
    let context = owned(call(libc::SYS_fsopen, [c"tracefs".as_ptr() as usize, FSOPEN_CLOEXEC, 0, 0, 0])?);
    let fd = context.as_raw_fd() as usize;
    call(libc::SYS_fsconfig, [fd, FSCONFIG_CMD_CREATE, 0, 0, 0])?;
    Ok(owned(call(libc::SYS_fsmount, [fd, FSMOUNT_CLOEXEC, 0, 0, 0])?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes five bytes of each part of a vector, as a file of tracefs takes a word.
    struct WordByWord(Vec<u8>);

    impl Write for WordByWord {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.write_vectored(&[IoSlice::new(bytes)])
        }

        fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
            let before = self.0.len();
            for part in parts {
                self.0.extend(&part[..part.len().min(5)]);
                if part.len() > 5 {
                    break;
                }
            }
            Ok(self.0.len() - before)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn every_line_arrives_whatever_the_kernel_takes_at_once() {
        for text in ["", "1\n", "7406\n7407\n74088888\n\n9", "mono"] {
            let mut file = WordByWord(Vec::new());
            write_lines(&mut file, text).unwrap();
            assert_eq!(file.0, text.as_bytes());
        }
    }

    #[test]
    fn stats_of_all_cpus_add_up() {
        let dir = tempfile::tempdir().unwrap();
        for cpu in 0..2 {
            let cpu = dir.path().join(format!("per_cpu/cpu{cpu}"));
            fs::create_dir_all(&cpu).unwrap();
            let stats = "entries: 3\noverrun: 2\ncommit overrun: 9\nbytes: 7\ndropped events: 1\n";
            fs::write(cpu.join("stats"), stats).unwrap();
        }
        let counts = Tracefs::at(dir.path()).buffer_counts();
        assert_eq!(counts, BufferCounts { entries: 6, lost: 6 });
    }
}
