//! One failure, whole: arguments, strings, identity, and the mount count of that instant.

use crate::scene::{Child, Seen, c, collect_until, mount, private_mounts, skip, watch};
use diag::capture::errno_watch::{ErrnoWatch, Scope};
use diag::model::{Abi, ArgValue, Errno, Failure, FailureKind, Taken};
use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::time::Instant;

/// Runs `work` in a child with a mount namespace of its own, and looks at it from outside just before.
fn observe(
    watch: &mut ErrnoWatch,
    work: impl FnOnce() -> i32,
    look: impl FnOnce(u32),
    wanted: (&str, Errno),
) -> Option<Failure> {
    let mut child = Child::start(|gate| {
        if !private_mounts() {
            return 99;
        }
        gate.wait();
        work()
    });
    child.at_gate();
    let pid = child.pid;
    look(pid);
    child.open_gate();
    match child.end() {
        0 => {}
        99 => panic!("no mount namespace of its own"),
        code => panic!("the child did not fail as it should: {code}"),
    }
    let mut seen = Seen::default();
    collect_until(watch, &mut seen, wanted.0, |seen, _| !seen.of(pid, wanted.0, wanted.1).is_empty());
    seen.of(pid, wanted.0, wanted.1).first().map(|failure| (*failure).clone())
}

fn inode(pid: u32, namespace: &str) -> Option<u32> {
    let link = fs::read_link(format!("/proc/{pid}/ns/{namespace}")).unwrap();
    link.to_str().unwrap().split_once('[').unwrap().1.trim_end_matches(']').parse().ok()
}

/// The mounts of a namespace as the kernel counts them, where it tells (NS_MNT_GET_INFO, Linux 6.12):
/// without the namespace's own root, which `count_mounts()` does count.
fn counted_mounts(pid: u32) -> Option<u64> {
    let file = fs::File::open(format!("/proc/{pid}/ns/mnt")).unwrap();
    // struct mnt_ns_info { u32 size; u32 nr_mounts; u64 mnt_ns_id }, _IOR(0xb7, 10, …)
    let mut info = [16_u32, 0, 0, 0];
    // SAFETY: the kernel writes at most the 16 bytes that the number of the request says.
    let done = unsafe { libc::ioctl(file.as_raw_fd(), 0x8010_b70a, info.as_mut_ptr()) };
    (done == 0).then(|| u64::from(info[1]))
}

