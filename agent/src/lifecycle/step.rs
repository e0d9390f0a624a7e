//! The decisions, one function per phase.

use std::time::Duration;

use super::state::{Effect, End, Event, Phase, Refusal, State, Step};

type Decision = Result<Step, Refusal>;

/// What follows from `event` in `state`. Touches nothing; the same arguments give the same answer.
///
/// # Errors
/// [`Refusal::WrongState`] for a caller's event the state does not allow, [`Refusal::Unexpected`] for an effect's event that does not
/// belong here. The state then stays as it is.
pub fn step(state: &State, event: &Event) -> Decision {
    let mut decision = in_phase(state, event)?;
    let next = &mut decision.next;
    if matches!(event, Event::Start) {
        next.wanted = true;
        if next.attempt != state.attempt {
            next.asked = next.attempt;
        }
    }
    // Whatever it was on its way to: nobody wants it to come back by itself.
    if matches!(event, Event::Stop { .. } | Event::Delete { .. }) {
        next.wanted = false;
    }
    Ok(decision)
}

fn in_phase(state: &State, event: &Event) -> Decision {
    match &state.phase {
        Phase::Created | Phase::Stopped => at_rest(state, event),
        Phase::Starting => starting(state, event),
        Phase::Running => running(state, event),
        Phase::Freezing => freezing(state, event),
        Phase::Frozen => frozen(state, event),
        Phase::Thawing => thawing(state, event),
        Phase::Stopping { grace } => stopping(state, *grace, event),
        Phase::Killing => killing(state, event),
        Phase::Reaping { .. } => reaping(state, event),
        Phase::Waiting => waiting(state, event),
        Phase::Removing => removing(state, event),
        Phase::Removed => removed(event),
    }
}

fn at_rest(state: &State, event: &Event) -> Decision {
    match event {
        Event::Start if state.deleting => Err(BEING_DELETED),
        Event::Start => start_now(state),
        Event::Stop { .. } => stay(state),
        Event::Delete { .. } => delete_now(state),
        Event::Signal | Event::Freeze | Event::Thaw => Err(Refusal::WrongState("it does not run")),
        // The next start has them.
        Event::Resize if !state.deleting => stay(state),
        Event::Resize => Err(BEING_DELETED),
        Event::Update { .. } if state.deleting => Err(BEING_DELETED),
        Event::Update { ephemeral } => go(State { ephemeral: *ephemeral, ..state.clone() }, []),
        Event::Launched
        | Event::Froze
        | Event::Thawed
        | Event::FreezeFailed
        | Event::ThawFailed
        | Event::GraceOver
        | Event::Over { .. }
        | Event::Unhealthy { .. }
        | Event::TornDown { .. }
        | Event::RestartDue
        | Event::TeardownFailed
        | Event::Purged
        | Event::PurgeFailed => Err(Refusal::Unexpected),
    }
}

fn starting(state: &State, event: &Event) -> Decision {
    match event {
        Event::Start if state.deleting => Err(BEING_DELETED),
        Event::Start => stay(state),
        // The command has hardly begun, if at all: there is nobody to ask politely.
        Event::Stop { .. } => kill(state),
        Event::Delete { force } => delete_live(state, *force),
        // The supervisor is giving it the limits it was started with.
        Event::Signal | Event::Freeze | Event::Thaw | Event::Resize => {
            Err(Refusal::WrongState("it is being started; wait until it runs"))
        }
        Event::Update { .. } => Err(RUNS),
        Event::Launched => go(state.clone().into(Phase::Running), []),
        Event::Over { end } => reap(state, *end),
        Event::GraceOver
        | Event::Froze
        | Event::Thawed
        | Event::FreezeFailed
        | Event::ThawFailed
        | Event::Unhealthy { .. }
        | Event::TornDown { .. }
        | Event::RestartDue
        | Event::TeardownFailed
        | Event::Purged
        | Event::PurgeFailed => Err(Refusal::Unexpected),
    }
}

