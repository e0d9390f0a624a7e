//! What a container may do next: a pure function over states and events.
//!
//! [`step`] decides and touches nothing. The actor of a container (see `workload`) makes the next [`State`] durable, carries out
//! the [`Effect`]s, and feeds what comes of them back as [`Event`]s. Effects are idempotent; those that change something end in an event, and a failure is
//! an event too. [`resume`] says what is left to do when an agent finds a state that another agent's life left behind.
//! The whole table of [`step`] stands in `transitions.txt`, which a test compares.

mod restart;
mod resume;
mod state;
mod step;

#[cfg(test)]
mod table;
#[cfg(test)]
mod walk;

pub use restart::{Ended, History, Policy, Verdict, When, decide};
pub use resume::{Observed, Resumption, resume};
pub use state::{Effect, End, Event, Phase, Refusal, State, Step};
pub use step::step;