#[test]
fn a_refused_mount_with_all_that_belongs_to_it() {
    let Some(mut watch) = watch(Scope::Machine, None) else { return };
    let (source, target) = (c("/no/such/source"), c("/no/such/target"));
    let (fstype, data) = (c("tmpfs"), c("size=64m,mode=0755"));
    let (mut lines, mut counted, mut namespaces, mut start) = (0, None, Vec::new(), 0);
    let before = Instant::now();
    let failure = observe(
        &mut watch,
        || {
            i32::from(
                mount(&source, &target, &fstype, libc::MS_NOSUID | libc::MS_NODEV, &data) != libc::ENOENT,
            )
        },
        |pid| {
            lines = fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap().lines().count() as u64;
            counted = counted_mounts(pid);
            namespaces = ["mnt", "pid", "user"].map(|name| inode(pid, name)).to_vec();
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
            start =
                stat.rsplit_once(')').unwrap().1.split_whitespace().nth(19).unwrap().parse::<u64>().unwrap();
        },
        ("mount", Errno::ENOENT),
    )
    .unwrap();
    println!("seen {:?} after the start: {failure:#?}", before.elapsed());

    assert_eq!(failure.text_arg("source"), Some("/no/such/source"));
    assert_eq!(failure.text_arg("target"), Some("/no/such/target"));
    assert_eq!(failure.text_arg("fstype"), Some("tmpfs"));
    assert_eq!(failure.text_arg("data"), Some("size=64m,mode=0755"));
    let flags = failure.args().iter().find(|arg| arg.name == "flags").map(|arg| &arg.value);
    assert_eq!(flags, Some(&ArgValue::Flags { raw: 6, words: "MS_NOSUID|MS_NODEV".into() }));
    assert!(matches!(failure.kind, FailureKind::Syscall { abi: Abi::Native, nr: 165, .. }));

    assert_eq!(failure.task.tid, failure.task.pid);
    assert_eq!(failure.task.ppid, std::process::id());
    assert_eq!(failure.task.uid, 0);
    assert_eq!(failure.task.start_ns / 10_000_000, start);
    assert_eq!([failure.task.mnt_ns, failure.task.pid_ns, failure.task.user_ns].to_vec(), namespaces);
    cgroups_agree(&failure);

    let reading = failure.readings.iter().find(|reading| reading.limit == "fs.mount-max").unwrap();
    assert_eq!(reading.taken, Taken::AtInstant);
    // Where the kernel shows its variables the ceiling is of that instant too; else it is the sampler's.
    let most = fs::read_to_string("/proc/sys/fs/mount-max").unwrap();
    assert!(reading.ceiling.is_none_or(|ceiling| ceiling.to_string() == most.trim()), "{reading:?}");
    println!("mounts: probe {:?}, kernel {counted:?}, mountinfo {lines}", reading.usage);
    if let Some(counted) = counted {
        assert_eq!(reading.usage, Some(counted + 1));
    }
    // mountinfo shows what is reachable from the task's root. What is not is the first root, below the one
    // that the system moved to, and since Linux 7 an empty one below that.
    assert!(reading.usage.is_some_and(|usage| (lines..=lines + 2).contains(&usage)), "{reading:?}");
    let now = diag::capture::clock::now();
    assert!(failure.time.mono_ns < now.mono_ns && failure.time.unix_ns < now.unix_ns);
    assert!(now.unix_ns - failure.time.unix_ns < 60_000_000_000, "the wall clock is the wall's");
}

/// The ids of this process's own cgroups (the child is in the same) are the inodes of their folders.
fn cgroups_agree(failure: &Failure) {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    for line in fs::read_to_string("/proc/self/cgroup").unwrap().lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next().unwrap(), parts.next().unwrap());
        let v2 = controllers.is_empty();
        let Some(mount) =
            mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>()).find(|fields| match v2 {
                true => fields[2] == "cgroup2",
                false => fields[2] == "cgroup" && fields[3].split(',').any(|option| option == controllers),
            })
        else {
            continue;
        };
        let id = fs::metadata(format!("{}{path}", mount[1])).unwrap().ino();
        for hierarchy in if v2 { vec!["v2"] } else { controllers.split(',').collect() } {
            let seen = failure.task.cgroups.iter().find(|cgroup| cgroup.hierarchy == hierarchy);
            if v2 || ["pids", "memory", "cpu", "cpuset"].contains(&hierarchy) {
                assert_eq!(seen.map(|cgroup| cgroup.id), Some(id), "{hierarchy} {path}");
            }
        }
    }
}

#[test]
fn a_pointer_to_nowhere_is_unread_and_no_string_is_null() {
    let Some(mut watch) = watch(Scope::Machine, None) else { return };
    let failure = observe(
        &mut watch,
        || {
            // SAFETY: the kernel refuses the address; nothing is written.
            let done = unsafe {
                libc::mount(std::ptr::null(), 8 as *const libc::c_char, std::ptr::null(), 0, std::ptr::null())
            };
            i32::from(done == 0)
        },
        |_| (),
        ("mount", Errno(libc::EFAULT)),
    )
    .unwrap();
    let value = |name: &str| failure.args().iter().find(|arg| arg.name == name).map(|arg| arg.value.clone());
    assert_eq!(value("target"), Some(ArgValue::Unread));
    assert_eq!(value("source"), Some(ArgValue::Null));
    assert_eq!(value("data"), Some(ArgValue::Null));
}

/// Restores `fs.mount-max` on every way out.
struct MountMax(String);

impl MountMax {
    const PATH: &str = "/proc/sys/fs/mount-max";

