//! Carrying out effects.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::{Instant, timeout};
use tweendeck_proto::v1;
use tweendeck_runtime::bundle::Peer;
use tweendeck_runtime::control::{ControlError, Scope};
use tweendeck_runtime::hook::Moment;
use tweendeck_runtime::launch::{Launched, SupervisorChild, launch};
use tweendeck_runtime::teardown::{self, Inventory};

use super::actor::{Actor, ShuttingDown};
use super::freezer::FreezerRequest;
use super::incidents;
use super::link::{self, Link, News};
use super::namespaces::{Namespaces, Origin};
use super::plan::plan;
use super::unpack;
use crate::causes::causes;
use crate::host::Host;
use crate::journal::Record;
use crate::lifecycle::{Effect, Event};
use crate::{blocking, pollable, tasks};

const SIGKILL: i32 = 9;
const SIGTERM: i32 = 15;
/// How long a supervisor that has reported the end may take to clean up and leave.
const LEAVE: Duration = Duration::from_secs(5);
/// How long until a failed effect is tried again, at first and at most.
const RETRY: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(30));

impl Actor {
    pub(super) async fn carry_out(&mut self, effect: Effect) -> Result<(), ShuttingDown> {
        match effect {
            Effect::Launch => match unpack::archive(&self.record.spec()) {
                Some(archive) => {
                    self.unpack(archive);
                    Ok(())
                }
                // Boxed: it holds a plan and a record, which are large.
                None => Box::pin(self.launch_after_hooks()).await,
            },
            Effect::SignalStop => {
                // Nothing of it runs yet that a signal could ask.
                self.give_up_preparations();
                let spec = self.record.container.spec.as_ref();
                let signal = spec.map(|spec| spec.stop_signal).filter(|signal| *signal != 0).unwrap_or(SIGTERM);
                // Where others are waited for, a command that ends by it would leave them to SIGKILL.
                let all = spec.is_some_and(|spec| spec.wait_for_orphans);
                self.send(signal, if all { Scope::All } else { Scope::Main });
                Ok(())
            }
            Effect::ArmGrace(grace) => {
                // One that runs already may be shortened, never lengthened.
                let over = Instant::now() + grace;
                self.grace_over = Some(self.grace_over.map_or(over, |earlier| earlier.min(over)));
                Ok(())
            }
            Effect::ArmRestart => {
                self.arm_restart();
                Ok(())
            }
            Effect::KillAll => {
                self.grace_over = None;
                self.give_up_preparations();
                self.send(SIGKILL, Scope::All);
                Ok(())
            }
            // Sent where the command is judged, because its caller waits for the answer.
            Effect::SendSignal => Ok(()),
            Effect::Freeze => self.ask_freezer(FreezerRequest::Freeze),
            Effect::Thaw => self.ask_freezer(FreezerRequest::Thaw),
            Effect::RetryThaw => self.try_again(Effect::Thaw),
            Effect::ApplyLimits => Box::pin(self.apply_again()).await,
            Effect::Teardown => self.tear_down().await,
            Effect::Purge => {
                self.purge_when_read();
                Ok(())
            }
            Effect::RetryTeardown => self.try_again(Effect::Teardown),
            Effect::RetryPurge => self.try_again(Effect::Purge),
        }
    }

    /// Whatever is done before the launch.
    fn give_up_preparations(&mut self) {
        if let Some(unpacking) = &mut self.unpacking {
            unpacking.stop();
        }
        if let Some(hooking) = &mut self.hooking {
            hooking.stop_start();
        }
    }

    pub(super) async fn launch_after_hooks(&mut self) -> Result<(), ShuttingDown> {
        if self.run_hooks(Moment::PreStart) { Ok(()) } else { Box::pin(self.launch()).await }
    }

    pub(super) async fn launch(&mut self) -> Result<(), ShuttingDown> {
        // What is still on its way to the kernel must not meet the new attempt's cgroup.
        Box::pin(self.settle()).await?;
        let host = self.around.host.clone();
        let peers = match self.peers() {
            Ok(peers) => peers,
            Err(message) => return self.never_ran(message).await,
        };
        let record = self.record.clone();
        let plan = match blocking::run(move || plan(&host, &record, &peers).map(|plan| (host, plan))).await {
            Ok(Ok(plan)) => plan,
            Ok(Err(error)) => return self.never_ran(format!("plan: {error}")).await,
            Err(error) => return self.never_ran(format!("plan: {error}")).await,
        };
        let (host, plan) = plan;
        let paths = host.paths(self.record.name());
        let copy = self.record.encode();
        let earlier = self.earlier_root();
        let launched = blocking::run(move || {
            if let Some(owner) = earlier {
                tweendeck_runtime::unpack::discard(&owner, &paths).map_err(|error| causes(&error))?;
            }
            let launched = launch(&host.runtime, &plan, &paths).map_err(|error| causes(&error))?;
            crate::adoption::leave_copy(&paths, &copy);
            Ok::<_, String>(launched)
        })
        .await;
        let Launched { client, child } = match launched {
            Ok(Ok(launched)) => launched,
            Ok(Err(message)) => return self.never_ran(format!("launch: {message}")).await,
            Err(error) => return self.never_ran(format!("launch: {error}")).await,
        };
        tasks::spawn("reap supervisor", reap(child));
        match Link::new(client) {
            Ok(link) => self.link = Some(link),
            Err(error) => {
                tracing::error!(container = self.record.name(), %error, "watch the supervisor");
                self.look_again = Some(Instant::now());
            }
        }
        Ok(())
    }

