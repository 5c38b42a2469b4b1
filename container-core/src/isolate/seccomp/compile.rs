//! From a profile to a program of the classic Berkeley packet filter, which is what seccomp(2) takes.
//!
//! The program looks at the architecture first (the same number means another call to a 32-bit caller), then finds
//! the number by halving a sorted list of ranges: some ten comparisons for any system call, where a list of names in
//! turn would take hundreds.

use std::collections::BTreeMap;

use libc::sock_filter;

use super::allowed::{CLONE_NAMESPACES, PERSONALITIES, REFUSED_FAMILIES};

// struct seccomp_data, linux/seccomp.h: nr, arch, instruction pointer, six arguments of 64 bits.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
/// The lower half of the first argument, on a little-endian machine. All arguments looked at are C `int`s, of
/// which the kernel drops the upper half.
const FIRST_ARGUMENT: u32 = 16;

const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
const JUMP: u16 = (libc::BPF_JMP | libc::BPF_JA) as u16;
const IF_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
const IF_AT_LEAST: u16 = (libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K) as u16;
const IF_ANY_BIT: u16 = (libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K) as u16;
const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;

/// What happens to one system call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Allow,
    /// Answer this errno.
    Refuse(i32),
    /// Kill the process: a number of an architecture that nobody has described.
    Kill,
    /// clone(2) without new namespaces.
    PlainClone,
    /// personality(2) with a harmless value.
    HarmlessPersonality,
    /// socket(2) of a family that a network namespace bounds.
    BoundedSocket,
}

/// The system calls of one architecture.
#[derive(Debug)]
pub(super) struct Architecture {
    /// AUDIT_ARCH_*, linux/audit.h.
    pub(super) audit: u32,
    /// Number -> verdict.
    pub(super) calls: BTreeMap<u32, Verdict>,
}

/// The verdict of numbers between the listed ones, and above the highest.
const UNLISTED: Verdict = Verdict::Refuse(libc::EPERM);
const UNKNOWN: Verdict = Verdict::Refuse(libc::ENOSYS);

pub(super) fn compile(architectures: &[Architecture]) -> Vec<sock_filter> {
    let mut program = vec![plain(LOAD, ARCHITECTURE)];
    for architecture in architectures {
        let mut body = vec![plain(LOAD, NUMBER)];
        search(&ranges(&architecture.calls), &mut body);
        // Not this architecture: over its whole body, which may be further than a conditional jump reaches.
        program.push(branch(IF_EQUAL, architecture.audit, 1, 0));
        program.push(plain(JUMP, body.len() as u32));
        program.append(&mut body);
    }
    leaf(Verdict::Kill, &mut program);
    program
}

/// Runs of numbers with one verdict, by their first number. The first starts at 0.
fn ranges(calls: &BTreeMap<u32, Verdict>) -> Vec<(u32, Verdict)> {
    let mut ranges: Vec<(u32, Verdict)> = Vec::new();
    let mut add = |from: u32, verdict: Verdict| {
        if ranges.last().is_none_or(|(_, last)| *last != verdict) {
            ranges.push((from, verdict));
        }
    };
    let mut next = 0;
    for (number, verdict) in calls {
        if *number > next {
            add(next, UNLISTED);
        }
        add(*number, *verdict);
        next = number + 1;
    }
    add(next, UNKNOWN);
    ranges
}

/// Code that finds the range of the number in the accumulator.
fn search(ranges: &[(u32, Verdict)], program: &mut Vec<sock_filter>) {
    if let [(_, verdict)] = ranges {
        return leaf(*verdict, program);
    }
    let (low, high) = ranges.split_at(ranges.len() / 2);
    let (mut below, from) = (Vec::new(), high[0].0);
    search(low, &mut below);
    match u8::try_from(below.len()) {
        Ok(distance) => program.push(branch(IF_AT_LEAST, from, distance, 0)),
        Err(_) => {
            program.push(branch(IF_AT_LEAST, from, 0, 1));
            program.push(plain(JUMP, below.len() as u32));
        }
    }
    program.append(&mut below);
    search(high, program);
}

