//! Paths in containers, and bounds of what is copied.

use super::Violations;

/// Longest path (path_resolution(7), less the NUL), bytes.
const PATH_MAX: usize = 4095;
/// Sizes of all files together, bytes.
const BYTES_DEFAULT: u64 = 10 << 30;
const BYTES_MAX: u64 = 1 << 40;
/// Entries, a count.
const ENTRIES_DEFAULT: u64 = 1_000_000;
const ENTRIES_MAX: u64 = 10_000_000;

/// An absolute path inside. What it leads to, and that it stays inside, is the kernel's to say when it is opened.
pub(in crate::grpc) fn inside_path(path: &str, field: &str, violations: &mut Violations) {
    let plain = path.starts_with('/') && path.len() <= PATH_MAX && !path.contains('\0');
    violations.require(plain, field, "must be an absolute path of 1 to 4095 bytes, none NUL");
}

/// How much is copied at most: bytes and entries. `before` stands before the fields' names.
pub(in crate::grpc) fn copy_bounds(
    bytes: Option<u64>,
    entries: Option<u64>,
    before: &str,
    violations: &mut Violations,
) -> (u64, u64) {
    let (bytes, entries) = (bytes.unwrap_or(BYTES_DEFAULT), entries.unwrap_or(ENTRIES_DEFAULT));
    let allowed = |most: u64| format!("must be 1 to {most}");
    violations.require((1..=BYTES_MAX).contains(&bytes), &format!("{before}max_unpacked_bytes"), &allowed(BYTES_MAX));
    violations.require((1..=ENTRIES_MAX).contains(&entries), &format!("{before}max_entries"), &allowed(ENTRIES_MAX));
    (bytes, entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_absolute_and_bounds_are_bounded() {
        let mut violations = Violations::default();
        for path in ["", "a", "./a", "/a\0", &format!("/{}", "x".repeat(4095))] {
            inside_path(path, "path", &mut violations);
        }
        assert_eq!(violations.count(), 5);
        inside_path("/../a", "path", &mut violations);
        assert_eq!(copy_bounds(None, None, "", &mut violations), (10 << 30, 1_000_000));
        assert_eq!(violations.count(), 5);
        copy_bounds(Some(0), Some(ENTRIES_MAX + 1), "header.", &mut violations);
        assert_eq!(violations.fields()[5..], ["header.max_unpacked_bytes", "header.max_entries"]);
    }
}
