//! There is no file at the path of a local socket, or no folder to make it in.

use super::case::net::remedy as step;
use super::case::rights::{object, seccomp_stands};
use super::{Case, Cause, Fault, Proof, Rival};
use crate::model::{Confidence, Errno, Knob, KnobKind, ObjectKind, Remedy};

const DECIDERS: &[&str] = &["unix_find_bsd", "unix_bind_bsd"];
const REACH: &[&str] = &["connect", "sendto", "sendmsg", "sendmmsg"];

pub(super) static CAUSE: Cause = Cause {
    slug: "unix-path-missing",
    title: "there is nothing at the path of the unix socket",
    about: "\
connect(2) to a local socket fails with ENOENT, \"No such file or directory\": unix_find_bsd() in net/unix/af_unix.c looks the \
path up in the root folder of the process and finds no file. The server does not run yet or makes its socket elsewhere, or \
the socket was not mounted into the container (/var/run/docker.sock, /run/containerd/containerd.sock, a database's). bind(2) \
says the same when the folder that was to hold the socket is missing, and ENOTDIR when a file is in its place.

It surprises because the server runs well, on the host or in another container: paths are those of one root folder. Where a \
socket is there and nobody behind it, the errno is another one, ECONNREFUSED.",
    shows_as: &[("connect", "ENOENT"), ("sendto", "ENOENT"), ("sendmsg", "ENOENT"), ("bind", "ENOENT"), ("bind", "ENOTDIR"), ("connect", "ENOTDIR")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[Rival {
        name: "a seccomp filter answered instead of the kernel",
        ruled_out_by: "no filters, filters that allow the call, or a kernel path of it",
        stands: seccomp_stands,
    }],
    explain,
    remedy,
    fault: Fault::Action {
        about: "connects to a path where nothing is, and binds where no folder is",
        risk: "none",
        variants: &["connect", "bind"],
    },
    see: &["unix(7), ENOENT; connect(2), bind(2)", "net/unix/af_unix.c: unix_find_bsd(), unix_bind_bsd()"],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    let (call, errno) = case.failure().syscall()?;
    let made = call == "bind";
    if !(made || REACH.contains(&call)) || ![Errno::ENOENT, Errno(libc::ENOTDIR)].contains(&errno) {
        return None;
    }
    let path = case.failure().socket_file()?;
    let kind = object(case).map(|o| o.kind);
    let who = case.failure().task.comm.as_str();
    let sentence = match (kind, made) {
        (Some(ObjectKind::NoWay), true) => {
            format!("{who} cannot make {path}: its folder is not there in the root folder of the process.")
        }
        (Some(ObjectKind::NoWay), false) => {
            format!(
                "There is no {path} in the root folder of {who}: a folder on the way is missing or no folder."
            )
        }
        (Some(ObjectKind::Absent), false) => format!("There is no {path} in the root folder of {who}."),
        (Some(ObjectKind::Dangling), false) => {
            format!("{path} is a symbolic link to something that is not there in the root folder of {who}.")
        }
        // It is there by now: the server was late, which is what whoever asked wants to know.
        (Some(ObjectKind::Socket), false) => {
            format!("There was no {path} yet when {who} asked for it; by now there is.")
        }
        (None, _) => format!("There is no {path} in the root folder of {who}, or no folder to hold it."),
        _ => return None,
    };
    let looked = object(case).map(|o| {
        let ms = o.after_ns / 1_000_000;
        format!("{ms} ms after it the path was looked up again from the task's root: {}", words(o.kind))
    });
    let (confidence, missing) = match kind {
        Some(ObjectKind::Socket) | None => {
            (Confidence::Likely, vec!["what lay at the path at that instant".to_string()])
        }
        Some(_) => (Confidence::Proven, vec![]),
    };
    Some(Proof {
        confidence,
        sentence,
        knob: Knob { kind: KnobKind::File, name: path.into(), path: path.into() },
        limit: None,
        usage: None,
        unit: String::new(),
        evidence: looked.into_iter().collect(),
        missing,
    })
}

fn words(kind: ObjectKind) -> &'static str {
    match kind {
        ObjectKind::Absent => "nothing, in a folder that is there",
        ObjectKind::NoWay => "nothing, nor the folder",
        ObjectKind::Dangling => "a link to nothing",
        ObjectKind::Socket => "a socket",
        _ => "something else",
    }
}

fn remedy(case: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let (pid, path) = (case.failure().task.pid, &proof.knob.path);
    let folder =
        path.rsplit_once('/').map_or(".", |(folder, _)| if folder.is_empty() { "/" } else { folder });
    if case.failure().syscall().is_some_and(|(call, _)| call == "bind") {
        return vec![step(
            "now",
            &format!("nsenter -t {pid} -m mkdir -p {folder}"),
            "for good in the image, or as a volume or tmpfs: what is mounted over /run hides the image's folders there",
            &format!("nsenter -t {pid} -m rmdir {folder}"),
        )];
    }
    let name = path.rsplit('/').next().unwrap_or(path);
    vec![
        step(
            "find it",
            &format!("ss -xlp | grep {name}"),
            "whether a server listens, and under which path: nothing there means that it does not run",
            "reads only",
        ),
        step(
            "for good",
            &format!("docker run -v {folder}:{folder} …"),
            "mount the folder that holds the socket into the container (a socket alone is stale when its server starts \
             anew); let what needs the server wait until it is there",
            "start it without the option",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{argument, file, judge_with, with_object};
    use crate::model::{Address, ArgValue, Incident, PathObject};

    fn asked(call: &str, errno: i32, kind: ObjectKind) -> Incident {
        let object = PathObject { role: "addr".into(), kind, ..file("/run/docker.sock", 0o755) };
        let mut incident = with_object(call, Errno(errno), object);
        let path = Address::Local { path: "/run/docker.sock".into() };
        argument(&mut incident, "addr", ArgValue::Address(path));
        incident
    }

    #[test]
    fn nothing_there_is_proven_and_a_late_server_is_likely() {
        let judged = |call, kind| judge_with(&CAUSE, &asked(call, libc::ENOENT, kind)).map(|f| f.confidence);
        assert_eq!(judged("connect", ObjectKind::Absent), Some(Confidence::Proven));
        assert_eq!(judged("connect", ObjectKind::Socket), Some(Confidence::Likely));
        assert_eq!(judged("bind", ObjectKind::NoWay), Some(Confidence::Proven));
        assert_eq!(judged("bind", ObjectKind::Absent), None, "the folder is there: something else refused");
        assert_eq!(judged("connect", ObjectKind::Regular), None);
    }

    #[test]
    fn abstract_names_and_other_errnos_are_not_claimed() {
        let refused = asked("connect", libc::ECONNREFUSED, ObjectKind::Absent);
        assert_eq!(judge_with(&CAUSE, &refused), None);
        let mut name = asked("connect", libc::ENOENT, ObjectKind::Absent);
        argument(&mut name, "addr", ArgValue::Address(Address::Local { path: "@x".into() }));
        assert_eq!(judge_with(&CAUSE, &name), None);
        let mut open = asked("openat", libc::ENOENT, ObjectKind::Absent);
        open.failure.task.pid = 1;
        assert_eq!(judge_with(&CAUSE, &open), None);
    }
}