fn running(state: &State, event: &Event) -> Decision {
    match event {
        Event::Start => stay(state),
        Event::Stop { grace } => ask_to_end(state, *grace),
        Event::Unhealthy { grace } => ask_to_end(state, *grace),
        Event::Delete { force } => delete_live(state, *force),
        Event::Signal => go(state.clone(), [Effect::SendSignal]),
        Event::Resize => go(state.clone(), [Effect::ApplyLimits]),
        Event::Update { .. } => Err(RUNS),
        Event::Freeze if state.deleting => Err(BEING_DELETED),
        Event::Freeze => go(state.clone().into(Phase::Freezing), [Effect::Freeze]),
        // A store that was lost knows nothing of a freeze; the supervisor does.
        Event::Froze => go(state.clone().into(Phase::Frozen), []),
        Event::Thaw | Event::Thawed | Event::FreezeFailed | Event::ThawFailed => stay(state),
        Event::Over { end } => reap(state, *end),
        Event::Launched
        | Event::GraceOver
        | Event::TornDown { .. }
        | Event::RestartDue
        | Event::TeardownFailed
        | Event::Purged
        | Event::PurgeFailed => Err(Refusal::Unexpected),
    }
}

fn freezing(state: &State, event: &Event) -> Decision {
    match event {
        Event::Start => Err(FROZEN),
        Event::Stop { grace } => stop_frozen(state, *grace),
        Event::Delete { force } => delete_live(state, *force),
        Event::Signal => go(state.clone(), [Effect::SendSignal]),
        Event::Freeze => stay(state),
        Event::Thaw => thaw(state),
        Event::Resize => go(state.clone(), [Effect::ApplyLimits]),
        Event::Update { .. } => Err(RUNS),
        Event::Froze => go(state.clone().into(Phase::Frozen), []),
        Event::FreezeFailed => go(state.clone().into(Phase::Running), []),
        // The supervisor says what is; it may not have begun, or have ended an earlier thaw.
        Event::Launched | Event::Thawed | Event::ThawFailed => stay(state),
        Event::Over { end } => reap(state, *end),
        Event::GraceOver
        | Event::Unhealthy { .. }
        | Event::TornDown { .. }
        | Event::RestartDue
        | Event::TeardownFailed
        | Event::Purged
        | Event::PurgeFailed => Err(Refusal::Unexpected),
    }
}

fn frozen(state: &State, event: &Event) -> Decision {
    match event {
        Event::Start => Err(FROZEN),
        Event::Stop { grace } => stop_frozen(state, *grace),
        Event::Delete { force } => delete_live(state, *force),
        // SIGKILL takes effect at once, and the supervisor thaws it for that; every other signal waits for the thaw.
        Event::Signal => go(state.clone(), [Effect::SendSignal]),
        Event::Thaw => thaw(state),
        Event::Resize => go(state.clone(), [Effect::ApplyLimits]),
        Event::Update { .. } => Err(RUNS),
        Event::Thawed => go(state.clone().into(Phase::Running), []),
        Event::Freeze | Event::Launched | Event::Froze | Event::FreezeFailed | Event::ThawFailed => stay(state),
        Event::Over { end } => reap(state, *end),
        Event::GraceOver
        | Event::Unhealthy { .. }
        | Event::TornDown { .. }
        | Event::RestartDue
        | Event::TeardownFailed
        | Event::Purged
        | Event::PurgeFailed => Err(Refusal::Unexpected),
    }
}

fn thawing(state: &State, event: &Event) -> Decision {
    match event {
        Event::Start | Event::Thaw => stay(state),
        Event::Stop { grace } => stop_frozen(state, *grace),
        Event::Delete { force } => delete_live(state, *force),
        Event::Signal => go(state.clone(), [Effect::SendSignal]),
        Event::Freeze => go(state.clone().into(Phase::Freezing), [Effect::Freeze]),
        Event::Resize => go(state.clone(), [Effect::ApplyLimits]),
        Event::Update { .. } => Err(RUNS),
        Event::Thawed => go(state.clone().into(Phase::Running), []),
        Event::ThawFailed => go(state.clone(), [Effect::RetryThaw]),
        // What the supervisor said before it heard of the thaw.
        Event::Launched | Event::Froze | Event::FreezeFailed => stay(state),
        Event::Over { end } => reap(state, *end),
        Event::GraceOver
        | Event::Unhealthy { .. }
        | Event::TornDown { .. }
        | Event::RestartDue
        | Event::TeardownFailed
        | Event::Purged
        | Event::PurgeFailed => Err(Refusal::Unexpected),
    }
}

