//! The engines' own processes: the daemons that do the work, the clients that wait for it, the runtimes that make
//! containers, and which is above which.

use super::option_values;
use super::register::Register;
use crate::limits::read::Root;
use crate::model::Task;
use std::fs;

/// What works for clients that are not its parents (the kernel keeps fifteen letters of a name).
const DAEMONS: [&str; 6] = ["dockerd", "containerd", "crio", "cri-dockerd", "buildkitd", "containerd-shim"];
const CLIENTS: [&str; 8] =
    ["docker", "podman", "ctr", "nerdctl", "docker-compose", "kubectl", "crictl", "buildctl"];
/// Of those, the ones that make containers without a daemon.
const ALONE: [&str; 2] = ["podman", "ctr"];
/// What makes one container, in the end.
const RUNTIMES: [&str; 3] = ["runc", "crun", "youki"];
/// What stays with it.
const MONITORS: [&str; 1] = ["conmon"];

/// Where dockerd listens, and its client asks, unless told otherwise (dockerd(8)).
pub const DOCKER_HOST: &str = "unix:///var/run/docker.sock";

/// Engines put at most this many processes between themselves and a container's first.
const MOST_ABOVE: usize = 8;

/// Every name, as the kernel keeps it.
pub(in crate::capture) fn names() -> impl Iterator<Item = &'static str> {
    DAEMONS.into_iter().chain(CLIENTS).chain(RUNTIMES).chain(MONITORS)
}

/// Whether a program makes containers in its own tree.
pub fn makes_containers(program: &str) -> bool {
    RUNTIMES.contains(&program) || ALONE.contains(&program)
}

/// Whether a process, which may call itself `runc:[2:INIT]` meanwhile, is at work for such a program.
pub fn works_alone(comm: &str) -> bool {
    RUNTIMES.iter().chain(&ALONE).chain(&MONITORS).any(|name| comm.starts_with(name))
}

/// A process of an engine, or one above it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Process {
    pub pid: u32,
    pub parent: u32,
    pub comm: String,
    pub words: Vec<String>,
    /// `DOCKER_HOST`, where that was set.
    pub host: Option<String>,
}

impl Process {
    /// As it is now; `None` where it is gone.
    pub(super) fn living(root: &Root, pid: u32) -> Option<Self> {
        let folder = root.join(format!("proc/{pid}"));
        let comm = fs::read_to_string(folder.join("comm")).ok()?;
        let comm = comm.trim_end_matches('\n');
        let read = |name: &str| fs::read(folder.join(name)).unwrap_or_default();
        // Of clients alone it is asked, and lineages are read while evidence goes away.
        let host = if CLIENTS.contains(&comm) { host(&read("environ")) } else { None };
        Some(Self {
            pid,
            parent: parent(&String::from_utf8_lossy(&read("stat"))),
            comm: comm.to_owned(),
            words: words(&read("cmdline")),
            host,
        })
    }

    pub fn is_client(&self) -> bool {
        CLIENTS.contains(&self.comm.as_str())
    }

    pub fn is_runtime(&self) -> bool {
        RUNTIMES.contains(&self.comm.as_str())
    }

    /// The numbers of its threads now, of which any may do a client's work.
    pub fn threads(&self, root: &Root) -> Vec<u32> {
        let folder = root.join("proc").join(self.pid.to_string()).join("task");
        let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
        entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
    }
}

/// The daemons that run.
pub fn daemons(root: &Root) -> Vec<Process> {
    running(root, |comm| DAEMONS.contains(&comm))
}

/// Every process whose program is called so. A zombie has no words, and does nothing.
pub(super) fn running(root: &Root, is_meant: impl Fn(&str) -> bool) -> Vec<Process> {
    let Ok(entries) = fs::read_dir(root.join("proc")) else { return Vec::new() };
    let of = |entry: fs::DirEntry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let comm = fs::read_to_string(entry.path().join("comm")).ok()?;
        let process = is_meant(comm.trim_end_matches('\n')).then(|| Process::living(root, pid)).flatten()?;
        (!process.words.is_empty()).then_some(process)
    };
    entries.filter_map(Result::ok).filter_map(of).collect()
}

/// Where a dockerd with these words listens.
pub fn hosts(words: &[String]) -> Vec<&str> {
    let told = ["-H", "--host"].into_iter().flat_map(|option| option_values(words, option));
    let mut hosts: Vec<&str> = told.collect();
    // `fd://`: the socket that systemd opened for it.
    if hosts.is_empty() || hosts.contains(&"fd://") {
        hosts.push(DOCKER_HOST);
    }
    hosts
}

/// The failed process and those above it, nearest first: engines' ones as the kernel told of them, the others as far as
/// they still live. The probe's own word for the parent is used where the failed one is gone.
pub fn lineage(root: &Root, register: &Register, task: &Task, at_ns: u64) -> Vec<Process> {
    let mut out: Vec<Process> = Vec::new();
    let (mut pid, mut at_ns) = (task.pid, at_ns);
    while out.len() < MOST_ABOVE && pid > 1 {
        let told = register.at(root, pid, at_ns);
        if let Some((_, since_ns)) = told {
            // Who was above it when it began: by now that may be gone, and its number another's.
            at_ns = since_ns;
        }
        match told.map(|(process, _)| process.clone()).or_else(|| Process::living(root, pid)) {
            Some(process) => {
                pid = process.parent;
                out.push(process);
            }
            None if pid == task.pid => pid = task.ppid,
            None => break,
        }
    }
    out
}

