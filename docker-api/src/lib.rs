//! Asks a Docker daemon, or one that speaks like it (podman), for one container.
//!
//! diag knows engines from what they keep on disk, which needs no daemon that answers. Where that cannot be read
//! (another mount namespace, a store of a form that it does not know) the daemon itself is asked, if diag was built with
//! the feature `docker-api`. The question is `GET /containers/{id}/json` (Docker Engine API, "Inspect a container").

use bollard::errors::Error;
use bollard::models::ContainerInspectResponse;
use bollard::query_parameters::InspectContainerOptions;
use bollard::{API_DEFAULT_VERSION, Docker};
use std::io;
use std::path::Path;
use std::time::Duration;

/// A daemon that hangs must not hold up an answer.
const MOST_WAIT: Duration = Duration::from_millis(500);
const NOT_FOUND: u16 = 404;

#[derive(Debug, thiserror::Error)]
pub enum AskError {
    #[error("cannot ask the daemon behind {socket}: {source}")]
    Daemon { socket: String, source: Error },
    #[error("the daemon behind {socket} does not answer")]
    Silent { socket: String },
    #[error("no thread to ask from: {0}")]
    Thread(#[from] io::Error),
}

/// What a daemon says of a container.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Answer {
    pub name: Option<String>,
    pub image: Option<String>,
    pub running: Option<bool>,
    /// Of one that has ended; a daemon gives 0 for one that never ran.
    pub exit_code: Option<i64>,
    pub oom_killed: bool,
    /// As the daemon writes times; `0001-…` for one that has not ended.
    pub finished_at: Option<String>,
}

/// Asks the daemon behind `socket` for the container with this id or name; `None` when it has no such container. Waits
/// half a second at most. May be called from within an asynchronous runtime: it has a thread of its own.
pub fn inspect(socket: &Path, id: &str) -> Result<Option<Answer>, AskError> {
    let asked = std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("diag-docker".into());
        let asking = thread.spawn_scoped(scope, || ask(socket, id))?;
        asking.join().unwrap_or_else(|_| Err(io::Error::other("it panicked").into()))
    });
    asked.map(|found| found.map(answer))
}

fn ask(socket: &Path, id: &str) -> Result<Option<ContainerInspectResponse>, AskError> {
    let shown = || socket.display().to_string();
    let failed = |source| AskError::Daemon { socket: shown(), source };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let path = socket.to_string_lossy();
    let question = async {
        let seconds = MOST_WAIT.as_secs().max(1);
        let docker = Docker::connect_with_unix(&path, seconds, API_DEFAULT_VERSION)?;
        docker.inspect_container(id, None::<InspectContainerOptions>).await
    };
    // The clock belongs to the runtime, so it is asked for inside.
    let asked = runtime.block_on(async { tokio::time::timeout(MOST_WAIT, question).await });
    match asked {
        Err(_) => Err(AskError::Silent { socket: shown() }),
        Ok(Err(Error::DockerResponseServerError { status_code: NOT_FOUND, .. })) => Ok(None),
        Ok(Err(source)) => Err(failed(source)),
        Ok(Ok(found)) => Ok(Some(found)),
    }
}

fn answer(found: ContainerInspectResponse) -> Answer {
    let state = found.state.unwrap_or_default();
    Answer {
        name: found.name.map(|name| name.trim_start_matches('/').to_owned()),
        image: found.config.and_then(|config| config.image),
        running: state.running,
        exit_code: state.exit_code,
        oom_killed: state.oom_killed == Some(true),
        finished_at: state.finished_at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader, Write};
    use std::os::unix::net::UnixListener;
    use std::path::PathBuf;
    use std::sync::mpsc;
    use std::time::Instant;

    /// A daemon that answers one request; the first line of it is handed out.
    fn daemon(folder: &Path, status: &'static str, body: &'static str) -> (PathBuf, mpsc::Receiver<String>) {
        let socket = folder.join("docker.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let (told, asked) = mpsc::channel();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
            told.send(lines.next().unwrap()).unwrap();
            lines.find(String::is_empty);
            let length = body.len();
            let head = format!(
                "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
            );
            stream.write_all((head + body).as_bytes()).unwrap();
        });
        (socket, asked)
    }

    #[test]
    fn a_daemon_names_a_container() {
        let dir = tempfile::tempdir().unwrap();
        let body = r#"{"Id":"ab12","Name":"/web-1","Config":{"Image":"nginx:1.27"},"State":{"Running":false,
            "ExitCode":137,"OOMKilled":true,"FinishedAt":"2026-11-25T13:36:19Z"}}"#;
        let (socket, asked) = daemon(dir.path(), "200 OK", body);
        let found = inspect(&socket, "ab12").unwrap().unwrap();
        let request = asked.recv().unwrap();
        assert!(request.starts_with("GET ") && request.contains("/containers/ab12/json"), "{request}");
        assert_eq!((found.name.as_deref(), found.image.as_deref()), (Some("web-1"), Some("nginx:1.27")));
        assert_eq!((found.running, found.exit_code, found.oom_killed), (Some(false), Some(137), true));
    }

    #[test]
    fn one_that_it_does_not_have_is_no_error() {
        let dir = tempfile::tempdir().unwrap();
        let (socket, _asked) = daemon(dir.path(), "404 Not Found", r#"{"message":"No such container: x"}"#);
        assert_eq!(inspect(&socket, "x").unwrap(), None);
    }

    #[test]
    fn a_daemon_that_is_silent_or_gone_is_told_and_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let silent = dir.path().join("silent.sock");
        let _listener = UnixListener::bind(&silent).unwrap();
        let begin = Instant::now();
        let said = inspect(&silent, "x").unwrap_err().to_string();
        assert!(said.contains("does not answer"), "{said}");
        assert!(begin.elapsed() < Duration::from_secs(30));
        let gone = dir.path().join("gone.sock");
        let said = inspect(&gone, "x").unwrap_err().to_string();
        assert!(said.contains("gone.sock"), "{said}");
    }
}
