//! Which lines of a command's stderr are errors, and which of those are an engine's.

use crate::model::{Errno, Said};

/// Lines that are kept, the last ones.
const MOST: usize = 8;

/// How the engines' clients and runtimes begin what failed.
const ENGINES: &[(&str, &str)] = &[
    ("docker: ", "docker"),
    ("Error response from daemon: ", "docker"),
    ("ctr: ", "containerd"),
    ("nerdctl: ", "containerd"),
    ("runc run failed: ", "runc"),
    ("runc create failed: ", "runc"),
    ("OCI runtime", "the OCI runtime"),
    ("Error: OCI runtime", "podman"),
];

/// Words that make a line of any program an error.
const WORDS: &[&str] = &["error", "fail", "cannot", "can't", "unable", "refused", "denied", "not available"];

/// The errors in a command's stderr. `client`: the engine whose client the command is, where it is one.
pub fn of_stderr(text: &str, command: &str, client: Option<&str>) -> Vec<Said> {
    let mut out = Vec::new();
    for line in text.lines().rev().map(plain).map(|line| message(&line)) {
        if let Some(said) = complaint(&line, command, client) {
            out.push(said);
        }
        if out.len() == MOST {
            break;
        }
    }
    out
}

fn complaint(line: &str, command: &str, client: Option<&str>) -> Option<Said> {
    let engine = ENGINES.iter().find(|(start, _)| line.starts_with(start)).map(|(_, engine)| *engine);
    // podman's own, and crun's, begin like everybody's.
    let engine = engine.or(client.filter(|_| line.starts_with("Error: ") || line.starts_with("crun: ")));
    let lower = line.to_lowercase();
    let is_error = engine.is_some() || WORDS.iter().any(|word| lower.contains(word)) || has_errno(&lower);
    is_error.then(|| Said {
        by: engine.unwrap_or(command).to_owned(),
        text: line.to_owned(),
        container: None,
        engine: engine.is_some(),
    })
}

fn has_errno(lower: &str) -> bool {
    (1..=133).any(|number| {
        let words = Errno(number).sentence().to_lowercase();
        words.len() > 8 && lower.contains(&words)
    })
}

/// Without the terminal's control sequences (ECMA-48: `ESC [` … a letter).
fn plain(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line.trim();
    while let Some((before, after)) = rest.split_once("\u{1b}[") {
        out += before;
        rest = after.find(|c: char| c.is_ascii_alphabetic()).map_or("", |at| &after[at + 1..]);
    }
    out + rest
}

/// The message of a line of logrus, which runc and podman write: `time="…" level=error msg="…"`.
fn message(line: &str) -> String {
    let is_log = line.contains("level=error") || line.contains("level=fatal");
    let quoted = line.split_once("msg=\"").filter(|_| is_log).and_then(|(_, rest)| rest.rsplit_once('"'));
    quoted.map_or_else(|| line.to_owned(), |(message, _)| message.replace("\\\"", "\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engines_errors_are_told_from_others() {
        let text = "Pulling\n\u{1b}[31mdocker: Error response from daemon: no space left on device.\u{1b}[0m\n\n\
                    Run 'docker run --help' for more information\nmount: mounting x on /m failed: No space left on device\n";
        let said = of_stderr(text, "sh", Some("docker"));
        assert_eq!(said.len(), 2, "{said:?}");
        assert_eq!((said[0].by.as_str(), said[0].engine), ("sh", false));
        assert_eq!(said[1].text, "docker: Error response from daemon: no space left on device.");
        assert!(said[1].engine);
    }

    #[test]
    fn a_log_line_is_its_message() {
        let text = r#"time="2026-11-28T09:00:00Z" level=error msg="runc run failed: error mounting \"proc\": no space left on device""#;
        let said = of_stderr(text, "runc", None);
        assert_eq!(said[0].text, r#"runc run failed: error mounting "proc": no space left on device"#);
        assert_eq!((said[0].by.as_str(), said[0].engine), ("runc", true));
    }

    #[test]
    fn podmans_error_is_podmans_when_podman_ran() {
        let line = "Error: requested CPUs are not available";
        assert!(of_stderr(line, "podman", Some("podman"))[0].engine);
        assert!(!of_stderr(line, "make", None)[0].engine);
        assert_eq!(of_stderr("all is well\n", "make", None), []);
    }
}
