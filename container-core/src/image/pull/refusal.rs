//! Why a pull fails, each in one sentence that says what to do.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use oci_client::errors::{OciDistributionError as Failure, OciErrorCode};

/// The reason of a failed pull.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// No connection.
    #[error(
        "registry {registry} cannot be reached ({reason}): check its name and the network, and whether a proxy (HTTPS_PROXY) is needed"
    )]
    Unreachable {
        /// `host[:port]`.
        registry: String,
        /// As the system said it.
        reason: String,
    },
    /// A certificate that nobody vouches for.
    #[error(
        "registry {registry} does not prove that it is the one ({reason}): trust the authority behind its certificate (SSL_CERT_FILE), or do without with --insecure"
    )]
    Untrusted {
        /// `host[:port]`.
        registry: String,
        /// As the TLS library said it.
        reason: String,
    },
    /// Nobody is trusted here at all.
    #[error(
        "this machine has no certificates of authorities to know registries by: install them (Debian: ca-certificates), or name a file of them in SSL_CERT_FILE"
    )]
    NoAuthorities,
    /// No TLS at all.
    #[error(
        "registry {registry} speaks plain HTTP, which anybody on the way can change: allow it with --insecure"
    )]
    PlainHttp {
        /// `host[:port]`.
        registry: String,
    },
    /// 401 or 403.
    #[error("registry {registry} wants a login for {repository} ({reason}): `docker login {registry}` writes one to {}", file.display())]
    Login {
        /// `host[:port]`.
        registry: String,
        /// The image's name there.
        repository: String,
        /// Whether one was tried.
        reason: String,
        /// Where credentials are read from.
        file: PathBuf,
    },
    /// The credentials that are there.
    #[error("the credentials in {} cannot be used: {reason}", file.display())]
    Credentials {
        /// Where they are.
        file: PathBuf,
        /// Why not.
        reason: String,
    },
    /// 404 for the repository.
    #[error(
        "registry {registry} has no {repository}: check the spelling; one that is private shows only after a login"
    )]
    NoRepository {
        /// `host[:port]`.
        registry: String,
        /// The image's name there.
        repository: String,
    },
    /// 404 for the tag.
    #[error("registry {registry} has {repository}, but not {tag}: {}", tags_there(tags))]
    NoTag {
        /// `host[:port]`.
        registry: String,
        /// The image's name there.
        repository: String,
        /// What was asked for, a tag or a digest.
        tag: String,
        /// Tags that it has.
        tags: Vec<String>,
    },
    /// An index without a fitting entry.
    #[error("it has nothing for {wanted}, but for {}: --platform chooses", there.join(", "))]
    OtherPlatform {
        /// `os/architecture[/variant]`.
        wanted: String,
        /// Those that are there.
        there: Vec<String>,
    },
    /// A blob that is not what its digest says.
    #[error(
        "blob {wanted} arrived as {got}: the registry, or something on the way, changed it; it was thrown away, so try again, and tell whoever runs the registry if it happens again"
    )]
    Changed {
        /// The digest in the manifest.
        wanted: String,
        /// That of what came.
        got: String,
    },
    /// The connection ended early, again and again.
    #[error(
        "blob {digest} broke off at byte {at} ({reason}): what has arrived is kept, pull again to go on from there"
    )]
    BrokenOff {
        /// The digest in the manifest.
        digest: String,
        /// Bytes that are there.
        at: u64,
        /// As the system said it.
        reason: String,
    },
    /// The disk.
    #[error("{} cannot be written ({source}): make room there (`diag rmi` removes images); what has arrived is kept", path.display())]
    Disk {
        /// The file.
        path: PathBuf,
        /// The kernel's reason.
        #[source]
        source: io::Error,
    },
    /// What the registry has under the name is no image, or a broken one.
    #[error("what the registry has under that name cannot be used: {reason}")]
    NotAnImage {
        /// Why not.
        reason: String,
    },
    /// 429.
    #[error(
        "registry {registry} has had enough requests from here: wait, or log in for a higher limit (`docker login {registry}`)"
    )]
    TooManyRequests {
        /// `host[:port]`.
        registry: String,
    },
    /// Any other answer.
    #[error("registry {registry} answered {answer}: try again later, or ask whoever runs it")]
    Answer {
        /// `host[:port]`.
        registry: String,
        /// Status and text.
        answer: String,
    },
}

