//! Names of containers and reservations.

use super::Violations;

const RULE: &str = "must be 1 to 63 characters: a letter or digit, then letters, digits, '_', '.' or '-'";

/// A container's name. It becomes a directory and a cgroup, so nothing else is let through.
pub(in crate::grpc) fn container_name(name: &str, violations: &mut Violations) {
    violations.require(is_container_name(name), "name", RULE);
}

/// A reservation's name, in a field that is called like that.
pub(in crate::grpc) fn reservation_name(field: &str, name: &str, violations: &mut Violations) {
    violations.require(is_container_name(name), field, RULE);
}

/// `[A-Za-z0-9][A-Za-z0-9_.-]{0,62}`.
pub(super) fn is_container_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphanumeric())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'))
        && name.len() <= 63
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_would_leave_their_directory_are_refused() {
        for bad in ["", ".", "..", "a/b", "/a", "-a", "_a", ".a", "a b", "ä", "a\0", "a\n", &"x".repeat(64)] {
            assert!(!is_container_name(bad), "{bad:?}");
        }
        for good in ["a", "0", "web-1", "a..b", "A_b.c-d", &"x".repeat(63)] {
            assert!(is_container_name(good), "{good:?}");
        }
    }
}
