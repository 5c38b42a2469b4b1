//! The part of classic BPF that seccomp allows, run over one call (kernel/seccomp.c, `seccomp_check_filter()`).
//!
//! Pure: a program and a call in, the returned value out. Programs come from the kernel, which has checked
//! them, but nothing here relies on that: what does not fit ends the run without an answer.

use crate::model::Abi;
use libc::sock_filter;

/// `struct seccomp_data`, with what is not known left open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) nr: u32,
    pub(super) arch: u32,
    pub(super) args: [Option<u64>; 6],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ran {
    /// `SECCOMP_RET_*` with its data.
    pub(super) value: u32,
    /// Whether something was loaded that is not known; zero stood in for it.
    pub(super) guessed: bool,
}

/// `AUDIT_ARCH_*` (linux/audit.h) of a call.
pub(super) fn arch(abi: Abi) -> u32 {
    match (abi, cfg!(target_arch = "aarch64")) {
        (Abi::Native, false) => 0xc000_003e,
        (Abi::Compat, false) => 0x4000_0003,
        (Abi::Native, true) => 0xc000_00b7,
        (Abi::Compat, true) => 0x4000_0028,
    }
}

/// Bytes of `struct seccomp_data`.
const SIZE: u32 = 64;

/// Runs a program; `None` if it is none that the kernel would have taken.
pub(super) fn run(program: &[sock_filter], call: &Call) -> Option<Ran> {
    let (mut a, mut x, mut memory, mut guessed) = (0_u32, 0_u32, [0_u32; 16], false);
    let mut at = 0_usize;
    // Jumps go forward only, so that a run is never longer than the program.
    loop {
        let step = program.get(at)?;
        at += 1;
        let (code, k) = (u32::from(step.code), step.k);
        let slot = usize::try_from(k).ok();
        match code & 0x07 {
            // BPF_LD, BPF_LDX: a word of the data, a constant, a cell of memory, the data's length.
            0x00 | 0x01 => {
                let value = match code & 0xe0 {
                    0x00 => k,
                    0x20 if code & 0x07 == 0 => load(call, k, &mut guessed)?,
                    0x60 => *memory.get(slot?)?,
                    0x80 => SIZE,
                    _ => return None,
                };
                *(if code & 0x07 == 0 { &mut a } else { &mut x }) = value;
            }
            0x02 => *memory.get_mut(slot?)? = a,
            0x03 => *memory.get_mut(slot?)? = x,
            0x04 => a = arithmetic(code, a, if code & 0x08 == 0 { k } else { x })?,
            0x05 => at += jump(step, code, a, x)?,
            // BPF_RET: A or the constant.
            0x06 => {
                let value = if code & 0x18 == 0x10 { a } else { k };
                return Some(Ran { value, guessed });
            }
            // BPF_MISC: TAX, TXA.
            _ if code & 0xf8 == 0x80 => a = x,
            _ => x = a,
        }
    }
}

/// How many instructions a jump leaves out.
fn jump(step: &sock_filter, code: u32, a: u32, x: u32) -> Option<usize> {
    let other = if code & 0x08 == 0 { step.k } else { x };
    let holds = match code & 0xf0 {
        0x00 => return usize::try_from(step.k).ok(),
        0x10 => a == other,
        0x20 => a > other,
        0x30 => a >= other,
        0x40 => a & other != 0,
        _ => return None,
    };
    Some(usize::from(if holds { step.jt } else { step.jf }))
}

fn arithmetic(code: u32, a: u32, by: u32) -> Option<u32> {
    Some(match code & 0xf0 {
        0x00 => a.wrapping_add(by),
        0x10 => a.wrapping_sub(by),
        0x20 => a.wrapping_mul(by),
        // A division by zero ends a filter with 0, which is SECCOMP_RET_KILL_THREAD: such a call has no errno.
        0x30 => a.checked_div(by)?,
        0x40 => a | by,
        0x50 => a & by,
        0x60 => a.wrapping_shl(by),
        0x70 => a.wrapping_shr(by),
        0x80 => a.wrapping_neg(),
        0xa0 => a ^ by,
        _ => return None,
    })
}

