//! The table of docs/accuracy.md.

use super::kept::Kept;
use super::{Fault, Verdict};
use crate::artifacts;
use anyhow::{Context, Result};
use std::fs;

/// Between these the table stands; the rest of the page is written by people.
const MARKS: [&str; 2] = ["<!-- faults -->", "<!-- end of faults -->"];

pub(super) fn table(faults: &[Fault], kernels: &[Kept]) -> String {
    let mut out = String::from("| fault |");
    kernels.iter().for_each(|kernel| out += &format!(" {} |", kernel.release));
    out += "\n|---|";
    kernels.iter().for_each(|_| out += "---|");
    out += "\n";
    let mut notes = Vec::new();
    for fault in faults {
        out += &format!("| {} {} |", fault.0, fault.1);
        for kernel in kernels {
            out += &format!(" {} |", cell(kernel.answer(fault), &mut notes));
        }
        out += "\n";
    }
    out += &sums(faults, kernels);
    for (at, note) in notes.iter().enumerate() {
        out += &format!("\n({}) {note}  ", at + 1);
    }
    out
}

fn cell(verdict: Option<&Verdict>, notes: &mut Vec<String>) -> String {
    match verdict {
        Some(Verdict::Own(sure)) => sure.clone(),
        Some(Verdict::Other(other)) => format!("**{other}**"),
        Some(Verdict::Lost(how)) => format!("**no answer: {how}**"),
        Some(Verdict::NotHere(why)) => {
            let at = notes.iter().position(|note| note == why).unwrap_or_else(|| {
                notes.push(why.clone());
                notes.len() - 1
            });
            format!("– ({})", at + 1)
        }
        None => "not run".to_owned(),
    }
}

/// Right answers of those that could be provoked, and how many of them are proven.
fn sums(faults: &[Fault], kernels: &[Kept]) -> String {
    let mut out = String::from("| **right, of which proven** |");
    for kernel in kernels {
        let answers: Vec<&Verdict> = faults.iter().filter_map(|fault| kernel.answer(fault)).collect();
        let count = |of: fn(&Verdict) -> bool| answers.iter().filter(|verdict| of(verdict)).count();
        let right = count(|v| matches!(v, Verdict::Own(_)));
        let proven = count(|v| matches!(v, Verdict::Own(sure) if sure == "proven"));
        let provoked = count(|v| !matches!(v, Verdict::NotHere(_)));
        out += &format!(" {right} of {provoked}, {proven} |");
    }
    out + "\n"
}

/// Puts the table between its marks.
pub(super) fn write(table: &str) -> Result<()> {
    let path = artifacts::workspace().join("docs/accuracy.md");
    let page = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let page =
        with_table(&page, table).with_context(|| format!("{} lost its marks {MARKS:?}", path.display()))?;
    fs::write(&path, page).with_context(|| format!("cannot write {}", path.display()))
}

fn with_table(page: &str, table: &str) -> Option<String> {
    let (head, rest) = page.split_once(MARKS[0])?;
    let (_, tail) = rest.split_once(MARKS[1])?;
    Some(format!("{head}{}\n\n{}\n\n{}{tail}", MARKS[0], table.trim_end(), MARKS[1]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::Kernel;

    fn fault(cause: &str, variant: &str) -> Fault {
        (cause.to_owned(), variant.to_owned())
    }

    #[test]
    fn the_table_names_what_is_wrong_and_why_something_is_not_there() {
        let faults = [
            fault("pids-max", "own"),
            fault("pids-max", "ancestor"),
            fault("sigbus", "full"),
            fault("x", "y"),
        ];
        let mut kept = Kept::nowhere(&Kernel { release: "6.12.1".into(), ..Kernel::default() });
        let told = [
            (faults[0].clone(), Verdict::Own("proven".to_owned())),
            (faults[1].clone(), Verdict::Other("pid-max, likely".to_owned())),
            (faults[2].clone(), Verdict::NotHere("no such thing here".to_owned())),
        ];
        kept.add(told).unwrap();
        let table = table(&faults, &[kept]);
        for line in [
            "| fault | 6.12.1 |",
            "| pids-max own | proven |",
            "| pids-max ancestor | **pid-max, likely** |",
            "| sigbus full | – (1) |",
            "| x y | not run |",
            "| **right, of which proven** | 1 of 2, 1 |",
            "(1) no such thing here",
        ] {
            assert!(table.contains(line), "{line} is not in\n{table}");
        }
    }

    #[test]
    fn the_page_keeps_what_people_wrote() {
        let page = format!("a\n{}\nold\n{}\nb\n", MARKS[0], MARKS[1]);
        let written = with_table(&page, "new\n").unwrap();
        assert_eq!(written, format!("a\n{}\n\nnew\n\n{}\nb\n", MARKS[0], MARKS[1]));
        assert_eq!(with_table(&written, "new").unwrap(), written);
        assert_eq!(with_table("nothing", "new"), None);
    }
}