fn stopping(state: &State, current: Duration, event: &Event) -> Decision {
    match event {
        Event::Start | Event::Update { .. } => Err(Refusal::WrongState("it is stopping; wait until it has stopped")),
        Event::Stop { grace } if grace.is_zero() => kill(state),
        // A second stop may shorten the grace period, never lengthen it.
        Event::Stop { grace } if *grace < current => {
            go(state.clone().into(Phase::Stopping { grace: *grace }), [Effect::ArmGrace(*grace)])
        }
        Event::Stop { .. } => stay(state),
        Event::Delete { force } => delete_live(state, *force),
        Event::Signal => go(state.clone(), [Effect::SendSignal]),
        Event::Freeze => Err(Refusal::WrongState("it is stopping")),
        Event::Resize => go(state.clone(), [Effect::ApplyLimits]),
        Event::GraceOver => kill(state),
        Event::Over { end } => reap(state, *end),
        // The supervisor repeats its state to a client that connects. Should a thaw have failed, the end of the grace period helps.
        Event::Thaw | Event::Launched | Event::Froze | Event::Thawed | Event::FreezeFailed | Event::ThawFailed => {
            stay(state)
        }
        Event::Unhealthy { .. }
        | Event::TornDown { .. }
        | Event::RestartDue
        | Event::TeardownFailed
        | Event::Purged
        | Event::PurgeFailed => Err(Refusal::Unexpected),
    }
}

fn killing(state: &State, event: &Event) -> Decision {
    match event {
        Event::Start | Event::Resize | Event::Update { .. } => {
            Err(Refusal::WrongState("it is being killed; wait until it has stopped"))
        }
        Event::Stop { .. } => stay(state),
        Event::Delete { force } => delete_live(state, *force),
        Event::Signal => go(state.clone(), [Effect::SendSignal]),
        Event::Freeze => Err(Refusal::WrongState("it is being killed")),
        // It became executable, or froze, between our decision and its death; SIGKILL is on its way.
        Event::Thaw | Event::Launched | Event::Froze | Event::Thawed | Event::FreezeFailed | Event::ThawFailed => {
            stay(state)
        }
        Event::Over { end } => reap(state, *end),
        Event::GraceOver
        | Event::Unhealthy { .. }
        | Event::TornDown { .. }
        | Event::RestartDue
        | Event::TeardownFailed
        | Event::Purged
        | Event::PurgeFailed => Err(Refusal::Unexpected),
    }
}

fn reaping(state: &State, event: &Event) -> Decision {
    match event {
        Event::Start | Event::Resize | Event::Update { .. } => {
            Err(Refusal::WrongState("it has ended and is being cleaned up; wait until it has stopped"))
        }
        Event::Stop { .. } => stay(state),
        Event::Delete { .. } => go(State { deleting: true, ..state.clone() }, []),
        Event::Signal | Event::Freeze | Event::Thaw => Err(Refusal::WrongState("it has ended")),
        Event::TornDown { .. } if state.deleting || state.ephemeral => delete_now(state),
        Event::TornDown { again: true } if state.wanted => go(state.clone().into(Phase::Waiting), [Effect::ArmRestart]),
        Event::TornDown { .. } => go(State { wanted: false, ..state.clone().into(Phase::Stopped) }, []),
        Event::TeardownFailed => go(state.clone(), [Effect::RetryTeardown]),
        Event::Launched
        | Event::Froze
        | Event::Thawed
        | Event::FreezeFailed
        | Event::ThawFailed
        | Event::GraceOver
        | Event::Unhealthy { .. }
        | Event::RestartDue
        | Event::Over { .. }
        | Event::Purged
        | Event::PurgeFailed => Err(Refusal::Unexpected),
    }
}

