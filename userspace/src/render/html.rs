//! Call graphs as one page that needs nothing else: no script, no font, no network. Branches are `<details>`, which
//! browsers open and close by themselves; a bar under a call shows its share of the whole time.

use super::compared::{headline, returned};
use super::graph::micros;
use crate::model::{Compared, Drawn, Picture, Role, Side};
use std::fmt::Write;

const STYLE: &str = include_str!("graph.css");
/// Levels that are open at first; the way of an error is open to its end.
const OPEN: usize = 3;

/// A page with each picture.
pub fn pictures(pictures: &[Picture]) -> String {
    let mut body = String::new();
    for picture in pictures {
        let _ = write!(body, "<h2>{}", escaped(&headline(picture)));
        if let (Some(decider), Some(method)) = (&picture.decider, &picture.decider_method) {
            let method = method.replace('-', " ");
            let _ = write!(body, ", decided in <b>{}</b>, found by {method}", escaped(decider));
        }
        body += "</h2>\n";
        for note in picture.note.iter().cloned().chain(lost(picture)) {
            let _ = writeln!(body, "<p>{}</p>", escaped(&note));
        }
        let whole = picture.root.duration_ns.unwrap_or(0);
        call(&mut body, &picture.root, whole, 0);
    }
    page("diag graph", &body)
}

fn lost(picture: &Picture) -> Option<String> {
    (picture.lost > 0).then(|| format!("{} events were lost while this was recorded.", picture.lost))
}

/// A page with two recordings of one call side by side.
pub fn compared(pictures: [&Picture; 2], files: &[String; 2], tree: &Compared) -> String {
    let mut body = String::new();
    for ((letter, picture), file) in ["A", "B"].iter().zip(pictures).zip(files) {
        let _ = writeln!(body, "<h2>{letter}: {} in {}</h2>", escaped(&headline(picture)), escaped(file));
    }
    both(&mut body, tree, 0);
    page("diag graph --diff", &body)
}

fn page(title: &str, body: &str) -> String {
    // The policy is a promise: a browser refuses whatever the page would load.
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n<meta http-equiv=\"Content-Security-Policy\" \
         content=\"default-src 'none'; style-src 'unsafe-inline'\">\n<title>{title}</title>\n<style>\n{STYLE}</style>\
         </head><body>\n{body}</body></html>\n"
    )
}

/// Names of threads are chosen by whoever runs them.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\'' => out += "&#39;",
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// A line, and below it, if there are any, the calls inside.
fn branch(out: &mut String, line: &str, class: &str, open: bool, has_children: bool) {
    let _ = match (has_children, open) {
        (true, true) => writeln!(out, "<details class=\"{class}\" open><summary>{line}</summary>"),
        (true, false) => writeln!(out, "<details class=\"{class}\"><summary>{line}</summary>"),
        (false, _) => writeln!(out, "<div class=\"{class} leaf\">{line}</div>"),
    };
}

fn call(out: &mut String, call_: &Drawn, whole_ns: u64, level: usize) {
    let class = match call_.role {
        Role::Plain => "plain",
        Role::Failing => "failing",
        Role::Decider => "decider",
        Role::Noise => "noise",
    };
    let took = call_.duration_ns.map_or_else(String::new, micros);
    let share = match (call_.duration_ns, whole_ns) {
        (Some(ns), whole) if whole > 0 => (ns as f64 / whole as f64 * 100.0).min(100.0),
        _ => 0.0,
    };
    let mut line = format!(
        "<span class=\"time\">{took}</span><span class=\"bar\"><i style=\"width:{share:.1}%\"></i></span>\
         <span class=\"returned\">{}</span>{}",
        escaped(call_.returned.as_deref().unwrap_or("")),
        escaped(&call_.function)
    );
    if call_.role == Role::Decider {
        line += " <em>decided here</em>";
    }
    if call_.hole {
        line += " <em>something is missing here</em>";
    }
    let open = call_.role == Role::Failing || (level < OPEN && call_.role != Role::Noise);
    branch(out, &line, class, open, !call_.children.is_empty());
    if !call_.children.is_empty() {
        call_.children.iter().for_each(|child| call(out, child, whole_ns, level + 1));
        *out += "</details>\n";
    }
}

fn both(out: &mut String, tree: &Compared, level: usize) {
    let (mark, class) = match (&tree.a, &tree.b) {
        (Some(_), Some(_)) if tree.alike => ("", "noise"),
        (Some(_), Some(_)) => ("", "plain"),
        (Some(_), None) => ("− ", "only-a"),
        (None, _) => ("+ ", "only-b"),
    };
    let took =
        |side: &Option<Side>| side.as_ref().and_then(|s| s.duration_ns).map_or_else(String::new, micros);
    let line = format!(
        "<span class=\"time\">{}</span><span class=\"time\">{}</span><span class=\"returned\">{}</span>{mark}{}",
        took(&tree.a),
        took(&tree.b),
        escaped(&returned(tree)),
        escaped(&tree.function)
    );
    branch(out, &line, class, !tree.alike && level < 100, !tree.children.is_empty());
    if !tree.children.is_empty() {
        tree.children.iter().for_each(|child| both(out, child, level + 1));
        *out += "</details>\n";
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Errno;

    #[test]
    fn names_cannot_break_out_and_nothing_is_loaded() {
        let child = Drawn {
            function: "f".into(),
            start_ns: None,
            duration_ns: Some(500),
            returned: Some("ENOSPC".into()),
            role: Role::Decider,
            hole: false,
            children: vec![],
        };
        let root = Drawn {
            function: "__x64_sys_mount".into(),
            duration_ns: Some(1000),
            role: Role::Failing,
            children: vec![child.clone()],
            ..child
        };
        let picture = Picture {
            comm: "<script>\"&'\u{1b}".into(),
            tid: 7,
            cpu: 0,
            errno: Some(Errno::ENOSPC),
            decider: Some("f".into()),
            decider_method: Some("return-value".into()),
            note: None,
            lost: 3,
            root,
        };
        let page = pictures(&[picture]);
        assert!(page.contains("&lt;script&gt;&quot;&amp;&#39;\u{fffd}"), "{page}");
        for never in ["<script", "http://", "https://", "src=", "url("] {
            assert!(!page.contains(never), "{never}: {page}");
        }
        assert!(
            page.contains("width:50.0%")
                && page.contains("decided here")
                && page.contains("3 events were lost")
        );
        assert_eq!(page.matches("<details").count(), page.matches("</details>").count());
    }
}
