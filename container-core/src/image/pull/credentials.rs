//! What `docker login` (and `skopeo login --authfile`) wrote down: `$DOCKER_CONFIG/config.json`, else
//! `~/.docker/config.json`, with the credential helpers that it names.

use std::path::PathBuf;

use docker_credential::{CredentialRetrievalError, DockerCredential};
use oci_client::secrets::RegistryAuth;

use super::refusal::Refusal;

/// How docker's file calls its own registry, which has another name everywhere else.
const HUB: &str = "index.docker.io";
const HUB_KEY: &str = "https://index.docker.io/v1/";

/// Where credentials are looked for.
pub(super) fn file() -> Option<PathBuf> {
    let dir = std::env::var_os("DOCKER_CONFIG").map(PathBuf::from);
    let dir = dir.or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".docker")));
    dir.map(|dir| dir.join("config.json"))
}

/// The credentials for a registry, `host[:port]`.
pub(super) fn find(registry: &str) -> Result<RegistryAuth, Refusal> {
    let Some(file) = file().filter(|file| file.exists()) else { return Ok(RegistryAuth::Anonymous) };
    let key = if registry == HUB { HUB_KEY } else { registry };
    let unusable = |reason: String| Refusal::Credentials { file: file.clone(), reason };
    match docker_credential::get_credential(key) {
        Ok(DockerCredential::UsernamePassword(user, password)) => Ok(RegistryAuth::Basic(user, password)),
        Ok(DockerCredential::IdentityToken(_)) => Err(unusable(format!(
            "it has an identity token for {registry}, which is not supported: log in with a password or an access token"
        ))),
        Err(CredentialRetrievalError::NoCredentialConfigured) => Ok(RegistryAuth::Anonymous),
        Err(CredentialRetrievalError::HelperFailure { stdout, .. })
            if stdout.contains("credentials not found") =>
        {
            // The helpers' protocol for "none" (docker-credential-helpers: credentials/error.go).
            Ok(RegistryAuth::Anonymous)
        }
        Err(error) => Err(unusable(error.to_string().trim_end().replace('\n', " "))),
    }
}
