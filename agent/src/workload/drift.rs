//! Limits that others have changed: what is found is a fact, which is written down before the limits are brought back.
//!
//! What should be is what the kernel had when limits were last given to it, by a start, a resize or a caller that set a value (`status.effective`); what was left to
//! the kernel may be anything. An agent that dies in between finds the fact, unrepaired, and brings the limits back without telling it again.

use tweendeck_proto::v1;
use tweendeck_runtime::cgroup::{self, BadList, CgroupError, Cpu, Drift, Effective, Hierarchies, Resources};

use super::actor::{Actor, ShuttingDown};
use super::command::CommandError;
use super::exit::timestamp;
use super::fact::now_ms;
use super::limits::{effective_resources, limits, millis};
use super::resize::{self, Outcome, Purpose};
use crate::blocking;
use crate::causes::causes;
use crate::journal::Record;
use crate::lifecycle::Phase;

/// Whether a container's actor should look at its limits: they are not what they should be, or were not when it looked last.
///
/// # Errors
/// [`DriftError`] when that cannot be told.
pub fn needs_audit(hierarchies: &Hierarchies, record: &Record) -> Result<bool, DriftError> {
    if !is_audited(record) {
        return Ok(false);
    }
    Ok(unrepaired(record).is_some() || look(hierarchies, record)?.is_some_and(|found| !found.drift().is_empty()))
}

