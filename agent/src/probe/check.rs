//! One look: a connection, a request, a health check, from inside the container's network namespace.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Empty;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tonic::transport::Endpoint;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tower::service_fn;
use tweendeck_proto::v1::probe::Check;
use tweendeck_proto::v1::{GrpcCheck, HttpCheck, TcpCheck};
use tweendeck_runtime::bundle::Peer;
use tweendeck_runtime::network;

use crate::blocking;
use crate::host::Host;

/// What is looked at.
#[derive(Clone, Debug)]
pub struct Target {
    /// The node.
    pub host: Arc<Host>,
    /// A process of the container.
    pub container: Peer,
}

impl Target {
    /// Looks once. The reason of a failure is for people.
    pub(super) async fn look(&self, check: &Check, timeout: Duration) -> Result<(), String> {
        match check {
            Check::Tcp(TcpCheck { port, address }) => self.connect(address, *port, timeout).await.map(drop),
            Check::Http(check) => self.get(check, timeout).await,
            Check::Grpc(check) => self.ask_health(check, timeout).await,
        }
    }

    async fn connect(&self, address: &str, port: u32, timeout: Duration) -> Result<TcpStream, String> {
        let address = socket_address(address, port).ok_or("the address is not one")?;
        let Self { host, container } = self.clone();
        let connect = move || network::connect_inside(&container, &host.hierarchies, address, timeout);
        let connected = blocking::run(connect).await.map_err(|error| error.to_string())?;
        let stream = connected.and_then(|stream| stream.set_nonblocking(true).map(|()| stream));
        stream.and_then(TcpStream::from_std).map_err(|error| format!("connect to {address}: {error}"))
    }

    async fn get(&self, check: &HttpCheck, timeout: Duration) -> Result<(), String> {
        let HttpCheck { port, address, path, headers } = check;
        let stream = self.connect(address, *port, timeout).await?;
        let failed = |error: hyper::Error| format!("GET {path}: {error}");
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
        let path = if path.is_empty() { "/" } else { path };
        let mut request = http::Request::get(path);
        if !headers.keys().any(|name| name.eq_ignore_ascii_case("host")) {
            request = request.header("host", format!("{}:{port}", if address.is_empty() { LOOPBACK } else { address }));
        }
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let request = request.body(Empty::<Bytes>::new()).map_err(|error| format!("GET {path}: {error}"))?;
        // The body is of no interest: the connection is dropped with it. A server that closes it has answered before, or the request fails by that.
        let (mut response, mut connection) = (pin!(sender.send_request(request)), pin!(connection));
        let mut open = true;
        let response = loop {
            tokio::select! { biased;
                response = &mut response => break response.map_err(failed)?,
                ended = &mut connection, if open => {
                    ended.map_err(failed)?;
                    open = false;
                }
            }
        };
        match response.status().as_u16() {
            200..=399 => Ok(()),
            status => Err(format!("GET {path}: status {status}")),
        }
    }

    async fn ask_health(&self, check: &GrpcCheck, timeout: Duration) -> Result<(), String> {
        let GrpcCheck { port, address, service } = check;
        let mut stream = Some(TokioIo::new(self.connect(address, *port, timeout).await?));
        let connector = service_fn(move |_| {
            let stream = stream.take().ok_or_else(|| std::io::Error::other("it was connected once"));
            async move { stream }
        });
        let endpoint = Endpoint::from_static("http://container.invalid").timeout(timeout);
        let channel = endpoint.connect_with_connector(connector).await.map_err(|error| error.to_string())?;
        let request = HealthCheckRequest { service: service.clone() };
        let answer = HealthClient::new(channel).check(request).await;
        let answer = answer.map_err(|status| format!("health check: {:?}: {}", status.code(), status.message()))?;
        match answer.into_inner().status() {
            ServingStatus::Serving => Ok(()),
            status @ (ServingStatus::Unknown | ServingStatus::NotServing | ServingStatus::ServiceUnknown) => {
                Err(format!("health check: {}", status.as_str_name()))
            }
        }
    }
}

const LOOPBACK: &str = "127.0.0.1";

fn socket_address(address: &str, port: u32) -> Option<SocketAddr> {
    let address = match address {
        "" => IpAddr::V4(Ipv4Addr::LOCALHOST),
        text => text.parse().ok()?,
    };
    Some(SocketAddr::new(address, u16::try_from(port).ok()?))
}
