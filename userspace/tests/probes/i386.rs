//! A 32-bit system call out of a 64-bit program: other numbers, other registers, short pointers.

use crate::scene::{Child, Seen, collect_until, skip, watch};
use diag::capture::errno_watch::Scope;
use diag::model::{Abi, Errno, FailureKind};

/// `mount` in arch/x86/entry/syscalls/syscall_32.tbl. On the 64-bit table 21 is `access`.
const I386_MOUNT: u32 = 21;

/// mount(2) by `int 0x80`. All strings must lie below 4 GiB.
fn mount_32(source: u32, target: u32, fstype: u32, flags: u32, data: u32) -> i32 {
    let result: i32;
    // SAFETY: the kernel reads the strings and refuses the call. rbx belongs to the compiler, so it is
    // swapped in and out; int 0x80 preserves all registers but rax (and clears r8 to r11).
    unsafe {
        core::arch::asm!(
            "xchg rbx, {source:r}",
            "int 0x80",
            "xchg rbx, {source:r}",
            source = inout(reg) u64::from(source) => _,
            inlateout("eax") I386_MOUNT => result,
            in("ecx") target,
            in("edx") fstype,
            in("esi") flags,
            in("edi") data,
            out("r8") _, out("r9") _, out("r10") _, out("r11") _,
        );
    }
    result
}

/// A page below 4 GiB that holds the strings at 0, 256, 512 and 768.
fn low_page(strings: [&str; 4]) -> Option<u32> {
    // SAFETY: a new private mapping, written only inside its page.
    unsafe {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_32BIT;
        let page = libc::mmap(std::ptr::null_mut(), 4096, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0);
        if page == libc::MAP_FAILED {
            return None;
        }
        for (index, text) in strings.iter().enumerate() {
            std::ptr::copy_nonoverlapping(text.as_ptr(), page.cast::<u8>().add(index * 256), text.len());
        }
        u32::try_from(page as usize).ok()
    }
}

#[test]
fn int_0x80_is_read_in_its_own_table() {
    let Some(mut watch) = watch(Scope::Machine, None) else { return };
    let Some(page) = low_page(["/no/such/source", "/no/such/target", "tmpfs", "size=1m"]) else {
        return skip("no memory below 4 GiB");
    };
    let child = Child::start(|_| {
        let result = mount_32(page, page + 256, page + 512, libc::MS_NODEV as u32, page + 768);
        if result == -libc::ENOENT { 0 } else { 1 }
    });
    let pid = child.pid;
    match child.end() {
        0 => {}
        // Without CONFIG_IA32_EMULATION, or with ia32_emulation=0, the trap is not served.
        code if code == -libc::SIGSEGV => return skip("this kernel has no 32-bit system calls"),
        code => panic!("{code}"),
    }
    let mut seen = Seen::default();
    collect_until(&mut watch, &mut seen, "the 32-bit mount", |seen, _| {
        !seen.of(pid, "mount", Errno::ENOENT).is_empty()
    });
    let failure = seen.of(pid, "mount", Errno::ENOENT)[0];
    assert!(
        matches!(failure.kind, FailureKind::Syscall { abi: Abi::Compat, nr: I386_MOUNT, .. }),
        "{failure:?}"
    );
    assert_eq!(failure.text_arg("source"), Some("/no/such/source"));
    assert_eq!(failure.text_arg("target"), Some("/no/such/target"));
    assert_eq!(failure.text_arg("fstype"), Some("tmpfs"));
    assert_eq!(failure.text_arg("data"), Some("size=1m"));
    assert_eq!(failure.number_arg("flags"), Some(libc::MS_NODEV));
    assert!(seen.of(pid, "access", Errno::ENOENT).is_empty());
}
