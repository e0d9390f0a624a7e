//! The connection to a container's supervisor, as something to await.

use std::future;
use std::io;

use tokio::io::unix::AsyncFd;
use tweendeck_runtime::bundle::Paths;
use tweendeck_runtime::control::{Client, ControlError, Message, Request, Scope, Status};

use crate::pollable;

/// A connection to a supervisor.
#[derive(Debug)]
pub struct Link {
    client: AsyncFd<Client>,
    next_id: u64,
}

/// What comes from a supervisor.
#[derive(Debug)]
pub(super) enum News {
    Status(Box<Status>),
    Reply {
        id: u64,
        error: Option<String>,
    },
    /// It has closed the connection. Whether it has left, connecting again tells.
    Closed,
}

impl Link {
    /// Makes a connection something to await. Must be called inside the async runtime.
    ///
    /// # Errors
    /// When the descriptor cannot be polled.
    pub fn new(client: Client) -> io::Result<Self> {
        Ok(Self { client: pollable::readable(client)?, next_id: 1 })
    }

    /// Connects to the supervisor of a container, if there is one.
    ///
    /// # Errors
    /// [`ControlError`] when there is none, or when the socket cannot be used.
    pub fn connect(paths: &Paths) -> Result<Client, ControlError> {
        Client::connect(paths)
    }

    /// Sends a signal; the answer comes as [`News::Reply`] with the id given here.
    pub(super) fn signal(&mut self, signal: i32, scope: Scope) -> Result<u64, ControlError> {
        self.ask(|id| Request::Signal { id, signal, scope })
    }

    /// Asks for a freeze; answered as a signal is.
    pub(super) fn freeze(&mut self) -> Result<u64, ControlError> {
        self.ask(|id| Request::Freeze { id })
    }

    /// Asks for a thaw; answered as a signal is.
    pub(super) fn thaw(&mut self) -> Result<u64, ControlError> {
        self.ask(|id| Request::Thaw { id })
    }

    fn ask(&mut self, request: impl FnOnce(u64) -> Request) -> Result<u64, ControlError> {
        let id = self.next_id;
        self.next_id = self.next_id.wrapping_add(1);
        self.client.get_ref().send(&request(id))?;
        Ok(id)
    }

    async fn recv(&mut self) -> News {
        loop {
            let mut guard = match self.client.readable().await {
                Ok(guard) => guard,
                Err(error) => return closed(&error),
            };
            match guard.get_inner().try_recv() {
                Ok(Some(Message::Status(status))) => return News::Status(status),
                Ok(Some(Message::Reply { id, error })) => return News::Reply { id, error },
                Ok(Some(Message::Unknown)) => {}
                Ok(None) => guard.clear_ready(),
                Err(error) => return closed(&error),
            }
        }
    }
}

/// The next news; never, while there is no link.
pub(super) async fn next(link: &mut Option<Link>) -> News {
    match link {
        Some(link) => link.recv().await,
        None => future::pending().await,
    }
}

fn closed(error: &(dyn std::error::Error + 'static)) -> News {
    tracing::debug!(error, "the supervisor's connection ended");
    News::Closed
}
