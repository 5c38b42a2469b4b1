//! What disk-full claims, and the neighbours it must not claim.

use super::*;
use crate::model::{
    Abi, Arg, ArgValue, Failure, FailureKind, Finding, Host, Incident, Stamp, Suspect, Taken, Task,
};

fn tmpfs() -> FileSystem {
    FileSystem {
        role: "fd".into(),
        path: "/dev/shm/x".into(),
        object: FileKind::Regular,
        fstype: Some("tmpfs".into()),
        point: Some("/dev/shm".into()),
        options: "rw,size=64k,nr_inodes=8".into(),
        source: "shm".into(),
        overlay: None,
        upper: None,
        block_size: 4096,
        blocks: 16,
        blocks_free: 0,
        blocks_available: 0,
        files: 8,
        files_free: 3,
        reserved: Some(0),
        needs: 1,
        after_ns: 2_000_000,
    }
}

fn room() -> FileSystem {
    FileSystem { blocks_free: 5, blocks_available: 5, ..tmpfs() }
}

fn incident(call: &str, errno: Errno, args: Vec<Arg>, place: Option<FileSystem>) -> Incident {
    let overcommit = Suspect {
        id: "overcommit".into(),
        what: "strict memory overcommit".into(),
        reading: "vm.overcommit_memory = 0".into(),
        guilty: Some(false),
    };
    Incident {
        host: Host::default(),
        container: None,
        failure: Failure {
            time: Stamp::default(),
            task: Task { comm: "postgres".into(), pid: 7, ..Task::default() },
            kind: FailureKind::Syscall { name: call.into(), nr: 1, abi: Abi::Native, errno, args },
            readings: vec![],
        },
        count: 1,
        last: Stamp::default(),
        step: None,
        graph: None,
        no_graph: None,
        readings: vec![],
        suspects: vec![overcommit],
        owners: vec![],
        facts: place.into_iter().map(Fact::FileSystem).collect(),
        loss: Default::default(),
        cost: None,
    }
}

fn judged(call: &str, place: FileSystem) -> Option<Finding> {
    judge(&incident(call, Errno::ENOSPC, vec![], Some(place)))
}

fn judge(incident: &Incident) -> Option<Finding> {
    CAUSE.judge(&Case { incident, path: None })
}

#[test]
fn a_full_tmpfs_is_proven_and_says_which() {
    let f = judged("write", tmpfs()).unwrap();
    assert_eq!(f.confidence, Confidence::Proven);
    assert_eq!((f.knob.kind, f.knob.name.as_str()), (KnobKind::MountOption, "size="));
    assert_eq!((f.limit, f.usage, f.unit.as_str()), (Some(65536), Some(65536), "bytes"));
    assert!(f.remedy[0].command.contains("remount,size=131072 /dev/shm"), "{:?}", f.remedy);

    let full = FileSystem { object: FileKind::Absent, files_free: 0, ..room() };
    let f = judged("openat", full).unwrap();
    assert_eq!((f.confidence, f.knob.name.as_str()), (Confidence::Proven, "nr_inodes="));
    assert_eq!((f.limit, f.usage, f.unit.as_str()), (Some(8), Some(8), "inodes"));
}

#[test]
fn room_refutes_it() {
    assert!(judged("write", room()).is_none());
    assert!(judged("openat", FileSystem { object: FileKind::Absent, ..room() }).is_none());
    // Inodes are no concern of a write, nor blocks of a new name on a tmpfs.
    assert!(judged("write", FileSystem { files_free: 0, ..room() }).is_none());
    assert!(judged("mkdir", FileSystem { object: FileKind::Absent, ..tmpfs() }).is_none());
    // Not limited at all.
    assert!(judged("write", FileSystem { blocks: 0, ..tmpfs() }).is_none());
}

#[test]
fn a_request_larger_than_what_is_free() {
    let f = judged("fallocate", FileSystem { needs: 6, ..room() }).unwrap();
    assert_eq!(f.confidence, Confidence::Proven);
    assert!(f.sentence.contains("20.0 KiB free") && f.sentence.contains("24.0 KiB"), "{}", f.sentence);
    assert!(judged("fallocate", FileSystem { needs: 5, ..room() }).is_none());
}

#[test]
fn a_write_that_would_fit_in_part_is_likely_where_pieces_are_large() {
    let ext4 = FileSystem { fstype: Some("ext4".into()), ..room() };
    let count = |bytes| vec![Arg { name: "count".into(), value: ArgValue::Number(bytes) }];
    let f = judge(&incident("write", Errno::ENOSPC, count(65_536), Some(ext4.clone()))).unwrap();
    assert_eq!(f.confidence, Confidence::Likely);
    assert!(f.sentence.contains("20.0 KiB free") && f.sentence.contains("64.0 KiB"), "{}", f.sentence);
    assert!(judge(&incident("write", Errno::ENOSPC, count(4096), Some(ext4))).is_none());
    assert!(judge(&incident("write", Errno::ENOSPC, count(65_536), Some(room()))).is_none(), "a tmpfs");
}

