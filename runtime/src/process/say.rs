//! What a supervisor has to say, in `supervisor.log`.

use std::fmt;
use std::io::Write as _;

/// Writes a line to standard error. Not `eprintln!`, which panics when the disk is full, and a supervisor that panics loses its container's exit.
pub(super) fn say(line: fmt::Arguments<'_>) {
    let _ = writeln!(std::io::stderr(), "tweendeck-supervisor: {line}");
}

/// An error and its cause.
pub(super) fn say_error(error: &dyn std::error::Error) {
    match error.source() {
        Some(cause) => say(format_args!("{error}: {cause}")),
        None => say(format_args!("{error}")),
    }
}
