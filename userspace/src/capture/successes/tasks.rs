//! Tasks, their namespaces, programs, credentials and what else belongs to a task: all of it goes with the deed's.

use super::files::Place;
use super::told::{Told, close, own_tid, reap, text};
use crate::capture::clock;
use std::fs;
use std::os::unix::fs::PermissionsExt;

const NAMESPACES: [i32; 7] = [
    libc::CLONE_NEWNS,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWCGROUP,
];

pub(super) fn children(told: &mut Told) {
    let signal = libc::SIGCHLD as usize;
    reap(told.call("fork", &[]));
    for flags in [0].into_iter().chain(NAMESPACES) {
        reap(told.call("clone", &[signal | flags as usize, 0, 0, 0, 0]));
    }
    for flags in [0, libc::CLONE_NEWNS as u64] {
        // struct clone_args: flags first, the signal at the end fifth.
        let arguments = [flags, 0, 0, 0, signal as u64, 0, 0, 0, 0, 0, 0];
        reap(told.call("clone3", &[arguments.as_ptr() as usize, size_of_val(&arguments)]));
    }
}

pub(super) fn unshare(told: &mut Told) {
    // A user namespace last: what follows it happens inside.
    let (user, others): (Vec<i32>, Vec<i32>) =
        NAMESPACES.into_iter().partition(|flag| *flag == libc::CLONE_NEWUSER);
    for flag in others.into_iter().chain(user) {
        told.call("unshare", &[flag as usize]);
    }
}

pub(super) fn setns(told: &mut Told) {
    for (name, kind) in [
        ("net", libc::CLONE_NEWNET),
        ("uts", libc::CLONE_NEWUTS),
        ("ipc", libc::CLONE_NEWIPC),
        ("cgroup", libc::CLONE_NEWCGROUP),
        ("pid", libc::CLONE_NEWPID),
        ("mnt", libc::CLONE_NEWNS),
        ("time_for_children", 0x80),
    ] {
        let file = text(&format!("/proc/self/ns/{name}"));
        let flags = (libc::O_RDONLY | libc::O_CLOEXEC) as usize;
        let fd = told.call("openat", &[libc::AT_FDCWD as usize, file.as_ptr() as usize, flags, 0]);
        if let Some(fd) = fd {
            told.call("setns", &[fd, kind as usize]);
        }
        close(fd);
    }
}

/// This very program, which does nothing without a word, and a script that it is the interpreter of.
pub(super) fn programs(told: &mut Told) {
    let Some(place) = Place::make() else { return };
    let (program, script) = (place.path().join("program"), place.path().join("script"));
    if fs::copy("/proc/self/exe", &program).is_err() {
        return;
    }
    let line = format!("#!{} {}\n", program.display(), super::VERB);
    let runnable = fs::Permissions::from_mode(0o755);
    if fs::write(&script, line).is_err() || fs::set_permissions(&script, runnable).is_err() {
        return;
    }
    for file in [&program, &script] {
        let file = super::files::path(file);
        let words = [file.as_ptr(), c"succeed".as_ptr(), std::ptr::null()];
        for call in ["execve", "execveat"] {
            execute(told, call, file.as_ptr() as usize, words.as_ptr() as usize);
        }
    }
}

/// A call that does not come back: the child's end tells that it succeeded.
fn execute(told: &mut Told, call: &str, file: usize, words: usize) {
    let environment = [std::ptr::null::<libc::c_char>()];
    let environment = environment.as_ptr() as usize;
    let begin = clock::mono_ns();
    // SAFETY: one thread, so the child may do what the parent may.
    let child = unsafe { libc::fork() };
    if child == 0 {
        // Its own output is the report, and its input would be the word to do deeds.
        close(Some(libc::STDIN_FILENO as usize));
        let mut own = Told::new();
        match call {
            "execve" => own.call(call, &[file, words, environment]),
            _ => own.call(call, &[libc::AT_FDCWD as usize, file, words, environment, 0]),
        };
        // SAFETY: the exec failed; nothing of the parent's is to run.
        unsafe { libc::_exit(127) }
    }
    let mut status = 0;
    // SAFETY: the status is live.
    let waited = unsafe { libc::waitpid(child, &raw mut status, 0) };
    if waited == child && libc::WIFEXITED(status) && libc::WEXITSTATUS(status) != 127 {
        told.say(call, i64::from(child), begin, clock::mono_ns());
    }
}

