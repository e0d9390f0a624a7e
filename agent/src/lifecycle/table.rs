//! The whole table of transitions, as a golden file.

use std::fmt::Write as _;
use std::time::Duration;

use super::{End, Event, Phase, State, step};

/// Every state that differs for a decision.
pub(super) fn states() -> Vec<State> {
    let phases = [
        Phase::Created,
        Phase::Starting,
        Phase::Running,
        Phase::Freezing,
        Phase::Frozen,
        Phase::Thawing,
        Phase::Stopping { grace: Duration::from_secs(10) },
        Phase::Killing,
        Phase::Reaping { end: End::Ended },
        Phase::Reaping { end: End::StartFailed },
        Phase::Reaping { end: End::Lost },
        Phase::Waiting,
        Phase::Stopped,
        Phase::Removing,
        Phase::Removed,
    ];
    let flags = [(false, false), (true, false), (false, true), (true, true)];
    let all = phases.into_iter().flat_map(|phase| {
        flags.map(|(ephemeral, deleting)| {
            let wanted =
                !deleting && !matches!(phase, Phase::Created | Phase::Stopped | Phase::Removing | Phase::Removed);
            State { phase: phase.clone(), attempt: 1, ephemeral, deleting, wanted, asked: 1 }
        })
    });
    // One that somebody stops has no other way but that it does not come back.
    let stopped = State { wanted: false, ..State::created(false).into(Phase::Reaping { end: End::Ended }) };
    all.chain([State { attempt: 1, asked: 1, ..stopped }]).collect()
}

/// Every event that differs for a decision.
pub(super) fn events() -> Vec<Event> {
    vec![
        Event::Start,
        Event::Stop { grace: Duration::from_secs(3) },
        Event::Stop { grace: Duration::ZERO },
        Event::Delete { force: false },
        Event::Delete { force: true },
        Event::Signal,
        Event::Freeze,
        Event::Thaw,
        Event::Resize,
        Event::Update { ephemeral: false },
        Event::Update { ephemeral: true },
        Event::Launched,
        Event::Froze,
        Event::Thawed,
        Event::FreezeFailed,
        Event::ThawFailed,
        Event::GraceOver,
        Event::Over { end: End::Ended },
        Event::Over { end: End::StartFailed },
        Event::Over { end: End::Lost },
        Event::Unhealthy { grace: Duration::from_secs(3) },
        Event::TornDown { again: false },
        Event::TornDown { again: true },
        Event::RestartDue,
        Event::TeardownFailed,
        Event::Purged,
        Event::PurgeFailed,
    ]
}

fn line(state: &State, event: &Event) -> String {
    let show = |state: &State| {
        let flag = |set: bool, name: &str| if set { format!(" {name}") } else { String::new() };
        let flags =
            flag(state.ephemeral, "ephemeral") + &flag(state.deleting, "deleting") + &flag(state.wanted, "wanted");
        format!("{:?} #{}/{}{flags}", state.phase, state.attempt, state.asked)
    };
    match step(state, event) {
        Ok(step) if step.next == *state && step.effects.is_empty() => {
            format!("{} | {event:?} | =", show(state))
        }
        Ok(step) => format!("{} | {event:?} | {} | {:?}", show(state), show(&step.next), step.effects),
        Err(refusal) => format!("{} | {event:?} | refused: {refusal}", show(state)),
    }
}

#[test]
fn the_table_is_the_one_in_the_golden_file() {
    let mut table = String::from(
        "# state | event | next state (= unchanged) | effects. Written by `BLESS=1 cargo test -p tweendeck-agent table`.\n",
    );
    for state in states() {
        for event in events() {
            writeln!(table, "{}", line(&state, &event)).unwrap();
        }
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/lifecycle/transitions.txt");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(path, &table).unwrap();
    }
    let golden = std::fs::read_to_string(path).unwrap();
    for (line, (ours, golden)) in table.lines().zip(golden.lines()).enumerate() {
        assert_eq!(ours, golden, "transitions.txt line {}", line + 1);
    }
    assert_eq!(table.lines().count(), golden.lines().count());
}
