//! What the kernel's log said about file systems in the moment of a failed mount.
//!
//! Overlay and the disk file systems give their reason there (`pr_err()`, `ext4_msg()`), and EINVAL to the caller. A
//! line names no task, so only those of that very moment are taken.

/// Before and behind the instant. The clocks differ by little: printk's is `local_clock()`, the probe's CLOCK_MONOTONIC.
const BEFORE_NS: u64 = 400_000_000;
const BEHIND_NS: u64 = 400_000_000;

/// Enough of the log for what was just said.
const TAIL: usize = 16 << 10;
const MOST: usize = 8;

/// Who speaks: the words lines of file systems begin with.
const SPEAKERS: &[&str] = &[
    "overlayfs:",
    "overlay:",
    "EXT4-fs",
    "EXT4-fs:",
    "ext4:",
    "XFS",
    "xfs:",
    "BTRFS",
    "btrfs:",
    "FAT-fs",
    "vfat:",
    "fat:",
    "SQUASHFS",
    "squashfs:",
    "erofs",
    "tmpfs:",
    "proc:",
    "fuse:",
    "NFS:",
    "nfs:",
    "nfs4:",
    "CIFS:",
    "cifs:",
    "ISOFS:",
    "isofs_fill_super:",
    "F2FS-fs",
    "/dev/",
    "cgroup:",
    "cgroup2:",
    "mqueue:",
    "devpts:",
    "ramfs:",
    "9p:",
    "ceph:",
    "sysfs:",
    "bpf:",
    "Buffer",
    "I/O",
    "blk_update_request:",
    "VFS:",
    "Unable to find swap-space",
    "Unable to handle swap",
    "swapon:",
];

/// `SYSLOG_ACTION_READ_ALL` (syslog(2)).
const READ_ALL: i32 = 3;

pub(super) fn lines(mono_ns: u64) -> Vec<String> {
    let mut text = vec![0_u8; TAIL];
    // SAFETY: the kernel writes at most as many bytes as the buffer has.
    let got = unsafe { libc::klogctl(READ_ALL, text.as_mut_ptr().cast(), TAIL as i32) };
    let got = usize::try_from(got).unwrap_or(0);
    pick(&String::from_utf8_lossy(&text[..got]), mono_ns)
}

/// `<3>[    7.123456] overlayfs: …` of that moment.
fn pick(log: &str, mono_ns: u64) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for line in log.lines().rev() {
        let Some((at, text)) = parse(line) else { continue };
        if at + BEFORE_NS < mono_ns || out.len() >= MOST {
            break;
        }
        if at <= mono_ns + BEHIND_NS && SPEAKERS.iter().any(|s| text.starts_with(s)) {
            out.push(text.to_string());
        }
    }
    out.reverse();
    out
}

fn parse(line: &str) -> Option<(u64, &str)> {
    let rest = line.strip_prefix('<')?.split_once('>')?.1.strip_prefix('[')?;
    let (time, text) = rest.split_once(']')?;
    let (seconds, micros) = time.trim().split_once('.')?;
    // With printk caller ids a `[T123]` follows.
    let text = text.trim_start();
    let text = text.strip_prefix("[T").and_then(|t| t.split_once(']')).map_or(text, |(_, t)| t.trim_start());
    Some((seconds.parse::<u64>().ok()? * 1_000_000_000 + micros.parse::<u64>().ok()? * 1000, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lines_of_that_moment_and_of_file_systems() {
        let log = "<3>[    1.000000] overlayfs: old\n<3>[    9.900000] overlayfs: workdir and upperdir must reside under the same mount\n\
                   <6>[    9.950000] eth0: up\n<3>[   10.050000] [T12] EXT4-fs (loop0): VFS: Can't find ext4 filesystem\n<3>[   12.000000] overlayfs: later\n";
        let got = pick(log, 10_000_000_000);
        assert_eq!(got.len(), 2, "{got:?}");
        assert!(got[0].starts_with("overlayfs: workdir") && got[1].starts_with("EXT4-fs (loop0)"));
        assert!(pick("", 1).is_empty() && pick("[ 1.0] x", 1).is_empty());
    }
}
