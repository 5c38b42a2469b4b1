//! The two forms of the watch: a raw tracepoint, and a program that knows the types of its tracepoint's arguments.

use super::super::btf::BtfError;
use super::super::typed;
use super::{CaptureError, Loader, STAGES, WATCH, not_in_object, refused};
use aya::programs::{BtfTracePoint, ProgramError, ProgramFd};

impl Loader {
    /// Loads the watch as the program that knows its arguments' types, which is cheaper; where the kernel has no such
    /// program, the plain one is meant from here on. Before the stages: one map holds programs of one type only.
    pub(in crate::capture) fn choose_watch(&mut self, sys_exit: &Result<u32, BtfError>) {
        let switched_off =
            std::env::var("DIAG_DISABLE").is_ok_and(|d| d.split(',').any(|word| word == "tp_btf"));
        if let Ok(id) = sys_exit
            && !switched_off
            && let Ok(types) = typed::only(*id, "btf_trace_sys_exit")
        {
            self.typed = Some(types);
            if let Err(error) = self.load_any(WATCH) {
                tracing::debug!("the typed watch: {error}");
                self.typed = None;
            }
        }
    }

    /// Attaches the watch, in the form that [`Loader::choose_watch`] found.
    pub(in crate::capture) fn attach_watch(&mut self) -> Result<(), CaptureError> {
        let outcome = match self.typed {
            None => self.try_attach(WATCH, "sys_exit"),
            Some(_) => self.try_attach_typed(),
        };
        let how =
            if self.typed.is_some() { "attached to sys_exit by its types" } else { "attached to sys_exit" };
        self.note(WATCH, &outcome, how);
        outcome
    }

    fn try_attach_typed(&mut self) -> Result<(), CaptureError> {
        let name = self.actual(WATCH);
        let program = self.ebpf.program_mut(&name).ok_or_else(|| not_in_object(&name))?;
        let program: &mut BtfTracePoint =
            program.try_into().map_err(|error: ProgramError| refused(WATCH, &error))?;
        program.attach().map_err(|error| refused("attaching to sys_exit by its types", &error))?;
        Ok(())
    }

    /// The name in the object of a program that has two forms.
    pub(super) fn actual(&self, program: &str) -> String {
        let two = program == WATCH || STAGES.iter().any(|(stage, _)| *stage == program);
        if two && self.typed.is_some() { format!("{program}_typed") } else { program.to_owned() }
    }

    /// Loads a program of the watch in its form and returns its descriptor.
    pub(super) fn load_any(&mut self, program: &str) -> Result<ProgramFd, CaptureError> {
        let name = self.actual(program);
        let fd = match &self.typed {
            None => self.load(program)?.fd().and_then(|fd| Ok(fd.try_clone()?)),
            Some(types) => {
                let loaded = self.ebpf.program_mut(&name).ok_or_else(|| not_in_object(&name))?;
                let loaded: &mut BtfTracePoint =
                    loaded.try_into().map_err(|error: ProgramError| refused(&name, &error))?;
                loaded.load("sys_exit", types).map_err(|error| refused(&name, &error))?;
                loaded.fd().and_then(|fd| Ok(fd.try_clone()?))
            }
        };
        fd.map_err(|error| refused(&name, &error))
    }
}
