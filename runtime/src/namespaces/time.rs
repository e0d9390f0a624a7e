//! Clocks of a time namespace (time_namespaces(7)).

use std::fs;
use std::io;

use oci_spec::runtime::{LinuxTimeOffset, Spec};

/// What `linux.timeOffsets` may name.
const CLOCKS: [&str; 2] = ["monotonic", "boottime"];
const NANOSECONDS: u32 = 1_000_000_000;

/// The lines for `/proc/PID/timens_offsets`; none when nothing is asked.
///
/// # Errors
/// What is wrong, as sentences.
pub(crate) fn offsets(spec: &Spec) -> Result<Vec<String>, Vec<String>> {
    let given = spec.linux().as_ref().and_then(|linux| linux.time_offsets().as_ref());
    let mut lines = Vec::new();
    let mut errors = Vec::new();
    for (clock, offset) in given.into_iter().flatten() {
        let (seconds, nanoseconds) = (offset.secs().unwrap_or(0), LinuxTimeOffset::nanosecs(offset).unwrap_or(0));
        if !CLOCKS.contains(&clock.as_str()) {
            errors.push(format!("linux.timeOffsets has {clock:?}, it may have monotonic and boottime"));
        } else if nanoseconds >= NANOSECONDS {
            errors.push(format!("linux.timeOffsets.{clock}.nanosecs is {nanoseconds}, it must be below {NANOSECONDS}"));
        }
        lines.push(format!("{clock} {seconds} {nanoseconds}"));
    }
    lines.sort_unstable();
    if errors.is_empty() { Ok(lines) } else { Err(errors) }
}

/// Makes a time namespace with these clocks for this process' children.
///
/// # Errors
/// The kernel's: `EINVAL` where it has none, `ERANGE` for a clock that would be negative or reach 146 years.
pub(crate) fn make(offsets: &[String]) -> io::Result<()> {
    crate::sys::unshare_time()?;
    if offsets.is_empty() {
        return Ok(());
    }
    fs::write("/proc/self/timens_offsets", offsets.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_are_named_and_bounded() {
        let of = |json: &str| {
            let json = format!(r#"{{"ociVersion": "1.2.0", "linux": {{"timeOffsets": {json}}}}}"#);
            offsets(&serde_json::from_str(&json).unwrap())
        };
        let both = of(r#"{"monotonic": {"secs": -5, "nanosecs": 7}, "boottime": {"secs": 9}}"#).unwrap();
        assert_eq!(both, ["boottime 9 0", "monotonic -5 7"]);
        assert_eq!(of(r#"{"realtime": {"secs": 1}}"#).unwrap_err().len(), 1);
        assert_eq!(of(r#"{"boottime": {"nanosecs": 1000000000}}"#).unwrap_err().len(), 1);
    }
}