#[test]
fn interfaces_and_devices_have_reasons_of_their_own() {
    for kind in ["cgroup", "cgroup2", "proc", "devpts", "sysfs", "hugetlbfs"] {
        assert!(judged("write", FileSystem { fstype: Some(kind.into()), ..tmpfs() }).is_none(), "{kind}");
    }
    // /dev/full, and a block device at its end.
    assert!(judged("write", FileSystem { object: FileKind::Other, ..tmpfs() }).is_none());
    let args = |name: &str, v: &str| vec![Arg { name: name.into(), value: ArgValue::Text(v.into()) }];
    assert!(judge(&incident("openat", Errno::ENOSPC, args("pathname", "/dev/ptmx"), None)).is_none());
    assert!(judge(&incident("mount", Errno::ENOSPC, args("fstype", "proc"), Some(tmpfs()))).is_none());
}

#[test]
fn other_errnos_and_other_calls_are_not_its() {
    for (call, errno) in [
        ("write", Errno::EDQUOT),
        ("write", Errno(libc::EFBIG)),
        ("inotify_add_watch", Errno::ENOSPC),
        ("unshare", Errno::ENOSPC),
        ("clone3", Errno::ENOSPC),
        ("semget", Errno::ENOSPC),
        ("bpf", Errno::ENOSPC),
    ] {
        assert!(judge(&incident(call, errno, vec![], Some(tmpfs()))).is_none(), "{call} {errno}");
    }
}

#[test]
fn the_share_of_root_is_no_room_for_others() {
    let ext4 = FileSystem {
        fstype: Some("ext4".into()),
        source: "/dev/vda".into(),
        blocks: 1000,
        blocks_free: 50,
        blocks_available: 0,
        reserved: Some(50),
        ..tmpfs()
    };
    let f = judged("write", ext4.clone()).unwrap();
    assert_eq!((f.confidence, f.knob.name.as_str()), (Confidence::Proven, "/dev/vda"));
    assert!(judged("write", FileSystem { reserved: Some(10), ..ext4.clone() }).is_none());
    let unknown = judged("write", FileSystem { reserved: None, ..ext4 }).unwrap();
    assert_eq!(unknown.confidence, Confidence::Likely);
}

#[test]
fn what_lies_below_an_overlay_must_be_known_to_be_proven() {
    let below = FileSystem { overlay: Some("/".into()), upper: Some("/var/lib/e/upper".into()), ..tmpfs() };
    assert_eq!(judged("write", below.clone()).unwrap().confidence, Confidence::Proven);
    let unknown = FileSystem { fstype: None, point: None, options: String::new(), ..below };
    let f = judged("write", unknown).unwrap();
    assert_eq!(f.confidence, Confidence::Likely);
    assert!(f.sentence.contains("/var/lib/e/upper"), "{}", f.sentence);
    let xfs = FileSystem { fstype: Some("xfs".into()), ..tmpfs() };
    assert_eq!(judged("write", xfs).unwrap().confidence, Confidence::Likely);
}

#[test]
fn rivals_lower_it() {
    let mut strict = incident("write", Errno::ENOSPC, vec![], Some(tmpfs()));
    strict.suspects[0].guilty = Some(true);
    assert_eq!(judge(&strict).unwrap().confidence, Confidence::Likely);
    let quota = FileSystem { options: "rw,prjquota".into(), fstype: Some("ext4".into()), ..tmpfs() };
    assert_eq!(judged("write", quota).unwrap().confidence, Confidence::Likely);
    let late = FileSystem { after_ns: 5_000_000_000, ..tmpfs() };
    assert_eq!(judged("write", late).unwrap().confidence, Confidence::Likely);
}

#[test]
fn the_mount_of_an_overlay_needs_its_namespace_to_have_room() {
    let args = vec![Arg { name: "fstype".into(), value: ArgValue::Text("overlay".into()) }];
    let place = FileSystem { role: "workdir".into(), object: FileKind::Folder, files_free: 0, ..room() };
    let mut i = incident("mount", Errno::ENOSPC, args, Some(place));
    assert_eq!(judge(&i).unwrap().confidence, Confidence::Likely);
    i.readings.push(Reading {
        limit: MOUNT_MAX.id.into(),
        scope: "mount namespace 1".into(),
        ceiling: Some(100_000),
        usage: Some(30),
        adds: Some(1),
        hits: None,
        unit: "mounts".into(),
        taken: Taken::AtInstant,
        source: "mnt_namespace.nr_mounts".into(),
    });
    assert_eq!(judge(&i).unwrap().confidence, Confidence::Proven);
}

#[test]
fn nothing_read_is_no_more_than_possible() {
    let args = vec![Arg { name: "pathname".into(), value: ArgValue::Text("/data/x".into()) }];
    let f = judge(&incident("mkdir", Errno::ENOSPC, args, None)).unwrap();
    assert_eq!((f.confidence, f.knob.path.as_str()), (Confidence::Possible, "/data/x"));
    assert!(!f.evidence.is_empty());
    // A descriptor may be anything.
    assert!(judge(&incident("write", Errno::ENOSPC, vec![], None)).is_none());
}
