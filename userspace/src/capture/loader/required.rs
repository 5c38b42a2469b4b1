//! What must be so before anything is loaded: a kernel that is new enough, and the right to load.

use super::CaptureError;
use std::fs;

/// Before anything is tried: what an old kernel answers to a program it does not know helps nobody.
pub(in crate::capture) fn check_kernel() -> Result<String, CaptureError> {
    let release =
        nix::sys::utsname::uname().map(|u| u.release().to_string_lossy().into_owned()).unwrap_or_default();
    if is_older(&release, (5, 10)) { Err(CaptureError::TooOld { release }) } else { Ok(release) }
}

/// A release that cannot be read is given the benefit of the doubt.
pub(in crate::capture) fn is_older(release: &str, than: (u32, u32)) -> bool {
    let mut numbers = release.split(['.', '-']).map_while(|part| part.parse::<u32>().ok());
    matches!((numbers.next(), numbers.next()), (Some(major), Some(minor)) if (major, minor) < than)
}

/// CAP_BPF and CAP_PERFMON, or CAP_SYS_ADMIN for both (kernel/bpf/syscall.c `bpf_prog_load`).
pub(super) fn check_capabilities() -> Result<(), CaptureError> {
    const CAP_SYS_ADMIN: u32 = 21;
    const NEEDED: [(u32, &str); 2] = [(39, "CAP_BPF"), (38, "CAP_PERFMON")];
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let Some(effective) = effective.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()) else {
        return Ok(());
    };
    let has = |capability: u32| effective & (1 << capability) != 0;
    if has(CAP_SYS_ADMIN) {
        return Ok(());
    }
    let missing: Vec<&str> =
        NEEDED.iter().filter(|(number, _)| !has(*number)).map(|(_, name)| *name).collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(CaptureError::NotPermitted { missing: missing.join(" and ") })
}

#[cfg(test)]
mod tests {
    use super::is_older;

    #[test]
    fn old_kernels_are_told_by_their_number() {
        for old in ["2.6.78", "4.18.0-553.el8", "5.9.16"] {
            assert!(is_older(old, (5, 10)), "{old}");
        }
        for new in ["5.10.0-32-cloud-amd64", "6.1.0", "7.0-rc1", "unreadable"] {
            assert!(!is_older(new, (5, 10)), "{new}");
        }
    }
}
