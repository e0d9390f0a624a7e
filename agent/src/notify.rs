//! What a service manager wants to know: that the agent is ready, that it stops, that it still makes progress (sd_notify(3)).
//!
//! A datagram to the socket that `NOTIFY_SOCKET` names; without that variable nobody asked. The task `watchdog` runs on the runtime's threads, so it falls
//! silent when they hang.

use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::time::Duration;
use std::{env, io, process};

use tokio::task::AbortHandle;

use crate::tasks;

/// The way to the service manager, if there is one.
#[derive(Clone, Debug)]
pub struct Notifier {
    socket: Option<Arc<UnixDatagram>>,
    watchdog: Option<Duration>,
}

impl Notifier {
    /// As this process's environment says. A socket that cannot be reached is logged: the manager will take the agent for one that never got ready.
    #[must_use]
    pub fn from_environment() -> Self {
        let path = env::var_os("NOTIFY_SOCKET").filter(|path| !path.is_empty());
        let socket = path.and_then(|path| {
            connect(path.as_bytes()).inspect_err(|error| tracing::warn!(%error, ?path, "reach NOTIFY_SOCKET")).ok()
        });
        let number = |name| env::var(name).ok();
        let watchdog = watchdog(number("WATCHDOG_USEC").as_deref(), number("WATCHDOG_PID").as_deref(), process::id());
        Self { socket: socket.map(Arc::new), watchdog }
    }

    /// Calls are answered from now on.
    pub fn ready(&self, status: &str) {
        self.send(&format!("READY=1\nSTATUS={status}"));
    }

    /// The agent is on its way down.
    pub fn stopping(&self, status: &str) {
        self.send(&format!("STOPPING=1\nSTATUS={status}"));
    }

    /// Starts telling that the agent makes progress, where the manager asks for it (sd_watchdog_enabled(3)).
    #[must_use]
    pub fn start_watchdog(&self) -> Option<AbortHandle> {
        let (interval, own) = (self.watchdog?, self.clone());
        Some(tasks::spawn("watchdog", async move {
            let mut ticks = tokio::time::interval(interval);
            loop {
                ticks.tick().await;
                own.send("WATCHDOG=1");
            }
        }))
    }

    fn send(&self, message: &str) {
        if let Some(socket) = &self.socket
            && let Err(error) = socket.send(message.as_bytes())
        {
            tracing::warn!(%error, message, "tell the service manager");
        }
    }
}

fn connect(path: &[u8]) -> io::Result<UnixDatagram> {
    let address = match path.strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(std::ffi::OsStr::from_bytes(path))?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(&address)?;
    // A manager that does not read must not stop us.
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Half of what the manager waits, as sd_watchdog_enabled(3) advises; `None` when it does not wait, or not for this process.
fn watchdog(micros: Option<&str>, pid: Option<&str>, own: u32) -> Option<Duration> {
    let for_us = pid.is_none_or(|pid| pid.parse() == Ok(own));
    let micros: u64 = micros?.parse().ok().filter(|micros| *micros > 1 && for_us)?;
    Some(Duration::from_micros(micros / 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_watchdogs_time_is_ours() {
        assert_eq!(watchdog(Some("60000000"), Some("7"), 7), Some(Duration::from_secs(30)));
        assert_eq!(watchdog(Some("60000000"), None, 7), Some(Duration::from_secs(30)));
        assert_eq!(watchdog(Some("60000000"), Some("8"), 7), None);
        for none in [None, Some(""), Some("0"), Some("x")] {
            assert_eq!(watchdog(none, None, 7), None);
        }
    }

    #[tokio::test]
    async fn a_manager_hears_of_readiness_and_progress() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        let abstract_name = format!("tweendeck-test-notify-{}", process::id());
        let hidden = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&abstract_name).unwrap()).unwrap();
        for (manager, path) in [(manager, path.display().to_string()), (hidden, format!("@{abstract_name}"))] {
            let socket = Some(Arc::new(connect(path.as_bytes()).unwrap()));
            let notifier = Notifier { socket, watchdog: Some(Duration::from_millis(1)) };
            let heard = || {
                let mut buffer = [0; 256];
                let length = manager.recv(&mut buffer).unwrap();
                String::from_utf8(buffer[..length].to_vec()).unwrap()
            };
            notifier.ready("serving");
            assert_eq!(heard(), "READY=1\nSTATUS=serving");
            let watchdog = notifier.start_watchdog().unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
            assert_eq!(heard(), "WATCHDOG=1");
            watchdog.abort();
        }
        Notifier { socket: None, watchdog: None }.ready("nobody listens");
    }
}