impl Refusal {
    /// Layers are unpacked by code that gives its reasons as text; a full disk is not the image's fault.
    pub(super) fn of_unpacking(root: &Path, reason: String) -> Refusal {
        let full = [Errno::ENOSPC, Errno::EDQUOT].into_iter().find(|errno| reason.contains(errno.desc()));
        match full {
            Some(errno) => Refusal::Disk { path: root.to_owned(), source: errno.into() },
            None => Refusal::NotAnImage { reason },
        }
    }
}

fn tags_there(tags: &[String]) -> String {
    const SHOWN: usize = 8;
    if tags.is_empty() {
        return "it has no tag at all".to_owned();
    }
    let mut text = format!("it has {}", tags[..tags.len().min(SHOWN)].join(", "));
    if tags.len() > SHOWN {
        let _ = write!(text, " and {} more", tags.len() - SHOWN);
    }
    text
}

/// Whom a request went to, and with what.
pub(super) struct Asked<'a> {
    pub(super) registry: &'a str,
    pub(super) repository: &'a str,
    pub(super) with_login: bool,
}

impl Asked<'_> {
    /// The reason behind a failed request.
    pub(super) fn refusal(&self, failure: Failure) -> Refusal {
        match failure {
            Failure::RequestError(error) => self.no_connection(&error),
            Failure::AuthenticationFailure(_) | Failure::UnauthorizedError { .. } => self.login(),
            Failure::RegistryError { envelope, .. } => match envelope.errors.first().map(|e| &e.code) {
                Some(OciErrorCode::Unauthorized | OciErrorCode::Denied) => self.login(),
                Some(OciErrorCode::Toomanyrequests) => self.too_many(),
                Some(OciErrorCode::NameUnknown | OciErrorCode::ManifestUnknown | OciErrorCode::NotFound) => {
                    self.no_repository()
                }
                _ => self.answer(envelope.to_string()),
            },
            Failure::ServerError { code: 401 | 403, .. } => self.login(),
            Failure::ServerError { code: 404, .. } => self.no_repository(),
            Failure::ServerError { code: 429, .. } => self.too_many(),
            Failure::ServerError { code, message, .. } => {
                let line = message.lines().next().unwrap_or_default();
                self.answer(format!("{code} {line}").trim_end().to_owned())
            }
            Failure::DigestError(error) => Refusal::NotAnImage { reason: error.to_string() },
            other => self.answer(other.to_string()),
        }
    }

    pub(super) fn no_connection(&self, error: &(dyn std::error::Error + 'static)) -> Refusal {
        let (registry, reason) = (self.registry.to_owned(), innermost(error));
        // rustls' own words: nothing more exact reaches us through the HTTP library.
        if reason.contains("InvalidContentType") || reason.contains("corrupt message") {
            Refusal::PlainHttp { registry }
        } else if reason.contains("certificate") {
            Refusal::Untrusted { registry, reason }
        } else {
            Refusal::Unreachable { registry, reason }
        }
    }

    fn login(&self) -> Refusal {
        Refusal::Login {
            registry: self.registry.to_owned(),
            repository: self.repository.to_owned(),
            reason: if self.with_login { "it refused the one it got" } else { "none is known" }.to_owned(),
            file: super::credentials::file().unwrap_or_else(|| "~/.docker/config.json".into()),
        }
    }

    fn no_repository(&self) -> Refusal {
        let (registry, repository) = (self.registry.to_owned(), self.repository.to_owned());
        Refusal::NoRepository { registry, repository }
    }

    fn too_many(&self) -> Refusal {
        Refusal::TooManyRequests { registry: self.registry.to_owned() }
    }

    fn answer(&self, answer: String) -> Refusal {
        Refusal::Answer { registry: self.registry.to_owned(), answer }
    }
}

/// The last of the causes: the outer ones only repeat the address.
pub(super) fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_tags_are_cut() {
        let tags: Vec<String> = (0..10).map(|number| number.to_string()).collect();
        assert_eq!(tags_there(&tags), "it has 0, 1, 2, 3, 4, 5, 6, 7 and 2 more");
        assert_eq!(tags_there(&[]), "it has no tag at all");
    }
}
