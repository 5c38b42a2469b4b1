//! `diag doctor`: what this kernel and these privileges allow, what that costs, what would help.

use super::{Form, Global, outcome, outcome::Outcome};
use crate::doctor::{self, Check, Verdict};
use comfy_table::{ContentArrangement, Table, presets};

#[derive(Debug, Clone, Copy, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    form: Form,
}

pub(super) fn run(args: Args, global: &Global) -> anyhow::Result<Outcome> {
    let checks = doctor::examine(&global.journal);
    if args.form.is_json() {
        outcome::answer_json(&checks)?;
    } else {
        outcome::answer(&table(&checks));
    }
    let worst = checks.iter().any(|c| c.verdict == Verdict::No);
    Ok(if worst { Outcome::Failed } else { Outcome::Nothing })
}

fn table(checks: &[Check]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic).force_no_tty();
    for c in checks {
        let mark = match c.verdict {
            Verdict::Yes => "yes",
            Verdict::Less => "less",
            Verdict::No => "NO",
        };
        let mut detail = c.detail.clone();
        if !c.costs.is_empty() {
            detail += &format!("\nwithout it: {}", c.costs);
        }
        if !c.help.is_empty() {
            detail += &format!("\nhelp: {}", c.help);
        }
        table.add_row([mark, c.what, &detail]);
    }
    format!("{table}\n")
}
