//! Docker, or a podman that speaks like it: what the daemon itself says, where its files say nothing.

use super::docker::ended;
use super::{Found, command_lines, hosts};
use crate::limits::read::Root;
use std::path::PathBuf;

/// Where engines listen if nobody tells them otherwise (dockerd(8), podman-system-service(1)).
const SOCKETS: [(&str, &str); 2] = [("docker", "run/docker.sock"), ("podman", "run/podman/podman.sock")];

/// `None` where no daemon knows it; why one could not be asked goes to the log.
pub(super) fn find(root: &Root, engine: &str, id: &str) -> Option<Found> {
    sockets(root, engine).into_iter().filter(|socket| socket.exists()).find_map(|socket| {
        let asked = diag_docker_api::inspect(&socket, id);
        let answer = asked.inspect_err(|error| tracing::debug!("{error}")).ok()??;
        let ended_at = answer.finished_at.as_deref();
        let state = ended(answer.running, answer.exit_code, ended_at, answer.oom_killed);
        Some(Found { name: answer.name, image: answer.image, state })
    })
}

/// Those that a running daemon names, then the usual one.
fn sockets(root: &Root, engine: &str) -> Vec<PathBuf> {
    let mut sockets = Vec::new();
    if engine == "docker" {
        for words in command_lines(root, &["dockerd"]) {
            let paths = hosts(&words).into_iter().filter_map(|host| host.strip_prefix("unix://"));
            sockets.extend(paths.map(|path| root.join(path)));
        }
    }
    sockets.extend(SOCKETS.iter().filter(|(of, _)| *of == engine).map(|(_, path)| root.join(path)));
    sockets
}
