//! Where containers' cgroups go: decided once at start from facts (`runtime::cgroup::placement`), made real here.
//!
//! With systemd that is a transient scope (`scope.rs`, the one file that speaks D-Bus), which a small process keeps alive (`keeper.rs`, task `holder`).
//! Limits are never told to systemd: what it knows of a unit it writes again at every daemon-reload, and what lies below a delegated scope it leaves alone.

mod keeper;
mod scope;

use std::path::Path;
use std::sync::Arc;

use tweendeck_runtime::cgroup::placement::{self, Facts, Placement, PlacementError, Systemd};
use tweendeck_runtime::cgroup::{self, CgroupError, Hierarchies};
use tweendeck_runtime::hold::{HoldError, Holder, LEAF};
use tweendeck_runtime::launch::RuntimeBinary;

use crate::blocking::{self, Panicked};
use crate::causes::causes;
use crate::config::Config;
use crate::host::Host;

pub use keeper::{Keeper, keep};
pub use scope::{Scope, ScopeError};

/// Where containers' cgroups are made on this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// The cgroup that hands controllers down, below each hierarchy's mount point; empty is the mount point itself.
    pub base: String,
    /// Parent of the containers' cgroups, `base` or below it.
    pub parent: String,
    /// The scope, where there is one.
    pub scope: Option<Scope>,
    /// Why here, in a sentence's words.
    pub why: String,
    /// What may go wrong here.
    pub hazard: Option<String>,
}

/// Why containers have no place.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// There is none, or it cannot be had.
    #[error("find a place")]
    Place(#[source] PlacementError),
    /// The scope could not be had.
    #[error("get the scope {unit} from systemd")]
    Scope {
        /// Its name.
        unit: String,
        /// Why.
        #[source]
        source: Box<ScopeError>,
    },
    /// The scope's controllers could not be read.
    #[error("read the controllers of the cgroup {base:?}")]
    Controllers {
        /// Which, below the mount point.
        base: String,
        /// Why.
        #[source]
        source: CgroupError,
    },
    /// A bug.
    #[error("work on a place")]
    Panicked(#[source] Panicked),
}

/// What [`establish`] made.
#[derive(Debug)]
pub struct Established {
    /// Where.
    pub placed: Placed,
    /// The hierarchies, with the controllers that this place has.
    pub hierarchies: Hierarchies,
    /// The process that holds the scope, if there is one.
    pub holder: Option<Holder>,
}

/// Decides where containers' cgroups are made, and makes it so: a scope that an earlier agent left is used again.
///
/// # Errors
/// [`PlaceError`].
pub async fn establish(
    config: &Config,
    hierarchies: Hierarchies,
    runtime: &Arc<RuntimeBinary>,
) -> Result<Established, PlaceError> {
    let (mode, parent) = (config.cgroup.placement, config.cgroup.parent.clone());
    // Asked only where the answer matters: a bus that hangs takes its time.
    let asked = parent.is_none() && mode != placement::Mode::Direct;
    let systemd = if asked && placement::systemd_is_here() {
        match scope::connect().await {
            Ok(_) => Systemd::Answers,
            Err(error) => Systemd::Silent(causes(&error)),
        }
    } else {
        Systemd::Absent
    };
    let seen = hierarchies.clone();
    let decided = blocking::run(move || {
        let facts = Facts::gather(&seen, systemd)?;
        // Without a v2 hierarchy there is nothing to be said about it, and nothing to leave.
        let mount = seen.unified().unwrap_or(Path::new(""));
        let decided = placement::decide(&facts, mode, parent.as_deref(), mount)?;
        if let Placement::Tree { base, leave: true, .. } = &decided {
            placement::leave_base(mount, base)?;
        }
        Ok(decided)
    });
    match decided.await.map_err(PlaceError::Panicked)?.map_err(PlaceError::Place)? {
        Placement::Tree { base, parent, why, hazard, leave: _ } => {
            let placed = Placed { base, parent, scope: None, why, hazard };
            finish(placed, hierarchies, None)
        }
        Placement::Scope { why } => {
            let scope = Scope::of(&config.cgroup.slice, config.node.id.as_str());
            let had = scope::ensure(&scope, &hierarchies, runtime).await;
            let (base, holder) =
                had.map_err(|source| PlaceError::Scope { unit: scope.unit.clone(), source: Box::new(source) })?;
            let placed = Placed { parent: base.clone(), base, scope: Some(scope), why, hazard: None };
            finish(placed, hierarchies, Some(holder))
        }
    }
}

fn finish(placed: Placed, hierarchies: Hierarchies, holder: Option<Holder>) -> Result<Established, PlaceError> {
    let failed = |source| PlaceError::Controllers { base: placed.base.clone(), source };
    let hierarchies = hierarchies.below(&placed.base).map_err(failed)?;
    tracing::info!(
        parent = placed.parent,
        scope = placed.scope.as_ref().map(|scope| scope.unit.as_str()),
        why = placed.why,
        "containers' cgroups"
    );
    if let Some(hazard) = &placed.hazard {
        tracing::warn!(hazard, "containers' cgroups");
    }
    Ok(Established { placed, hierarchies, holder })
}

/// Ends the scope if no container is in it, so that an agent that has gone leaves nothing. Blocks.
///
/// # Errors
/// [`HoldError::Look`].
pub fn leave_scope(host: &Host) -> Result<(), HoldError> {
    let base = &host.placed.base;
    let look = |source| HoldError::Look { base: base.clone(), source };
    if cgroup::children(&host.hierarchies, base).map_err(look)?.iter().any(|child| child != LEAF) {
        return Ok(());
    }
    // On v1 there are controllers that systemd does not know, such as the freezer: nobody is in there, and nobody else removes it.
    cgroup::remove_if_empty(&host.hierarchies, base).map_err(look)?;
    if let Some(holder) = Holder::find(&host.hierarchies, base)? {
        holder.end();
    }
    Ok(())
}
