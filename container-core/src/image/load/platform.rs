//! For which machine an image is, in the words of the OCI image specification, which are Go's.

use std::fmt;

use oci_spec::image::{Arch, Os};

use crate::error::Error;

/// What an image must be for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::image) struct Platform {
    os: String,
    architecture: String,
    /// Only where one is asked for: an image without is taken otherwise.
    variant: Option<String>,
}

impl Platform {
    /// This machine.
    pub(in crate::image) fn own() -> Platform {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            "x86" => "386",
            "powerpc64" => "ppc64le",
            "loongarch64" => "loong64",
            same => same,
        };
        Platform { os: "linux".to_owned(), architecture: architecture.to_owned(), variant: None }
    }

    /// What somebody asked for, else this machine.
    pub(in crate::image) fn asked(text: Option<&str>) -> Result<Platform, Error> {
        let Some(text) = text else { return Ok(Platform::own()) };
        let bad = || {
            Error::InvalidSpec(format!("{text:?} is no platform: OS/ARCHITECTURE or OS/ARCHITECTURE/VARIANT"))
        };
        Platform::parse(text).ok_or_else(bad)
    }

    /// `linux/arm64`, `linux/arm/v7`, or the architecture alone.
    pub(in crate::image) fn parse(text: &str) -> Option<Platform> {
        let parts: Vec<&str> = text.split('/').collect();
        let (os, architecture, variant) = match parts.as_slice() {
            [architecture] => ("linux", *architecture, None),
            [os, architecture] => (*os, *architecture, None),
            [os, architecture, variant] => (*os, *architecture, Some((*variant).to_owned())),
            _ => return None,
        };
        let architecture = match architecture {
            "x86_64" | "x86-64" => "amd64",
            "aarch64" => "arm64",
            same => same,
        };
        (!os.is_empty() && !architecture.is_empty()).then(|| Platform {
            os: os.to_owned(),
            architecture: architecture.to_owned(),
            variant,
        })
    }

    pub(in crate::image) fn fits(&self, os: &Os, architecture: &Arch, variant: Option<&str>) -> bool {
        self.os == os.to_string()
            && self.architecture == architecture.to_string()
            && self.variant.as_deref().is_none_or(|wanted| variant == Some(wanted))
    }

    pub(in crate::image) fn name(os: &Os, architecture: &Arch, variant: Option<&str>) -> String {
        let variant = variant.map_or(String::new(), |variant| format!("/{variant}"));
        format!("{os}/{architecture}{variant}")
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant.as_ref().map_or(Ok(()), |variant| write!(f, "/{variant}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platforms_are_told_apart() {
        let arm = Platform::parse("linux/arm/v7").unwrap();
        assert!(arm.fits(&Os::Linux, &Arch::ARM, Some("v7")));
        assert!(!arm.fits(&Os::Linux, &Arch::ARM, Some("v6")) && !arm.fits(&Os::Linux, &Arch::ARM, None));
        assert!(Platform::parse("x86_64").unwrap().fits(&Os::Linux, &Arch::Amd64, Some("v2")));
        assert!(!Platform::own().fits(&Os::Windows, &Arch::Amd64, None));
        assert_eq!(arm.to_string(), "linux/arm/v7");
        assert!(Platform::parse("a/b/c/d").is_none() && Platform::parse("").is_none());
    }
}
