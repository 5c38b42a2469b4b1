//! What a workload may and may not do, unless it is told otherwise and when it is.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use container_core::{
    Capabilities, Device, Exit, Mount, MountSource, ResourceLimit, Seccomp, Security, Spec, Sysctl, User,
};

use crate::scene::Scene;

/// A 64-bit program of a few bytes that makes one system call by `int 0x80`, as 32-bit programs do, and ends with its
/// errno. Numbers are i386's then, and so is what the filter is asked about.
fn foreign_call(number: u8) -> Vec<u8> {
    let code = [
        // mov eax, number; xor ebx, ecx, edx, esi, edi; int 0x80
        &[0xb8, number, 0, 0, 0, 0x31, 0xdb, 0x31, 0xc9, 0x31, 0xd2, 0x31, 0xf6, 0x31, 0xff, 0xcd, 0x80][..],
        // neg eax; mov edi, eax; mov eax, 60 (exit, 64-bit); syscall
        &[0xf7, 0xd8, 0x89, 0xc7, 0xb8, 60, 0, 0, 0, 0x0f, 0x05],
    ]
    .concat();
    let base: u64 = 0x40_0000;
    let size = (64 + 56 + code.len()) as u64;
    let mut elf = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    // Executable, x86-64, version, entry, program header at 64, no sections.
    elf.extend([2u16, 62].iter().flat_map(|n| n.to_le_bytes()));
    elf.extend(1u32.to_le_bytes());
    elf.extend([base + 120, 64, 0].iter().flat_map(|n| n.to_le_bytes()));
    elf.extend(0u32.to_le_bytes());
    elf.extend([64u16, 56, 1, 0, 0, 0].iter().flat_map(|n| n.to_le_bytes()));
    // One segment, readable and executable, the whole file.
    elf.extend([1u32, 5].iter().flat_map(|n| n.to_le_bytes()));
    elf.extend([0, base, base, size, size, 0x1000].iter().flat_map(|n: &u64| n.to_le_bytes()));
    elf.extend(code);
    elf
}

#[test]
fn the_default_rights_are_those_of_docker() {
    let Some(scene) = Scene::new("rights") else { return };
    let status = "grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status";
    let spec = Spec { name: Some("plain".into()), ..scene.sh(status) };
    assert_eq!(scene.run(&spec).unwrap().exit, Exit::with_code(0));
    let log = scene.log("plain");
    for line in [
        "CapInh:\t0000000000000000",
        "CapPrm:\t00000000a80425fb",
        "CapEff:\t00000000a80425fb",
        "CapBnd:\t00000000a80425fb",
        "CapAmb:\t0000000000000000",
        "NoNewPrivs:\t0",
        "Seccomp:\t2",
    ] {
        assert!(log.contains(line), "{line:?} is missing in\n{log}");
    }
    // A user other than root has none, but the bounding set stays.
    let user = Some(User { uid: 1000, gid: 1000 });
    let spec = Spec { name: Some("user".into()), user, ..scene.sh(status) };
    scene.run(&spec).unwrap();
    let log = scene.log("user");
    assert!(log.contains("CapEff:\t0000000000000000") && log.contains("CapBnd:\t00000000a80425fb"), "{log}");
}

#[test]
fn rights_are_given_and_taken() {
    let Some(scene) = Scene::new("given") else { return };
    let capabilities =
        Capabilities { none: true, add: vec!["NET_ADMIN".parse().unwrap()], ..Capabilities::default() };
    let security = Security {
        capabilities,
        no_new_privileges: true,
        seccomp: Seccomp::Unconfined,
        unmask_system_paths: true,
    };
    let script = "grep -E '^(CapBnd|NoNewPrivs|Seccomp:)' /proc/self/status; ls /proc/scsi /sys/firmware | wc -l; \
                  echo 1 > /proc/sys/net/ipv4/ip_forward && echo sysctl";
    let spec = Spec { name: Some("odd".into()), security, ..scene.sh(script) };
    scene.run(&spec).unwrap();
    let log = scene.log("odd");
    for line in ["CapBnd:\t0000000000001000", "NoNewPrivs:\t1", "Seccomp:\t0", "sysctl"] {
        assert!(log.contains(line), "{line:?} is missing in\n{log}");
    }
}

