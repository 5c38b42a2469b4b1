//! Names of images: `name` or `name:tag`, kept as `name:tag`; or `name@sha256:…`, which never means something else.

use crate::error::Error;

/// Where docker and podman put names without a host: left out here, so that an image has one name.
const IMPLIED: [&str; 4] = ["docker.io/library/", "docker.io/", "index.docker.io/library/", "localhost/"];

/// The one spelling of an image's name; `latest` is the tag of a name without one.
pub(crate) fn canonical(name: &str) -> Result<String, Error> {
    let given = name;
    let name = IMPLIED.iter().find_map(|host| name.strip_prefix(host)).unwrap_or(name);
    let (name, digest) = match name.split_once("@sha256:") {
        Some((name, digest)) => (name, Some(digest)),
        None => (name, None),
    };
    // A colon before the last slash belongs to a host's port.
    let (path, tag) = match name.rsplit_once(':') {
        Some((path, tag)) if !tag.contains('/') => (path, tag),
        _ => (name, "latest"),
    };
    let path_is_good = !path.is_empty()
        && path.len() <= 255
        && path.split('/').all(|part| part.starts_with(|c: char| c.is_ascii_alphanumeric()))
        && path.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-/:".contains(c));
    let tag_is_good = !tag.is_empty()
        && tag.len() <= 128
        && !tag.starts_with(['.', '-'])
        && tag.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
    let digest_is_good = digest.is_none_or(|digits| {
        digits.len() == 64 && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    });
    match (path_is_good && tag_is_good && digest_is_good, digest) {
        (true, None) => Ok(format!("{path}:{tag}")),
        // A tag beside a digest says nothing, as docker has it.
        (true, Some(digest)) => Ok(format!("{path}@sha256:{digest}")),
        (false, _) => Err(Error::InvalidSpec(format!(
            "{given:?} is no image name: lower-case letters, digits and . _ - /, then perhaps :tag \
             or @sha256:digest"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_one_spelling() {
        assert_eq!(canonical("busybox").unwrap(), "busybox:latest");
        assert_eq!(canonical("a/b-c:1.2").unwrap(), "a/b-c:1.2");
        assert_eq!(canonical("localhost:5000/a").unwrap(), "localhost:5000/a:latest");
        assert_eq!(canonical("docker.io/library/alpine:3").unwrap(), "alpine:3");
        assert_eq!(canonical("localhost/own").unwrap(), "own:latest");
        let pinned = format!("a.b:5/c@sha256:{}", "0f".repeat(32));
        assert_eq!(canonical(&pinned.replace("/c@", "/c:1@")).unwrap(), pinned);
        for bad in
            ["docker.io/", "", ":x", "a:", "A", "a b", "../x", "a//b", "a:.x", "/a", "a@sha256:0f", "a@md5:0"]
        {
            assert!(canonical(bad).is_err(), "{bad}");
        }
    }
}
