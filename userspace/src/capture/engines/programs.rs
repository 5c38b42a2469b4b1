//! The engines' own processes: the daemons that do the work, and the clients that wait for it.

use super::lineage;
use crate::limits::read::Root;
use std::fs;

/// What works for clients that are not its parents (the kernel keeps fifteen letters of a name).
const DAEMONS: &[&str] = &["dockerd", "containerd", "crio", "cri-dockerd", "buildkitd", "containerd-shim"];
const CLIENTS: &[&str] =
    &["docker", "podman", "ctr", "nerdctl", "docker-compose", "kubectl", "crictl", "buildctl"];

/// A process of an engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    pub pid: u32,
    pub comm: String,
    pub words: Vec<String>,
    /// `DOCKER_HOST`, where that was set.
    pub host: Option<String>,
}

impl Program {
    /// The numbers of its threads now, of which any may do a client's work.
    pub fn threads(&self, root: &Root) -> Vec<u32> {
        let folder = root.join("proc").join(self.pid.to_string()).join("task");
        let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
        entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
    }
}

pub fn daemons(root: &Root) -> Vec<Program> {
    running(root, DAEMONS)
}

pub fn clients(root: &Root) -> Vec<Program> {
    running(root, CLIENTS)
}

fn running(root: &Root, names: &[&str]) -> Vec<Program> {
    let Ok(entries) = fs::read_dir(root.join("proc")) else { return Vec::new() };
    let of = |entry: fs::DirEntry| {
        let folder = entry.path();
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let comm = fs::read_to_string(folder.join("comm")).ok()?;
        let comm = comm.trim_end_matches('\n');
        if !names.contains(&comm) {
            return None;
        }
        // A zombie has no words, and does nothing.
        let words = lineage::words(&fs::read(folder.join("cmdline")).ok().filter(|line| !line.is_empty())?);
        let environment = lineage::words(&fs::read(folder.join("environ")).unwrap_or_default());
        let host = environment.iter().find_map(|word| word.strip_prefix("DOCKER_HOST=")).map(str::to_owned);
        Some(Program { pid, comm: comm.to_owned(), words, host })
    };
    entries.filter_map(Result::ok).filter_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn daemons_and_clients_are_told_apart_and_the_dead_are_neither() {
        let dir = tempfile::tempdir().unwrap();
        for (pid, comm, line) in [
            (7, "dockerd", &b"dockerd\0-H\0x\0"[..]),
            (8, "docker", b"docker\0run\0bb\0"),
            (9, "containerd-shim", b""),
        ] {
            let folder = dir.path().join(format!("proc/{pid}"));
            fs::create_dir_all(folder.join("task").join((pid + 100).to_string())).unwrap();
            fs::write(folder.join("comm"), format!("{comm}\n")).unwrap();
            fs::write(folder.join("cmdline"), line).unwrap();
            fs::write(folder.join("environ"), b"A=B\0DOCKER_HOST=unix:///x\0").unwrap();
        }
        let root = Root::at(dir.path());
        let pids = |programs: Vec<Program>| programs.iter().map(|p| p.pid).collect::<Vec<_>>();
        assert_eq!(daemons(&root)[0].threads(&root), [107]);
        assert_eq!(pids(daemons(&root)), [7]);
        let found = clients(&root);
        assert_eq!(found[0].words, ["docker", "run", "bb"]);
        assert_eq!(found[0].host.as_deref(), Some("unix:///x"));
        assert_eq!(pids(found), [8]);
    }
}
