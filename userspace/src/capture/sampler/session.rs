//! Group, session and terminal of a process that was refused another (proc_pid_stat(5)).

use super::{Look, Sampled, file_system::own};
use crate::model::{Errno, Failure};
use std::fs;

/// TIOCSCTTY, TIOCSPGRP.
const TERMINALS: &[u64] = &[0x540e, 0x5410];

pub(super) fn look(look: &Look<'_>, failure: &mut Failure, out: &mut Sampled) {
    let asked = match look.call {
        "setsid" | "setpgid" => true,
        "ioctl" => failure.number_arg("op").is_some_and(|op| TERMINALS.contains(&op)),
        _ => false,
    };
    if !asked || ![Errno::EPERM, Errno::EACCES].contains(&look.errno) {
        return;
    }
    let Some(task) = own(&look.view, &failure.task) else { return };
    let Ok(text) = fs::read_to_string(task.join("stat")) else { return };
    let Some(numbers) = parse(&text) else { return };
    let after_ns = look.after(failure);
    let mut note = |name: &str, value: String| {
        let source = format!("/proc/{}/stat", failure.task.pid);
        out.state(name, "", value, &source, after_ns);
    };
    let leads = |number: u32| if number == failure.task.pid { "leads it".into() } else { number.to_string() };
    note("process group", leads(numbers.group));
    note("session", leads(numbers.session));
    let terminal = match numbers.terminal {
        0 => "none".into(),
        // `new_encode_dev()`: the low byte and the upper bits are the minor number.
        device => format!("{}:{}", device >> 8 & 0xfff, device & 0xff | device >> 12 & 0xf_ff00),
    };
    note("controlling terminal", terminal);
}

struct Numbers {
    group: u32,
    session: u32,
    terminal: u32,
}

/// Behind the name, which may hold anything: state, parent, group, session, terminal.
fn parse(text: &str) -> Option<Numbers> {
    let words: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let terminal = words.get(4)?.parse::<i32>().ok()? as u32;
    Some(Numbers { group: words.get(2)?.parse().ok()?, session: words.get(3)?.parse().ok()?, terminal })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn group_session_and_terminal() {
        let numbers = parse("12 (a) b) S 1 12 7 34816 12 4194304").unwrap();
        assert_eq!((numbers.group, numbers.session, numbers.terminal), (12, 7, 34816));
        assert!(parse("12 (a").is_none());
    }
}
