//! Long lines and long names, cut to what fits a terminal and a memory.

/// Breaks at spaces so that a report fits a terminal; a word longer than the line stays whole.
pub(super) fn wrapped(text: &str) -> Vec<String> {
    const WIDTH: usize = 90;
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines
            .last_mut()
            .filter(|l| l.is_empty() || l.chars().count() + 1 + word.chars().count() <= WIDTH);
        match line {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) => {
                line.push(' ');
                line.push_str(word);
            }
            None => lines.push(word.into()),
        }
    }
    lines
}

/// Container ids and digests as people say them: their first twelve digits. Commands never hold one.
pub(super) fn short_ids(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c.is_ascii_hexdigit()) {
        out.push_str(&rest[..start]);
        let tail = &rest[start..];
        let run = tail.bytes().take_while(u8::is_ascii_hexdigit).count();
        out.push_str(&tail[..if run == 64 { 12 } else { run }]);
        if run == 64 {
            out.push('…');
        }
        rest = &tail[run..];
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_continue_and_long_words_stay_whole() {
        let text = format!("{} {} end", "word ".repeat(30).trim_end(), "x".repeat(200));
        let lines = wrapped(&text);
        assert!(lines.iter().all(|l| l.chars().count() <= 90 || !l.contains(' ')), "{lines:?}");
        assert_eq!(lines.join(" "), text);
        assert_eq!(wrapped(""), [""]);
    }

    #[test]
    fn ids_are_shortened_and_nothing_else_is() {
        let id = "4f2a9c0d1e2b3a4f5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3";
        assert_eq!(short_ids(&format!("/c/{id}/rootfs")), "/c/4f2a9c0d1e2b…/rootfs");
        for text in ["", "deadbeef", "no id, é", "/proc"] {
            assert_eq!(short_ids(text), text);
        }
    }
}
