//! The wall clock is set while something waits: what waits, waits as long as was asked.

use std::time::{Duration, Instant};

use tweendeck_integration_tests::alone::alone;
use tweendeck_integration_tests::api::{Api, exit, reason, script, spec, state};
use tweendeck_integration_tests::eventually::eventually_async;
use tweendeck_proto::v1::*;

use crate::node::{Node, all_events, check_journal, check_node};

/// How long everything here waits; a fifth less is right for a restart, whose delay is spread.
const WAIT: Duration = Duration::from_secs(4);
const DAY: i64 = 86_400;

fn wait() -> Option<prost_types::Duration> {
    WAIT.try_into().ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_set_by_a_day_moves_no_restart_no_grace_period_and_no_reservation() {
    let _alone = alone().await;
    for (shift, killed) in [(DAY, false), (-DAY, false), (DAY, true), (-DAY, true)] {
        set(shift, killed).await;
    }
    println!("CRASH wall clock set by a day | forward and back, with and without a death | 12 cells converged");
}

/// One that stops, one that waits for its restart, and a reservation, over a clock that is set.
async fn set(shift: i64, killed: bool) {
    let mut node = Node::start().await;
    let api = node.agent.api().await;
    let restart = Some(RestartPolicy { mode: RestartMode::Always.into(), delay: wait(), ..Default::default() });
    api.run("stubborn", script("trap '' TERM; echo deaf; while :; do sleep 0.05; done")).await.unwrap();
    let deaf = api.get("stubborn").await.unwrap().status.unwrap().log_dir;
    let said = || std::fs::read_to_string(format!("{deaf}/stdout.log")).unwrap_or_default();
    eventually_async("it does not listen", || async { said().contains("deaf").then_some(()) }).await;
    api.run("steady", spec(&["sleep", "1000"])).await.unwrap();
    let began = Instant::now();
    api.run("again", ContainerSpec { restart, ..script("exit 1") }).await.unwrap();
    state_is(&api, "again", ContainerState::Restarting).await;
    let room = CreateReservationRequest {
        name: "room".into(),
        requests: Some(ResourceRequests { cpu_millis: 10, memory_bytes: 0 }),
        ttl: wait(),
        ..Default::default()
    };
    api.reservations.clone().create_reservation(room).await.unwrap();
    let stop = StopContainerRequest { name: "stubborn".into(), grace: wait(), ..Default::default() };
    let stopping = {
        let mut containers = api.containers.clone();
        tokio::spawn(async move { containers.stop_container(stop).await.map(drop) })
    };
    state_is(&api, "stubborn", ContainerState::Stopping).await;
    node.fault.shift(shift);
    if killed {
        node.agent.kill();
        node.agent.resume().await;
    }
    let api = node.agent.api().await;
    let restarted = after(began, || async { (api.get("again").await.ok()?.status?.attempt > 1).then_some(()) });
    let stopped =
        after(began, || async { (state(&api.get("stubborn").await.ok()?) == ContainerState::Stopped).then_some(()) });
    let released = after(began, || async {
        let found = api.reservations.clone().get_reservation(GetReservationRequest { name: "room".into() }).await;
        found.err().filter(|status| reason(status) == "RESERVATION_NOT_FOUND").map(drop)
    });
    let (restarted, stopped, released) = tokio::join!(restarted, stopped, released);
    for (what, took) in [("restart", restarted), ("stop", stopped), ("reservation", released)] {
        // The upper bound is for a day that is not waited, and busy machines.
        assert!(took >= WAIT * 3 / 4 && took < WAIT * 5, "{what} after {took:?}, clock set by {shift} s");
    }
    let _ = stopping.await.unwrap();
    assert_eq!(exit(&api.get("stubborn").await.unwrap()).signal, 9);
    assert_eq!(api.get("steady").await.unwrap().status.unwrap().attempt, 1);
    // One that begins after the clock was set has nothing to compare it with.
    let told = || async {
        let events = all_events(&api).await;
        events.iter().any(|event| event.kinds().any(|kind| kind == EventKind::TimeJumped)).then_some(())
    };
    if !killed {
        eventually_async("it is told that time has jumped", told).await;
    }
    check_node(&api).await;
    check_journal(&api).await;
    // And back, with everything as it is.
    node.fault.shift(0);
    api.create("later", spec(&["true"])).await.unwrap();
}

async fn state_is(api: &Api, name: &str, wanted: ContainerState) {
    eventually_async("it gets there", || async {
        api.get(name).await.ok().filter(|container| state(container) == wanted)
    })
    .await;
}

async fn after<F: Future<Output = Option<()>>>(began: Instant, look: impl FnMut() -> F) -> Duration {
    eventually_async("its time is over", look).await;
    began.elapsed()
}
