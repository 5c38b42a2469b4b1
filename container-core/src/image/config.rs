//! What an image says about running it (OCI image specification, "Image Configuration"), and how that fills in
//! what a specification leaves open.

use std::path::PathBuf;

use oci_spec::image::Config as OciConfig;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::signal;
use crate::spec::{Mount, MountSource, Spec};

/// An image's defaults for its containers; everything empty for an image made by `import`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ImageConfig {
    /// Put before the command.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub entrypoint: Vec<String>,
    /// The command, or the entrypoint's arguments, when none is given.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cmd: Vec<String>,
    /// Environment, `KEY=value` each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// `user`, `uid`, `user:group`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Working directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<String>,
    /// The signal that `stop` sends first, by name or number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_signal: Option<String>,
    /// Places for data that is not the image's: each becomes a volume of the container's own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<PathBuf>,
}

impl ImageConfig {
    pub(super) fn of(config: Option<&OciConfig>) -> ImageConfig {
        let Some(config) = config else { return ImageConfig::default() };
        let list = |field: &Option<Vec<String>>| field.clone().unwrap_or_default();
        // Builders write an empty text for "not set".
        let text = |field: &Option<String>| field.clone().filter(|text| !text.is_empty());
        let mut volumes: Vec<PathBuf> = list(config.volumes()).into_iter().map(PathBuf::from).collect();
        volumes.sort();
        ImageConfig {
            entrypoint: list(config.entrypoint()),
            cmd: list(config.cmd()),
            env: list(config.env()),
            user: text(config.user()),
            working_dir: text(config.working_dir()),
            stop_signal: text(config.stop_signal()),
            volumes,
        }
    }

    /// The specification with everything it leaves open filled in, as docker does it.
    pub(crate) fn complete(&self, spec: &Spec) -> Result<Spec, Error> {
        let mut whole = spec.clone();
        let entrypoint = whole.entrypoint.take();
        // An entrypoint of one's own has nothing to do with the image's arguments.
        let own_cmd = if entrypoint.is_none() { self.cmd.as_slice() } else { &[] };
        let args = if spec.args.is_empty() { own_cmd } else { &spec.args };
        whole.args = entrypoint.as_ref().unwrap_or(&self.entrypoint).iter().chain(args).cloned().collect();

        let key = |pair: &str| pair.split('=').next().unwrap_or_default().to_owned();
        let given = |pair: &&String| !spec.env.iter().any(|own| key(own) == key(pair));
        // An entry without a value is legal in an image and means nothing.
        let inherited = self.env.iter().filter(given).filter(|pair| pair.contains('='));
        whole.env = inherited.chain(&spec.env).cloned().collect();

        whole.working_dir = whole.working_dir.or_else(|| self.working_dir.clone());
        if spec.user.is_none() && spec.user_name.is_none() {
            whole.user_name.clone_from(&self.user);
        }
        if let (None, Some(text)) = (spec.stop_signal, &self.stop_signal) {
            let number = signal::parse(text);
            whole.stop_signal = Some(number.map_err(|e| Error::InvalidSpec(format!("the image's {e}")))?);
        }
        for target in &self.volumes {
            if !spec.mounts.iter().any(|mount| mount.target.components().eq(target.components())) {
                let source = MountSource::Anonymous;
                whole.mounts.push(Mount { target: target.clone(), source, read_only: false });
            }
        }
        Ok(whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    fn image() -> ImageConfig {
        ImageConfig {
            entrypoint: texts(&["/run.sh"]),
            cmd: texts(&["serve", "--all"]),
            env: texts(&["PATH=/bin", "A=1", "ODD"]),
            user: Some("web".into()),
            working_dir: Some("/srv".into()),
            stop_signal: Some("SIGQUIT".into()),
            volumes: vec!["/data".into()],
        }
    }

    #[test]
    fn what_is_left_open_is_the_images() {
        let whole = image().complete(&Spec::new("x", [""; 0])).unwrap();
        assert_eq!(whole.args, ["/run.sh", "serve", "--all"]);
        assert_eq!(whole.env, ["PATH=/bin", "A=1"]);
        assert_eq!(whole.user_name.as_deref(), Some("web"));
        assert_eq!(whole.working_dir.as_deref(), Some("/srv"));
        assert_eq!(whole.stop_signal, Some(libc::SIGQUIT));
        assert_eq!((whole.mounts.len(), whole.entrypoint), (1, None));
    }

    #[test]
    fn what_is_given_wins() {
        let spec = Spec {
            env: texts(&["A=2", "B=3"]),
            user_name: Some("0".into()),
            working_dir: Some("/".into()),
            stop_signal: Some(libc::SIGKILL),
            mounts: vec![Mount {
                target: "/data/".into(),
                source: MountSource::Tmpfs { options: String::new() },
                read_only: false,
            }],
            ..Spec::new("x", ["shell"])
        };
        let whole = image().complete(&spec).unwrap();
        assert_eq!(whole.args, ["/run.sh", "shell"]);
        assert_eq!(whole.env, ["PATH=/bin", "A=2", "B=3"]);
        assert_eq!(whole.user_name.as_deref(), Some("0"));
        assert_eq!(whole.working_dir.as_deref(), Some("/"));
        assert_eq!((whole.stop_signal, whole.mounts.len()), (Some(libc::SIGKILL), 1));
    }

    #[test]
    fn an_entrypoint_of_ones_own_takes_the_images_arguments_away() {
        let args = |entrypoint: &[&str], args: &[&str]| {
            let entrypoint = Some(texts(entrypoint));
            image().complete(&Spec { entrypoint, ..Spec::new("x", args.iter().copied()) }).unwrap().args
        };
        assert_eq!(args(&["/bin/sh"], &[]), ["/bin/sh"]);
        assert_eq!(args(&["/bin/sh"], &["-c", "x"]), ["/bin/sh", "-c", "x"]);
        assert_eq!(args(&[], &["x"]), ["x"]);
        let odd = ImageConfig { stop_signal: Some("SIGODD".into()), ..ImageConfig::default() };
        assert!(matches!(odd.complete(&Spec::new("x", ["y"])), Err(Error::InvalidSpec(_))));
    }
}
