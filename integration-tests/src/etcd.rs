//! A real etcd, which can be stopped and started in the middle.

use std::process::{Command, Stdio};

use etcd_client::{Client, GetOptions};
use prost::Message as _;
use tweendeck_proto::etcd::Key;
use tweendeck_proto::v1::{ContainerReport, ContainerState, NodeInfo, NodeUsage};

use crate::eventually::eventually_async;
use crate::process::Process;
use crate::tools;

/// One etcd with a directory and ports of its own.
#[derive(Debug)]
pub struct Etcd {
    process: Option<Process>,
    directory: tempfile::TempDir,
    client_port: u16,
    peer_port: u16,
}

impl Etcd {
    /// Starts one and waits until it answers.
    ///
    /// # Panics
    /// When it does not.
    pub async fn start() -> Self {
        let directory = tempfile::Builder::new().prefix("tweendeck-test-etcd-").tempdir().unwrap();
        let mut etcd = Self { process: None, directory, client_port: free_port(), peer_port: free_port() };
        etcd.resume().await;
        etcd
    }

    /// Ports and a directory without an etcd behind them.
    ///
    /// # Panics
    /// When there is no room for either.
    #[must_use]
    pub fn absent() -> Self {
        let directory = tempfile::Builder::new().prefix("tweendeck-test-etcd-").tempdir().unwrap();
        Self { process: None, directory, client_port: free_port(), peer_port: free_port() }
    }

    /// Starts it again, with the data it had.
    ///
    /// # Panics
    /// When it does not answer.
    pub async fn resume(&mut self) {
        self.resume_with(&[]).await;
    }

    /// The same, with flags of its own.
    ///
    /// # Panics
    /// When it does not answer.
    pub async fn resume_with(&mut self, flags: &[&str]) {
        let client = self.endpoint();
        let peer = format!("http://127.0.0.1:{}", self.peer_port);
        let mut command = Command::new(tools::tool("etcd"));
        command
            .arg(format!("--data-dir={}", self.directory.path().join("data").display()))
            .args([format!("--listen-client-urls={client}"), format!("--advertise-client-urls={client}")])
            .args([format!("--listen-peer-urls={peer}"), format!("--initial-advertise-peer-urls={peer}")])
            .arg(format!("--initial-cluster=default={peer}"))
            .args(["--log-level=error", "--unsafe-no-fsync"])
            .args(flags)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        self.process = Some(Process::start(&mut command));
        eventually_async("etcd answers", || async { self.client().await.ok()?.get("x", None).await.ok() }).await;
    }

    /// Makes room in one that is full: deletes what is below `fill/`, compacts, defragments, lifts the alarm.
    ///
    /// # Panics
    /// When it refuses.
    pub async fn make_room(&self) {
        use etcd_client::{AlarmAction, AlarmOptions, AlarmType, CompactionOptions, DeleteOptions};
        let mut client = self.client().await.unwrap();
        let deleted = client.delete("fill/", Some(DeleteOptions::new().with_prefix())).await.unwrap();
        let revision = deleted.header().unwrap().revision();
        client.compact(revision, Some(CompactionOptions::new().with_physical())).await.unwrap();
        client.defragment().await.unwrap();
        // An alarm is a member's; without its id nothing is lifted.
        let raised = client.alarm(AlarmAction::Get, AlarmType::Nospace, None).await.unwrap();
        for alarm in raised.alarms() {
            let mut options = AlarmOptions::new();
            options.with_member(alarm.member_id());
            client.alarm(AlarmAction::Deactivate, AlarmType::Nospace, Some(options)).await.unwrap();
        }
    }

    /// Kills it; what it had is kept.
    pub fn stop(&mut self) {
        self.process = None;
    }

    /// Its process.
    ///
    /// # Panics
    /// When it does not run.
    #[must_use]
    pub fn process(&self) -> &Process {
        self.process.as_ref().expect("etcd runs")
    }

    /// Where clients reach it.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.client_port)
    }

    /// A client of it.
    ///
    /// # Errors
    /// When it cannot be reached.
    pub async fn client(&self) -> Result<Client, etcd_client::Error> {
        Client::connect([self.endpoint()], None).await
    }

    /// The value of a key.
    ///
    /// # Panics
    /// When etcd does not answer.
    pub async fn get(&self, key: &Key) -> Option<Vec<u8>> {
        let mut client = self.client().await.unwrap();
        let found = client.get(key.to_string(), None).await.unwrap();
        found.kvs().first().map(|pair| pair.value().to_vec())
    }

    /// What a node says of itself.
    ///
    /// # Panics
    /// When the value is no message.
    pub async fn info(&self, node: &str) -> Option<NodeInfo> {
        let value = self.get(&Key::Info { node: node.into() }).await?;
        Some(NodeInfo::decode(value.as_slice()).unwrap())
    }

    /// What a node says of its usage.
    ///
    /// # Panics
    /// When the value is no message.
    pub async fn usage(&self, node: &str) -> Option<NodeUsage> {
        let value = self.get(&Key::Usage { node: node.into() }).await?;
        Some(NodeUsage::decode(value.as_slice()).unwrap())
    }

    /// What a node says of a container.
    ///
    /// # Panics
    /// When the value is no message.
    pub async fn container(&self, node: &str, name: &str) -> Option<ContainerReport> {
        let value = self.get(&Key::Container { node: node.into(), name: name.into() }).await?;
        Some(ContainerReport::decode(value.as_slice()).unwrap())
    }

    /// Waits until a node says that a container is in a state.
    pub async fn container_in(&self, node: &str, name: &str, state: ContainerState) -> ContainerReport {
        let what = format!("etcd knows that {name} is {}", state.as_str_name());
        eventually_async(&what, || async { self.container(node, name).await.filter(|report| report.state() == state) })
            .await
    }

    /// Names of the containers a node speaks of.
    ///
    /// # Panics
    /// When etcd does not answer.
    pub async fn containers(&self, node: &str) -> Vec<String> {
        let mut client = self.client().await.unwrap();
        let options = GetOptions::new().with_prefix().with_keys_only();
        let found = client.get(Key::container_prefix(node), Some(options)).await.unwrap();
        let name = |pair: &etcd_client::KeyValue| match Key::parse(pair.key_str().unwrap()) {
            Some(Key::Container { name, .. }) => name,
            other => panic!("{other:?}"),
        };
        found.kvs().iter().map(name).collect()
    }
}

/// A port nobody listens on now. Another may take it first; the tests' own are the only ones that do.
fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
