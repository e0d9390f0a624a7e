//! Sockets, and what stands in front of the services.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{Semaphore, watch};
use tokio_stream::wrappers::{TcpListenerStream, UnixListenerStream};
use tonic::service::InterceptorLayer;
use tonic::transport::Server;
use tonic::transport::server::Router;
use tower::layer::util::{Identity, Stack};
use tweendeck_proto::v1::container_service_server::ContainerServiceServer;
use tweendeck_proto::v1::event_service_server::EventServiceServer;
use tweendeck_proto::v1::exec_service_server::ExecServiceServer;
use tweendeck_proto::v1::file_service_server::FileServiceServer;
use tweendeck_proto::v1::log_service_server::LogServiceServer;
use tweendeck_proto::v1::node_service_server::NodeServiceServer;
use tweendeck_proto::v1::reservation_service_server::ReservationServiceServer;
use tweendeck_proto::v1::stats_service_server::StatsServiceServer;
use tweendeck_proto::v1::{NodeInfo, NodeUsage, ReportingStatus};
use tweendeck_proto::{FILE_DESCRIPTOR_SET, MAX_MESSAGE_BYTES};

use super::{files, limits, peer};
use crate::logs::Notifier;
use crate::registry::Registry;

/// Everything the services answer from. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Api {
    registry: Registry,
    facts: Arc<Facts>,
}

/// What the node service tells beside the registry.
#[derive(Debug)]
struct Facts {
    info: watch::Receiver<NodeInfo>,
    usage: watch::Receiver<NodeUsage>,
    reporting: watch::Receiver<ReportingStatus>,
    stopping: watch::Receiver<bool>,
    copies: Arc<Semaphore>,
    started: SystemTime,
    notifier: Notifier,
}

impl Api {
    /// The services over a registry. Must be called inside the async runtime.
    #[must_use]
    pub fn new(
        registry: Registry,
        info: watch::Receiver<NodeInfo>,
        usage: watch::Receiver<NodeUsage>,
        reporting: watch::Receiver<ReportingStatus>,
        stopping: watch::Receiver<bool>,
    ) -> Self {
        let (started, notifier) = (SystemTime::now(), Notifier::start());
        let copies = Arc::new(files::turns());
        Self { registry, facts: Arc::new(Facts { info, usage, reporting, stopping, copies, started, notifier }) }
    }

    pub(super) fn registry(&self) -> &Registry {
        &self.registry
    }

    pub(super) fn stopping(&self) -> watch::Receiver<bool> {
        self.facts.stopping.clone()
    }

    /// A turn of these is taken by each copy of files.
    pub(super) fn copies(&self) -> Arc<Semaphore> {
        self.facts.copies.clone()
    }

    /// Hears of changes of logs.
    pub(super) fn notifier(&self) -> &Notifier {
        &self.facts.notifier
    }

    pub(super) fn info(&self) -> NodeInfo {
        self.facts.info.borrow().clone()
    }

    pub(super) fn usage(&self) -> NodeUsage {
        self.facts.usage.borrow().clone()
    }

    pub(super) fn reporting(&self) -> ReportingStatus {
        self.facts.reporting.borrow().clone()
    }

    pub(super) fn started(&self) -> SystemTime {
        self.facts.started
    }
}