#[test]
fn system_calls_are_refused_to_both_kinds_of_callers() {
    let Some(scene) = Scene::new("filter") else { return };
    let image = scene.dir.join("image");
    // Numbers of i386; 21 is access and 87 unlink to a 64-bit caller.
    for (name, number) in [("mount32", 21), ("getpid32", 20), ("swapon32", 87)] {
        fs::write(image.join(name), foreign_call(number)).unwrap();
        fs::set_permissions(image.join(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
    scene.engine.import("foreign", &image).unwrap();
    let exit = |security: &Security, command: &str| {
        let spec = Spec { security: security.clone(), ..Spec::new("foreign", [command]) };
        scene.run(&spec).unwrap().exit
    };
    let (default, mut unconfined) = (Security::default(), Security::default());
    unconfined.seccomp = Seccomp::Unconfined;
    if exit(&unconfined, "/getpid32") == Exit::by_signal(libc::SIGSEGV) {
        println!("no kernel for 32-bit callers here");
        return;
    }
    // Capabilities alone refuse these too; the null path shows that the filter was first: EFAULT without it.
    assert_eq!(exit(&unconfined, "/mount32"), Exit::with_code(libc::EFAULT));
    assert_eq!(exit(&default, "/mount32"), Exit::with_code(libc::EPERM));
    assert_eq!(exit(&default, "/swapon32"), Exit::with_code(libc::EPERM));
    // getpid says 1, so the code is -1 in a byte.
    assert_eq!(exit(&default, "/getpid32"), Exit::with_code(255));
}

#[test]
fn the_machine_is_hidden_and_cannot_be_changed() {
    let Some(scene) = Scene::new("hidden") else { return };
    let script = "echo $(cat /proc/kcore /proc/keys /proc/timer_list 2>/dev/null | wc -c) secrets; \
                  echo $(ls -A /sys/firmware | wc -l) firmware; \
                  echo 1 2>/dev/null >/proc/sys/kernel/panic || echo no sysctl; \
                  echo h 2>/dev/null >/proc/sysrq-trigger || echo no sysrq; \
                  busybox mknod /tmp/disk b 8 0 && echo made; cat /tmp/disk 2>&1; \
                  busybox mknod /tmp/mem c 1 1; dd if=/tmp/mem bs=1 count=1 2>&1 | head -1; \
                  busybox mknod /tmp/null c 1 3; echo x >/tmp/null && echo null works";
    let spec = Spec { name: Some("hidden".into()), ..scene.sh(script) };
    assert_eq!(scene.run(&spec).unwrap().exit, Exit::with_code(0));
    let log = scene.log("hidden");
    for line in ["0 secrets", "0 firmware", "no sysctl", "no sysrq", "made", "null works", "not permitted"] {
        assert!(log.contains(line), "{line:?} is missing in\n{log}");
    }
}

#[test]
fn mounts_land_inside_and_keep_their_flags() {
    let Some(scene) = Scene::new("mounts") else { return };
    let image = scene.dir.join("image");
    fs::create_dir_all(image.join("own/deep")).unwrap();
    fs::create_dir(image.join("elsewhere")).unwrap();
    fs::write(image.join("own/deep/file"), "from the image").unwrap();
    std::os::unix::fs::symlink("/elsewhere", image.join("link")).unwrap();
    scene.engine.import("mounts", &image).unwrap();
    let shared = scene.dir.join("shared");
    fs::create_dir(&shared).unwrap();
    fs::write(shared.join("hello"), "from the host").unwrap();
    let bind = |source: &std::path::Path, target: &str, read_only| Mount {
        target: target.into(),
        source: MountSource::Bind { source: source.to_owned() },
        read_only,
    };
    let mount = |target: &str, source| Mount { target: target.into(), source, read_only: false };
    let script = "cat /data/hello /one; echo x 2>/dev/null >/data/new || echo data is read-only; \
                  echo y >/link/new; ls /elsewhere; grep -o ' /tmp/mem .*size=1024k' /proc/self/mountinfo; \
                  cat /own/deep/file; echo changed >/own/deep/file; echo z 2>/dev/null >/top || echo root is read-only; \
                  grep -c shared: /proc/self/mountinfo";
    let spec = Spec {
        name: Some("mounts".into()),
        read_only: true,
        mounts: vec![
            mount("/tmp/mem", MountSource::Tmpfs { options: "size=1m".into() }),
            bind(&shared, "/data", true),
            bind(&shared.join("hello"), "/one", false),
            bind(&shared, "/link", false),
            mount("/own", MountSource::Anonymous),
        ],
        ..Spec::new("mounts", ["/bin/sh", "-c", script])
    };
    scene.run(&spec).unwrap();
    let log = scene.log("mounts");
    for line in [
        "from the hostfrom the host",
        "data is read-only",
        "hello\nnew",
        "size=1024k",
        "from the image",
        "root is read-only",
        "\n0\n",
    ] {
        assert!(log.contains(line), "{line:?} is missing in\n{log}");
    }
    assert_eq!(fs::read_to_string(shared.join("new")).unwrap(), "y\n");
    assert_eq!(fs::read_to_string(image.join("own/deep/file")).unwrap(), "from the image");
    // The second start finds the volume as the first left it.
    scene.engine.start("mounts").unwrap();
    scene.engine.wait("mounts").unwrap();
    assert!(scene.log("mounts").contains("changed"), "{}", scene.log("mounts"));
    scene.assert_no_traces();
}

#[test]
fn limits_parameters_devices_and_init() {
    let Some(scene) = Scene::new("odds") else { return };
    let script = "ulimit -n; ulimit -Hn; cat /proc/sys/kernel/shmmni /proc/sys/net/ipv4/ip_forward; \
                  head -c 3 /dev/given/zero | wc -c; cat /proc/1/comm; echo me $$; (sleep 0.01 &); \
                  id -u; id -G; echo $HOME; trap 'exit 7' TERM; kill -TERM $$; sleep 5";
    fs::write(scene.dir.join("image/etc/passwd"), "web:x:33:34::/srv:/bin/sh\n").unwrap();
    fs::write(scene.dir.join("image/etc/group"), "web:x:34:\nlog:x:4:web\n").unwrap();
    scene.engine.import("odds", &scene.dir.join("image")).unwrap();
    let spec = Spec {
        name: Some("odds".into()),
        init: true,
        user_name: Some("web".into()),
        resource_limits: vec![ResourceLimit { name: "nofile".into(), soft: Some(77), hard: Some(99) }],
        sysctls: vec![
            Sysctl { name: "kernel.shmmni".into(), value: "55".into() },
            Sysctl { name: "net.ipv4.ip_forward".into(), value: "1".into() },
        ],
        devices: vec![Device {
            host: "/dev/zero".into(),
            inside: "/dev/given/zero".into(),
            access: "r".into(),
        }],
        ..Spec::new("odds", ["/bin/sh", "-c", script])
    };
    assert_eq!(scene.run(&spec).unwrap().exit, Exit::with_code(7), "{}", scene.log("odds"));
    let log = scene.log("odds");
    assert!(log.starts_with("77\n99\n55\n1\n3\n"), "{log}");
    assert!(log.contains("\nme 2\n33\n34 4\n/srv\n"), "{log}");
}