    fn lower(to: u64) -> std::io::Result<Self> {
        let guard = Self(fs::read_to_string(Self::PATH)?);
        fs::write(Self::PATH, to.to_string())?;
        Ok(guard)
    }
}

impl Drop for MountMax {
    fn drop(&mut self) {
        if let Err(error) = fs::write(Self::PATH, &self.0) {
            println!("fs.mount-max is not restored to {}: {error}", self.0);
        }
    }
}

#[test]
fn the_canonical_refusal_shows_a_full_namespace() {
    let Some(mut watch) = watch(Scope::Machine, None) else { return };
    // High enough that no namespace on this machine but the child's meets it.
    const LOW: u64 = 3_000;
    let guard = match MountMax::lower(LOW) {
        Ok(guard) => guard,
        Err(error) => return skip(&format!("fs.mount-max cannot be set: {error}")),
    };
    let (source, target, fstype, data) = (c("none"), c("/tmp"), c("tmpfs"), c("size=4k"));
    let failure = observe(
        &mut watch,
        || {
            let last =
                (0..=LOW).map(|_| mount(&source, &target, &fstype, 0, &data)).find(|errno| *errno != 0);
            i32::from(last != Some(libc::ENOSPC))
        },
        |_| (),
        ("mount", Errno::ENOSPC),
    );
    drop(guard);
    let failure = failure.unwrap();
    let reading = &failure.readings[0];
    // The mount that was refused is not in the count: with it, the limit would be exceeded.
    assert_eq!(reading.usage, Some(LOW), "{reading:?}");
    // The ceiling too, where the kernel shows where it is; else it is the sampler's.
    assert!(matches!(reading.exceeded(), None | Some(true)), "{reading:?}");
}

#[test]
fn the_new_mount_api_is_seen_too() {
    let Some(mut watch) = watch(Scope::Machine, None) else { return };
    let (from, to) = (c("/no/such/from"), c("/no/such/to"));
    let failure = observe(
        &mut watch,
        || {
            // SAFETY: NUL-terminated strings that outlive the call.
            let done = unsafe {
                libc::syscall(
                    libc::SYS_move_mount,
                    libc::AT_FDCWD,
                    from.as_ptr(),
                    libc::AT_FDCWD,
                    to.as_ptr(),
                    0,
                )
            };
            i32::from(done == 0)
        },
        |_| (),
        ("move_mount", Errno::ENOENT),
    )
    .unwrap();
    assert_eq!(failure.text_arg("from_pathname"), Some("/no/such/from"));
    assert_eq!(failure.text_arg("to_pathname"), Some("/no/such/to"));
    assert!(failure.readings.iter().any(|reading| reading.limit == "fs.mount-max"));
}

#[test]
fn what_is_loaded_and_what_it_costs() {
    let start = Instant::now();
    let Some(watch) = watch(Scope::Machine, None) else { return };
    let elapsed = start.elapsed();
    let (errno_watch, mounts, programs) = watch.state();
    println!("started in {elapsed:?}\n{errno_watch:?}\n{mounts:?}\n{programs:#?}\n{:?}", watch.missing());
    assert!(errno_watch.is_yes() && mounts.is_yes());
    assert!(programs.iter().all(|(_, state)| state.is_yes()), "{programs:?}");
    assert_eq!(crate::scene::unexpectedly_missing(watch.missing()), [], "the probes read what /proc says");
}

#[test]
fn waiting_ends_when_something_fails() {
    let Some(mut watch) = watch(Scope::Machine, None) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        for round in 0..3 {
            let target = c("/no/such/target");
            let child = Child::start(|_| {
                mount(&target, &target, &target, 0, &target);
                0
            });
            let pid = child.pid;
            let mut seen = Seen::default();
            let waiting = async {
                while seen.failures.iter().all(|failure| failure.task.pid != pid) {
                    watch.ready().await.unwrap();
                    seen.collect(&mut watch);
                }
            };
            tokio::time::timeout(crate::scene::DEADLINE, waiting)
                .await
                .unwrap_or_else(|_| panic!("round {round}"));
            assert_eq!(child.end(), 0);
        }
    });
}
