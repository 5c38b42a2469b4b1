//! Whose call it was: names of threads, for people.

use super::tracefs::Tracefs;

/// While the thread lives its own word, and then what the tracer remembers.
pub(super) fn of(tracefs: &Tracefs, tid: u32) -> Option<String> {
    if let Ok(name) = std::fs::read_to_string(format!("/proc/{tid}/comm")) {
        return Some(name.trim_end_matches('\n').to_owned());
    }
    remembered(&tracefs.read("saved_cmdlines").ok()?, tid).map(str::to_owned)
}

/// Lines of a thread's number and its name.
fn remembered(list: &str, tid: u32) -> Option<&str> {
    list.lines().find_map(|line| {
        let (number, name) = line.split_once(' ')?;
        (number.parse() == Ok(tid)).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_thread_that_is_gone() {
        let list = "7 my mount\n70 sh\n<...> x\n";
        assert_eq!(remembered(list, 7), Some("my mount"));
        assert_eq!(remembered(list, 71), None);
    }
}
