//! From a configuration to a serving agent, and down again.
//!
//! Up: lock the store, seal the runtime's binary, take over what runs, report, serve. The sockets are bound before containers are adopted, so that
//! callers wait instead of being refused, and served only afterwards, so that nobody sees half a node.
//! Down, on SIGTERM or SIGINT: stop accepting, answer what is in flight, report what happened meanwhile, give up the lease. Containers live on,
//! unless the configuration says otherwise.

use std::fs::File;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::time::timeout;
use tweendeck_proto::admission::Room;
use tweendeck_proto::v1;
use tweendeck_runtime::bundle::LogPolicy;
use tweendeck_runtime::cgroup::{self, Hierarchies};
use tweendeck_runtime::hold::Holder;
use tweendeck_runtime::host::Load;
use tweendeck_runtime::launch::RuntimeBinary;

use crate::allocation::Allocation;
use crate::causes::causes;
use crate::config::{self, Config, OnShutdown};
use crate::grpc::{self, Api, Listeners};
use crate::host::Host;
use crate::journal::{Journal, Retention};
use crate::lifecycle::Phase;
use crate::notify::Notifier;
use crate::placement::{Established, Keeper};
use crate::registry::Registry;
use crate::workload::{Filters, Op, Terms};
use crate::{audit, blocking, clock, expiry, isolation, node_info, placement, reporter, sampler, telemetry};

/// How long each part of the way down may take.
const DRAIN: Duration = Duration::from_secs(10);

/// Runs the agent until it is told to stop.
///
/// # Errors
/// When a part that it cannot do without is not to be had.
pub async fn run(config: Config) -> anyhow::Result<()> {
    let _telemetry =
        telemetry::init(&config.log, &config.telemetry, config.node.id.as_str(), env!("CARGO_PKG_VERSION"))
            .context("set up logging")?;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), node = config.node.id.as_str(), "tweendeckd starts");
    // Before anything is there to be cleaned up.
    let asked_to_stop = Asked::listen().context("listen for signals")?;
    let notifier = Notifier::from_environment();
    let TakenOver { listeners, registry, reporter, load, allocatable, lock, keeper } = take_over(&config).await?;

    let (stop, stopping) = watch::channel(false);
    let (drain, draining) = watch::channel(false);
    let Observed { info, usage, status, mut reporting } =
        observe(&config, &registry, reporter, &load, allocatable, stopping);
    expiry::start(registry.journal().clone());
    audit::start(registry.clone(), config.limits.audit_interval, draining.clone());
    note(&registry, v1::EventKind::AgentStarted, "the agent has taken over the node").await;
    if config.etcd.is_some() {
        isolation::start(registry.clone(), status.clone(), draining.clone());
    }
    let api = Api::new(registry.clone(), info, usage, status, draining);
    let served = grpc::serve(api, listeners, config.grpc.max_concurrent_streams);
    tracing::info!(socket = %config.grpc.socket.display(), tcp = ?config.grpc.listen, "serving");
    // The sockets are bound: who connects from here on is answered.
    notifier.ready("serving");
    let watchdog = notifier.start_watchdog();
    tokio::pin!(served);
    tokio::select! {
        ended = &mut served => ended.context("serve")?,
        name = asked_to_stop.wait() => {
            tracing::info!(signal = name, "stopping");
            note(&registry, v1::EventKind::AgentStopping, &format!("the agent goes down ({name})")).await;
            notifier.stopping(match config.on_shutdown {
                OnShutdown::Keep => "stopping; containers run on",
                OnShutdown::Delete => "stopping; containers are deleted",
            });
            drain.send_replace(true);
            match timeout(DRAIN, served).await {
                Ok(ended) => ended.context("serve")?,
                Err(_) => tracing::warn!("calls in flight did not end in time"),
            }
            // Only now: a call in flight may have made one more.
            match config.on_shutdown {
                OnShutdown::Keep => {}
                OnShutdown::Delete => delete_all(&registry).await,
            }
        }
    }
    stop.send_replace(true);
    if let Some(reporting) = &mut reporting
        && timeout(DRAIN, reporting.ended()).await.is_err()
    {
        tracing::warn!("etcd was not told the last changes; the next agent tells them");
    }
    drop(keeper);
    leave(&config, registry.host()).await;
    drop(lock);
    // To the end: a way down that hangs is noticed too.
    if let Some(watchdog) = watchdog {
        watchdog.abort();
    }
    tracing::info!("tweendeckd has stopped");
    Ok(())
}

