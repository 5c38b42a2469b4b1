//! Colours, only on a terminal and never against NO_COLOR (anstream decides).

use anstyle::{AnsiColor, Style};

/// The few styles a report uses.
#[derive(Debug, Clone, Copy)]
pub struct Theme {
    pub headline: Style,
    pub label: Style,
    pub good: Style,
    pub weak: Style,
    pub faint: Style,
}

impl Theme {
    /// Styles for a terminal that shows them.
    pub fn colour() -> Self {
        Self {
            headline: Style::new().bold(),
            label: Style::new().dimmed(),
            good: AnsiColor::Green.on_default().bold(),
            weak: AnsiColor::Yellow.on_default().bold(),
            faint: Style::new().dimmed(),
        }
    }

    /// No styles at all: pipes, files, NO_COLOR, tests.
    pub fn plain() -> Self {
        let none = Style::new();
        Self { headline: none, label: none, good: none, weak: none, faint: none }
    }

    /// What stdout wants.
    pub fn for_stdout() -> Self {
        match anstream::AutoStream::choice(&std::io::stdout()) {
            anstream::ColorChoice::Never => Self::plain(),
            _ => Self::colour(),
        }
    }
}
