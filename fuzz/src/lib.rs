//! What the fuzzers share. Each target is a file in `targets/`; `scripts/fuzz` builds and runs them.

pub mod filter;
pub mod hosts;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Ends one text of an input that holds several; no text of the kernel has this byte.
pub const SEPARATOR: u8 = 0xFF;

/// The texts of an input.
pub fn texts(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    data.split(|byte| *byte == SEPARATOR)
}

/// What is written down can be read, and says the same: a value goes through JSON and back.
///
/// # Panics
/// When it does not.
pub fn survives_json<T: Serialize + DeserializeOwned>(value: &T) {
    let written = serde_json::to_value(value).expect("what was read can be written");
    let read: T = serde_json::from_value(written.clone()).expect("what was written can be read");
    assert_eq!(serde_json::to_value(read).expect("written twice"), written, "it has changed on its way");
}
