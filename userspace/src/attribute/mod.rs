//! Whose is it: containers by cgroup, by folders in the arguments, by the engine process that works for
//! them. Identities of the dead are kept.

mod creation;
mod index;
mod shapes;
mod steps;

pub use creation::{Ancestor, at_work_for};
pub use index::{Index, Owned};
pub use shapes::{Recognised, recognise};
