//! Which devices the container may open: a list, enforced by its cgroup.
//!
//! A capability is not enough: with CAP_MKNOD, which is in the default set, root in a container could make a node for
//! the host's disk. On cgroup v2 a BPF program decides (bpf(2), BPF_PROG_TYPE_CGROUP_DEVICE), which also works on a
//! hybrid machine; where there is only v1, the devices controller does.

use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::stat::{major, minor};
use nix::sys::utsname::uname;

use super::hierarchy::Controller;
use super::{Cgroup, Kind, write};
use crate::error::StepError;
use crate::rootless;
use crate::spec::Device;
use crate::steps::Step;
use crate::sys::{self, Instruction};

// linux/bpf.h: access is READ 2, WRITE 4, MKNOD 1 in the upper half of the first word, the type in the lower.
const MKNOD: u8 = 1;
const READ: u8 = 2;
const WRITE: u8 = 4;
const BLOCK: u8 = 1;
const CHARACTER: u8 = 2;

/// One line of the list; `None` fits every number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Rule {
    kind: u8,
    major: Option<u64>,
    minor: Option<u64>,
    access: u8,
}

/// What every container may: make any node, and use those that are no device of the machine. Numbers from the kernel's
/// Documentation/admin-guide/devices.txt.
const ALWAYS: [Rule; 10] = [
    Rule { kind: CHARACTER, major: None, minor: None, access: MKNOD },
    Rule { kind: BLOCK, major: None, minor: None, access: MKNOD },
    // null, zero, full, random, urandom
    character(1, Some(3)),
    character(1, Some(5)),
    character(1, Some(7)),
    character(1, Some(8)),
    character(1, Some(9)),
    // tty, ptmx, and the container's own pseudo terminals
    character(5, Some(0)),
    character(5, Some(2)),
    character(136, None),
];

const fn character(major: u64, minor: Option<u64>) -> Rule {
    Rule { kind: CHARACTER, major: Some(major), minor, access: MKNOD | READ | WRITE }
}

impl Cgroup {
    /// Step "restrict devices".
    pub(crate) fn restrict_devices(&self, devices: &[Device]) -> Result<(), StepError> {
        // There nobody can make a node for a device, and those that are bound keep their owner and mode.
        if rootless::in_user_namespace() {
            return Ok(());
        }
        let mut rules = ALWAYS.to_vec();
        for device in devices {
            rules.push(rule_of(device)?);
        }
        if let Some(group) = self.groups.iter().find(|group| group.kind == Kind::V2) {
            let failed = |syscall| {
                move |errno| StepError::here(Step::RestrictDevices, syscall, group.path.display(), errno)
            };
            let dir = File::open(&group.path)
                .map_err(|e| StepError::from_io(Step::RestrictDevices, "openat", &group.path, &e))?;
            let program = load(&program(&rules)).map_err(failed("bpf"))?;
            return sys::attach_device_program(program.as_fd(), dir.as_fd()).map_err(failed("bpf"));
        }
        let Some(group) = self.groups.iter().find(|group| group.kind == Kind::V1(Controller::Devices)) else {
            let missing = "neither cgroup v2 nor the devices controller is mounted";
            return Err(StepError::here(Step::RestrictDevices, "openat", missing, Errno::ENOENT));
        };
        write(Step::RestrictDevices, &group.path.join("devices.deny"), "a")?;
        let allow = group.path.join("devices.allow");
        rules.iter().try_for_each(|rule| write(Step::RestrictDevices, &allow, &rule.as_v1()))
    }
}

/// The rule that lets a device of the host in.
fn rule_of(device: &Device) -> Result<Rule, StepError> {
    let failed =
        |e: &std::io::Error| StepError::from_io(Step::RestrictDevices, "newfstatat", &device.host, e);
    let node = std::fs::metadata(&device.host).map_err(|e| failed(&e))?;
    let kind = match node.file_type() {
        kind if kind.is_char_device() => CHARACTER,
        kind if kind.is_block_device() => BLOCK,
        _ => {
            let object = format!("{}: no device node", device.host.display());
            return Err(StepError::here(Step::RestrictDevices, "newfstatat", object, Errno::ENODEV));
        }
    };
    let bit = |letter| match letter {
        'r' => READ,
        'w' => WRITE,
        _ => MKNOD,
    };
    Ok(Rule {
        kind,
        major: Some(major(node.rdev())),
        minor: Some(minor(node.rdev())),
        access: device.access.chars().fold(0, |access, letter| access | bit(letter)),
    })
}

