//! Which devices a container may open and make: OCI's `linux.resources.devices`, held by the devices controller on v1 and by a program on v2.
//!
//! [`Rule`] is the model, [`default_rules`] what every container may have, [`over_default`] what a caller's list means. `v1` writes the controller's lists;
//! `program` makes eBPF instructions of rules, and `v2` attaches them to the cgroup. Both change a live container's list so that no device that is
//! in the old and in the new list is refused in between, and both read back.

mod default;
mod program;
mod rule;
pub(super) mod v1;
pub(super) mod v2;

pub use default::{default_rules, over_default};
pub use rule::{Access, Kind, MAJOR_MAX, MINOR_MAX, RULES_MAX, Rule, RuleError};