/// Why limits cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum DriftError {
    /// Those of the record.
    #[error("read the limits of the record")]
    Record(#[from] BadList),
    /// Those of the kernel.
    #[error(transparent)]
    Kernel(#[from] CgroupError),
}

/// Before, limits are on their way; later, the container is.
fn is_audited(record: &Record) -> bool {
    matches!(record.state.phase, Phase::Running | Phase::Frozen) && record.replaced.is_none()
}

/// What was found and does not hold again yet.
fn unrepaired(record: &Record) -> Option<&v1::LimitDrift> {
    record.container.status.as_ref()?.limit_drift.as_deref().filter(|drift| !drift.repaired)
}

/// What should be, and what is.
struct Found {
    asked: Resources,
    expected: Effective,
    found: Effective,
}

impl Found {
    fn drift(&self) -> Vec<Drift> {
        cgroup::drift(&self.asked, &self.expected, &self.found)
    }

    /// In the API's terms.
    fn told(&self) -> Vec<v1::DriftedLimit> {
        let told = |Drift { limit, expected, found }| v1::DriftedLimit {
            limit,
            expected: expected.unwrap_or_default(),
            found: found.unwrap_or_default(),
        };
        let in_millis = |drifted: v1::DriftedLimit| match drifted.limit.as_str() {
            "cpu.quota_us" => v1::DriftedLimit {
                limit: "cpu.limit_millis".to_owned(),
                expected: exact_millis(&self.expected.cpu),
                found: exact_millis(&self.found.cpu),
            },
            _ => drifted,
        };
        self.drift().into_iter().map(told).map(in_millis).collect()
    }
}

/// With what is less than a thousandth of a CPU.
fn exact_millis(cpu: &Cpu) -> String {
    let number = |number: u64| u32::try_from(number).map(f64::from).ok();
    let millis = cpu.quota_us.and_then(number).zip(cpu.period_us.and_then(number));
    millis.map(|(quota, period)| format!("{}", quota * 1000.0 / period)).unwrap_or_default()
}

/// `None` when nothing was asked for.
fn look(hierarchies: &Hierarchies, record: &Record) -> Result<Option<Found>, DriftError> {
    let Some((asked, expected)) = in_force(record)? else { return Ok(None) };
    let found = cgroup::open(hierarchies, record.cgroup_path())?.look(&asked)?;
    Ok(Some(compared(asked, expected, found)))
}

/// What was asked for, and what the kernel then had.
fn in_force(record: &Record) -> Result<Option<(Resources, Effective)>, BadList> {
    let mut asked = limits(record.spec().resources.as_ref())?;
    let effective = record.container.status.as_ref().and_then(|status| status.effective.as_ref());
    let Some(effective) = effective.filter(|_| asked != Resources::default()) else { return Ok(None) };
    let mut expected = limits(Some(effective))?;
    // A period without a limit is no limit of the API's.
    expected.cpu.period_us = effective.cpu.as_ref().and_then(|cpu| cpu.period_us).map(u64::from);
    // Who asks for a limit on memory alone gets no swap.
    if asked.memory.max_bytes.is_some() && asked.memory.swap_max_bytes.is_none() {
        asked.memory.swap_max_bytes = expected.memory.swap_max_bytes.filter(|bytes| *bytes == 0);
    }
    Ok(Some((asked, expected)))
}

/// The API counts CPU time in thousandths of a CPU, the kernel in microseconds a period: of what is the same in thousandths, the exact value.
fn compared(asked: Resources, mut expected: Effective, found: Effective) -> Found {
    let same = |known: &&Resources| millis(&known.cpu) == millis(&expected.cpu);
    if let Some(exact) = [&asked, &found].into_iter().find(same) {
        expected.cpu.quota_us = exact.cpu.quota_us;
    }
    Found { asked, expected, found }
}

/// Brings back what others have changed, and leaves the rest.
pub(super) fn restore(hierarchies: &Hierarchies, record: &Record) -> Outcome {
    let failed = |error: &dyn std::error::Error| CommandError::Resize { why: causes(error) };
    let Some((asked, expected)) = in_force(record).map_err(|error| failed(&error))? else { return Ok(None) };
    let cgroup = cgroup::open(hierarchies, record.cgroup_path()).map_err(|error| failed(&error))?;
    let found = match cgroup.effective() {
        Ok(found) => compared(asked, expected, found),
        Err(error) if error.is_gone() => return Ok(None),
        Err(error) => return Err(failed(&error)),
    };
    let restored = cgroup::restored(&found.asked, &found.expected, &found.found);
    resize::outcome_of(&cgroup, cgroup.replace(&restored, resize::PATIENCE))
}

/// The limits of a container are as they should be.
pub(super) fn hold_again(status: &mut v1::ContainerStatus) {
    if let Some(drift) = status.limit_drift.as_deref_mut() {
        drift.repaired = true;
        drift.message.clear();
    }
}

impl Actor {
    /// Looks at the limits: nothing else of ours is on its way to the kernel.
    pub(super) async fn audit(&mut self) -> Result<(), ShuttingDown> {
        if !is_audited(&self.record) || self.unstored.is_some() {
            return Ok(());
        }
        let (hierarchies, record) = (self.around.host.hierarchies.clone(), self.record.clone());
        let told = match blocking::run(move || look(&hierarchies, &record)).await {
            Ok(Ok(found)) => found.map(|found| found.told()).unwrap_or_default(),
            Ok(Err(error)) => {
                tracing::debug!(container = self.record.name(), error = causes(&error), "look at its limits");
                return Ok(());
            }
            Err(error) => {
                tracing::error!(container = self.record.name(), %error, "look at its limits");
                return Ok(());
            }
        };
        let known = unrepaired(&self.record);
        if told.is_empty() {
            if known.is_none() {
                return Ok(());
            }
            let mut next = self.record.clone();
            hold_again(next.status_mut());
            return self.store(next, Vec::new()).await;
        }
        if known.is_none_or(|known| known.limits != told) {
            tracing::warn!(container = self.record.name(), limits = ?told, "others have changed its limits: they are brought back");
            let mut next = self.record.clone();
            let now = now_ms();
            let drift = next.status_mut().limit_drift.get_or_insert_default();
            **drift = v1::LimitDrift {
                count: drift.count.saturating_add(1),
                last_time: Some(timestamp(now)),
                limits: told,
                repaired: false,
                message: String::new(),
            };
            self.store(next, Vec::new()).await?;
            if self.unstored.is_some() {
                // It is brought back when it has been told: the next look finds it.
                return Ok(());
            }
        }
        self.apply(Purpose::Restore, restore);
        Ok(())
    }

    /// The kernel has taken the limits back, or has not.
    pub(super) async fn restored(&mut self, outcome: Outcome) -> Result<(), ShuttingDown> {
        match outcome {
            Ok(None) => Ok(()),
            Ok(Some(effective)) => {
                let mut next = self.record.clone();
                if next.state.is_live() {
                    next.status_mut().effective = Some(effective_resources(&effective));
                }
                hold_again(next.status_mut());
                self.store(next, Vec::new()).await
            }
            Err(error) => {
                let mut next = self.record.clone();
                let Some(drift) = next.status_mut().limit_drift.as_deref_mut() else { return Ok(()) };
                // What is tried every few seconds is told once.
                if drift.repaired || !drift.message.is_empty() {
                    return Ok(());
                }
                tracing::warn!(
                    container = self.record.name(),
                    error = causes(&error),
                    "its limits are not brought back; trying again"
                );
                drift.message = causes(&error);
                self.store(next, Vec::new()).await
            }
        }
    }
}
