//! What an engine's client was asked to do, from the words it was started with. While dockerd makes the first
//! mounts for a container, its name is nowhere on disk yet: only the one who asked, and waits for it, has it.

use crate::model::Container;

/// One request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Request {
    pub engine: &'static str,
    /// It makes a new container; else it is about one that is there.
    pub creates: bool,
    /// The name, or the id, the user gave the container or called it by.
    pub name: Option<String>,
    pub image: Option<String>,
    /// The daemon it speaks to, where the words say it.
    pub host: Option<String>,
}

/// How a client writes its command line.
struct Client {
    program: &'static str,
    engine: &'static str,
    /// Options that stand alone; every other one takes a value (docker(1), podman(1), ctr's and nerdctl's --help).
    switches: &'static [&'static str],
    /// What stands behind the verb that makes a container.
    operands: Operands,
}

#[derive(Clone, Copy, PartialEq)]
enum Operands {
    /// IMAGE [COMMAND …], the name being an option.
    Image,
    /// IMAGE|ROOTFS ID [COMMAND …]
    ImageAndId,
}

const DOCKER: &[&str] = &[
    "-D",
    "--debug",
    "--tls",
    "--tlsverify",
    "-d",
    "--detach",
    "-i",
    "--interactive",
    "-t",
    "--tty",
    "--rm",
    "--init",
    "--privileged",
    "-P",
    "--publish-all",
    "--read-only",
    "--no-healthcheck",
    "--oom-kill-disable",
    "--sig-proxy",
    "--disable-content-trust",
    "-q",
    "--quiet",
    "-a",
    "--use-api-socket",
];

const PODMAN: &[&str] = &[
    "-r",
    "--remote",
    "--noout",
    "--syslog",
    "--transient-store",
    "-d",
    "--detach",
    "-i",
    "--interactive",
    "-t",
    "--tty",
    "--rm",
    "--rmi",
    "--init",
    "--privileged",
    "-P",
    "--publish-all",
    "--read-only",
    "--read-only-tmpfs",
    "--no-healthcheck",
    "--no-hostname",
    "--no-hosts",
    "--oom-kill-disable",
    "--sig-proxy",
    "--disable-content-trust",
    "-q",
    "--quiet",
    "--env-host",
    "--http-proxy",
    "--passwd",
    "--replace",
    "--rootfs",
    "--tls-verify",
    "-a",
    "--all",
    "-l",
    "--latest",
];

const CTR: &[&str] = &[
    "--debug",
    "--rm",
    "--null-io",
    "--detach",
    "-d",
    "--fifo-dir",
    "--cgroup",
    "--tty",
    "-t",
    "--net-host",
    "--rootfs",
    "--no-pivot",
    "--privileged",
    "--read-only",
    "--cni",
    "--seccomp",
    "--isolated",
    "--remap-labels",
    "--allow-new-privs",
    "--enable-cgroup",
];

const CLIENTS: &[Client] = &[
    Client { program: "docker", engine: "docker", switches: DOCKER, operands: Operands::Image },
    Client { program: "nerdctl", engine: "containerd", switches: DOCKER, operands: Operands::Image },
    Client { program: "podman", engine: "podman", switches: PODMAN, operands: Operands::Image },
    Client { program: "ctr", engine: "containerd", switches: CTR, operands: Operands::ImageAndId },
];

/// Programs that ask engines for containers in words that do not name them one by one.
const OTHERS: &[(&str, &str)] = &[
    ("docker-compose", "docker"),
    ("kubectl", "containerd"),
    ("crictl", "containerd"),
    ("buildctl", "docker"),
];

/// What a process was started for, if it is an engine's client that waits for a container.
pub fn request_of(words: &[String]) -> Option<Request> {
    let program = words.first()?.rsplit('/').next()?;
    if let Some((_, engine)) = OTHERS.iter().find(|(name, _)| *name == program) {
        return Some(Request { engine, creates: true, ..Request::default() });
    }
    let client = CLIENTS.iter().find(|client| client.program == program)?;
    let mut line = Line::new(&words[1..], client.switches);
    let mut verb = line.operand()?;
    if ["container", "containers", "task", "tasks", "t", "c"].contains(&verb) {
        verb = line.operand()?;
    }
    let (creates, calls) = match verb {
        "run" | "create" => (true, false),
        "compose" | "build" | "buildx" | "stack" => (true, true),
        "start" | "exec" | "restart" | "unpause" | "cp" => (false, false),
        _ => return None,
    };
    let mut request = Request { engine: client.engine, creates, ..Request::default() };
    if !calls {
        let first = line.operand().map(str::to_owned);
        match (creates, client.operands) {
            (true, Operands::Image) => request.image = first,
            (true, Operands::ImageAndId) => {
                request.name = line.operand().map(str::to_owned);
                request.image = first.filter(|_| !line.had("--rootfs"));
            }
            (false, _) => request.name = first,
        }
    }
    request.name = request.name.or(line.value(&["--name"]));
    request.host =
        line.value(&["-H", "--host", "-a", "--address", "--url"]).filter(|_| client.engine != "podman");
    Some(request)
}

/// The container that these requests are for. `layer` is one that is being made for it; without that, `id` is what it
/// goes by until it has a real one. Of several requests none is picked: that would be a guess.
pub fn asked_for(requests: &[Request], layer: Option<&str>, id: &str) -> Option<Container> {
    let (first, others) = requests.split_first()?;
    let image = first.image.clone().filter(|image| others.iter().all(|r| r.image.as_ref() == Some(image)));
    let name = first.name.clone().filter(|_| others.is_empty());
    let fresh = layer.and_then(|layer| layer.strip_suffix("-init"));
    let state = match (fresh, others) {
        (None, _) => None,
        (Some(_), []) => Some("never created".to_owned()),
        (Some(_), _) => {
            let names: Vec<&str> =
                requests.iter().map(|r| r.name.as_deref().unwrap_or("one without a name")).collect();
            Some(format!("never created; one of {}", names.join(", ")))
        }
    };
    let id = fresh.map(str::to_owned).or_else(|| name.clone()).unwrap_or_else(|| id.to_owned());
    Some(Container { engine: first.engine.into(), id, name, image, cgroup: None, state })
}

