//! A store of its own for one test, with a busybox image in it, and proof that the test left nothing.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, RwLock, RwLockReadGuard};

use container_core::{Attach, Engine, Error, Finished, Spec, events};

/// Held shared by tests that mount, exclusively by those that change what the whole machine may mount.
pub(crate) static MACHINE: RwLock<()> = RwLock::new(());

pub(crate) struct Scene {
    pub(crate) engine: Engine,
    pub(crate) dir: PathBuf,
    ids: Mutex<Vec<String>>,
    _shared: Option<RwLockReadGuard<'static, ()>>,
}

/// Whether this test can run. Says so when it cannot; fails when DIAG_REQUIRE_ROOT=1 promised that it can.
pub(crate) fn is_root() -> bool {
    if nix::unistd::geteuid().is_root() {
        return true;
    }
    assert!(
        std::env::var_os("DIAG_REQUIRE_ROOT").is_none_or(|v| v != "1"),
        "DIAG_REQUIRE_ROOT=1, but not root"
    );
    println!("skipped: needs root");
    false
}

/// The statically linked busybox: DIAG_BUSYBOX, the build cache, or the system's.
pub(crate) fn busybox() -> PathBuf {
    let var = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let cache = var("DIAG_BUILD_CACHE")
        .or_else(|| var("XDG_CACHE_HOME").map(|dir| dir.join("diag-build")))
        .or_else(|| var("HOME").map(|dir| dir.join(".cache/diag-build")));
    let candidates =
        [var("DIAG_BUSYBOX"), cache.map(|dir| dir.join("busybox/busybox")), Some("/bin/busybox".into())];
    let found = candidates.into_iter().flatten().find(|path| path.is_file());
    found.expect("no static busybox: set DIAG_BUSYBOX, or run `cargo xtask setup`")
}

/// A root file system folder: busybox and links to it.
pub(crate) fn fill_rootfs(dir: &Path) {
    for folder in ["bin", "tmp", "etc"] {
        fs::create_dir_all(dir.join(folder)).unwrap();
    }
    fs::copy(busybox(), dir.join("bin/busybox")).unwrap();
    let applets =
        "sh true false cat echo sleep ls mount id env hostname kill ps dd head wc grep ip pwd stat readlink";
    for applet in applets.split(' ') {
        symlink("busybox", dir.join("bin").join(applet)).unwrap();
    }
    fs::write(dir.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n").unwrap();
}

impl Scene {
    /// `None` when the test cannot run here.
    pub(crate) fn new(name: &str) -> Option<Scene> {
        is_root().then(|| {
            let shared = MACHINE.read().unwrap_or_else(|poisoned| poisoned.into_inner());
            Scene::unguarded(name, Some(shared))
        })
    }

    /// For a test that holds MACHINE itself.
    pub(crate) fn unguarded(name: &str, shared: Option<RwLockReadGuard<'static, ()>>) -> Scene {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let base = std::env::var_os("DIAG_TEST_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let dir = base.join(format!("container-core-{name}-{}-{number}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let rootfs = dir.join("image");
        fill_rootfs(&rootfs);
        let engine = Engine::open(dir.join("store")).unwrap();
        engine.import("busybox", &rootfs).unwrap();
        Scene { engine, dir, ids: Mutex::new(Vec::new()), _shared: shared }
    }

    /// Run in the foreground and remember the id, to look for traces later.
    pub(crate) fn run(&self, spec: &Spec) -> Result<Finished, Error> {
        self.engine.run(spec, &Attach::nothing())
    }

    pub(crate) fn sh(&self, script: &str) -> Spec {
        Spec::new("busybox", ["/bin/sh", "-c", script])
    }

    /// A detached container that sleeps; its id.
    pub(crate) fn sleeper(&self, name: &str) -> String {
        let spec = Spec { name: Some(name.into()), ..Spec::new("busybox", ["/bin/sleep", "1000"]) };
        let container = self.engine.create(&spec).unwrap();
        self.engine.start(container.id()).unwrap();
        container.id().to_owned()
    }

    /// What the workload printed, both streams, in order.
    pub(crate) fn log(&self, query: &str) -> String {
        let lines = self.engine.logs(query).unwrap().read_new().unwrap();
        lines.into_iter().map(|line| line.text + "\n").collect()
    }

    /// Everything of this store's containers that still exists outside the store's own files.
    pub(crate) fn traces(&self) -> Vec<String> {
        let mut traces: Vec<String> = fs::read_to_string("/proc/thread-self/mountinfo")
            .unwrap()
            .lines()
            .filter(|line| line.contains(&*self.dir.to_string_lossy()))
            .map(str::to_owned)
            .collect();
        let mut ids = self.ids.lock().unwrap();
        ids.extend(
            events::read(self.engine.root()).unwrap().events.into_iter().map(|event| event.container.id),
        );
        ids.sort();
        ids.dedup();
        for id in ids.iter() {
            for hierarchy in ["", "unified", "pids", "memory", "cpu", "cpu,cpuacct", "cpuset"] {
                let group = Path::new("/sys/fs/cgroup").join(hierarchy).join("diag").join(id);
                traces.extend(group.exists().then(|| group.display().to_string()));
            }
        }
        traces.extend(self.network_traces(&ids));
        traces
    }

    /// Links, rules and leases.
    fn network_traces(&self, ids: &[String]) -> Vec<String> {
        let is_link = |name: &str| nix::net::if_::if_nametoindex(name).is_ok();
        let pairs = ids.iter().map(|id| format!("veth{}", &id[..11]));
        let mut traces: Vec<String> = pairs.filter(|name| is_link(name)).collect();
        let Ok(text) = fs::read_to_string(self.engine.root().join("network.json")) else { return traces };
        let record: serde_json::Value = serde_json::from_str(&text).unwrap();
        if record["leases"] != serde_json::json!({}) {
            traces.push(record["leases"].to_string());
        }
        let bridge = record["bridge"].as_str().unwrap();
        traces.extend(is_link(bridge).then(|| bridge.to_owned()));
        traces.extend(crate::tables::has_table(bridge).then(|| format!("table ip {bridge}")));
        traces
    }

    pub(crate) fn assert_no_traces(&self) {
        assert_eq!(self.traces(), Vec::<String>::new());
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        for container in self.engine.list().unwrap_or_default() {
            if let Err(error) = self.engine.remove(container.id(), true) {
                eprintln!("{}: {error}", container.name());
            }
        }
        let traces = self.traces();
        if !std::thread::panicking() {
            assert_eq!(traces, Vec::<String>::new(), "left behind");
        }
        let _ = fs::remove_dir_all(&self.dir);
    }
}
