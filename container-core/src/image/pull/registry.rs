//! One repository of one registry, as far as pulling needs it.

use std::net::IpAddr;
use std::time::Duration;

use oci_client::client::{BlobResponse, ClientConfig, ClientProtocol};
use oci_client::errors::{OciDistributionError as Failure, OciErrorCode};
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference, RegistryOperation};

use super::credentials;
use super::refusal::{Asked, Refusal};
use crate::image::load::manifest::Blob;

/// Until a connection stands.
const CONNECT: Duration = Duration::from_secs(20);
/// Until the next byte comes.
const SILENCE: Duration = Duration::from_secs(60);

/// Manifests that can be read. A registry sends what it has, whatever is asked for.
const ACCEPTED: [&str; 4] = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
];

/// A client that knows how to reach the repository, and has logged in.
pub(super) struct Registry {
    client: Client,
    reference: Reference,
    auth: RegistryAuth,
}

impl Registry {
    /// Connect and log in. HTTPS first; plain HTTP, and certificates that nobody vouches for, only on loopback
    /// addresses or with permission, as docker does it.
    pub(super) async fn connect(name: &str, insecure: bool) -> Result<Registry, Refusal> {
        let reference: Reference =
            name.parse().map_err(|e| Refusal::NotAnImage { reason: format!("{name:?}: {e}") })?;
        let host = reference.resolve_registry().to_owned();
        let auth = credentials::find(&host)?;
        let insecure = insecure || is_loopback(&host);
        let mut registry = Registry { client: client(ClientProtocol::Https, insecure)?, reference, auth };
        match registry.log_in().await {
            Err(Failure::RequestError(error)) if insecure && error.is_connect() => {
                registry.client = client(ClientProtocol::Http, insecure)?;
                registry.log_in().await.map_err(|failure| registry.asked().refusal(failure))?;
            }
            done => done.map_err(|failure| registry.asked().refusal(failure))?,
        }
        Ok(registry)
    }

    async fn log_in(&self) -> Result<(), Failure> {
        self.client.auth(&self.reference, &self.auth, RegistryOperation::Pull).await.map(drop)
    }

    fn asked(&self) -> Asked<'_> {
        Asked {
            registry: self.reference.resolve_registry(),
            repository: self.reference.repository(),
            with_login: self.auth != RegistryAuth::Anonymous,
        }
    }

    /// The manifest or index of the name, or of a digest in the same repository. Bytes that do not have the
    /// digest asked for are an error.
    pub(super) async fn manifest(&self, digest: Option<&str>) -> Result<Vec<u8>, Refusal> {
        let reference = match digest {
            Some(digest) => self.reference.clone_with_digest(digest.to_owned()),
            None => self.reference.clone(),
        };
        match self.client.pull_manifest_raw(&reference, &self.auth, &ACCEPTED).await {
            Ok((text, _)) => Ok(text.to_vec()),
            Err(failure) if is_missing(&failure) => Err(self.no_such(&reference, failure).await),
            Err(failure) => Err(self.asked().refusal(failure)),
        }
    }

    /// Whether the repository is missing, or only the tag: registries answer both alike, so its tags are asked for.
    async fn no_such(&self, reference: &Reference, failure: Failure) -> Refusal {
        match self.client.list_tags(&self.reference, &self.auth, None, None).await {
            Ok(found) => Refusal::NoTag {
                registry: reference.resolve_registry().to_owned(),
                repository: reference.repository().to_owned(),
                tag: reference.digest().or(reference.tag()).unwrap_or("latest").to_owned(),
                tags: found.tags,
            },
            Err(_) => self.asked().refusal(failure),
        }
    }

    /// A blob from the byte `from` on, or all of it when the registry cannot do that.
    pub(super) async fn blob(&self, blob: &Blob, from: u64) -> Result<BlobResponse, Failure> {
        self.client.pull_blob_stream_partial(&self.reference, blob.digest().as_str(), from, None).await
    }

    /// The reason behind a blob that cannot be had.
    pub(super) fn refusal(&self, failure: Failure) -> Refusal {
        match is_missing(&failure) {
            true => Refusal::NotAnImage { reason: "the registry has lost a part of it".to_owned() },
            false => self.asked().refusal(failure),
        }
    }
}

fn client(protocol: ClientProtocol, insecure: bool) -> Result<Client, Refusal> {
    // The first one wins; a program that chose another before keeps it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // Asked first: the client's own default panics without any.
    if rustls_native_certs::load_native_certs().certs.is_empty() {
        return Err(Refusal::NoAuthorities);
    }
    let config = ClientConfig {
        protocol,
        accept_invalid_certificates: insecure,
        connect_timeout: Some(CONNECT),
        read_timeout: Some(SILENCE),
        user_agent: concat!("container-core/", env!("CARGO_PKG_VERSION")),
        ..ClientConfig::default()
    };
    Client::try_from(config).map_err(|e| Refusal::NotAnImage { reason: format!("no HTTP client: {e}") })
}

fn is_missing(failure: &Failure) -> bool {
    match failure {
        Failure::RegistryError { envelope, .. } => envelope.errors.iter().any(|error| {
            matches!(
                error.code,
                OciErrorCode::ManifestUnknown
                    | OciErrorCode::NameUnknown
                    | OciErrorCode::BlobUnknown
                    | OciErrorCode::NotFound
            )
        }),
        Failure::ServerError { code, .. } => *code == 404,
        _ => false,
    }
}

/// Whether a registry, `host[:port]`, is on this machine and nowhere else.
fn is_loopback(registry: &str) -> bool {
    let host = registry.rsplit_once(':').map_or(registry, |(host, _)| host);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_loopback() {
        assert!(is_loopback("localhost:5000") && is_loopback("127.0.0.2:5000") && is_loopback("localhost"));
        assert!(!is_loopback("localhost.example.org") && !is_loopback("10.0.0.1:5000"));
    }
}
