//! Requests as they may be acted upon: checked whole, all violations at once, before anything has an effect.

mod name;
mod request;
mod resources;
mod spec;

use tonic_types::FieldViolation;

pub(super) use name::container_name;
pub(super) use request::{digest, duration, page, precondition, request_id};
pub(super) use resources::{resources, supported};
pub(super) use spec::{looks_at_the_host, spec};

use super::status::Refusal;

/// Field violations, gathered.
#[derive(Debug, Default)]
pub(super) struct Violations(Vec<FieldViolation>);

impl Violations {
    /// Notes that `field` is wrong. The description says what is allowed.
    pub(super) fn add(&mut self, field: impl Into<String>, description: impl Into<String>) {
        self.0.push(FieldViolation::new(field.into(), description.into()));
    }

    /// Notes it unless `holds`.
    pub(super) fn require(&mut self, holds: bool, field: &str, description: &str) {
        if !holds {
            self.add(field, description);
        }
    }

    /// Nothing wrong, or everything that is.
    pub(super) fn finish(self) -> Result<(), Refusal> {
        if self.0.is_empty() { Ok(()) } else { Err(Refusal::Fields(self.0)) }
    }

    #[cfg(test)]
    pub(super) fn fields(&self) -> Vec<&str> {
        self.0.iter().map(|violation| violation.field.as_str()).collect()
    }
}
