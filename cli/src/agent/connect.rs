//! The connection: HTTP/2 over a unix socket or a TCP port.

use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint, Uri};
use tower::service_fn;

use super::address::Address;

/// How long a TCP connection may take to be made.
const CONNECT: Duration = Duration::from_secs(5);
/// How often, and how long, a silent connection is asked whether it lives: a wait may be silent for hours.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
const KEEP_ALIVE_ANSWER: Duration = Duration::from_secs(20);

/// A channel that connects at its first call, and again when the connection is lost.
pub(super) fn channel(address: &Address) -> Channel {
    match address {
        Address::Http(uri) => tuned(Endpoint::from(uri.clone())).connect_lazy(),
        Address::Unix(path) => {
            let path = path.clone();
            let connector = service_fn(move |_: Uri| {
                let path = path.clone();
                async move { UnixStream::connect(path).await.map(TokioIo::new) }
            });
            // HTTP/2 wants an authority; a unix socket has none that means anything.
            tuned(Endpoint::from_static("http://localhost")).connect_with_connector_lazy(connector)
        }
    }
}

fn tuned(endpoint: Endpoint) -> Endpoint {
    endpoint
        .connect_timeout(CONNECT)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE_ANSWER)
        .keep_alive_while_idle(true)
}
