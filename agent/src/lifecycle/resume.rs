//! What a new agent does with a container that an earlier agent left behind.

use super::state::{Effect, End, Event, Phase, State};

/// What was found of a container on the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Observed {
    /// A supervisor holds its control socket.
    Supervised,
    /// No supervisor, but an exit record of the current attempt.
    Recorded {
        /// What the record says.
        end: End,
    },
    /// No supervisor, and none of this attempt ever came as far as making a process.
    Unlaunched,
    /// No supervisor, and no word of how it ended.
    Gone,
}

/// How to go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resumption {
    /// Carry out these effects (again).
    Effects(Vec<Effect>),
    /// Something happened meanwhile.
    Event(Event),
}

/// What is left to do in `state`, given what was `observed`.
#[must_use]
pub fn resume(state: &State, observed: Observed) -> Resumption {
    let effects = match (&state.phase, observed) {
        (Phase::Created | Phase::Stopped | Phase::Removed, _) => vec![],
        (Phase::Waiting, _) => vec![Effect::ArmRestart],
        (Phase::Reaping { .. }, _) => vec![Effect::Teardown],
        (Phase::Removing, _) => vec![Effect::Purge],
        // The supervisor will say how far it is.
        (Phase::Starting, Observed::Supervised) => vec![],
        // Other limits may have been written down and not have reached the kernel.
        (Phase::Running | Phase::Frozen, Observed::Supervised) => vec![Effect::ApplyLimits],
        (Phase::Freezing, Observed::Supervised) => vec![Effect::Freeze, Effect::ApplyLimits],
        (Phase::Thawing, Observed::Supervised) => vec![Effect::Thaw, Effect::ApplyLimits],
        // The signal may have been sent or not; a second one asks for the same. Nor is it known whether it was frozen.
        (Phase::Stopping { grace }, Observed::Supervised) => {
            vec![Effect::SignalStop, Effect::Thaw, Effect::ArmGrace(*grace), Effect::ApplyLimits]
        }
        (Phase::Killing, Observed::Supervised) => vec![Effect::KillAll],
        // The start was promised and nothing ran: keep the promise.
        (Phase::Starting, Observed::Unlaunched) => vec![Effect::Launch],
        (
            Phase::Starting
            | Phase::Running
            | Phase::Freezing
            | Phase::Frozen
            | Phase::Thawing
            | Phase::Stopping { .. }
            | Phase::Killing,
            Observed::Recorded { end },
        ) => return Resumption::Event(Event::Over { end }),
        (Phase::Starting, Observed::Gone)
        | (
            Phase::Running | Phase::Freezing | Phase::Frozen | Phase::Thawing | Phase::Stopping { .. } | Phase::Killing,
            Observed::Unlaunched | Observed::Gone,
        ) => return Resumption::Event(Event::Over { end: End::Lost }),
    };
    Resumption::Effects(effects)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lifecycle::{step, table};

    #[test]
    fn every_resumption_is_one_the_step_function_takes() {
        let ends = [End::Ended, End::StartFailed, End::Lost];
        let seen = [Observed::Supervised, Observed::Unlaunched, Observed::Gone];
        let seen = seen.into_iter().chain(ends.map(|end| Observed::Recorded { end }));
        for observed in seen {
            for state in table::states() {
                match resume(&state, observed) {
                    Resumption::Event(event) => assert!(step(&state, &event).is_ok(), "{state:?} {event:?}"),
                    Resumption::Effects(_) => {}
                }
            }
        }
    }

    #[test]
    fn nothing_is_launched_twice() {
        for state in table::states() {
            for observed in [Observed::Supervised, Observed::Gone, Observed::Recorded { end: End::Ended }] {
                let resumption = resume(&state, observed);
                assert!(!matches!(resumption, Resumption::Effects(effects) if effects.contains(&Effect::Launch)));
            }
        }
    }
}
