//! Containers with users of their own: root inside is nobody in particular outside.

use std::fs;
use std::os::unix::fs::MetadataExt;

use container_core::{Attach, Error, ExecSpec, Exit, Spec, State, User, UserNamespace};

use crate::scene::Scene;

const FIRST: u32 = 200_000;

/// The same with 65536 users from 200000 on.
pub(crate) fn mapped(spec: Spec) -> Spec {
    let maps = vec![format!("0:{FIRST}:65536").parse().unwrap()];
    let user_namespace = Some(UserNamespace { users: maps.clone(), groups: maps });
    Spec { user_namespace, ..spec }
}

/// Whether kernel and file system can show files with other owners; says so when not.
pub(crate) fn is_possible(scene: &Scene) -> bool {
    let spec = mapped(Spec { auto_remove: true, ..Spec::new("busybox", ["/bin/true"]) });
    match scene.run(&spec) {
        Ok(_) => true,
        Err(Error::Launch(error)) if error.first.step.name() == "shift image layers" => {
            println!("skipped: {error}");
            assert!(error.first.object.contains("kernel 5.19"), "{error}");
            assert_eq!(error.cleanup, []);
            false
        }
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn root_inside_is_nobody_outside() {
    let Some(scene) = Scene::new("users") else { return };
    if !is_possible(&scene) {
        return;
    }
    scene.assert_no_traces();
    let script = "id -u; cat /proc/self/uid_map; stat -c '%u:%g' /bin/busybox /tmp / /etc/hosts /dev; \
                  echo mine >/tmp/new; stat -c '%u' /tmp/new; echo >/dev/null && echo null; \
                  busybox chown 5:6 /tmp/new && stat -c '%u:%g' /tmp/new; \
                  busybox mknod /tmp/disk b 8 0 2>&1 | grep -o 'not permitted'; \
                  echo 1 2>/dev/null >/proc/sys/kernel/panic || echo no sysctl; \
                  busybox mkdir /tmp/m && busybox mount -t tmpfs x /tmp/m 2>&1 | grep -o 'ermitted\\|ermission'; \
                  exec sleep 1000";
    let spec = mapped(Spec { name: Some("u".into()), ..scene.sh(script) });
    let id = scene.engine.create(&spec).unwrap().id().to_owned();
    scene.engine.start(&id).unwrap();
    let State::Running { init, .. } = scene.engine.inspect("u").unwrap().state else { panic!() };
    crate::network::until("it has said all", || scene.log("u").contains("no sysctl\nermi"));
    let log = scene.log("u");
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>().join(" ");
    let expected =
        format!("0 0 {FIRST} 65536 0:0 0:0 0:0 65534:65534 0:0 0 null 5:6 not permitted no sysctl ermi");
    assert!(words(&log).starts_with(&expected), "{log}");
    let status = fs::read_to_string(format!("/proc/{}/status", init.pid)).unwrap();
    assert!(status.contains(&format!("Uid:\t{FIRST}\t{FIRST}\t{FIRST}\t{FIRST}\n")), "{status}");
    let upper = scene.engine.root().join("containers").join(&id).join("upper");
    let new = fs::metadata(upper.join("tmp/new")).unwrap();
    assert_eq!((new.uid(), new.gid()), (FIRST + 5, FIRST + 6));
    // A further command is the same nobody.
    let exec = |user| {
        let (read, write) = nix::unistd::pipe().unwrap();
        let attach = Attach { stdout: Some(write), ..Attach::default() };
        let args = ["/bin/sh", "-c", "id -u; readlink /proc/self/ns/user"].map(str::to_owned).to_vec();
        let spec = ExecSpec { args, user, ..ExecSpec::default() };
        assert_eq!(scene.engine.exec("u", &spec, &attach).unwrap(), Exit::with_code(0));
        drop(attach);
        std::io::read_to_string(fs::File::from(read)).unwrap()
    };
    let own = fs::read_link(format!("/proc/{}/ns/user", init.pid)).unwrap();
    assert_eq!(exec(None), format!("0\n{}\n", own.display()));
    assert_eq!(exec(Some(User { uid: 33, gid: 33 })).lines().next(), Some("33"));
    scene.engine.remove("u", true).unwrap();
    scene.assert_no_traces();
}

#[test]
fn every_namespace_is_its_own() {
    let Some(scene) = Scene::new("eight") else { return };
    if !is_possible(&scene) {
        return;
    }
    let spec = mapped(Spec { name: Some("n".into()), ..Spec::new("busybox", ["/bin/sleep", "1000"]) });
    scene.engine.create(&spec).unwrap();
    scene.engine.start("n").unwrap();
    let State::Running { init, .. } = scene.engine.inspect("n").unwrap().state else { panic!() };
    for name in ["cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"] {
        let of = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/{name}"));
        let Ok(ours) = of("self") else {
            println!("this kernel has no {name} namespaces");
            continue;
        };
        assert_ne!(ours, of(&init.pid.to_string()).unwrap(), "{name}");
    }
}
