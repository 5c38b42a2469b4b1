//! Containers that are gone before anybody looks: the watch is held still until they are, so that what the kernel told
//! at that instant is all there is.

use crate::bench_of_one::{Bench, Watch, finding};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// A cgroup with the name that docker gives under systemd, for at most one task.
struct Container {
    id: String,
    folder: PathBuf,
}

impl Container {
    fn make() -> Self {
        let v1 = PathBuf::from("/sys/fs/cgroup/pids");
        let top = if v1.join("cgroup.procs").exists() { v1 } else { PathBuf::from("/sys/fs/cgroup") };
        let id = format!("{:064x}", std::process::id());
        let folder = top.join(format!("docker-{id}.scope"));
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("pids.max"), "1").unwrap();
        Self { id, folder }
    }

    /// Its only process wants another one, and is gone when this returns.
    fn live_and_die(&self) {
        let script = "echo $$ > $0/cgroup.procs; (:); exit 0";
        let _ = Command::new("sh").args(["-c", script, self.folder.to_str().unwrap()]).output().unwrap();
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        if let Err(e) = fs::remove_dir(&self.folder) {
            eprintln!("{} is left: {e}", self.folder.display());
        }
    }
}

#[test]
fn a_container_that_is_gone_has_its_name_and_its_limit() {
    let Some(bench) = Bench::open() else { return };
    let watch = Watch::start(&bench);
    watch.hold_still();
    let container = Container::make();
    container.live_and_die();
    let (id, folder) = (container.id.clone(), container.folder.clone());
    drop(container);
    watch.go_on();
    let told = watch.next(|v| finding(v)["cause"] == "pids-max");
    let (who, f) = (&told["incidents"][0]["container"], finding(&told));
    assert_eq!((&who["id"], &who["engine"]), (&id.into(), &"docker".into()), "{told:#}");
    assert_eq!(f["confidence"], "proven", "{told:#}");
    assert_eq!(f["knob"]["path"], folder.join("pids.max").to_str().unwrap(), "{told:#}");
    watch.end();
    bench.nothing_left();
}
