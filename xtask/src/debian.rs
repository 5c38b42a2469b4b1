//! Packages of Debian suites other than the installed one: signed, and without touching the system.
//!
//! Each suite gets package lists and archives of its own below the cache. The mirror is read at run time from the
//! machine's own apt (`apt-get indextargets`), so no host name is written anywhere in this repository.

use crate::cache::Cache;
use crate::shell::{output_of, run_logged, with_retries};
use anyhow::{Context, Result, bail};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Signatures of a suite are checked against these keys, current and retired.
const KEYRINGS: [&str; 2] =
    ["/usr/share/keyrings/debian-archive-keyring.gpg", "/usr/share/keyrings/debian-archive-removed-keys.gpg"];

/// Lists younger than this are not fetched again.
const LISTS_FRESH: Duration = Duration::from_secs(12 * 3600);

/// One suite with private apt state.
pub(crate) struct Suite {
    name: String,
    folder: PathBuf,
    log: PathBuf,
}

impl Suite {
    /// Writes the private apt configuration and brings the package lists up to date.
    pub(crate) fn open(cache: &Cache, name: &str) -> Result<Self> {
        let folder = cache.apt(name);
        for part in ["lists/partial", "cache/archives/partial", "debs"] {
            fs::create_dir_all(folder.join(part))?;
        }
        fs::write(folder.join("status"), "")?;
        let suite = Self { name: name.to_owned(), folder, log: cache.log(&format!("apt-{name}")) };
        suite.update()?;
        Ok(suite)
    }

    fn update(&self) -> Result<()> {
        let stamp = self.folder.join("updated");
        let age = fs::metadata(&stamp).and_then(|m| m.modified()).ok().and_then(|time| time.elapsed().ok());
        if age.is_some_and(|age| age < LISTS_FRESH) {
            return Ok(());
        }
        let mirror = Mirror::of_this_machine()?;
        fs::write(self.folder.join("sources.list"), mirror.sources(&self.name))?;
        // A suite may have no security archive (sid) or have left the mirror while its security archive is still
        // there (old releases), so a part that fails is no failure as long as there are packages in the end.
        let updated = with_retries(|| run_logged(self.apt("apt-get").arg("update"), &self.log));
        if self.lists() == 0 {
            updated.with_context(|| format!("Debian's suite {} cannot be read", self.name))?;
            bail!("Debian's suite {} has no packages on this mirror", self.name);
        }
        Ok(fs::write(stamp, "")?)
    }

    fn lists(&self) -> usize {
        let entries = fs::read_dir(self.folder.join("lists")).into_iter().flatten().flatten();
        entries.filter(|entry| entry.file_name().to_string_lossy().contains("_Packages")).count()
    }

    /// apt that knows this suite and nothing else.
    fn apt(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let path = |part: &str| self.folder.join(part).display().to_string();
        for (key, value) in [
            ("Dir::Etc::sourcelist", path("sources.list")),
            ("Dir::Etc::sourceparts", "-".to_owned()),
            ("Dir::Etc::preferences", "/dev/null".to_owned()),
            ("Dir::Etc::preferencesparts", "/dev/null".to_owned()),
            ("Dir::State", self.folder.display().to_string()),
            ("Dir::State::lists", path("lists")),
            ("Dir::State::status", path("status")),
            ("Dir::Cache", path("cache")),
            ("Acquire::Languages", "none".to_owned()),
            // Retired suites keep a signature that has run out; the signature itself is still checked.
            ("Acquire::Check-Valid-Until", "false".to_owned()),
            // The unprivileged download user may not enter a cache below a home folder.
            ("APT::Sandbox::User", String::new()),
            ("APT::Default-Release", String::new()),
        ] {
            command.arg("-o").arg(format!("{key}={value}"));
        }
        command.env("LC_ALL", "C");
        command
    }

    /// Versions of a package in this suite, newest first.
    pub(crate) fn versions(&self, package: &str) -> Result<Vec<String>> {
        let text = output_of(self.apt("apt-cache").args(["madison", package]))?;
        Ok(text.lines().filter_map(|line| Some(line.split('|').nth(1)?.trim().to_owned())).collect())
    }

    /// Names of the packages that the newest version of `package` depends on (first alternatives only).
    pub(crate) fn dependencies(&self, package: &str) -> Result<Vec<String>> {
        let text = output_of(self.apt("apt-cache").args(["show", "--no-all-versions", package]))?;
        Ok(parse_dependencies(&text))
    }

    /// Fetches the newest version, or exactly `version`; an archive that is already there is not fetched again.
    pub(crate) fn download(&self, package: &str, version: Option<&str>) -> Result<PathBuf> {
        let wanted =
            match version {
                Some(version) => version.to_owned(),
                None => self.versions(package)?.into_iter().next().with_context(|| {
                    format!("the package {package} is not in Debian's suite {}", self.name)
                })?,
            };
        let debs = self.folder.join("debs");
        let start = format!("{package}_{}_", wanted.replace(':', "%3a"));
        if let Some(found) = find_by_start(&debs, &start)? {
            return Ok(found);
        }
        let scratch = tempfile::tempdir_in(&self.folder)?;
        with_retries(|| {
            let mut command = self.apt("apt-get");
            command.arg("download").arg(format!("{package}={wanted}")).current_dir(scratch.path());
            run_logged(&mut command, &self.log)
        })
        .with_context(|| format!("cannot download {package} {wanted} of Debian's suite {}", self.name))?;
        let fetched = find_by_start(scratch.path(), &start)?
            .with_context(|| format!("apt-get download left no {start}*.deb"))?;
        let place = debs.join(fetched.file_name().unwrap_or_default());
        fs::rename(&fetched, &place)?;
        Ok(place)
    }
}

