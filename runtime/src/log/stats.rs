//! What became of a container's output.

use serde::{Deserialize, Serialize};

use super::{Reason, Stream};

/// What became of the output of one run of a container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogStats {
    /// Each stream that it has.
    #[serde(default)]
    pub streams: Vec<StreamStats>,
}

/// What became of one stream. Written and dropped together are what was read of it, but for the beginning of a line whose end has not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamStats {
    /// Which.
    pub stream: Stream,
    /// Output in the log, rotated away or not, bytes; without times and tags.
    pub written_bytes: u64,
    /// Output that is not, bytes.
    pub dropped_bytes: u64,
    /// When output was last dropped, and why; absent if never.
    #[serde(default)]
    pub last_drop: Option<Dropped>,
}

/// That output was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dropped {
    /// When, milliseconds since the epoch.
    pub unix_ms: u64,
    /// Why.
    pub reason: Reason,
}