/// Words behind a program's name, told apart as they are read.
struct Line<'a> {
    rest: std::slice::Iter<'a, String>,
    switches: &'static [&'static str],
    seen: Vec<(&'a str, Option<&'a str>)>,
}

impl<'a> Line<'a> {
    fn new(words: &'a [String], switches: &'static [&'static str]) -> Self {
        Self { rest: words.iter(), switches, seen: vec![] }
    }

    /// The next word that is no option, the options before it being kept.
    fn operand(&mut self) -> Option<&'a str> {
        while let Some(word) = self.rest.next() {
            if word == "--" {
                return self.rest.next().map(String::as_str);
            }
            if !word.starts_with('-') || word == "-" {
                return Some(word);
            }
            let (option, value) = match word.split_once('=') {
                Some((option, value)) => (option, Some(value)),
                None => (word.as_str(), None),
            };
            let value = match value {
                Some(value) => Some(value),
                None if self.stands_alone(option) => None,
                None => match self.attached(option) {
                    Some((short, attached)) => {
                        self.seen.push((short, Some(attached)));
                        continue;
                    }
                    None => self.rest.next().map(String::as_str),
                },
            };
            self.seen.push((option, value));
        }
        None
    }

    /// A switch, or a handful of short ones in one word: `-dit`.
    fn stands_alone(&self, option: &str) -> bool {
        let is_switch = |name: &str| self.switches.contains(&name);
        is_switch(option)
            || (!option.starts_with("--")
                && option[1..].chars().all(|letter| is_switch(&format!("-{letter}"))))
    }

    /// A short option with its value in the same word: `-eA=B`, `-p80:80`.
    fn attached(&self, option: &'a str) -> Option<(&'a str, &'a str)> {
        let short = !option.starts_with("--") && option.is_char_boundary(2) && option.len() > 2;
        let first_is_switch = short && self.stands_alone(&option[..2]);
        (short && !first_is_switch).then(|| option.split_at(2))
    }

    fn value(&self, names: &[&str]) -> Option<String> {
        self.seen
            .iter()
            .find(|(name, _)| names.contains(name))
            .and_then(|(_, value)| value.map(str::to_owned))
    }

    fn had(&self, name: &str) -> bool {
        self.seen.iter().any(|(seen, _)| *seen == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Option<Request> {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        request_of(&words)
    }

    fn named(line: &str) -> (bool, Option<String>, Option<String>) {
        let request = of(line).unwrap_or_else(|| panic!("{line}"));
        (request.creates, request.name, request.image)
    }

    #[test]
    fn name_and_image_are_found_among_the_options() {
        let web = (true, Some("web".to_owned()), Some("nginx:1".to_owned()));
        for line in [
            "docker run --name web nginx:1 sh -c x",
            "/usr/bin/docker -H unix:///x.sock run -d --rm --name=web -p 80:80 -v /a:/b nginx:1",
            "docker container create -dit -e A=B -eC=D --name web --network none nginx:1 --name other",
            "podman --root /p run --replace --name web --ulimit nofile=1:1 nginx:1",
            "ctr -a /s.sock run --rm nginx:1 web /bin/true",
        ] {
            assert_eq!(named(line), web, "{line}");
        }
        assert_eq!(of("docker -H unix:///x run bb").unwrap().host.as_deref(), Some("unix:///x"));
        assert_eq!(named("ctr run --rootfs /r web sh"), (true, Some("web".into()), None));
        assert_eq!(named("docker run -it bb:1"), (true, None, Some("bb:1".into())));
    }

    #[test]
    fn a_container_that_is_there_is_called_by_its_name() {
        for line in ["docker start web", "podman exec -it web sh", "docker exec -u root web ls"] {
            assert_eq!(named(line), (false, Some("web".into()), None), "{line}");
        }
    }

    #[test]
    fn who_asks_without_naming_counts_and_who_asks_for_nothing_does_not() {
        assert_eq!(named("docker compose up -d"), (true, None, None));
        assert_eq!(named("docker-compose up"), (true, None, None));
        for line in ["docker ps", "docker", "docker run", "podman info", "bash -c docker", "dockerd -H x"] {
            let request = of(line);
            assert!(
                request.as_ref().is_none_or(|r| r.name.is_none() && r.image.is_none()),
                "{line}: {request:?}"
            );
        }
    }

    #[test]
    fn one_request_names_the_container_and_several_do_not() {
        let one = [of("docker run --name web bb:1").unwrap()];
        let container = asked_for(&one, Some("ab-init"), "dockerd-7").unwrap();
        assert_eq!((container.id.as_str(), container.label()), ("ab", "web"));
        assert_eq!(container.state.as_deref(), Some("never created"));
        let two = [of("docker run --name web bb:1").unwrap(), of("docker create --name db bb:1").unwrap()];
        let container = asked_for(&two, Some("ab-init"), "dockerd-7").unwrap();
        assert_eq!((container.name, container.image.as_deref()), (None, Some("bb:1")));
        assert_eq!(container.state.as_deref(), Some("never created; one of web, db"));
        let unnamed = asked_for(&[of("podman run bb:1").unwrap()], None, "podman-7").unwrap();
        assert_eq!((unnamed.label(), unnamed.state.as_ref()), ("podman-7", None));
        assert_eq!(asked_for(&[], None, "x"), None);
    }
}