/// Code that ends with the verdict.
fn leaf(verdict: Verdict, program: &mut Vec<sock_filter>) {
    let refuse = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;
    match verdict {
        Verdict::Allow => program.push(plain(RETURN, libc::SECCOMP_RET_ALLOW)),
        Verdict::Refuse(errno) => program.push(plain(RETURN, libc::SECCOMP_RET_ERRNO | errno as u32)),
        Verdict::Kill => program.push(plain(RETURN, libc::SECCOMP_RET_KILL_PROCESS)),
        Verdict::PlainClone => {
            program.push(plain(LOAD, FIRST_ARGUMENT));
            program.push(branch(IF_ANY_BIT, CLONE_NAMESPACES, 1, 0));
            program.push(plain(RETURN, libc::SECCOMP_RET_ALLOW));
            program.push(plain(RETURN, refuse));
        }
        Verdict::HarmlessPersonality => one_of(&PERSONALITIES, libc::SECCOMP_RET_ALLOW, refuse, program),
        Verdict::BoundedSocket => one_of(&REFUSED_FAMILIES, refuse, libc::SECCOMP_RET_ALLOW, program),
    }
}

/// `if_listed` when the first argument is one of `values`.
fn one_of(values: &[u32], if_listed: u32, otherwise: u32, program: &mut Vec<sock_filter>) {
    program.push(plain(LOAD, FIRST_ARGUMENT));
    for (index, value) in values.iter().enumerate() {
        let to_end = (values.len() - index) as u8;
        program.push(branch(IF_EQUAL, *value, to_end, 0));
    }
    program.push(plain(RETURN, otherwise));
    program.push(plain(RETURN, if_listed));
}

fn plain(code: u16, k: u32) -> sock_filter {
    sock_filter { code, jt: 0, jf: 0, k }
}

fn branch(code: u16, k: u32, if_true: u8, if_false: u8) -> sock_filter {
    sock_filter { code, jt: if_true, jf: if_false, k }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// What the kernel would do: the few instructions that `compile` emits.
    pub(in crate::isolate::seccomp) fn evaluate(
        program: &[sock_filter],
        audit: u32,
        number: u32,
        argument: u32,
    ) -> u32 {
        let (mut at, mut accumulator) = (0, 0);
        loop {
            let i = program[at];
            let mut jump = |taken: bool| at += usize::from(if taken { i.jt } else { i.jf });
            match i.code {
                LOAD => {
                    accumulator = match i.k {
                        NUMBER => number,
                        ARCHITECTURE => audit,
                        FIRST_ARGUMENT => argument,
                        other => panic!("load from {other}"),
                    }
                }
                JUMP => at += i.k as usize,
                IF_EQUAL => jump(accumulator == i.k),
                IF_AT_LEAST => jump(accumulator >= i.k),
                IF_ANY_BIT => jump(accumulator & i.k != 0),
                RETURN => return i.k,
                other => panic!("instruction {other:#x}"),
            }
            at += 1;
        }
    }

    #[test]
    fn every_number_finds_its_verdict() {
        // Alternating verdicts make the most ranges, and jumps that a byte cannot hold.
        let calls: BTreeMap<u32, Verdict> =
            (0..400).map(|n| (n * 2, if n % 3 == 0 { Verdict::Kill } else { Verdict::Allow })).collect();
        let architectures = [
            Architecture { audit: 7, calls: calls.clone() },
            Architecture { audit: 8, calls: BTreeMap::from([(5, Verdict::Allow)]) },
        ];
        let program = compile(&architectures);
        assert!(program.len() < 4096, "BPF_MAXINSNS: {}", program.len());
        for number in 0..900 {
            let expected = match calls.get(&number) {
                Some(Verdict::Kill) => libc::SECCOMP_RET_KILL_PROCESS,
                Some(_) => libc::SECCOMP_RET_ALLOW,
                None if number > 798 => libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32,
                None => libc::SECCOMP_RET_ERRNO | libc::EPERM as u32,
            };
            assert_eq!(evaluate(&program, 7, number, 0), expected, "{number}");
        }
        assert_eq!(evaluate(&program, 8, 5, 0), libc::SECCOMP_RET_ALLOW);
        assert_eq!(evaluate(&program, 9, 5, 0), libc::SECCOMP_RET_KILL_PROCESS);
    }
}
