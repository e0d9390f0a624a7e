//! One look: a command in the container; a connection, a request, a health check from inside its network namespace.

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
use tweendeck_proto::v1::{ExecCheck, GrpcCheck, HttpCheck, TcpCheck};
use tweendeck_runtime::bundle::Peer;
use tweendeck_runtime::network::{self, ConnectError};

use super::command::{self, Running};
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

/// Why nothing can be said about the other side.
#[derive(Debug)]
pub(super) struct CannotTell(pub(super) String);

/// A look that has begun.
pub(super) enum Look<'a> {
    /// A command that runs, or cannot be executed.
    Command(Result<Running, String>),
    /// A socket inside the container that connects.
    Connection { check: &'a Check, address: SocketAddr, stream: Result<TcpStream, String> },
}

impl Target {
    /// Begins to look. What fails here on this side is nobody's fault.
    pub(super) async fn begin<'a>(&self, check: &'a Check, limit: Duration) -> Result<Look<'a>, CannotTell> {
        let (address, port) = match check {
            Check::Exec(ExecCheck { command }) => {
                let running = command::begin(&self.host, &self.container.name, command, limit).await;
                return running.map(Look::Command);
            }
            Check::Tcp(TcpCheck { port, address }) => (address, *port),
            Check::Http(HttpCheck { port, address, .. }) | Check::Grpc(GrpcCheck { port, address, .. }) => {
                (address, *port)
            }
        };
        let address = socket_address(address, port).ok_or_else(|| CannotTell("the address is not one".to_owned()))?;
        let Self { host, container } = self.clone();
        let connect = move || network::connect_inside(&container, &host.hierarchies, address);
        let connected = blocking::run(connect).await.map_err(|error| CannotTell(error.to_string()))?;
        let stream = match connected {
            Ok(stream) => Ok(TcpStream::from_std(stream).map_err(|error| CannotTell(error.to_string()))?),
            Err(ConnectError::Refused(error)) => Err(format!("connect to {address}: {error}")),
            Err(error @ ConnectError::NotTried { .. }) => return Err(CannotTell(error.to_string())),
        };
        Ok(Look::Connection { check, address, stream })
    }
}

impl Look<'_> {
    /// Looks. The reason of a failure is for people.
    pub(super) async fn end(self) -> Result<(), String> {
        let (check, address, stream) = match self {
            Self::Command(running) => return running?.end().await,
            Self::Connection { check, address, stream } => (check, address, stream?),
        };
        let failed = |error: std::io::Error| format!("connect to {address}: {error}");
        stream.writable().await.map_err(failed)?;
        if let Some(error) = stream.take_error().map_err(failed)? {
            return Err(failed(error));
        }
        match check {
            Check::Tcp(_) | Check::Exec(_) => Ok(()),
            Check::Http(check) => get(check, address, stream).await,
            Check::Grpc(check) => ask_health(check, stream).await,
        }
    }
}

async fn get(check: &HttpCheck, address: SocketAddr, stream: TcpStream) -> Result<(), String> {
    let HttpCheck { path, headers, .. } = check;
    let path = if path.is_empty() { "/" } else { path };
    let failed = |error: hyper::Error| format!("GET {path}: {error}");
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
    let mut request = http::Request::get(path);
    if !headers.keys().any(|name| name.eq_ignore_ascii_case("host")) {
        request = request.header("host", address.to_string());
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

async fn ask_health(check: &GrpcCheck, stream: TcpStream) -> Result<(), String> {
    let mut stream = Some(TokioIo::new(stream));
    let connector = service_fn(move |_| {
        let stream = stream.take().ok_or_else(|| std::io::Error::other("it was connected once"));
        async move { stream }
    });
    let endpoint = Endpoint::from_static("http://container.invalid");
    let channel = endpoint.connect_with_connector(connector).await.map_err(|error| error.to_string())?;
    let request = HealthCheckRequest { service: check.service.clone() };
    let answer = HealthClient::new(channel).check(request).await;
    let answer = answer.map_err(|status| format!("health check: {:?}: {}", status.code(), status.message()))?;
    match answer.into_inner().status() {
        ServingStatus::Serving => Ok(()),
        status @ (ServingStatus::Unknown | ServingStatus::NotServing | ServingStatus::ServiceUnknown) => {
            Err(format!("health check: {}", status.as_str_name()))
        }
    }
}

fn socket_address(address: &str, port: u32) -> Option<SocketAddr> {
    let address = match address {
        "" => IpAddr::V4(Ipv4Addr::LOCALHOST),
        text => text.parse().ok()?,
    };
    Some(SocketAddr::new(address, u16::try_from(port).ok()?))
}