/// Writes down what happens to the agent. A store that cannot write is told where it matters.
async fn note(registry: &Registry, kind: v1::EventKind, message: &str) {
    let event = v1::NodeEvent {
        message: message.to_owned(),
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        boot_id: registry.host().boot_id.clone(),
    };
    if let Err(error) = registry.journal().note(kind, event).await {
        tracing::warn!(%error, message, "write it down");
    }
}

/// Everything up to the point where calls can be answered.
async fn take_over(config: &Config) -> anyhow::Result<TakenOver> {
    let config::Journal { max_events: max_entries, max_bytes, max_age } = config.journal;
    let retention = Retention { max_entries, max_bytes, max_age };
    make_private(&config.state_dir)
        .with_context(|| format!("make the state directory {}", config.state_dir.display()))?;
    let load = tweendeck_runtime::host::load().context("read what the machine has")?;
    let allocation = Allocation::of(config);
    let (allocatable, room) = watch::channel(allocation.allocatable(&load));
    let (journal, opened) = Journal::open(&config.state_dir, retention, room).context("open the store")?;
    make_private(&config.run_dir).with_context(|| format!("make the run directory {}", config.run_dir.display()))?;
    let lock = lock(&config.run_dir).with_context(|| format!("lock the run directory {}", config.run_dir.display()))?;
    match tweendeck_runtime::host::raise_open_files() {
        Ok(limit) => tracing::debug!(limit, "open files"),
        Err(error) => tracing::warn!(%error, "raise the limit of open files"),
    }
    let (host, holder) = find_host(config, &load).await?;
    let host = Arc::new(host);
    let keeper =
        host.placed.scope.clone().zip(holder).map(|(scope, holder)| placement::keep(host.clone(), scope, holder));
    let listeners = grpc::bind(&config.grpc.socket, config.grpc.listen).await.context("bind the sockets")?;
    let (handle, reporter) = reporter::prepare();
    let registry = Registry::new(host, journal, handle);
    registry.adopt(opened.recovered).await.context("take over the node's containers")?;
    Ok(TakenOver { listeners, registry, reporter, load, allocatable, lock, keeper })
}

/// A node that can be served.
struct TakenOver {
    listeners: Listeners,
    registry: Registry,
    /// Has the registry's changes noted, and does not report them yet.
    reporter: reporter::Unstarted,
    load: Load,
    /// What the journal has to give; follows what the machine has.
    allocatable: watch::Sender<Room>,
    /// Held as long as the agent lives: no other agent may use the same run directory.
    lock: File,
    /// Keeps the scope held, if there is one.
    keeper: Option<Keeper>,
}

/// The node as it is seen: by callers and by the cluster.
struct Observed {
    info: watch::Receiver<v1::NodeInfo>,
    usage: watch::Receiver<v1::NodeUsage>,
    status: watch::Receiver<v1::ReportingStatus>,
    reporting: Option<reporter::Running>,
}

/// Starts measuring and reporting.
fn observe(
    config: &Config,
    registry: &Registry,
    reporter: reporter::Unstarted,
    load: &Load,
    allocatable: watch::Sender<Room>,
    stopping: watch::Receiver<bool>,
) -> Observed {
    let (usage_sender, usage) = watch::channel(v1::NodeUsage::default());
    let (info_sender, info) = watch::channel(node_info::of(config, registry.host(), registry.journal().id(), load));
    let allocation = Allocation::of(config);
    let jumps = clock::start(registry.journal().clone(), registry.host().boot_id.clone());
    let outputs = sampler::Outputs { jumps, usage: usage_sender, info: info_sender, allocation, allocatable };
    sampler::start(registry.host().clone(), Arc::new(registry.clone()), config.sampling.interval, outputs);
    match config.etcd.clone() {
        None => Observed { info, usage, status: reporter.discard(), reporting: None },
        Some(etcd) => {
            let source = Arc::new(registry.clone());
            let inputs = reporter::Inputs { source, info: info.clone(), usage: usage.clone(), stopping };
            let running = reporter.start(etcd, inputs);
            Observed { info, usage, status: running.status.clone(), reporting: Some(running) }
        }
    }
}

