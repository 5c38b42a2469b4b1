//! The user side of the path in a line or two: the innermost functions that are the program's own.

use crate::model::{UserFrame, UserStack};

/// Functions that a person reads at a glance.
const MOST: usize = 6;

/// Between the program and the kernel lies what every program has there: the C library, the Go runtime's way into the
/// kernel, Go's package of system calls. Whoever made the call is behind it.
const BETWEEN: [&str; 5] =
    ["syscall.", "internal/runtime/", "runtime/internal/", "golang.org/x/sys/unix.", "runtime."];

/// `crun: do_mount ◂ libcrun_run_linux_container ◂ main`, and what is missing.
pub(super) fn lines(stack: &UserStack) -> Vec<String> {
    let own = stack.frames.iter().position(|frame| !is_between(frame)).unwrap_or(0);
    let mut parts: Vec<String> = Vec::new();
    let mut module = None;
    for frame in stack.frames[own..].iter().take(MOST) {
        let name = frame.module_name();
        let function = words(frame);
        parts.push(match name {
            Some(name) if module != Some(name) => format!("{name}: {function}"),
            _ => function,
        });
        module = name;
    }
    if stack.frames.len() > own + MOST {
        parts.push("…".into());
    }
    let chain = Some(parts.join(" ◂ ")).filter(|chain| !chain.is_empty());
    chain.into_iter().chain(stack.note.clone()).collect()
}

fn is_between(frame: &UserFrame) -> bool {
    let libc = ["libc.so", "libc-", "ld-linux", "libpthread"];
    match &frame.function {
        Some(name) if BETWEEN.iter().any(|start| name.starts_with(start)) => true,
        _ => frame.module_name().is_some_and(|name| libc.iter().any(|start| name.starts_with(start))),
    }
}

/// The name; without one the place in the file, without that the address.
fn words(frame: &UserFrame) -> String {
    match (&frame.function, frame.at) {
        (Some(function), _) => function.clone(),
        (None, Some(at)) => format!("{at:#x}"),
        (None, None) => format!("{:#x}", frame.address),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(module: &str, function: Option<&str>) -> UserFrame {
        UserFrame {
            address: 0x55_1234,
            at: Some(0x1234),
            module: Some(module.into()),
            function: function.map(str::to_owned),
            ..UserFrame::default()
        }
    }

    #[test]
    fn the_program_comes_first_and_modules_are_said_once() {
        let frames = vec![
            frame("/lib/x86_64-linux-gnu/libc.so.6", Some("mount")),
            frame("/usr/lib/libcrun.so", Some("do_mount")),
            frame("/usr/bin/crun", None),
            frame("/usr/bin/crun", Some("main")),
        ];
        let stack = UserStack { frames, note: Some("stripped".into()), site: None };
        assert_eq!(lines(&stack), ["libcrun.so: do_mount ◂ crun: 0x1234 ◂ main", "stripped"]);
    }

    #[test]
    fn deep_stacks_are_cut_and_one_of_the_library_alone_is_kept() {
        let mut stack = UserStack { frames: vec![frame("/runc", Some("main.a")); 9], ..UserStack::default() };
        let line = lines(&stack).remove(0);
        assert_eq!((line.matches("main.a").count(), line.ends_with("◂ …")), (6, true));
        stack.frames = vec![frame("/lib/libc.so.6", Some("unshare"))];
        assert_eq!(lines(&stack), ["libc.so.6: unshare"]);
        assert_eq!(lines(&UserStack::default()), [""; 0]);
    }
}
