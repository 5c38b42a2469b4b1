//! Not all of root's capabilities: each is named that is missing, and no more is asked for than is needed.

use crate::bench_of_one::{Bench, text};
use crate::places::{assert_refused, spoiled};
use std::io;

fn without(capabilities: &'static [libc::c_ulong]) -> impl FnMut() -> io::Result<()> + Send + Sync + 'static {
    move || {
        for capability in capabilities {
            // SAFETY: takes numbers only.
            if unsafe { libc::prctl(libc::PR_CAPBSET_DROP, *capability, 0, 0, 0) } != 0 {
                return Err(io::Error::last_os_error());
            }
        }
        Ok(())
    }
}

const CAP_SYS_ADMIN: libc::c_ulong = 21;
const CAP_PERFMON: libc::c_ulong = 38;
const CAP_BPF: libc::c_ulong = 39;

#[test]
fn missing_capabilities_are_named() {
    let Some(bench) = Bench::open() else { return };
    let explain = || bench.diag(&["explain", "--", "true"]);
    assert_refused(&spoiled(explain(), without(&[CAP_SYS_ADMIN, CAP_BPF])), &["lacks CAP_BPF"]);
    assert_refused(&spoiled(explain(), without(&[CAP_SYS_ADMIN, CAP_PERFMON])), &["lacks CAP_PERFMON"]);
    // Each alone is covered by the others.
    for alone in [&[CAP_BPF], &[CAP_PERFMON], &[CAP_SYS_ADMIN]] {
        let out = spoiled(explain(), without(alone));
        assert_eq!(out.status.code(), Some(0), "{alone:?}: {}{}", text(&out.stdout), text(&out.stderr));
    }
    bench.nothing_left();
}