async fn find_host(config: &Config, load: &Load) -> anyhow::Result<(Host, Option<Holder>)> {
    let hierarchies = Hierarchies::detect().context("find the cgroup hierarchies")?;
    let runtime = RuntimeBinary::seal(&config.runtime_binary)
        .with_context(|| format!("take a sealed copy of {}", config.runtime_binary.display()))?;
    let runtime = Arc::new(runtime);
    let established = placement::establish(config, hierarchies, &runtime).await;
    let Established { placed, hierarchies, holder } = established.context("place the containers' cgroups")?;
    // Only now: it is where it stays, and supervisors are where it is.
    if let Err(error) = runtime.prepare() {
        tracing::warn!(%error, "make the template of supervisors; the first start tries again");
    }
    let host = Host {
        run_dir: config.run_dir.clone(),
        state_dir: config.state_dir.clone(),
        placed,
        hierarchies,
        runtime,
        boot_id: tweendeck_runtime::host::boot_id().context("read the kernel's boot id")?,
        memory_bytes: load.memory_bytes,
        id_ranges: config.user_ids,
        logs: LogPolicy::plain(config.limits.max_log_bytes_per_file, config.limits.max_log_files),
        hidden: vec!["/root".into(), config.state_dir.clone(), config.run_dir.clone()],
        security: config.security,
        hooks: config.hooks.clone(),
        lease_ttl: config.etcd.as_ref().map(|etcd| etcd.lease_ttl),
        filters: Filters::default(),
    };
    Ok((host, holder))
}

/// A directory of ours; one that exists is left as it is.
fn make_private(directory: &std::path::Path) -> io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)
}

/// Another agent with another state directory would take over this one's containers.
fn lock(directory: &std::path::Path) -> io::Result<File> {
    let file = File::options().create(true).truncate(false).write(true).open(directory.join("lock"))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => {
            Err(io::Error::new(io::ErrorKind::WouldBlock, "it is in use: is another tweendeckd running?"))
        }
        Err(std::fs::TryLockError::Error(error)) => Err(error),
    }
}

/// The signals that ask the agent to stop.
struct Asked {
    terminate: Signal,
    interrupt: Signal,
}

impl Asked {
    fn listen() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn wait(mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// Deletes every container: for an agent that is tried out, not for one that is deployed.
async fn delete_all(registry: &Registry) {
    for handle in registry.handles() {
        if let Err(error) = handle.ask(Op::Delete { force: true }, Terms::default()).await {
            tracing::warn!(container = handle.view().name(), %error, "delete");
        }
    }
    for handle in registry.handles() {
        let gone = handle.wait_until(|record| record.state.phase == Phase::Removed);
        if timeout(DRAIN, gone).await.is_err() {
            tracing::warn!(container = handle.view().name(), "is not gone yet; the next agent goes on with it");
        }
    }
}

/// Leaves nothing that a new agent would make again: the socket, and the scope or the parent cgroup if no container is in it.
async fn leave(config: &Config, host: &Arc<Host>) {
    let (socket, host) = (config.grpc.socket.clone(), host.clone());
    let left = blocking::run(move || {
        #[expect(clippy::disallowed_methods, reason = "on a blocking thread")]
        let _ = std::fs::remove_file(&socket);
        match &host.placed.scope {
            Some(_) => placement::leave_scope(&host).map_err(|error| causes(&error)),
            None => cgroup::remove_if_empty(&host.hierarchies, &host.placed.parent)
                .map(drop)
                .map_err(|error| causes(&error)),
        }
    });
    if let Ok(Err(error)) = left.await {
        tracing::debug!(error, "leave the containers' cgroups");
    }
}
