//! Whose is it: containers by cgroup, by folders in the arguments, by the engine process that works for
//! them, by the client that asked for them. Identities of the dead are kept.

mod creation;
mod index;
mod places;
mod requests;
mod shapes;
mod steps;

pub use creation::{Ancestor, at_work_for, is_own_cgroup};
pub use index::{Index, Owned};
pub use places::{Place, place_in};
pub use requests::{Request, asked_for, request_of};
pub use shapes::{Recognised, recognise};
