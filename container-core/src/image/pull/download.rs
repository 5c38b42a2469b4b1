//! One blob, from the registry into its file: from where an earlier attempt stopped, again when the connection breaks
//! off, and verified when it is whole.

use std::time::Duration;

use futures_util::StreamExt;
use oci_client::client::BlobResponse;
use oci_client::errors::OciDistributionError as Failure;

use super::downloads::{Downloads, Part, Standing};
use super::refusal::Refusal;
use super::registry::Registry;
use super::{PullEvent, PullListener};
use crate::image::load::manifest::Blob;

/// So often in a row nothing may come before a pull gives up.
const ATTEMPTS: u32 = 5;
/// Before the second attempt; doubled each time.
const PAUSE: Duration = Duration::from_millis(200);
/// Between looks at a blob that another process is fetching.
const LOOK: Duration = Duration::from_millis(50);

/// Fetch `blob`, if it is not there.
pub(super) async fn blob(
    registry: &Registry,
    downloads: &Downloads,
    blob: &Blob,
    listener: &PullListener,
) -> Result<(), Refusal> {
    let mut part = loop {
        match downloads.part(blob)? {
            Standing::Whole => {
                listener(PullEvent::Complete { digest: blob.digest() });
                return Ok(());
            }
            // Waiting must not stop the other downloads of this process, which that one may wait for.
            Standing::Elsewhere => tokio::time::sleep(LOOK).await,
            Standing::Partial(part) => break part,
        }
    };
    // Bytes of an earlier attempt may be damaged: then once more from the start.
    let had_some = part.size() > 0;
    fill(registry, &mut part, blob, listener).await?;
    if part.digest() != blob.digest() && had_some {
        part.restart()?;
        fill(registry, &mut part, blob, listener).await?;
    }
    let got = part.digest();
    if got != blob.digest() {
        part.restart()?;
        return Err(Refusal::Changed { wanted: blob.digest(), got });
    }
    part.finish()?;
    listener(PullEvent::Complete { digest: blob.digest() });
    Ok(())
}

/// Until everything is there.
async fn fill(
    registry: &Registry,
    part: &mut Part,
    blob: &Blob,
    listener: &PullListener,
) -> Result<(), Refusal> {
    // A manifest always has sizes; without one a blob cannot be told from its beginning.
    let size = blob.size.unwrap_or(0);
    if part.size() > size {
        part.restart()?;
    }
    let mut attempt = 0;
    loop {
        let before = part.size();
        listener(PullEvent::Begun { digest: blob.digest(), size, from: before });
        let broken = match part.size() < size {
            true => stream(registry, part, blob, size, listener).await?,
            false => None,
        };
        if part.size() == size {
            return Ok(());
        }
        attempt = if part.size() > before { 1 } else { attempt + 1 };
        if attempt >= ATTEMPTS {
            let reason = broken.unwrap_or_else(|| "the registry sent no more".to_owned());
            return Err(Refusal::BrokenOff { digest: blob.digest(), at: part.size(), reason });
        }
        tokio::time::sleep(PAUSE * 2u32.pow(attempt - 1)).await;
    }
}

/// One request's worth of bytes; why it ended early, if it did. What is worth another attempt is no error.
async fn stream(
    registry: &Registry,
    part: &mut Part,
    blob: &Blob,
    size: u64,
    listener: &PullListener,
) -> Result<Option<String>, Refusal> {
    let mut bytes = match registry.blob(blob, part.size()).await {
        Ok(BlobResponse::Partial(bytes)) => bytes,
        Ok(BlobResponse::Full(bytes)) => {
            part.restart()?;
            listener(PullEvent::Begun { digest: blob.digest(), size, from: 0 });
            bytes
        }
        Err(Failure::RequestError(error)) => return Ok(Some(super::refusal::innermost(&error))),
        Err(Failure::ServerError { code: code @ 500..=599, .. }) => {
            return Ok(Some(format!("status {code}")));
        }
        Err(failure) => return Err(registry.refusal(failure)),
    };
    while let Some(next) = bytes.next().await {
        let next = match next {
            Ok(next) => next,
            Err(error) => return Ok(Some(super::refusal::innermost(&error))),
        };
        if part.size() + next.len() as u64 > size {
            part.restart()?;
            let got = format!("more than the {size} bytes announced");
            return Err(Refusal::Changed { wanted: blob.digest(), got });
        }
        part.append(&next)?;
        listener(PullEvent::Received { digest: blob.digest(), bytes: next.len() as u64 });
    }
    Ok(None)
}
