//! Stacks of this very process, taken as the probe takes them.

use super::*;
use crate::model::{CallSite, FailureKind, Stamp, Task};
use std::hint::black_box;
use std::os::unix::fs::FileExt;

/// What the registers and the stack are behind a system call of this function.
#[inline(never)]
fn here() -> CallSite {
    let (ip, sp, bp): (u64, u64, u64);
    // SAFETY: getpid(2) changes rax, rcx and r11 alone; the rest copies registers.
    unsafe {
        std::arch::asm!(
            "lea {ip}, [rip + 2f]",
            "mov {sp}, rsp",
            "mov {bp}, rbp",
            "syscall",
            "2:",
            ip = out(reg) ip,
            sp = out(reg) sp,
            bp = out(reg) bp,
            inout("rax") libc::SYS_getpid => _,
            out("rcx") _,
            out("r11") _,
        );
    }
    // SAFETY: this thread's own stack above its stack pointer, which is far from its end.
    let top = (0..64).map(|word| unsafe { ((sp as *const u64).add(word)).read_volatile() }).collect();
    CallSite { ip, sp, bp, chain: vec![ip], top, compat: false }
}

#[inline(never)]
fn caller_of_here() -> CallSite {
    let mut site = here();
    // Something is left to be done, or the call would be a jump.
    site.chain.truncate(black_box(1));
    site
}

fn failure(site: CallSite, pid: u32) -> Failure {
    let stack = UserStack { site: Some(Box::new(site)), ..UserStack::default() };
    let task = Task { pid, tid: pid, stack: Some(Box::new(stack)), ..Task::default() };
    let kind = FailureKind::Stall { what: String::new() };
    Failure { time: Stamp::default(), task, kind, readings: vec![] }
}

fn stack_of(site: CallSite, pid: u32) -> UserStack {
    let root = Root::default();
    look(&root, &mut failure(site, pid)).unwrap().named(&root)
}

fn functions(stack: &UserStack) -> Vec<&str> {
    stack.frames.iter().map(|frame| frame.function.as_deref().unwrap_or("?")).collect()
}

#[test]
fn a_function_and_its_callers_have_names() {
    let stack = stack_of(caller_of_here(), std::process::id());
    let functions = functions(&stack);
    assert!(functions[0].contains("user_stack::tests::here"), "{stack:#?}");
    assert!(functions[1].contains("user_stack::tests::caller_of_here"), "{stack:#?}");
    assert!(functions[2].contains("a_function_and_its_callers"), "{stack:#?}");
    let own = std::env::current_exe().unwrap();
    assert_eq!(stack.frames[0].module.as_deref(), own.to_str());
    assert!(stack.frames[1].offset > Some(0) && stack.frames[1].offset < Some(500), "{stack:#?}");
}

#[test]
fn names_come_from_beside_and_whoever_was_not_asked_about_waits_for_none() {
    let mut asked = failure(caller_of_here(), std::process::id());
    let mut another = Failure { time: Stamp { mono_ns: 7, ..Stamp::default() }, ..asked.clone() };
    let mut namer = Namer::start(Root::default()).unwrap();
    let seen = look(&Root::default(), &mut asked).unwrap();
    assert!(asked.task.stack.is_none());
    namer.ask(seen);
    assert!(!namer.is_waiting_for(&mut another));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        while namer.is_waiting_for(&mut asked) {
            namer.answered().await;
        }
    });
    let stack = asked.task.stack.unwrap();
    assert!(functions(&stack)[1].contains("user_stack::tests::caller_of_here"), "{stack:#?}");
}

#[test]
fn what_the_kernel_found_by_frame_pointers_is_believed_behind_calls_alone() {
    let whole = caller_of_here();
    let found = stack_of(whole.clone(), std::process::id());
    let chain: Vec<u64> = found.frames.iter().take(3).map(|frame| frame.address).collect();
    // Of 32-bit code there are no tables that would be read.
    let site = CallSite { compat: true, chain: chain.clone(), ..whole };
    let stack = stack_of(site.clone(), std::process::id());
    assert_eq!(functions(&stack), functions(&found)[..3]);
    let wild = CallSite { chain: vec![chain[0], chain[1], chain[1] + 1, chain[2]], ..site };
    let stack = stack_of(wild, std::process::id());
    assert_eq!((stack.frames.len(), stack.note.unwrap().contains("no frame pointers")), (2, true));
}

#[test]
fn without_a_map_there_are_addresses_and_the_reason() {
    let site = CallSite { chain: vec![0x1000, 0x2000], ip: 0x1000, ..CallSite::default() };
    let gone = stack_of(site.clone(), 0);
    let addresses: Vec<_> = gone.frames.iter().map(|frame| (frame.address, &frame.module)).collect();
    assert_eq!(addresses, [(0x1000, &None), (0x2000, &None)]);
    assert!(gone.note.unwrap().contains("gone before its memory map"));
    let another = stack_of(site, std::process::id()).note.unwrap();
    assert!(another.contains("ran another program"), "{another}");
}

/// `pcHeader`, `functab` and `_func` of Go 1.20, with two functions.
#[test]
fn names_of_a_stripped_go_program() {
    let words: [u64; 8] = [2, 0, 0x40_0000, 72, 0, 0, 0, 104];
    let mut table = vec![0xf1, 0xff, 0xff, 0xff, 0, 0, 1, 8];
    words.iter().for_each(|word| table.extend(word.to_le_bytes()));
    table.extend(b"main.main\0main.prepareRootfs\0");
    table.resize(104, 0);
    // Address and record of each, then the end of the code; then the records: address and name.
    let numbers: [u32; 9] = [0x10, 20, 0x50, 28, 0x90, 0x10, 0, 0x50, 10];
    numbers.iter().for_each(|number| table.extend(number.to_le_bytes()));
    let file = tempfile::tempfile().unwrap();
    file.write_all_at(&table, 5).unwrap();
    let place = go::Place::read(&file, 5, table.len() as u64).unwrap();
    let found = |address| place.find(&file, address);
    assert_eq!(found(0x40_0050), Some(("main.prepareRootfs".into(), 0x40_0050)));
    assert_eq!(found(0x40_004f), Some(("main.main".into(), 0x40_0010)));
    assert_eq!((found(0x40_000f), found(0x40_0090), found(0)), (None, None, None));
    assert!(go::Place::read(&file, 6, 100).is_none());
}
