//! `diag causes`: the catalogue, as a list, for programs, and as the page docs/causes.md.

use super::{Form, outcome, outcome::Outcome};
use crate::causes::{self, Cause, Fault};
use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

#[derive(Debug, Clone, Copy, clap::Args)]
pub(super) struct Args {
    /// The whole catalogue as a page, each cause with its own text.
    #[arg(long, conflicts_with_all = ["json", "format"])]
    markdown: bool,
    #[command(flatten)]
    form: Form,
}

#[derive(Serialize)]
struct Row {
    cause: &'static str,
    title: &'static str,
    shows_as: Vec<String>,
    limits: Vec<&'static str>,
    /// The variants of `diag repro`; none where it cannot be provoked safely.
    faults: &'static [&'static str],
    deciders: &'static [&'static str],
    see: &'static [&'static str],
}

pub(super) fn run(args: Args) -> anyhow::Result<Outcome> {
    if args.markdown {
        outcome::answer(&page());
        return Ok(Outcome::Nothing);
    }
    let rows: Vec<Row> = causes::ALL.iter().map(|c| row(c)).collect();
    if args.form.is_json() {
        outcome::answer_json(&rows)?;
        return Ok(Outcome::Nothing);
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.force_no_tty().set_header(["CAUSE", "WHAT", "SHOWS AS", "LIMIT"]);
    for r in &rows {
        table.add_row([r.cause.to_string(), r.title.to_string(), r.shows_as.join(", "), r.limits.join(", ")]);
    }
    outcome::answer(&format!("{table}\n\ndiag explain --cause NAME says more about one of them.\n"));
    Ok(Outcome::Nothing)
}

fn row(c: &'static Cause) -> Row {
    Row {
        cause: c.slug,
        title: c.title,
        shows_as: c.shows_as.iter().map(|(s, e)| format!("{s} {e}")).collect(),
        limits: c.reads.iter().map(|l| l.id).collect(),
        faults: match &c.fault {
            Fault::Action { variants, .. } => variants,
            Fault::None(_) => &[],
        },
        deciders: c.deciders,
        see: c.see,
    }
}

/// What `diag explain --cause` prints.
pub(super) fn about(slug: &str) -> anyhow::Result<String> {
    let Some(c) = causes::by_slug(slug) else {
        let known: Vec<_> = causes::ALL.iter().map(|c| c.slug).collect();
        anyhow::bail!("no cause is called {slug:?}; known: {}", known.join(", "));
    };
    let mut out = format!("{}: {}\n\n{}\n", c.slug, c.title, c.about);
    for l in c.reads {
        out += &format!(
            "\nlimit      {} ({}), counted per {}, {} by default, since Linux {}\n           {}\n",
            l.id,
            l.path(),
            l.counted_per,
            l.default,
            l.since,
            l.see
        );
    }
    out += &format!("\ndecided in {}\n", c.deciders.join(", "));
    for r in c.rivals {
        out +=
            &format!("\nnot to be confused with: {}\n           ruled out by {}\n", r.name, r.ruled_out_by);
    }
    out += &match &c.fault {
        Fault::Action { about, risk, .. } => {
            format!("\nreproduce  diag repro {}\n           {about}; {risk}\n", c.slug)
        }
        Fault::None(why) => format!("\nreproduce  not possible: {why}\n"),
    };
    for s in c.see {
        out += &format!("\nsee        {s}");
    }
    out.push('\n');
    Ok(out)
}

/// docs/causes.md: an index by what the user sees, then each cause's own text.
fn page() -> String {
    let mut out = String::from(
        "# What diag knows\n\nWritten by `diag causes --markdown`; the same texts as `diag explain --cause NAME`.\n\n\
         | cause | what it is | shows as |\n|---|---|---|\n",
    );
    for c in causes::ALL {
        let shows: Vec<String> = c.shows_as.iter().map(|(call, errno)| format!("{call} {errno}")).collect();
        out += &format!("| [{0}](#{0}) | {1} | {2} |\n", c.slug, c.title, shows.join(", "));
    }
    for c in causes::ALL {
        out += &section(c);
    }
    out
}

fn section(c: &Cause) -> String {
    let mut out = format!("\n## {}\n\n**{}**\n\n{}\n", c.slug, c.title, c.about);
    let mut line = |name: &str, text: String| out += &format!("\n- {name}: {text}");
    for l in c.reads {
        let path = l.path();
        let place = if path.is_empty() { String::new() } else { format!(" (`{path}`)") };
        line("limit", format!("{}{place}, counted per {}, since Linux {}", l.id, l.counted_per, l.since));
    }
    if !c.deciders.is_empty() {
        line("decided in", format!("`{}`", c.deciders.join("`, `")));
    }
    for r in c.rivals {
        line("not to be confused with", format!("{}; ruled out by {}", r.name, r.ruled_out_by));
    }
    match &c.fault {
        Fault::Action { about, risk, variants } => {
            let more = if variants.len() > 1 {
                format!(" (variants {})", variants.join(", "))
            } else {
                String::new()
            };
            line("reproduce", format!("`diag repro {}`{more}: {about}; risk: {risk}", c.slug));
        }
        Fault::None(why) => line("reproduce", format!("not possible: {why}")),
    }
    line("see", c.see.join("; "));
    out.push('\n');
    out
}

#[cfg(test)]
mod tests {
    use std::{env, fs, path::Path};

    #[test]
    fn the_page_is_the_catalogue() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/causes.md");
        let now = super::page();
        if env::var_os("DIAG_BLESS").is_some() {
            fs::write(&path, &now).unwrap();
        }
        let committed = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            committed == now,
            "docs/causes.md is not what `diag causes --markdown` says; DIAG_BLESS=1 writes it"
        );
    }
}
