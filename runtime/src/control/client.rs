//! The agent's end of the control socket: non-blocking, driven by whoever polls the descriptor.

/// Why talking to a supervisor failed.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// Nobody listens: the supervisor is gone, or never was.
    #[error("no supervisor listens on {0}")]
    Refused(std::path::PathBuf),
}

/// A connection to one supervisor.
#[derive(Debug)]
pub struct Client {}
