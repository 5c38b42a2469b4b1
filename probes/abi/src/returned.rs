//! What one kernel function returned, where return probes are attached to the functions of a path.

use crate::Header;

/// [`crate::kind::FUNCTION_RETURNED`].
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct FunctionReturned {
    pub header: Header,
    /// The address of the function (`bpf_get_func_ip()`), as /proc/kallsyms has it.
    pub function: u64,
    /// The return register, whole.
    pub value: u64,
    pub tgid: u32,
    pub tid: u32,
}

const _: () = assert!(size_of::<FunctionReturned>() == 40);