    /// The containers whose namespaces this one joins, as they are now.
    fn peers(&self) -> Result<BTreeMap<String, Peer>, String> {
        let spec = self.record.spec();
        let mut peers = BTreeMap::new();
        let namespaces = Namespaces::of(&spec);
        for name in namespaces.others() {
            let found = self.around.observer.find(name);
            let pid = found.as_ref().and_then(|record| record.container.status.as_ref()).map_or(0, |status| status.pid);
            let Some(record) = found.filter(|_| pid > 0) else {
                return Err(format!("join the namespaces of container {name:?}: it does not run; start it first"));
            };
            // Whatever its process has made of them since.
            if namespaces.mount == Origin::Container(name.to_owned()) && Namespaces::of(&record.spec()).mount.is_host()
            {
                return Err(format!(
                    "join the mounts of container {name:?}: they are the host's, which have to be asked for by themselves"
                ));
            }
            let cgroup_path = record.cgroup_path().to_owned();
            peers.insert(name.to_owned(), Peer { name: name.to_owned(), pid, cgroup_path });
        }
        Ok(peers)
    }

    /// A signal that is part of the container's life; no caller waits for the answer.
    fn send(&mut self, signal: i32, scope: Scope) {
        if let Some(link) = &mut self.link
            && let Err(error) = link.signal(signal, scope)
        {
            // Full or broken: a new connection begins with what the state asks for, so that no SIGKILL is forgotten.
            tracing::debug!(container = self.record.name(), %error, signal, "send a signal to the supervisor");
            self.hung_up();
        }
    }

    async fn tear_down(&mut self) -> Result<(), ShuttingDown> {
        if !self.supervisor_left().await {
            let message = "waits for its supervisor to leave";
            return self.happened(Event::TeardownFailed, |record| record.say_if_silent(message.into())).await;
        }
        let host = self.around.host.clone();
        let (name, cgroup) = (self.record.name().to_owned(), self.record.cgroup_path().to_owned());
        let torn = blocking::run(move || {
            let paths = host.paths(&name);
            teardown::teardown(&host.hierarchies, &cgroup, &paths).map_err(|error| {
                let left = Inventory::take(&host.hierarchies, &cgroup, &paths);
                left.map_or(causes(&error), |left| format!("{}; there is still {left}", causes(&error)))
            })
        })
        .await
        .unwrap_or_else(|error| Err(error.to_string()));
        match torn {
            Ok(_) => {
                self.failures = 0;
                if self.run_hooks(Moment::PostStop) { Ok(()) } else { self.torn_down(None).await }
            }
            Err(message) => {
                tracing::warn!(container = self.record.name(), message, "teardown; trying again");
                self.happened(Event::TeardownFailed, |record| record.say_if_silent(message)).await
            }
        }
    }

    /// Nothing of the attempt is left; `message` if there is something to say about that.
    pub(super) async fn torn_down(&mut self, message: Option<String>) -> Result<(), ShuttingDown> {
        let next = self.next_start();
        self.happened(Event::TornDown { again: next.is_again() }, |record| {
            next.note(record);
            if let Some(message) = message {
                record.say_if_silent(message);
            }
            let status = record.status_mut();
            status.supervisor_pid = 0;
            status.effective = None;
        })
        .await
    }

    /// Waits, for a while, until nobody holds the supervisor's socket any more: then it has cleaned up and left.
    async fn supervisor_left(&mut self) -> bool {
        let paths = self.around.host.paths(self.record.name());
        let left = async {
            loop {
                while self.link.is_some() {
                    if let News::Closed = link::next(&mut self.link).await {
                        self.link = None;
                    }
                }
                match Link::connect(&paths).map(Link::new) {
                    Err(ControlError::Refused(_)) => return,
                    Ok(Ok(link)) => self.link = Some(link),
                    Ok(Err(_)) | Err(_) => tokio::time::sleep(RETRY.0).await,
                }
            }
        };
        timeout(LEAVE, left).await.is_ok()
    }

    fn try_again(&mut self, effect: Effect) -> Result<(), ShuttingDown> {
        let wait = RETRY.0.saturating_mul(1_u32.checked_shl(self.failures).unwrap_or(u32::MAX)).min(RETRY.1);
        self.failures = self.failures.saturating_add(1);
        self.retry = Some((Instant::now() + wait, effect));
        Ok(())
    }
}

impl Record {
    /// What is only true of an attempt is not true of the next one.
    pub(super) fn begin_attempt(&mut self, host: &Host) {
        self.replaced = None;
        self.unhealthy = false;
        self.boot_id.clone_from(&host.boot_id);
        let cgroup_path = host.cgroup_path(self.name());
        let restart_count = self.restart.history.count;
        let status = self.status_mut();
        status.cgroup_path = cgroup_path;
        status.restart_count = restart_count;
        status.next_start_time = None;
        status.health = None;
        status.isolated = false;
        status.message.clear();
        incidents::forget(status);
        status.limit_drift = None;
        status.logs = None;
        status.start_time = None;
    }
}

/// The grace period of a container: what was asked at its creation, else 10 s.
pub(super) fn own_grace(record: &Record) -> Duration {
    let asked = record.container.spec.as_ref().and_then(|spec: &v1::ContainerSpec| spec.stop_grace);
    asked.and_then(|grace| grace.try_into().ok()).unwrap_or(Duration::from_secs(10))
}

/// Waits for a supervisor of ours to exit and takes its zombie away.
async fn reap(child: SupervisorChild) {
    let mut child = match pollable::readable(child) {
        Ok(child) => child,
        Err(error) => return tracing::warn!(%error, "watch a supervisor for its exit"),
    };
    loop {
        let Ok(mut guard) = child.readable_mut().await else {
            return;
        };
        match guard.get_inner_mut().try_reap() {
            Ok(true) | Err(_) => return,
            Ok(false) => guard.clear_ready(),
        }
    }
}
