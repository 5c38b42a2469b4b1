//! Which container engine processes are at work for, before it has a cgroup of its own or a process inside: by
//! the words they were started with.

use crate::model::Container;

/// A process above a failed one, as far as this stage looks at it.
#[derive(Debug, Clone, Copy)]
pub struct Ancestor<'a> {
    pub comm: &'a str,
    pub words: &'a [String],
}

/// The container that a lineage (nearest process first) works for. The low-level runtime knows the id, who called
/// it knows whose container it is, so the outermost process that says anything of that id names the engine.
pub fn at_work_for(lineage: &[Ancestor<'_>]) -> Option<Container> {
    let mut found: Option<Container> = None;
    for process in lineage {
        let Some(more) = container_of(process) else { continue };
        match &mut found {
            None => found = Some(more),
            Some(known) if known.id == more.id => {
                known.engine = more.engine;
                known.name = known.name.take().or(more.name);
            }
            Some(_) => break,
        }
    }
    found
}

/// Whether a cgroup that a runtime made for this container is the container's own. Folders above it may be new as well,
/// and are everybody's. `ID`, `libpod-ID`, and what systemd's driver makes: `runc-ID.scope`.
pub fn is_own_cgroup(path: &str, id: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    let name = name.strip_suffix(".scope").unwrap_or(name);
    name.strip_suffix(id).is_some_and(|rest| rest.is_empty() || rest.ends_with('-')) && !id.is_empty()
}

fn container_of(process: &Ancestor<'_>) -> Option<Container> {
    // The kernel keeps fifteen letters of a program's name.
    match process.comm {
        comm if comm.starts_with("containerd-shim") => shim(process.words),
        "conmon" => conmon(process.words),
        "runc" | "crun" | "youki" => runtime(process.comm, process.words),
        _ => None,
    }
}

/// `containerd-shim-runc-v2 -namespace moby -id ID -address …`: docker's containers are in the namespace moby.
fn shim(words: &[String]) -> Option<Container> {
    let engine = if value(words, &["-namespace"]) == Some("moby") { "docker" } else { "containerd" };
    Some(named(engine, value(words, &["-id"])?, None))
}

/// `conmon -c ID -n NAME -b BUNDLE …`, podman's and CRI-O's.
fn conmon(words: &[String]) -> Option<Container> {
    let name = value(words, &["-n", "--name"]);
    let engine = if name.is_some_and(|name| name.starts_with("k8s_")) { "cri-o" } else { "podman" };
    Some(named(engine, value(words, &["-c", "--cid"])?, name))
}

/// `runc --root R create --bundle B … ID`: the id is the last word; the bundle's place says who asked.
fn runtime(comm: &str, words: &[String]) -> Option<Container> {
    const VERBS: [&str; 6] = ["create", "run", "start", "exec", "restore", "delete"];
    let verb = words.iter().position(|word| VERBS.contains(&word.as_str()))?;
    let bundle = value(&words[verb..], &["--bundle", "-b"]).unwrap_or_default();
    let id = words.last().filter(|id| !id.starts_with('-') && words.len() > verb + 1)?;
    let engine = match () {
        () if bundle.contains("/moby/") => "docker",
        () if bundle.contains("/io.containerd.runtime.v2.task/") => "containerd",
        () if bundle.contains("/overlay-containers/") => "podman",
        () => comm,
    };
    Some(named(engine, id, None))
}

fn named(engine: &str, id: &str, name: Option<&str>) -> Container {
    Container { engine: engine.into(), id: id.into(), name: name.map(str::to_owned), ..Container::default() }
}

/// The word behind an option, or behind its `=`.
fn value<'a>(words: &'a [String], options: &[&str]) -> Option<&'a str> {
    words.iter().enumerate().find_map(|(at, word)| {
        let rest = options.iter().find_map(|option| word.strip_prefix(option))?;
        if rest.is_empty() { words.get(at + 1).map(String::as_str) } else { rest.strip_prefix('=') }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    fn owner(lines: &[(&str, &str)]) -> Option<(String, String, Option<String>)> {
        let all: Vec<_> = lines.iter().map(|(comm, line)| (*comm, words(line))).collect();
        let lineage: Vec<_> = all.iter().map(|(comm, words)| Ancestor { comm, words }).collect();
        at_work_for(&lineage).map(|c| (c.engine, c.id, c.name))
    }

    #[test]
    fn the_runtime_knows_the_id_and_its_caller_the_engine() {
        let by_docker = [
            ("runc:[2:INIT]", "runc init"),
            (
                "runc",
                "runc --root /r --log-format json create --bundle /x/io.containerd.runtime.v2.task/moby/ab --pid-file p ab",
            ),
            ("containerd-shim", "/usr/bin/containerd-shim-runc-v2 -namespace moby -id ab -address /c.sock"),
        ];
        assert_eq!(owner(&by_docker), Some(("docker".into(), "ab".into(), None)));
        assert_eq!(
            owner(&by_docker[..2]),
            Some(("docker".into(), "ab".into(), None)),
            "the shim may be gone"
        );
        let by_podman = [
            ("crun", "/usr/bin/crun create --bundle /s/overlay-containers/cd/userdata cd"),
            ("conmon", "/usr/bin/conmon --api-version 1 -c cd -u cd -n web -b /s"),
        ];
        assert_eq!(owner(&by_podman), Some(("podman".into(), "cd".into(), Some("web".into()))));
        assert_eq!(
            owner(&[("runc", "runc run --bundle /b box-1")]),
            Some(("runc".into(), "box-1".into(), None))
        );
    }

    #[test]
    fn the_folder_above_a_containers_cgroup_is_not_its_own() {
        for path in ["/default/a", "/a", "/machine.slice/libpod-a", "/system.slice/runc-a.scope"] {
            assert!(is_own_cgroup(path, "a"), "{path}");
        }
        for path in ["/default", "/a/default", "/ba", "/", ""] {
            assert!(!is_own_cgroup(path, "a"), "{path}");
        }
        assert!(!is_own_cgroup("/default/", ""));
    }

    #[test]
    fn other_processes_and_other_containers_name_nothing() {
        assert_eq!(owner(&[("bash", "bash -c runc"), ("runc", "runc list")]), None);
        assert_eq!(owner(&[("runc", "runc --version")]), None);
        // A container engine that itself runs in a container: the inner one is meant.
        let nested =
            [("conmon", "conmon -c inner -n a"), ("containerd-shim", "shim -namespace moby -id outer")];
        assert_eq!(owner(&nested), Some(("podman".into(), "inner".into(), Some("a".into()))));
    }
}
