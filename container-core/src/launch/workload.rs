//! The last step: execve(2) of the command, looked up in PATH inside the container.

use std::ffi::{CStr, CString, c_char};

use nix::errno::Errno;

use crate::error::Error;
use crate::isolate::{Failure, c_string, refused};
use crate::steps::Step;

/// A command with everything execve(2) needs, prepared.
#[derive(Debug)]
pub(crate) struct Workload {
    name: CString,
    /// Paths to try, in PATH's order; just one when the command contains a slash.
    candidates: Vec<CString>,
    argv: Strings,
    envp: Strings,
}

/// Strings and the null-terminated array of pointers to them.
#[derive(Debug)]
struct Strings {
    pointers: Vec<*const c_char>,
    /// What the pointers point into: the heap blocks of CStrings do not move with the vector.
    _owners: Vec<CString>,
}

impl Strings {
    fn new(texts: &[String]) -> Result<Strings, Error> {
        let owners = texts.iter().map(c_string).collect::<Result<Vec<_>, _>>()?;
        let pointers = owners.iter().map(|text| text.as_ptr()).chain([std::ptr::null()]).collect();
        Ok(Strings { pointers, _owners: owners })
    }
}

impl Workload {
    /// `env` must be complete: its PATH is the one searched.
    pub(crate) fn new(args: &[String], env: &[String]) -> Result<Workload, Error> {
        let command = args.first().map(String::as_str).unwrap_or_default();
        let candidates: Vec<String> = if command.contains('/') {
            vec![command.to_owned()]
        } else {
            let path = env.iter().find_map(|pair| pair.strip_prefix("PATH=")).unwrap_or_default();
            // An empty entry means the working directory, as execvp(3) has it.
            path.split(':')
                .map(|dir| if dir.is_empty() { "." } else { dir })
                .map(|dir| format!("{dir}/{command}"))
                .collect()
        };
        Ok(Workload {
            name: c_string(command)?,
            candidates: candidates.iter().map(c_string).collect::<Result<_, _>>()?,
            argv: Strings::new(args)?,
            envp: Strings::new(env)?,
        })
    }

    /// Step "execute workload". Returns only when every candidate was refused. As execvp(3): go on after "not
    /// there" and "not allowed", stop at anything else, and prefer to report "not allowed".
    pub(crate) fn execute(&self) -> Failure<'_> {
        let mut denied: Option<&CStr> = None;
        for path in &self.candidates {
            // SAFETY: both arrays are null-terminated and their strings live in self.
            unsafe { libc::execve(path.as_ptr(), self.argv.pointers.as_ptr(), self.envp.pointers.as_ptr()) };
            match Errno::last() {
                Errno::ENOENT | Errno::ENOTDIR => {}
                Errno::EACCES => denied = denied.or(Some(path)),
                errno => return refused(Step::ExecuteWorkload, "execve", path)(errno),
            }
        }
        match denied {
            Some(path) => refused(Step::ExecuteWorkload, "execve", path)(Errno::EACCES),
            None => refused(Step::ExecuteWorkload, "execve", &self.name)(Errno::ENOENT),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_looked_up_in_path() {
        let env = ["PATH=/a::/b".to_owned()];
        let paths = |command: &str| {
            let workload = Workload::new(&[command.to_owned()], &env).unwrap();
            workload.candidates.into_iter().map(|path| path.into_string().unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(paths("sh"), ["/a/sh", "./sh", "/b/sh"]);
        assert_eq!(paths("./sh"), ["./sh"]);
    }

    #[test]
    fn what_is_not_there_is_named_as_it_was_typed() {
        let workload = Workload::new(&["no-such-command".into()], &["PATH=/".into()]).unwrap();
        let failure = workload.execute();
        assert_eq!((failure.errno, failure.object), (Errno::ENOENT, c"no-such-command"));
    }
}