/// Up to kernel 5.10 programs count as locked memory of the user, which is little by default (bpf_charge_memlock,
/// gone with 5.11): ask for more for that moment. Beforehand, because a refusal, even one that is mended, is what
/// people look for when they search for a reason.
fn load(program: &[Instruction]) -> Result<std::os::fd::OwnedFd, Errno> {
    if !programs_are_locked_memory() {
        return sys::load_device_program(program);
    }
    let (soft, hard) = getrlimit(Resource::RLIMIT_MEMLOCK)?;
    setrlimit(Resource::RLIMIT_MEMLOCK, libc::RLIM_INFINITY, libc::RLIM_INFINITY)
        .or_else(|_| setrlimit(Resource::RLIMIT_MEMLOCK, hard, hard))?;
    let loaded = sys::load_device_program(program);
    setrlimit(Resource::RLIMIT_MEMLOCK, soft, hard)?;
    loaded
}

fn programs_are_locked_memory() -> bool {
    let release = uname().map(|names| names.release().to_string_lossy().into_owned()).unwrap_or_default();
    let mut numbers = release.split('.').map_while(|part| part.parse::<u32>().ok());
    (numbers.next(), numbers.next()) < (Some(5), Some(11))
}

impl Rule {
    /// `c 136:* rwm`
    fn as_v1(self) -> String {
        let number = |n: Option<u64>| n.map_or_else(|| "*".to_owned(), |n| n.to_string());
        let letters = [(READ, 'r'), (WRITE, 'w'), (MKNOD, 'm')];
        let access: String =
            letters.iter().filter(|(bit, _)| self.access & bit != 0).map(|(_, l)| *l).collect();
        let kind = if self.kind == BLOCK { 'b' } else { 'c' };
        format!("{kind} {}:{} {access}", number(self.major), number(self.minor))
    }
}

// Registers: 1 the context, 2 type, 3 access asked for, 4 major, 5 minor, 0 the answer.
const LOAD_WORD: u8 = 0x61;
const AND32: u8 = 0x54;
const SHIFT_RIGHT32: u8 = 0x74;
const COPY: u8 = 0xbf;
const SET: u8 = 0xb7;
const GO: u8 = 0x05;
const IF_IS: u8 = 0x15;
const IF_NOT: u8 = 0x55;
const EXIT: u8 = 0x95;

const fn i(code: u8, registers: u8, offset: i16, immediate: i32) -> Instruction {
    Instruction { code, registers, offset, immediate }
}

/// Says yes where a rule fits. What rules have in common is asked once, and all yeses are one: the kernel follows every
/// way through the program before it takes it, at each start of a container.
fn program(rules: &[Rule]) -> Vec<Instruction> {
    let mut out = vec![
        i(LOAD_WORD, 0x12, 0, 0),
        i(COPY, 0x23, 0, 0),
        i(AND32, 0x02, 0, 0xffff),
        i(SHIFT_RIGHT32, 0x03, 0, 16),
        i(LOAD_WORD, 0x14, 4, 0),
        i(LOAD_WORD, 0x15, 8, 0),
    ];
    let mut rules = rules.to_vec();
    // "Every number" comes first: what follows it in its group would never be reached, which the kernel refuses.
    rules.sort_by_key(|rule| (rule.kind, rule.access, rule.major, rule.minor));
    let mut yes = Vec::new();
    for group in rules.chunk_by(|a, b| (a.kind, a.access) == (b.kind, b.access)) {
        let mut past = vec![push(&mut out, i(IF_NOT, 0x02, 0, i32::from(group[0].kind)))];
        let not_allowed = i32::from(!group[0].access & (MKNOD | READ | WRITE));
        if not_allowed != 0 {
            // What is asked for beyond what is allowed must be nothing.
            out.extend([i(COPY, 0x31, 0, 0), i(AND32, 0x01, 0, not_allowed)]);
            past.push(push(&mut out, i(IF_NOT, 0x01, 0, 0)));
        }
        for same in group.chunk_by(|a, b| a.major == b.major) {
            let other = same[0].major.map(|major| push(&mut out, i(IF_NOT, 0x04, 0, major as i32)));
            for rule in same {
                let fits = rule.minor.map_or(i(GO, 0, 0, 0), |minor| i(IF_IS, 0x05, 0, minor as i32));
                yes.push(push(&mut out, fits));
                if rule.minor.is_none() {
                    break;
                }
            }
            let Some(other) = other else { break };
            land(&mut out, other);
        }
        past.into_iter().for_each(|at| land(&mut out, at));
    }
    out.extend([i(SET, 0, 0, 0), i(EXIT, 0, 0, 0)]);
    yes.into_iter().for_each(|at| land(&mut out, at));
    out.extend([i(SET, 0, 0, 1), i(EXIT, 0, 0, 0)]);
    out
}

