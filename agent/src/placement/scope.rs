//! The scope, asked of systemd over D-Bus (org.freedesktop.systemd1(5)).
//!
//! A scope and not our own unit: systemd puts the new main process of a unit that is restarted into the unit's cgroup, which fails for ever once
//! that hands down controllers (status 219/CGROUP). And not a cgroup that systemd does not know: it takes away the controllers at its next reload.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, timeout};
use tweendeck_runtime::cgroup::placement::{self, PlacementError};
use tweendeck_runtime::cgroup::{Hierarchies, Version};
use tweendeck_runtime::hold::{HoldError, Holder};
use tweendeck_runtime::launch::RuntimeBinary;
use zbus::proxy::CacheProperties;
use zbus::zvariant::{OwnedObjectPath, Value};
use zbus::{Connection, Proxy};

use crate::blocking::{self, Panicked};

/// One call, and the way to the bus.
const CALL: Duration = Duration::from_secs(5);
/// Until the scope is there. A restart may have to wait until an empty one has gone.
const DEADLINE: Duration = Duration::from_secs(20);
/// Between two looks. A scope takes a few milliseconds, and this happens once in an agent's life.
const LOOK: Duration = Duration::from_millis(20);

const SYSTEMD: &str = "org.freedesktop.systemd1";
const NO_SUCH_UNIT: &str = "org.freedesktop.systemd1.NoSuchUnit";
const UNIT_EXISTS: &str = "org.freedesktop.systemd1.UnitExists";

/// A scope, by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// Its slice.
    pub slice: String,
    /// Its name: one per node, so that the next agent finds it.
    pub unit: String,
}

impl Scope {
    /// The scope of a node. What a node id is made of may stand in a unit's name as it is (systemd.unit(5)).
    #[must_use]
    pub fn of(slice: &str, node_id: &str) -> Self {
        Self { slice: slice.to_owned(), unit: format!("tweendeck-{node_id}.scope") }
    }
}

