//! A stream that is followed across restarts of the agent: it is opened again behind the last message.

use tonic::Status;

use crate::agent::{Agent, Backoff, is_passing};
use crate::failure::Failure;
use crate::output::notice;
use crate::refusal;

/// Whether a broken stream is worth opening again, and whether its reader has been told.
#[derive(Default)]
pub(super) struct Following {
    /// There was an agent at some time, so that it is worth waiting for.
    established: bool,
    /// The present outage has been told of.
    told: bool,
    backoff: Backoff,
}

impl Following {
    /// The agent has opened the stream.
    pub(super) fn opened(&mut self) {
        self.established = true;
    }

    /// A message has come: an outage, if there was one, is over.
    pub(super) fn heard(&mut self) {
        self.told = false;
        self.backoff = Backoff::default();
    }

    /// Waits before the stream is opened again, if it should be. `loss` is what the reader misses by that, behind a comma; mostly nothing.
    pub(super) async fn survive(&mut self, agent: &Agent, broken: Status, loss: &str) -> Result<(), Failure> {
        let worth_it = self.established && is_passing(&broken);
        let failure = agent.failure(broken);
        if !worth_it {
            return Err(failure);
        }
        if !self.told {
            self.told = true;
            notice(format!("{}; trying again until it is back{loss}", refusal::sentence(&failure)));
        }
        self.backoff.pause().await;
        Ok(())
    }
}
