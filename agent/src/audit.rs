//! Looks whether the kernel still has the limits of containers as they were asked.
//!
//! Here is only the looking, side by side with everything else. What is found is judged again, written down and brought back by the container's actor, which
//! knows what is under way (`workload/drift.rs`).

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::causes::causes;
use crate::registry::Registry;
use crate::workload::{Op, Terms, needs_audit};
use crate::{blocking, tasks};

/// How long one container may hold up the looks at others.
const ANSWER: Duration = Duration::from_secs(5);

/// Starts looking, at once and every `pause` from then on. Ends when the agent goes down.
pub fn start(registry: Registry, pause: Duration, mut stopping: watch::Receiver<bool>) {
    tasks::spawn("audit", async move {
        let mut ticks = interval(pause);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! { biased;
                _ = stopping.wait_for(|stopping| *stopping) => return,
                _ = ticks.tick() => {}
            }
            look(&registry).await;
        }
    });
}

async fn look(registry: &Registry) {
    let host = registry.host().clone();
    let handles = registry.handles();
    // All of them on one thread: a container costs some microseconds.
    let found = blocking::run(move || {
        let differs = |view: &crate::journal::Record| match needs_audit(&host.hierarchies, view) {
            Ok(differs) => differs,
            Err(error) => {
                tracing::debug!(container = view.name(), error = causes(&error), "look at its limits");
                false
            }
        };
        handles.into_iter().filter(|handle| differs(&handle.view())).collect::<Vec<_>>()
    });
    let found = found.await.unwrap_or_else(|error| {
        tracing::error!(%error, "look at limits");
        Vec::new()
    });
    for handle in found {
        let name = || handle.view().name().to_owned();
        match timeout(ANSWER, handle.ask(Op::Audit, Terms::default())).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::debug!(container = name(), %error, "audit; looking again"),
            Err(_) => tracing::warn!(container = name(), "audit: no answer yet; looking again"),
        }
    }
}