/// Why there is no scope.
#[derive(Debug, thiserror::Error)]
pub enum ScopeError {
    /// The system bus is not there, or not answering.
    #[error("reach the system bus")]
    Bus(#[source] zbus::Error),
    /// Nothing came within the deadline.
    #[error("{what} took longer than {} s", .after.as_secs())]
    Late {
        /// What was waited for.
        what: &'static str,
        /// How long.
        after: Duration,
    },
    /// Systemd refused a call.
    #[error("call {call} of systemd")]
    Call {
        /// Which.
        call: &'static str,
        /// Why.
        #[source]
        source: zbus::Error,
    },
    /// Systemd took the request, and the scope has gone or failed.
    #[error("systemd has not kept the scope: it is {0}; its journal says why")]
    Failed(String),
    /// A scope of this name is somebody else's.
    #[error("a scope of this name exists and is not delegated: stop it, or choose another node.id")]
    NotDelegated,
    /// The scope's cgroup is not below what is mounted here.
    #[error("the cgroup {0} is not below the mount point: the agent is in another cgroup namespace than systemd")]
    Outside(String),
    /// The scope's cgroup could not be looked up.
    #[error("find the scope's cgroup")]
    Find(#[source] PlacementError),
    /// The holder could not be had.
    #[error("hold the scope")]
    Hold(#[source] HoldError),
    /// A bug.
    #[error("work on the holder")]
    Panicked(#[source] Panicked),
}

/// A connection to systemd, which has answered on it.
#[derive(Debug)]
pub(super) struct Systemd {
    connection: Connection,
}

/// The scope, as systemd has it.
#[derive(Debug)]
struct Found {
    state: String,
    control_group: String,
    delegated: bool,
}

/// Connects to systemd.
pub(super) async fn connect() -> Result<Systemd, ScopeError> {
    let connecting = async { zbus::connection::Builder::system()?.method_timeout(CALL).build().await };
    let late = ScopeError::Late { what: "the way to the system bus", after: CALL };
    let connection = timeout(CALL, connecting).await.map_err(|_| late)?.map_err(ScopeError::Bus)?;
    let systemd = Systemd { connection };
    let manager = systemd.manager().await?;
    let version: Result<String, _> = manager.get_property("Version").await;
    version.map_err(call("the property Version"))?;
    Ok(systemd)
}

fn call(call: &'static str) -> impl Fn(zbus::Error) -> ScopeError {
    move |source| ScopeError::Call { call, source }
}

impl Systemd {
    async fn manager(&self) -> Result<Proxy<'_>, ScopeError> {
        self.proxy("/org/freedesktop/systemd1".to_owned(), "org.freedesktop.systemd1.Manager").await
    }

    /// Properties are asked for each time: what a cache knows may be old.
    async fn proxy(&self, path: String, interface: &'static str) -> Result<Proxy<'_>, ScopeError> {
        let builder = zbus::proxy::Builder::new(&self.connection).cache_properties(CacheProperties::No);
        let built = async { builder.destination(SYSTEMD)?.path(path)?.interface(interface)?.build().await };
        built.await.map_err(ScopeError::Bus)
    }

    /// The scope of this name, if systemd knows one.
    async fn find(&self, unit: &str) -> Result<Option<Found>, ScopeError> {
        let path: Result<OwnedObjectPath, _> = self.manager().await?.call("GetUnit", &(unit,)).await;
        let path = match path {
            Ok(path) => path.to_string(),
            Err(error) if is(&error, NO_SUCH_UNIT) => return Ok(None),
            Err(source) => return Err(ScopeError::Call { call: "GetUnit", source }),
        };
        let general = self.proxy(path.clone(), "org.freedesktop.systemd1.Unit").await?;
        let scope = self.proxy(path, "org.freedesktop.systemd1.Scope").await?;
        Ok(Some(Found {
            state: general.get_property("ActiveState").await.map_err(call("the property ActiveState"))?,
            control_group: scope.get_property("ControlGroup").await.map_err(call("the property ControlGroup"))?,
            delegated: scope.get_property("Delegate").await.map_err(call("the property Delegate"))?,
        }))
    }

    /// Asks for the scope, with a process in it. `false`: there is one already, which may be about to go.
    async fn start(&self, scope: &Scope, pid: u32) -> Result<bool, ScopeError> {
        let properties = [
            ("Description", Value::from("Containers of Tweendeck")),
            ("Slice", Value::from(scope.slice.as_str())),
            ("PIDs", Value::from(vec![pid])),
            // All the controllers that systemd has.
            ("Delegate", Value::from(true)),
            // Each container has a limit of its own; the default (a share of the machine's) would be one for all.
            ("TasksMax", Value::from(u64::MAX)),
            // Nobody is left to reset a failed one, and its name is needed again.
            ("CollectMode", Value::from("inactive-or-failed")),
        ];
        let auxiliary: [(&str, Vec<(&str, Value<'_>)>); 0] = [];
        let body = (scope.unit.as_str(), "fail", properties.as_slice(), auxiliary.as_slice());
        let manager = self.manager().await?;
        let job: Result<OwnedObjectPath, _> = manager.call("StartTransientUnit", &body).await;
        match job {
            Ok(_) => Ok(true),
            Err(error) if is(&error, UNIT_EXISTS) => Ok(false),
            Err(source) => Err(ScopeError::Call { call: "StartTransientUnit", source }),
        }
    }

    /// Puts a process into a scope in every hierarchy that systemd has.
    async fn attach(&self, unit: &str, pid: u32) -> Result<(), ScopeError> {
        let body = (unit, "", vec![pid]);
        let manager = self.manager().await?;
        manager.call("AttachProcessesToUnit", &body).await.map_err(call("AttachProcessesToUnit"))
    }
}

fn is(error: &zbus::Error, name: &str) -> bool {
    if let zbus::Error::MethodError(found, _, _) = error { found.as_str() == name } else { false }
}

/// Finds the scope or has it made, with a living holder in it. Gives its cgroup, below each hierarchy's mount point, and the holder.
pub(super) async fn ensure(
    scope: &Scope,
    hierarchies: &Hierarchies,
    runtime: &Arc<RuntimeBinary>,
) -> Result<(String, Holder), ScopeError> {
    let late = ScopeError::Late { what: "the scope", after: DEADLINE };
    timeout(DEADLINE, find_or_start(scope, hierarchies, runtime)).await.map_err(|_| late)?
}

async fn find_or_start(
    scope: &Scope,
    hierarchies: &Hierarchies,
    runtime: &Arc<RuntimeBinary>,
) -> Result<(String, Holder), ScopeError> {
    let systemd = connect().await?;
    let mut fresh = Fresh(None);
    let mut accepted = false;
    loop {
        match systemd.find(&scope.unit).await? {
            Some(found) if found.state == "active" => {
                return systemd.settle(scope, found, fresh, hierarchies, runtime).await;
            }
            Some(found) if accepted && found.state == "failed" => return Err(ScopeError::Failed(found.state)),
            None if accepted => return Err(ScopeError::Failed("gone".to_owned())),
            // It is on its way, in one direction or the other.
            Some(_) => {}
            None => accepted = systemd.start(scope, fresh.pid(runtime).await?).await?,
        }
        sleep(LOOK).await;
    }
}

impl Systemd {
    /// Sees to it that a scope that is there has a holder in the right place.
    async fn settle(
        &self,
        scope: &Scope,
        found: Found,
        mut fresh: Fresh,
        hierarchies: &Hierarchies,
        runtime: &Arc<RuntimeBinary>,
    ) -> Result<(String, Holder), ScopeError> {
        if !found.delegated {
            return Err(ScopeError::NotDelegated);
        }
        let base = placement::below_mount(hierarchies, &found.control_group).map_err(ScopeError::Find)?;
        let base = base.ok_or(ScopeError::Outside(found.control_group))?;
        let (seen, place) = (hierarchies.clone(), base.clone());
        let living = blocking::run(move || Holder::find(&seen, &place)).await;
        if let Some(holder) = living.map_err(ScopeError::Panicked)?.map_err(ScopeError::Hold)? {
            // The one that was started for this scope is our child, and has been put there.
            let holder = fresh.0.take_if(|ours| ours.pid() == holder.pid()).unwrap_or(holder);
            return settled(holder, hierarchies, base).await;
        }
        let pid = fresh.pid(runtime).await?;
        if hierarchies.version() != Version::V2 {
            self.attach(&scope.unit, pid).await?;
        }
        match fresh.0.take() {
            Some(holder) => settled(holder, hierarchies, base).await,
            None => Err(ScopeError::Failed("without a holder".to_owned())),
        }
    }
}

async fn settled(holder: Holder, hierarchies: &Hierarchies, base: String) -> Result<(String, Holder), ScopeError> {
    let (seen, place) = (hierarchies.clone(), base.clone());
    let done = blocking::run(move || {
        let moved = holder.settle(&seen, &place);
        if moved.is_err() {
            holder.end();
        }
        moved.map(|()| holder)
    });
    let holder = done.await.map_err(ScopeError::Panicked)?.map_err(ScopeError::Hold)?;
    Ok((base, holder))
}

/// A holder that has no scope yet; ended when nothing comes of it.
struct Fresh(Option<Holder>);

impl Fresh {
    async fn pid(&mut self, runtime: &Arc<RuntimeBinary>) -> Result<u32, ScopeError> {
        let runtime = runtime.clone();
        let holder = match self.0.take() {
            Some(holder) => holder,
            None => {
                let spawned = blocking::run(move || Holder::spawn(&runtime)).await;
                spawned.map_err(ScopeError::Panicked)?.map_err(ScopeError::Hold)?
            }
        };
        Ok(self.0.insert(holder).pid().unsigned_abs())
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        if let Some(holder) = &mut self.0 {
            holder.end();
            holder.reap();
        }
    }
}
