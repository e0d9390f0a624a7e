//! An agent that keeps containers in memory and runs nothing: what it does is in their commands.
//!
//! | command | what becomes of it |
//! |---|---|
//! | `exit N` | ends at once with N |
//! | `oom` | ends at once, by the OOM killer |
//! | `broken` | its start fails |
//! | `sleep` | runs until a signal ends it |
//! | `stubborn` | runs until SIGKILL ends it |

mod services;

use std::collections::{BTreeMap, VecDeque};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::UnixListener;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::Status;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tweendeck_proto::v1::container_service_server::ContainerServiceServer;
use tweendeck_proto::v1::log_service_server::LogServiceServer;
use tweendeck_proto::v1::node_service_server::NodeServiceServer;
use tweendeck_proto::v1::stats_service_server::StatsServiceServer;
use tweendeck_proto::v1::{Container, StreamLogResponse, WatchContainersRequest, WatchContainersResponse};

pub(crate) use services::{container, refusal};

/// What one watch sends.
pub(crate) type Items = Vec<Result<WatchContainersResponse, Status>>;

/// A call that came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) method: &'static str,
    pub(crate) name: String,
    pub(crate) detail: String,
    pub(crate) request_id: String,
}

/// What the services share. It outlives a restart, as a journal would.
pub(crate) struct World {
    pub(crate) containers: watch::Sender<BTreeMap<String, Container>>,
    pub(crate) calls: watch::Sender<Vec<Call>>,
    /// So many calls are refused before one is answered.
    pub(crate) not_ready: Mutex<u32>,
    /// Mutations are accepted and never answered.
    pub(crate) silent: watch::Sender<bool>,
    /// What the next watches send; the last one goes on for ever.
    pub(crate) watches: Mutex<VecDeque<Items>>,
    pub(crate) watch_requests: Mutex<Vec<WatchContainersRequest>>,
    /// What the next logs send, and then their end.
    pub(crate) logs: Mutex<VecDeque<Vec<Result<StreamLogResponse, Status>>>>,
    pub(crate) host_is_ok: bool,
}

/// The agent, listening.
pub(crate) struct Agent {
    directory: PathBuf,
    pub(crate) world: Arc<World>,
    server: Option<Runtime>,
    pub(crate) tcp: Option<SocketAddr>,
}

impl Agent {
    /// An agent with a socket of its own. `test` names the test, so that none shares it.
    pub(crate) fn start(test: &str) -> Self {
        Self::start_on(test, true)
    }

    pub(crate) fn start_on(test: &str, host_is_ok: bool) -> Self {
        let directory = std::env::temp_dir().join(format!("tween-{}-{test}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let world = World {
            containers: watch::Sender::default(),
            calls: watch::Sender::default(),
            not_ready: Mutex::default(),
            silent: watch::Sender::default(),
            watches: Mutex::default(),
            watch_requests: Mutex::default(),
            logs: Mutex::default(),
            host_is_ok,
        };
        let mut agent = Self { directory, world: Arc::new(world), server: None, tcp: None };
        agent.bring_up();
        agent
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.directory.join("agent.sock")
    }

    /// Listens again.
    pub(crate) fn bring_up(&mut self) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let entered = runtime.enter();
        let services = services::Services(Arc::clone(&self.world));
        let router = || {
            Server::builder()
                .add_service(ContainerServiceServer::new(services.clone()))
                .add_service(StatsServiceServer::new(services.clone()))
                .add_service(LogServiceServer::new(services.clone()))
                .add_service(NodeServiceServer::new(services.clone()))
        };
        let unix = UnixListenerStream::new(listen(&self.socket()));
        let tcp = TcpIncoming::bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        self.tcp = Some(tcp.local_addr().unwrap());
        runtime.spawn(router().serve_with_incoming(unix));
        runtime.spawn(router().serve_with_incoming(tcp));
        drop(entered);
        self.server = Some(runtime);
    }

    /// Dies: every connection breaks, and nothing listens.
    pub(crate) fn kill(&mut self) {
        if let Some(server) = self.server.take() {
            server.shutdown_timeout(Duration::from_secs(5));
        }
    }

    /// Waits until the calls that came in are as the test wants them.
    pub(crate) fn until(&self, wanted: impl FnMut(&Vec<Call>) -> bool) {
        let mut calls = self.world.calls.subscribe();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let arrived = async { tokio::time::timeout(Duration::from_secs(10), calls.wait_for(wanted)).await.is_ok() };
        assert!(runtime.block_on(arrived), "only these came: {:#?}", self.calls());
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        self.world.calls.borrow().clone()
    }

    /// The names and details of the calls of one method.
    pub(crate) fn calls_of(&self, method: &str) -> Vec<String> {
        let of_method = self.calls().into_iter().filter(|call| call.method == method);
        of_method.map(|call| format!("{} {}", call.name, call.detail).trim_end().to_owned()).collect()
    }

    pub(crate) fn add(&self, container: Container) {
        self.world.containers.send_modify(|containers| {
            containers.insert(container.name.clone(), container);
        });
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.kill();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn listen(socket: &Path) -> UnixListener {
    let _ = std::fs::remove_file(socket);
    UnixListener::bind(socket).unwrap()
}