/// Unpacks an archive's files below `folder`.
pub(crate) fn unpack(deb: &Path, folder: &Path, log: &Path) -> Result<()> {
    run_logged(Command::new("dpkg-deb").arg("-x").arg(deb).arg(folder), log)
}

fn find_by_start(folder: &Path, start: &str) -> Result<Option<PathBuf>> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if name.to_string_lossy().starts_with(start) && name.to_string_lossy().ends_with(".deb") {
            return Ok(Some(entry.path()));
        }
    }
    Ok(None)
}

/// Where Debian's archive is for this machine.
#[derive(Debug, PartialEq)]
struct Mirror {
    main: String,
    security: Option<String>,
}

impl Mirror {
    fn of_this_machine() -> Result<Self> {
        if let Ok(main) = env::var("DIAG_DEBIAN_MIRROR") {
            return Ok(Self { main, security: env::var("DIAG_DEBIAN_SECURITY_MIRROR").ok() });
        }
        let format = "$(REPO_URI)|$(RELEASE)|$(ORIGIN)";
        let text = output_of(Command::new("apt-get").args([
            "indextargets",
            "--format",
            format,
            "Created-By: Packages",
        ]))
        .context("the mirror is read from this machine's apt, which does not answer")?;
        Self::parse(&text).context(
            "this machine's apt knows no Debian archive: set DIAG_DEBIAN_MIRROR (and \
             DIAG_DEBIAN_SECURITY_MIRROR) to the address of one",
        )
    }

    /// Third-party archives are listed beside Debian's own. Before the first `apt-get update` the origin is
    /// not known; then the address decides, whose last part is `debian` by convention.
    fn parse(text: &str) -> Option<Self> {
        let rows: Vec<(&str, &str, &str)> = text
            .lines()
            .filter_map(|line| {
                let mut fields = line.split('|');
                Some((fields.next()?.trim_end_matches('/'), fields.next()?, fields.next()?.trim()))
            })
            .collect();
        let debian = |(uri, _, origin): &&(&str, &str, &str)| {
            *origin == "Debian" || (!known(origin) && last_part(uri).starts_with("debian"))
        };
        let is_security = |(uri, release, _): &&(&str, &str, &str)| {
            last_part(uri) == "debian-security" || release.ends_with("-security")
        };
        let main = rows.iter().filter(debian).find(|row| !is_security(row))?;
        let security = rows.iter().filter(debian).find(is_security);
        Some(Self { main: main.0.to_owned(), security: security.map(|row| row.0.to_owned()) })
    }

    fn sources(&self, suite: &str) -> String {
        let keyrings: Vec<&str> = KEYRINGS.into_iter().filter(|path| Path::new(path).exists()).collect();
        let options = format!("[signed-by={}]", keyrings.join(","));
        let mut text = format!("deb {options} {} {suite} main\n", self.main);
        let is_release = suite != "sid" && !suite.contains('-');
        if let (true, Some(security)) = (is_release, &self.security) {
            text += &format!("deb {options} {security} {suite}-security main\n");
        }
        text
    }
}

/// An origin that apt has not read yet is printed empty or as the placeholder itself.
fn known(origin: &str) -> bool {
    !origin.is_empty() && !origin.starts_with("$(")
}

fn last_part(uri: &str) -> &str {
    uri.rsplit('/').next().unwrap_or_default()
}

fn parse_dependencies(show: &str) -> Vec<String> {
    let line = show.lines().find_map(|line| line.strip_prefix("Depends:")).unwrap_or_default();
    let first_word = |choice: &str| Some(choice.split_whitespace().next()?.split(':').next()?.to_owned());
    line.split(',').filter_map(first_word).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_debian_archive_is_told_from_third_parties() {
        let text = "http://m.example/node|nodistro|. nodistro\n\
                    http://m.example/debian/|bookworm|Debian\n\
                    http://m.example/debian/|bookworm-updates|Debian\n\
                    http://m.example/debian-security/|bookworm-security|Debian\n";
        let mirror = Mirror::parse(text).unwrap();
        assert_eq!(mirror.main, "http://m.example/debian");
        assert_eq!(mirror.security.as_deref(), Some("http://m.example/debian-security"));
    }

    #[test]
    fn without_lists_the_address_decides() {
        let text =
            "http://m.example/sdk|sdk-bookworm|$(ORIGIN)\nhttp://m.example/debian/|bookworm|$(ORIGIN)\n";
        let mirror = Mirror::parse(text).unwrap();
        assert_eq!((mirror.main.as_str(), mirror.security), ("http://m.example/debian", None));
        assert_eq!(Mirror::parse("http://m.example/ubuntu/|noble|Ubuntu\n"), None);
    }

    #[test]
    fn only_releases_have_a_security_archive() {
        let mirror = Mirror { main: "http://m/debian".into(), security: Some("http://m/s".into()) };
        assert_eq!(mirror.sources("trixie").lines().count(), 2);
        assert_eq!(mirror.sources("sid").lines().count(), 1);
        assert_eq!(mirror.sources("trixie-backports").lines().count(), 1);
    }

    #[test]
    fn dependencies_are_names_of_first_alternatives() {
        let show = "Package: x\nDepends: linux-image-6.12.1-cloud-amd64 (= 6.12.1-1), kmod, a | b\nSize: 1\n";
        assert_eq!(parse_dependencies(show), ["linux-image-6.12.1-cloud-amd64", "kmod", "a"]);
    }
}
