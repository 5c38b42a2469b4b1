//! Which system call an engine's error speaks of: after the fact its words are all there is.

use crate::model::Errno;

/// A system call as an error text has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spoken {
    pub syscall: &'static str,
    pub errno: Errno,
    /// What it was about: a path, as far as the text has one.
    pub object: String,
    /// The innermost layer's own words.
    pub step: String,
}

/// Phrases of runc, crun, dockerd, containerd and podman, with the call they stand for. The first that fits.
const PHRASES: &[(&str, &str)] = &[
    ("error mounting", "mount"),
    ("creating overlay mount", "mount"),
    ("error preparing rootfs", "mount"),
    ("failed to mount", "mount"),
    ("mount `", "mount"),
    ("mount ", "mount"),
    ("pivot_root", "pivot_root"),
    ("session key", "keyctl"),
    ("create keyring", "keyctl"),
    ("unshare", "unshare"),
    ("clone:", "clone"),
    ("setrlimit", "prlimit64"),
    ("setting rlimit", "prlimit64"),
    ("setns", "setns"),
    ("sethostname", "sethostname"),
    ("mkdir ", "mkdirat"),
    ("mknod", "mknodat"),
    ("writing file `", "write"),
    ("failed to write", "write"),
    (": write ", "write"),
    ("exec: ", "execve"),
    ("exec format error", "execve"),
    ("executable file", "execve"),
    ("fork/exec", "execve"),
];

/// The call behind a text, where it has both a phrase that is known and the errno's words.
pub fn spoken(text: &str) -> Option<Spoken> {
    let lower = text.to_lowercase();
    let (syscall, start) = PHRASES.iter().find_map(|(phrase, call)| Some((*call, lower.find(phrase)?)))?;
    let errno = match errno_at_the_end(&lower) {
        // os/exec's own words for a search of PATH that found nothing.
        None if lower.contains("executable file not found") => Errno(libc::ENOENT),
        found => found?,
    };
    // `to_lowercase` keeps the place of every ASCII letter, and engines write no other.
    let inner = text.get(start..).filter(|_| lower.len() == text.len()).unwrap_or(text);
    let step = inner.split(": ").next().unwrap_or(inner).trim().to_owned();
    Some(Spoken { syscall, errno, object: object(inner), step })
}

/// The errno whose words come last: layers put their own before it.
fn errno_at_the_end(lower: &str) -> Option<Errno> {
    let spelled = |number: i32| {
        let library = std::io::Error::from_raw_os_error(number).to_string();
        let library = library.split(" (os error").next().unwrap_or_default().to_lowercase();
        lower.rfind(&library).map(|at| (at, library.len(), number))
    };
    (1..=133).filter_map(spelled).max().map(|(_, _, number)| Errno(number))
}

/// `"proc" to rootfs at "/proc"`: the last path in quotes; else the first word that is a path.
fn object(text: &str) -> String {
    let quoted = text.split('"').skip(1).step_by(2).filter(|word| word.starts_with('/')).last();
    let bare = || {
        let trim = |word: &str| word.trim_matches(|c| ",:`\"".contains(c)).to_owned();
        text.split(' ').map(trim).find(|word| word.starts_with('/'))
    };
    let path = quoted.map(str::to_owned).or_else(bare).unwrap_or_default();
    // `SOURCE:TARGET`, as Go's mount errors are written.
    path.split_once(':').map_or(path.clone(), |(_, target)| target.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> (&'static str, String, String) {
        let found = spoken(text).unwrap_or_else(|| panic!("{text}"));
        (found.syscall, found.errno.name(), found.object)
    }

    #[test]
    fn each_engines_words_lead_to_the_call() {
        for (text, call, errno, object) in [
            (
                "error creating overlay mount to /d/overlay2/ab-init/merged: no space left on device",
                "mount",
                "ENOSPC",
                "/d/overlay2/ab-init/merged",
            ),
            (
                "failed to create shim task: OCI runtime create failed: runc create failed: unable to start container \
                 process: error during container init: error mounting \"proc\" to rootfs at \"/proc\": mount proc:/proc \
                 (via /proc/self/fd/6), flags: 0xe: no space left on device: unknown",
                "mount",
                "ENOSPC",
                "/proc",
            ),
            (
                "error preparing rootfs: mount /d/merged:/d/merged, flags: 0x5000: no space left on device: unknown",
                "mount",
                "ENOSPC",
                "/d/merged",
            ),
            ("unable to create session key: disk quota exceeded", "keyctl", "EDQUOT", ""),
            ("crun: setrlimit `RLIMIT_NOFILE`: Operation not permitted", "prlimit64", "EPERM", ""),
            (
                "exec: \"/bin/nope\": stat /bin/nope: no such file or directory",
                "execve",
                "ENOENT",
                "/bin/nope",
            ),
            ("exec: \"nope\": executable file not found in $PATH", "execve", "ENOENT", ""),
            (
                "failed to write \"7\": write /sys/fs/cgroup/cpuset/x/cpuset.cpus: numerical result out of range",
                "write",
                "ERANGE",
                "/sys/fs/cgroup/cpuset/x/cpuset.cpus",
            ),
        ] {
            assert_eq!(of(text), (call, errno.to_owned(), object.to_owned()), "{text}");
        }
    }

    #[test]
    fn words_without_errno_or_call_say_nothing() {
        for text in ["Requested CPUs are not available - requested 7", "can't get final child's PID: EOF", ""]
        {
            assert_eq!(spoken(text), None, "{text}");
        }
    }
}
