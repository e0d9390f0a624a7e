//! A command inside the container as a look: an exec session that passes when it exits with 0.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use tweendeck_runtime::exec::{Create, End, EndCause, OnDisconnect, OnFull, RING_MIN, Reason, Request, Session};
use uuid::Uuid;

use super::check::CannotTell;
use crate::exec::{ExecError, Link};
use crate::host::Host;
use crate::tasks;

/// How long a session may outlive an agent that dies while it looks, beside the time for the look itself.
const LEFT: Duration = Duration::from_secs(10);
/// How long it may take to have one removed; it goes by itself after a while.
const REMOVED: Duration = Duration::from_secs(5);

/// A command that runs.
pub(super) struct Running {
    link: Link,
    session: Guard,
}

/// A session that goes with this, whatever becomes of the look.
struct Guard {
    host: Arc<Host>,
    container: String,
    id: String,
}

impl Drop for Guard {
    fn drop(&mut self) {
        let Self { host, container, id } = self;
        let (host, container, id) = (host.clone(), container.clone(), id.clone());
        tasks::spawn("end a probe", async move {
            let asked = Request::Delete { id, request: None, cause: EndCause::Timeout };
            let removed = async { Link::open(&host, &container).await?.ask(&asked).await };
            if let Ok(Err(error)) = timeout(REMOVED, removed).await {
                tracing::debug!(container, %error, "remove the session of a probe");
            }
        });
    }
}

/// Starts it. What keeps this agent from looking is one thing, a command that cannot be executed another.
pub(super) async fn begin(
    host: &Arc<Host>,
    container: &str,
    command: &[String],
    limit: Duration,
) -> Result<Result<Running, String>, CannotTell> {
    let id = format!("probe-{}", Uuid::new_v4());
    let ttl = limit.saturating_add(LEFT);
    let create = Create {
        id: id.clone(),
        request: None,
        args: command.to_vec(),
        env: Vec::new(),
        cwd: None,
        user: None,
        terminal: None,
        stdin: false,
        on_disconnect: OnDisconnect::Keep { ttl_ms: u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX) },
        ring_bytes: RING_MIN,
        on_full: OnFull::DropOldest,
    };
    let cannot = |error: ExecError| CannotTell(error.to_string());
    let mut link = Link::open(host, container).await.map_err(cannot)?;
    match link.session(&Request::Create(Box::new(create))).await {
        Ok(_) => Ok(Ok(Running { link, session: Guard { host: host.clone(), container: container.to_owned(), id } })),
        Err(ExecError::Refused(refused)) if refused.reason == Reason::Failed => Ok(Err(refused.message)),
        Err(error) => Err(cannot(error)),
    }
}

impl Running {
    /// Waits for its end.
    pub(super) async fn end(mut self) -> Result<(), String> {
        let asked = Request::Wait { id: self.session.id.clone() };
        let ended = self.link.session(&asked).await.map_err(|error| error.to_string())?;
        judge(&ended)
    }
}

fn judge(session: &Session) -> Result<(), String> {
    match session.exit.as_ref().map(|exit| exit.end) {
        Some(End::Code(0)) => Ok(()),
        Some(End::Code(code)) => Err(format!("exit status {code}")),
        Some(End::Signal(signal)) => Err(format!("signal {signal}")),
        None => Err("nobody saw it end".to_owned()),
    }
}
