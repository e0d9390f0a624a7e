//! Requests as they may be acted upon: checked whole, all violations at once, before anything has an effect.

mod devices;
mod exec;
mod files;
mod logs;
mod mounts;
mod name;
mod namespaces;
mod pressure;
mod process;
mod request;
mod resources;
mod security;
mod spec;
mod supervision;

use tonic_types::FieldViolation;

pub(super) use devices::{DEVICES_MAX, device, found_device};
pub(super) use exec::{chunk, container, exec, exec_id, mode, run, window};
pub(super) use files::{copy_bounds, inside_path};
pub(super) use name::{container_name, reservation_name};
pub(super) use pressure::watchable;
pub(super) use request::{digest, duration, page, precondition, request_id, requests};
pub(super) use resources::{resources, room_for_init, supported};
pub(super) use spec::{looks_at_the_host, spec};

use super::status::Refusal;

/// Most violations that are told, and the longest text of one: a refusal travels in headers, which have a bound.
const TOLD: usize = 24;
const TEXT: usize = 160;

/// Field violations, gathered.
#[derive(Debug, Default)]
pub(super) struct Violations {
    told: Vec<FieldViolation>,
    more: usize,
}

impl Violations {
    /// Notes that `field` is wrong. The description says what is allowed.
    pub(super) fn add(&mut self, field: impl Into<String>, description: impl Into<String>) {
        if self.told.len() >= TOLD {
            self.more = self.more.saturating_add(1);
            return;
        }
        let mut description: String = description.into();
        if let Some((end, _)) = description.char_indices().nth(TEXT) {
            description.truncate(end);
            description.push('…');
        }
        self.told.push(FieldViolation::new(field.into(), description));
    }

    /// Notes it unless `holds`.
    pub(super) fn require(&mut self, holds: bool, field: &str, description: &str) {
        if !holds {
            self.add(field, description);
        }
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.told.len().saturating_add(self.more)
    }

    /// Nothing wrong, or everything that is.
    pub(super) fn finish(mut self) -> Result<(), Refusal> {
        if self.told.is_empty() {
            return Ok(());
        }
        if let (Some(last), true) = (self.told.last_mut(), self.more > 0) {
            last.description.push_str(&format!(" (and {} more violations)", self.more));
        }
        Err(Refusal::Fields(self.told))
    }

    #[cfg(test)]
    pub(super) fn fields(&self) -> Vec<&str> {
        self.told.iter().map(|violation| violation.field.as_str()).collect()
    }
}