/// A 32-bit word of `struct seccomp_data`: nr, arch, instruction pointer, six arguments, little-endian.
fn load(call: &Call, offset: u32, guessed: &mut bool) -> Option<u32> {
    if !offset.is_multiple_of(4) || offset >= SIZE {
        return None;
    }
    let half = |word: u64| if offset.is_multiple_of(8) { word as u32 } else { (word >> 32) as u32 };
    Some(match offset {
        0 => call.nr,
        4 => call.arch,
        8 | 12 => {
            *guessed = true;
            0
        }
        _ => {
            let arg = call.args[(offset as usize - 16) / 8];
            *guessed |= arg.is_none();
            half(arg.unwrap_or(0))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn op(code: u16, jt: u8, jf: u8, k: u32) -> sock_filter {
        sock_filter { code, jt, jf, k }
    }

    const LD: u16 = 0x20;
    const JEQ: u16 = 0x15;
    const RET: u16 = 0x06;
    const ALLOW: u32 = 0x7fff_0000;
    const EPERM: u32 = 0x0005_0001;

    fn call(nr: u32, args: [Option<u64>; 6]) -> Call {
        Call { nr, arch: arch(Abi::Native), args }
    }

    /// What libseccomp writes: the architecture first, then the number, then an argument in two halves.
    fn profile() -> Vec<sock_filter> {
        vec![
            op(LD, 0, 0, 4),
            op(JEQ, 0, 6, 0xc000_003e),
            op(LD, 0, 0, 0),
            op(JEQ, 0, 4, 41),
            op(LD, 0, 0, 20),
            op(JEQ, 0, 2, 0),
            op(LD, 0, 0, 16),
            op(JEQ, 1, 0, 40),
            op(RET, 0, 0, ALLOW),
            op(RET, 0, 0, EPERM),
        ]
    }

    #[test]
    fn number_architecture_and_argument_decide() {
        let run = |c: &Call| run(&profile(), c).unwrap();
        let vsock = call(41, [Some(40), None, None, None, None, None]);
        assert_eq!(run(&vsock), Ran { value: EPERM, guessed: false });
        let inet = call(41, [Some(2), None, None, None, None, None]);
        assert_eq!(run(&inet), Ran { value: ALLOW, guessed: false });
        assert_eq!(run(&call(42, [None; 6])).value, ALLOW);
        let compat = Call { arch: arch(Abi::Compat), ..vsock.clone() };
        assert_eq!(run(&compat).value, ALLOW);
        let large = call(41, [Some((1 << 32) + 40), None, None, None, None, None]);
        assert_eq!(run(&large).value, ALLOW);
        assert!(run(&call(41, [None; 6])).guessed, "an argument that is not known");
    }

    #[test]
    fn memory_arithmetic_and_jumps() {
        let program = [
            op(0x00, 0, 0, 6), // A = 6
            op(0x02, 0, 0, 3), // M[3] = A
            op(0x61, 0, 0, 3), // X = M[3]
            op(0x2c, 0, 0, 0), // A *= X
            op(0x07, 0, 0, 0), // X = A
            op(0x14, 0, 0, 1), // A -= 1
            op(0x1d, 0, 1, 0), // A == X?
            op(RET, 0, 0, 1),
            op(0x05, 0, 0, 1), // skip one
            op(RET, 0, 0, 2),
            op(0x44, 0, 0, 0x0005_0000), // A |= ERRNO
            op(0x16, 0, 0, 0),           // return A
        ];
        assert_eq!(run(&program, &call(0, [None; 6])), Some(Ran { value: 0x0005_0023, guessed: false }));
    }

    #[test]
    fn what_the_kernel_would_not_take_has_no_answer() {
        let c = call(0, [Some(0); 6]);
        for program in [
            vec![],
            vec![op(LD, 0, 0, 64), op(RET, 0, 0, 0)],
            vec![op(LD, 0, 0, 2), op(RET, 0, 0, 0)],
            vec![op(0x05, 0, 0, u32::MAX), op(RET, 0, 0, 0)],
            vec![op(0x02, 0, 0, 16), op(RET, 0, 0, 0)],
            vec![op(0x34, 0, 0, 0), op(RET, 0, 0, 0)],
            vec![op(LD, 0, 0, 0)],
        ] {
            assert_eq!(run(&program, &c), None);
        }
        assert!(run(&[op(LD, 0, 0, 8), op(RET, 0, 0, 0)], &c).unwrap().guessed, "instruction pointer");
    }
}