/// Why the API cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The unix socket cannot be made.
    #[error("listen on the unix socket {path}")]
    Unix {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The TCP port cannot be had.
    #[error("listen on {address}")]
    Tcp {
        /// Which.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The descriptors cannot be served.
    #[error("serve reflection")]
    Reflection(#[source] tonic_reflection::server::Error),
    /// The transport failed.
    #[error("serve")]
    Transport(#[source] tonic::transport::Error),
}

/// Sockets that are bound and not yet served.
#[derive(Debug)]
pub struct Listeners {
    unix: UnixListener,
    tcp: Option<TcpListener>,
}

/// Binds the sockets, so that a caller who connects from now on waits instead of being refused.
///
/// # Errors
/// [`ServeError::Unix`] and [`ServeError::Tcp`].
pub async fn bind(socket: &Path, listen: Option<SocketAddr>) -> Result<Listeners, ServeError> {
    let unix = bind_unix(socket).map_err(|source| ServeError::Unix { path: socket.to_owned(), source })?;
    let tcp = match listen {
        Some(address) => Some(TcpListener::bind(address).await.map_err(|source| ServeError::Tcp { address, source })?),
        None => None,
    };
    Ok(Listeners { unix, tcp })
}

/// A socket that nobody answers on is a dead agent's. Anything else is not ours to remove.
#[expect(clippy::disallowed_methods, reason = "at start-up, before anything is served")]
fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
        Ok(found) if !found.file_type().is_socket() => {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "something that is no socket lies there"));
        }
        Ok(_) if std::os::unix::net::UnixStream::connect(path).is_ok() => {
            return Err(io::Error::new(
                io::ErrorKind::AddrInUse,
                "somebody serves there: is another tweendeckd running?",
            ));
        }
        Ok(_) => std::fs::remove_file(path)?,
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Serves until `stopping` becomes true and the calls in flight are answered.
///
/// # Errors
/// [`ServeError::Reflection`] and [`ServeError::Transport`].
pub async fn serve(api: Api, listeners: Listeners, max_streams: u32) -> Result<(), ServeError> {
    let Listeners { unix, tcp } = listeners;
    let local = router(&api, max_streams).await?;
    let local = local.serve_with_incoming_shutdown(UnixListenerStream::new(unix), stopped(api.stopping()));
    let Some(tcp) = tcp else {
        return local.await.map_err(ServeError::Transport);
    };
    let remote = router(&api, max_streams).await?;
    let remote = remote.serve_with_incoming_shutdown(TcpListenerStream::new(tcp), stopped(api.stopping()));
    tokio::try_join!(local, remote).map(drop).map_err(ServeError::Transport)
}

async fn stopped(mut stopping: watch::Receiver<bool>) {
    // A closed channel means the same: the agent is going down.
    let _ = stopping.wait_for(|stopping| *stopping).await;
}

type Layers = Stack<limits::ReasonLayer, Stack<InterceptorLayer<peer::Check>, Identity>>;

async fn router(api: &Api, max_streams: u32) -> Result<Router<Layers>, ServeError> {
    let (health_reporter, health) = tonic_health::server::health_reporter();
    health_reporter.set_serving::<ContainerServiceServer<Api>>().await;
    health_reporter.set_serving::<ExecServiceServer<Api>>().await;
    health_reporter.set_serving::<StatsServiceServer<Api>>().await;
    health_reporter.set_serving::<FileServiceServer<Api>>().await;
    health_reporter.set_serving::<NodeServiceServer<Api>>().await;
    health_reporter.set_serving::<EventServiceServer<Api>>().await;
    health_reporter.set_serving::<ReservationServiceServer<Api>>().await;
    health_reporter.set_serving::<LogServiceServer<Api>>().await;
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            // So that a client without our files can read error details.
            .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
    };
    let mut server = Server::builder()
        .max_concurrent_streams(max_streams)
        // Callers whose deadlines are over at once reset as many calls as they may have; that is no attack.
        .http2_max_pending_accept_reset_streams(usize::try_from(max_streams).ok())
        .http2_keepalive_interval(Some(Duration::from_secs(30)))
        .http2_keepalive_timeout(Some(Duration::from_secs(20)))
        .http2_max_header_list_size(16 << 10)
        .trace_fn(crate::telemetry::request_span)
        .layer(InterceptorLayer::new(peer::Check::new()))
        .layer(limits::ReasonLayer);
    Ok(server
        .add_service(health)
        .add_service(reflection().build_v1().map_err(ServeError::Reflection)?)
        .add_service(reflection().build_v1alpha().map_err(ServeError::Reflection)?)
        .add_service(ContainerServiceServer::new(api.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES))
        .add_service(FileServiceServer::new(api.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES))
        .add_service(ExecServiceServer::new(api.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES))
        .add_service(StatsServiceServer::new(api.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES))
        .add_service(NodeServiceServer::new(api.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES))
        .add_service(EventServiceServer::new(api.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES))
        .add_service(LogServiceServer::new(api.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES))
        .add_service(ReservationServiceServer::new(api.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES)))
}