/// `/proc/PID/cmdline`: words with a NUL behind each.
pub(in crate::capture) fn words(line: &[u8]) -> Vec<String> {
    let words = line.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned());
    let mut words: Vec<String> = words.collect();
    // The last NUL ends a word and begins none.
    if words.last().is_some_and(String::is_empty) {
        words.pop();
    }
    words
}

/// The host that docker's client speaks to, in an environment.
pub(in crate::capture) fn host(environment: &[u8]) -> Option<String> {
    let mut variables = environment.split(|byte| *byte == 0);
    let host = variables.find_map(|word| word.strip_prefix(b"DOCKER_HOST="))?;
    Some(String::from_utf8_lossy(host).into_owned())
}

/// The fourth field of proc_pid_stat(5), counted behind the command's name, which may hold anything.
fn parent(stat: &str) -> u32 {
    let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    rest.split_whitespace().nth(1).and_then(|ppid| ppid.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(processes: &[(u32, u32, &str, &str)]) -> (tempfile::TempDir, Root) {
        let dir = tempfile::tempdir().unwrap();
        for (pid, parent, comm, line) in processes {
            let folder = dir.path().join(format!("proc/{pid}"));
            fs::create_dir_all(folder.join("task").join((pid + 100).to_string())).unwrap();
            fs::write(folder.join("comm"), format!("{comm}\n")).unwrap();
            fs::write(folder.join("cmdline"), line.replace(' ', "\0")).unwrap();
            fs::write(folder.join("stat"), format!("{pid} ({comm}) S {parent} 1 1")).unwrap();
            fs::write(folder.join("environ"), b"A=B\0DOCKER_HOST=unix:///x\0").unwrap();
        }
        let root = Root::at(dir.path());
        (dir, root)
    }

    fn pids(processes: &[Process]) -> Vec<u32> {
        processes.iter().map(|process| process.pid).collect()
    }

    #[test]
    fn daemons_and_clients_are_told_apart_and_the_dead_are_neither() {
        let (_dir, root) = machine(&[
            (7, 1, "dockerd", "dockerd -H x "),
            (8, 1, "docker", "docker run bb "),
            (9, 1, "containerd-shim", ""),
        ]);
        assert_eq!(daemons(&root)[0].threads(&root), [107]);
        assert_eq!(pids(&daemons(&root)), [7]);
        let clients = running(&root, |comm| CLIENTS.contains(&comm));
        assert!(clients[0].is_client());
        assert_eq!(clients[0].words, ["docker", "run", "bb"]);
        assert_eq!(clients[0].host.as_deref(), Some("unix:///x"));
        assert_eq!(pids(&clients), [8]);
    }

    #[test]
    fn the_lineage_goes_up_to_init_and_begins_at_the_parent_of_the_dead() {
        let (_dir, root) = machine(&[
            (30, 20, "runc:[2:INIT]", "runc init "),
            (20, 10, "runc", "runc a b  "),
            (10, 1, "containerd-shim", "shim "),
        ]);
        let register = Register::default();
        let of = |pid, ppid| pids(&lineage(&root, &register, &Task { pid, ppid, ..Task::default() }, 9));
        assert_eq!(of(30, 20), [30, 20, 10]);
        assert_eq!(of(31, 20), [20, 10]);
        assert_eq!(
            lineage(&root, &register, &Task { pid: 20, ..Task::default() }, 9)[0].words[2..],
            ["b", ""]
        );
    }

    #[test]
    fn who_was_above_an_engine_is_known_when_all_are_gone() {
        let (_dir, root) = machine(&[(1, 0, "init", "init ")]);
        let mut register = Register::default();
        let process =
            |pid, parent, comm: &str| Process { pid, parent, comm: comm.into(), ..Process::default() };
        register.began(process(10, 1, "containerd-shim"), 100);
        register.began(process(20, 10, "runc"), 200);
        register.ended(10, 300);
        register.ended(20, 400);
        let of = |pid, ppid, at| pids(&lineage(&root, &register, &Task { pid, ppid, ..Task::default() }, at));
        assert_eq!(of(30, 20, 350), [20, 10], "the shim had ended, and was above the runtime");
        assert_eq!(of(20, 1, 350), [20, 10]);
        assert_eq!(of(20, 1, 450), [0_u32; 0], "another process of that number");
    }

    #[test]
    fn a_daemon_listens_where_it_was_told() {
        let of = |line: &str| -> Vec<String> {
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            hosts(&words).into_iter().map(str::to_owned).collect()
        };
        assert_eq!(of("dockerd -H unix:///a --host=tcp://b"), ["unix:///a", "tcp://b"]);
        assert_eq!(of("dockerd --data-root /d"), [DOCKER_HOST]);
        assert_eq!(of("dockerd -H fd://"), ["fd://", DOCKER_HOST]);
    }

    #[test]
    fn a_wrapped_runtime_is_one_and_names_fit_the_kernels_fifteen_letters() {
        assert!(makes_containers("crun") && !makes_containers("docker"));
        assert!(works_alone("runc:[2:INIT]") && works_alone("conmon") && !works_alone("dockerd"));
        assert!(names().all(|name| name.len() < diag_abi::bounds::COMM));
        assert!(names().count() <= diag_abi::bounds::ENGINE_NAMES as usize);
    }
}