/// Where the instruction stands that is put at the end.
fn push(out: &mut Vec<Instruction>, instruction: Instruction) -> usize {
    out.push(instruction);
    out.len() - 1
}

/// The jump at `at` leads to what comes next. Offsets count from the instruction behind the jump.
fn land(out: &mut [Instruction], at: usize) {
    out[at].offset = (out.len() - at - 1) as i16;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the kernel would answer: the few instructions that `program` emits.
    fn decide(program: &[Instruction], kind: u32, access: u32, major: u64, minor: u64) -> bool {
        let mut r = [0u64; 6];
        let mut at = 0usize;
        loop {
            let i = program[at];
            let (to, from) = (usize::from(i.registers & 15), usize::from(i.registers >> 4));
            match i.code {
                LOAD_WORD => r[to] = [u64::from(access << 16 | kind), major, minor][i.offset as usize / 4],
                COPY => r[to] = r[from],
                AND32 => r[to] &= i.immediate as u64,
                SHIFT_RIGHT32 => r[to] >>= i.immediate,
                SET => r[to] = i.immediate as u64,
                GO => at += i.offset as usize,
                IF_NOT if r[to] != i.immediate as u64 => at += i.offset as usize,
                IF_IS if r[to] == i.immediate as u64 => at += i.offset as usize,
                IF_NOT | IF_IS => {}
                EXIT => return r[0] == 1,
                other => panic!("instruction {other:#x}"),
            }
            at += 1;
        }
    }

    #[test]
    fn disks_can_be_named_but_not_opened() {
        let own = Rule { kind: BLOCK, major: Some(7), minor: Some(1), access: READ };
        let program = program(&[&ALWAYS[..], &[own]].concat());
        let decide =
            |kind: u8, access: u8, major, minor| decide(&program, kind.into(), access.into(), major, minor);
        assert!(decide(BLOCK, MKNOD, 8, 0));
        assert!(!decide(BLOCK, READ, 8, 0));
        assert!(decide(CHARACTER, READ | WRITE, 1, 3));
        assert!(!decide(CHARACTER, READ, 1, 1), "/dev/mem");
        assert!(decide(CHARACTER, WRITE, 136, 77));
        assert!(!decide(CHARACTER, READ, 5, 1), "/dev/console");
        assert!(decide(BLOCK, READ, 7, 1));
        assert!(!decide(BLOCK, READ | WRITE, 7, 1));
        assert_eq!(ALWAYS[9].as_v1(), "c 136:* rwm");
    }

    /// The kernel refuses a program with an instruction that nothing leads to.
    #[test]
    fn a_rule_for_all_devices_leaves_no_instruction_behind_it() {
        let all = Rule { kind: CHARACTER, major: None, minor: None, access: MKNOD | READ | WRITE };
        let own = Rule { major: Some(136), minor: Some(3), ..all };
        let rules = [&ALWAYS[..], &[own, all]].concat();
        let program = program(&rules);
        let reached = |at: usize| {
            let before = program.get(at.wrapping_sub(1));
            let falls_in = before.is_none_or(|before| !matches!(before.code, GO | EXIT));
            falls_in || program.iter().enumerate().any(|(from, jump)| from + 1 + jump.offset as usize == at)
        };
        assert!((0..program.len()).all(reached), "{program:?}");
        assert!(decide(&program, CHARACTER.into(), WRITE.into(), 200, 1));
        assert!(!decide(&program, BLOCK.into(), WRITE.into(), 200, 1));
    }
}