pub(super) fn credentials(told: &mut Told) {
    let limit = libc::rlimit { rlim_cur: 64, rlim_max: 64 };
    let limit = &raw const limit as usize;
    told.call("prlimit64", &[0, libc::RLIMIT_CORE as usize, limit, 0]);
    told.call("setrlimit", &[libc::RLIMIT_CORE as usize, limit]);
    told.call("prctl", &[libc::PR_SET_NO_NEW_PRIVS as usize, 1, 0, 0, 0]);
    told.call("prctl", &[libc::PR_CAP_AMBIENT as usize, libc::PR_CAP_AMBIENT_CLEAR_ALL as usize, 0, 0, 0]);
    told.call("setgroups", &[0, 0]);
    // Groups first: afterwards it may not.
    let one = 1;
    told.call("setresgid", &[one, one, usize::MAX]);
    told.call("setgid", &[one]);
    told.call("setresuid", &[one, usize::MAX, usize::MAX]);
    told.call("setuid", &[one]);
}

pub(super) fn scheduling(told: &mut Told) {
    let mut cpus = [0u64; 16];
    let at = cpus.as_mut_ptr() as usize;
    if let Some(size) = told.call("sched_getaffinity", &[0, size_of_val(&cpus), at]) {
        told.call("sched_setaffinity", &[0, size, at]);
    }
    let priority = 0i32;
    told.call("sched_setscheduler", &[0, libc::SCHED_BATCH as usize, &raw const priority as usize]);
    told.call("setpriority", &[libc::PRIO_PROCESS as usize, 0, 5]);
    // struct sched_attr: size and policy, all else zero.
    let attributes = [48u64, 0, 0, 0, 0, 0];
    told.call("sched_setattr", &[0, attributes.as_ptr() as usize, 0]);
}

pub(super) fn signals(told: &mut Told) {
    let signal = libc::SIGUSR1;
    // Blocked, so that it is queued and does nothing.
    // SAFETY: a set of this frame.
    unsafe {
        let mut set = std::mem::zeroed::<libc::sigset_t>();
        libc::sigaddset(&raw mut set, signal);
        libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut());
    }
    // siginfo_t: the code in its third word (SI_QUEUE is -1).
    let mut info = [0i32; 32];
    (info[0], info[2]) = (signal, -1);
    let own = own_tid() as usize;
    told.call("rt_sigqueueinfo", &[own, signal as usize, info.as_ptr() as usize]);
    told.call("kill", &[own, 0]);
    // SAFETY: one thread; the child waits to be ended.
    let child = unsafe { libc::fork() };
    if child == 0 {
        // SAFETY: waits for a signal, and ends.
        unsafe {
            libc::pause();
            libc::_exit(0);
        }
    }
    let Ok(child) = usize::try_from(child) else { return };
    told.call("ptrace", &[libc::PTRACE_SEIZE as usize, child, 0, 0]);
    told.call("kill", &[child, libc::SIGKILL as usize]);
    reap(Some(child));
}

pub(super) fn security(told: &mut Told) {
    const SYSLOG_ACTION_SIZE_BUFFER: usize = 10;
    told.call("syslog", &[SYSLOG_ACTION_SIZE_BUFFER, 0, 0]);
    // union bpf_attr of BPF_MAP_CREATE: an array of one.
    let map = [2u32, 4, 8, 1, 0, 0, 0, 0];
    close(told.call("bpf", &[0, map.as_ptr() as usize, size_of_val(&map)]));
    // struct perf_event_attr: software, its size, the context switches.
    let mut event = [0u32; 16];
    (event[0], event[1], event[2]) = (1, size_of_val(&event) as u32, 3);
    close(told.call("perf_event_open", &[event.as_ptr() as usize, 0, usize::MAX, usize::MAX, 0]));
    told.call("prctl", &[libc::PR_SET_NO_NEW_PRIVS as usize, 1, 0, 0, 0]);
    // One right: to write files.
    let handled = [2u64];
    let rules = told.call("landlock_create_ruleset", &[handled.as_ptr() as usize, 8, 0]);
    if let Some(rules) = rules {
        told.call("landlock_restrict_self", &[rules, 0]);
    }
    close(rules);
    // One instruction that lets everything through (SECCOMP_RET_ALLOW).
    let pass = libc::sock_filter { code: 0x06, jt: 0, jf: 0, k: 0x7fff_0000 };
    let program = libc::sock_fprog { len: 1, filter: (&raw const pass).cast_mut() };
    const SET_MODE_FILTER: usize = 1;
    told.call("seccomp", &[SET_MODE_FILTER, 0, &raw const program as usize]);
}

pub(super) fn objects(told: &mut Told) {
    let mut parameters = [0u32; 30];
    close(told.call("io_uring_setup", &[1, parameters.as_mut_ptr() as usize]));
    close(told.call("userfaultfd", &[libc::O_CLOEXEC as usize]));
    const JOIN_SESSION_KEYRING: usize = 1;
    const OWN_PROCESS: usize = -2isize as usize;
    told.call("keyctl", &[JOIN_SESSION_KEYRING, 0, 0, 0, 0]);
    let [kind, name] = ["user", "diag"].map(text);
    told.call(
        "add_key",
        &[kind.as_ptr() as usize, name.as_ptr() as usize, c"x".as_ptr() as usize, 1, OWN_PROCESS],
    );
}
