//! From a configuration to a serving agent, and down again.
//!
//! Up: lock the store, seal the runtime's binary, take over what runs, report, serve. The sockets are bound before containers are adopted, so that
//! callers wait instead of being refused, and served only afterwards, so that nobody sees half a node.
//! Down, on SIGTERM or SIGINT: stop accepting, answer what is in flight, give up the lease. Containers live on, unless the configuration says otherwise.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::timeout;
use tweendeck_runtime::cgroup::{self, Hierarchies};
use tweendeck_runtime::launch::RuntimeBinary;

use crate::config::{Config, OnShutdown};
use crate::grpc::{self, Api};
use crate::host::Host;
use crate::journal::{Journal, Retention};
use crate::registry::Registry;
use crate::workload::Terms;
use crate::{blocking, node_info, reporter, sampler, tasks, telemetry};

/// How long calls in flight may take to be answered when the agent goes down.
const DRAIN: Duration = Duration::from_secs(10);

/// Runs the agent until it is told to stop.
///
/// # Errors
/// When a part that it cannot do without is not to be had.
pub async fn run(config: Config) -> anyhow::Result<()> {
    let _telemetry = telemetry::init(&config.log, &config.telemetry, config.node.id.as_str(), env!("CARGO_PKG_VERSION"))
        .context("set up logging")?;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), node = config.node.id.as_str(), "tweendeckd starts");
    let retention =
        Retention { max_entries: config.journal.max_events, max_containers: config.limits.max_containers };
    let (journal, opened) = Journal::open(&config.state_dir, retention).context("open the store")?;
    let host = Arc::new(find_host(&config)?);
    let listeners = grpc::bind(&config.grpc.socket, config.grpc.listen).await.context("bind the sockets")?;

    let (stop, stopping) = watch::channel(false);
    let (_info_sender, info) = watch::channel(node_info::of(&config, &host, journal.id()));
    let reporting = start_reporting(&config, journal, host.clone(), &info, &stopping);
    let Reporting { registry, usage, status } = reporting;
    registry.adopt(opened.moved_aside.is_some()).await.context("take over the node's containers")?;

    let api = Api::new(registry.clone(), info, usage, status, stopping);
    let served = grpc::serve(api, listeners, config.grpc.max_concurrent_streams);
    tracing::info!(socket = %config.grpc.socket.display(), tcp = ?config.grpc.listen, "serving");
    tokio::pin!(served);
    tokio::select! {
        ended = &mut served => ended.context("serve")?,
        name = asked_to_stop() => {
            tracing::info!(signal = name?, "stopping");
            if config.on_shutdown == OnShutdown::Delete {
                delete_all(&registry).await;
            }
            stop.send_replace(true);
            match timeout(DRAIN, served).await {
                Ok(ended) => ended.context("serve")?,
                Err(_) => tracing::warn!("calls in flight did not end in time"),
            }
        }
    }
    leave(&config, &host).await;
    tracing::info!("tweendeckd has stopped; containers go on");
    Ok(())
}

struct Reporting {
    registry: Registry,
    usage: watch::Receiver<tweendeck_proto::v1::NodeUsage>,
    status: watch::Receiver<tweendeck_proto::v1::ReportingStatus>,
}

fn find_host(config: &Config) -> anyhow::Result<Host> {
    let hierarchies = Hierarchies::detect().context("find the cgroup hierarchies")?;
    let runtime = RuntimeBinary::seal(&config.runtime_binary)
        .with_context(|| format!("take a sealed copy of {}", config.runtime_binary.display()))?;
    let memory = sampler::capacity().memory_bytes;
    Ok(Host {
        run_dir: config.run_dir.clone(),
        state_dir: config.state_dir.clone(),
        cgroup_parent: config.cgroup.parent.clone(),
        hierarchies,
        runtime,
        boot_id: tweendeck_runtime::host::boot_id().context("read the kernel's boot id")?,
        memory_bytes: memory,
        logs: tweendeck_runtime::bundle::LogPolicy {
            max_file_bytes: config.limits.max_log_bytes_per_file,
            max_files: config.limits.max_log_files,
        },
        hidden: vec!["/root".into(), config.state_dir.clone(), config.run_dir.clone()],
    })
}

async fn asked_to_stop() -> anyhow::Result<&'static str> {
    let mut terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listen for SIGINT")?;
    Ok(tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    })
}

/// Deletes every container: for an agent that is tried out, not for one that is deployed.
async fn delete_all(registry: &Registry) {
    for handle in registry.handles() {
        if let Err(error) = handle.delete(true, Terms::default()).await {
            tracing::warn!(container = handle.view().name(), %error, "delete");
        }
    }
    for handle in registry.handles() {
        let gone = handle.wait_until(|record| record.state.phase == crate::lifecycle::Phase::Removed);
        if timeout(DRAIN, gone).await.is_err() {
            tracing::warn!(container = handle.view().name(), "is not gone yet; the next agent goes on with it");
        }
    }
}

/// Leaves nothing that a new agent would make again: the socket, and the parent cgroup if nothing is in it.
async fn leave(config: &Config, host: &Arc<Host>) {
    let (socket, host) = (config.grpc.socket.clone(), host.clone());
    let left = blocking::run(move || {
        #[expect(clippy::disallowed_methods, reason = "on a blocking thread")]
        let _ = std::fs::remove_file(&socket);
        cgroup::remove_if_empty(&host.hierarchies, &host.cgroup_parent)
    });
    if let Ok(Err(error)) = left.await {
        tracing::debug!(%error, "remove the parent cgroup");
    }
}
