//! Random lives: whatever happens in whatever order, some things hold.

use std::time::Duration;

use proptest::prelude::*;

use super::{Effect, End, Event, Phase, State, step, table};

fn event() -> impl Strategy<Value = Event> {
    proptest::sample::select(table::events())
}

proptest! {
    #[test]
    fn a_life_keeps_its_rules(ephemeral: bool, events in proptest::collection::vec(event(), 0..60)) {
        let mut state = State::created(ephemeral);
        let mut launches = 0_u32;
        for event in events {
            let Ok(step) = step(&state, &event) else { continue };
            launches += u32::from(step.effects.contains(&Effect::Launch));
            // One launch per attempt, and only into Starting.
            prop_assert_eq!(step.next.attempt, launches);
            prop_assert!(!step.effects.contains(&Effect::Launch) || step.next.phase == Phase::Starting);
            // An accepted delete is never forgotten, and ends a container's starts.
            prop_assert!(!state.deleting || step.next.deleting);
            prop_assert!(!state.deleting || !step.effects.contains(&Effect::Launch));
            // Files go only when nothing can be running.
            prop_assert!(!step.effects.contains(&Effect::Purge) || !state.is_live());
            // From a live state the only way out is through teardown.
            if state.is_live() && !step.next.is_live() {
                prop_assert!(step.effects.contains(&Effect::Teardown));
            }
            // What nobody wants any more does not start by itself.
            prop_assert!(state.wanted || event == Event::Start || !step.effects.contains(&Effect::Launch));
            let ends = matches!(event, Event::Stop { .. } | Event::Delete { .. });
            prop_assert!(!(ends && step.next.wanted));
            prop_assert!(step.next.asked <= step.next.attempt);
            prop_assert!(state.phase != Phase::Removed);
            // Another specification is for the next start: one that runs stays as it is, and nothing is done.
            if let Event::Update { ephemeral } = event {
                prop_assert!(matches!(state.phase, Phase::Created | Phase::Stopped) && step.effects.is_empty());
                prop_assert_eq!(&step.next, &State { ephemeral, ..state.clone() });
            } else {
                prop_assert_eq!(step.next.ephemeral, state.ephemeral);
            }
            // A freeze is asked for only on the way to being frozen, and what may be frozen and is to end is thawed or killed.
            prop_assert!(!step.effects.contains(&Effect::Freeze) || step.next.phase == Phase::Freezing);
            let may_be_frozen = |phase: &Phase| matches!(phase, Phase::Freezing | Phase::Frozen | Phase::Thawing);
            if may_be_frozen(&state.phase) && matches!(step.next.phase, Phase::Stopping { .. } | Phase::Killing) {
                let released = step.effects.contains(&Effect::Thaw) || step.effects.contains(&Effect::KillAll);
                prop_assert!(released);
            }
            state = step.next;
        }
    }

    #[test]
    fn a_willing_world_always_brings_a_delete_to_its_end(events in proptest::collection::vec(event(), 0..40)) {
        let mut state = State::created(false);
        for event in events {
            if let Ok(step) = step(&state, &event) {
                state = step.next;
            }
        }
        if let Ok(step) = step(&state, &Event::Delete { force: true }) {
            state = step.next;
        }
        for _ in 0..4 {
            let event = match state.phase {
                Phase::Starting
                | Phase::Running
                | Phase::Freezing
                | Phase::Frozen
                | Phase::Thawing
                | Phase::Stopping { .. }
                | Phase::Killing => Event::Over { end: End::Ended },
                Phase::Reaping { .. } => Event::TornDown { again: true },
                Phase::Removing => Event::Purged,
                Phase::Created | Phase::Waiting | Phase::Stopped | Phase::Removed => break,
            };
            state = step(&state, &event).expect("the next event of a willing world").next;
        }
        prop_assert_eq!(state.phase, Phase::Removed);
    }
}

#[test]
fn a_second_stop_shortens_the_grace_and_never_lengthens_it() {
    let stopping = |secs| State {
        phase: Phase::Stopping { grace: Duration::from_secs(secs) },
        attempt: 1,
        asked: 1,
        ..State::created(false)
    };
    let stop = |secs| Event::Stop { grace: Duration::from_secs(secs) };
    assert_eq!(step(&stopping(10), &stop(60)).unwrap().next, stopping(10));
    assert_eq!(step(&stopping(10), &stop(2)).unwrap().next, stopping(2));
}
