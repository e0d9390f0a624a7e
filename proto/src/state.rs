//! States as people read them: the enum's name without its prefix.

use crate::v1::ContainerState;

/// A state's name, such as `RUNNING`.
#[must_use]
pub fn name(state: ContainerState) -> &'static str {
    let full = state.as_str_name();
    full.strip_prefix("CONTAINER_STATE_").unwrap_or(full)
}
