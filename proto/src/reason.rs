//! Error reasons as they stand in `google.rpc.ErrorInfo.reason`: the enum's name without its prefix.

use crate::v1::ErrorReason;

const PREFIX: &str = "ERROR_REASON_";

/// The string sent for a reason, such as `CONTAINER_NOT_FOUND`.
#[must_use]
pub fn name(reason: ErrorReason) -> &'static str {
    let full = reason.as_str_name();
    full.strip_prefix(PREFIX).unwrap_or(full)
}

/// The reason a string stands for; `None` for a string this version does not know.
#[must_use]
pub fn parse(name: &str) -> Option<ErrorReason> {
    ErrorReason::from_str_name(&format!("{PREFIX}{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_round_trips_and_is_documented() {
        let docs = include_str!("../../docs/errors.md");
        for number in 1.. {
            let Ok(reason) = ErrorReason::try_from(number) else {
                break;
            };
            assert_eq!(parse(name(reason)), Some(reason));
            assert!(docs.contains(&format!("`{}`", name(reason))), "docs/errors.md lacks {}", name(reason));
        }
    }
}
