//! A verb's options, described to the parser only when that verb was typed.
//!
//! There are some thirty verbs with hundreds of options between them, and describing them all takes longer than
//! starting a container's first process.

use std::ops::Deref;

use clap::error::Error;
use clap::{ArgMatches, Args, Command, FromArgMatches};

/// The options `T`, by [`Command::defer`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Lazy<T>(pub(super) T);

impl<T> Deref for Lazy<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Args> Args for Lazy<T> {
    fn augment_args(command: Command) -> Command {
        command.defer(described::<T>)
    }

    fn augment_args_for_update(command: Command) -> Command {
        command.defer(T::augment_args_for_update)
    }
}

/// The verb keeps its own words; parts of its options bring theirs.
fn described<T: Args>(command: Command) -> Command {
    let about = command.get_about().cloned().unwrap_or_default();
    let long = command.get_long_about().cloned();
    let command = T::augment_args(command).about(about);
    match long {
        Some(long) => command.long_about(long),
        None => command.long_about(None::<&str>),
    }
}

impl<T: FromArgMatches> FromArgMatches for Lazy<T> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        T::from_arg_matches(matches).map(Self)
    }

    fn from_arg_matches_mut(matches: &mut ArgMatches) -> Result<Self, Error> {
        T::from_arg_matches_mut(matches).map(Self)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        self.0.update_from_arg_matches(matches)
    }

    fn update_from_arg_matches_mut(&mut self, matches: &mut ArgMatches) -> Result<(), Error> {
        self.0.update_from_arg_matches_mut(matches)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Args)]
    struct Part {
        #[arg(long)]
        loud: bool,
    }

    /// What a part of the options says of itself.
    #[derive(Debug, Args)]
    struct Whole {
        #[command(flatten)]
        part: Part,
        /// Who is meant.
        name: String,
    }

    #[test]
    fn a_verb_is_described_when_it_is_typed_and_keeps_its_words() {
        let verb = Lazy::<Whole>::augment_args(Command::new("greet")).about("Say something");
        let mut root = Command::new("x").subcommand(verb);
        let greet = root.find_subcommand("greet").unwrap();
        assert_eq!(greet.get_arguments().count(), 0, "not yet");
        let mut matches = root.try_get_matches_from_mut(["x", "greet", "--loud", "you"]).unwrap();
        let (_, mut words) = matches.remove_subcommand().unwrap();
        let typed = Lazy::<Whole>::from_arg_matches_mut(&mut words).unwrap();
        assert_eq!((typed.name.as_str(), typed.part.loud), ("you", true));
        let greet = root.find_subcommand("greet").unwrap();
        assert_eq!(greet.get_about().unwrap().to_string(), "Say something");
        assert!(greet.get_arguments().any(|argument| argument.get_id() == "loud"));
    }
}