fn waiting(state: &State, event: &Event) -> Decision {
    match event {
        Event::Start | Event::RestartDue => start_now(state),
        Event::Stop { .. } => go(state.clone().into(Phase::Stopped), []),
        Event::Delete { .. } => delete_now(state),
        Event::Signal | Event::Freeze | Event::Thaw => Err(Refusal::WrongState("it waits to be started again")),
        // The next start has them.
        Event::Resize => stay(state),
        Event::Update { .. } => Err(Refusal::WrongState("it waits to be started again; stop it first")),
        Event::Launched
        | Event::Froze
        | Event::Thawed
        | Event::FreezeFailed
        | Event::ThawFailed
        | Event::GraceOver
        | Event::Over { .. }
        | Event::Unhealthy { .. }
        | Event::TornDown { .. }
        | Event::TeardownFailed
        | Event::Purged
        | Event::PurgeFailed => Err(Refusal::Unexpected),
    }
}

fn removing(state: &State, event: &Event) -> Decision {
    match event {
        Event::Start | Event::Signal | Event::Freeze | Event::Thaw | Event::Resize | Event::Update { .. } => {
            Err(BEING_DELETED)
        }
        Event::Stop { .. } | Event::Delete { .. } => stay(state),
        Event::Purged => go(state.clone().into(Phase::Removed), []),
        Event::PurgeFailed => go(state.clone(), [Effect::RetryPurge]),
        Event::Launched
        | Event::Froze
        | Event::Thawed
        | Event::FreezeFailed
        | Event::ThawFailed
        | Event::GraceOver
        | Event::Over { .. }
        | Event::Unhealthy { .. }
        | Event::TornDown { .. }
        | Event::RestartDue
        | Event::TeardownFailed => Err(Refusal::Unexpected),
    }
}

fn removed(event: &Event) -> Decision {
    match event {
        Event::Start
        | Event::Signal
        | Event::Freeze
        | Event::Thaw
        | Event::Resize
        | Event::Update { .. }
        | Event::Stop { .. }
        | Event::Delete { .. } => Err(BEING_DELETED),
        Event::Launched
        | Event::Froze
        | Event::Thawed
        | Event::FreezeFailed
        | Event::ThawFailed
        | Event::GraceOver
        | Event::Over { .. }
        | Event::Unhealthy { .. }
        | Event::TornDown { .. }
        | Event::RestartDue
        | Event::TeardownFailed
        | Event::Purged
        | Event::PurgeFailed => Err(Refusal::Unexpected),
    }
}

const BEING_DELETED: Refusal = Refusal::WrongState("it is being deleted");
const RUNS: Refusal = Refusal::WrongState("it runs; stop it first");
const FROZEN: Refusal = Refusal::WrongState("it is frozen; thaw it");

fn go(next: State, effects: impl Into<Vec<Effect>>) -> Decision {
    Ok(Step { next, effects: effects.into() })
}

fn stay(state: &State) -> Decision {
    go(state.clone(), [])
}

fn start_now(state: &State) -> Decision {
    let next = State { attempt: state.attempt.saturating_add(1), ..state.clone() };
    go(next.into(Phase::Starting), [Effect::Launch])
}

fn ask_to_end(state: &State, grace: Duration) -> Decision {
    if grace.is_zero() {
        return kill(state);
    }
    go(state.clone().into(Phase::Stopping { grace }), [Effect::SignalStop, Effect::ArmGrace(grace)])
}

fn kill(state: &State) -> Decision {
    go(state.clone().into(Phase::Killing), [Effect::KillAll])
}

fn thaw(state: &State) -> Decision {
    go(state.clone().into(Phase::Thawing), [Effect::Thaw])
}

/// Who is frozen hears no signal: it goes on, and the stop signal is the first that it finds.
fn stop_frozen(state: &State, grace: Duration) -> Decision {
    if grace.is_zero() {
        return kill(state);
    }
    let effects = [Effect::SignalStop, Effect::Thaw, Effect::ArmGrace(grace)];
    go(state.clone().into(Phase::Stopping { grace }), effects)
}

fn reap(state: &State, end: End) -> Decision {
    go(state.clone().into(Phase::Reaping { end }), [Effect::Teardown])
}

fn delete_now(state: &State) -> Decision {
    go(State { deleting: true, ..state.clone().into(Phase::Removing) }, [Effect::Purge])
}

fn delete_live(state: &State, force: bool) -> Decision {
    if !force {
        return Err(Refusal::WrongState("it is running; stop it first, or delete with force"));
    }
    kill(&State { deleting: true, ..state.clone() })
}
