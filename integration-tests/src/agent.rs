//! A real `tweendeckd` with directories, a cgroup and a socket of its own.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use hyper_util::rt::TokioIo;
use nix::sys::signal::Signal;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint, Uri};

use crate::api::Api;
use crate::eventually::{PATIENCE, eventually, eventually_async};
use crate::kernel;
use crate::process::Process;
use crate::tools;

/// An agent. Dropped, it deletes its containers and is checked to have left nothing.
#[derive(Debug)]
pub struct Agent {
    directory: tempfile::TempDir,
    cgroup: String,
    flags: Vec<String>,
    /// Directory of another build's binaries.
    build: Option<PathBuf>,
    environment: Vec<(String, PathBuf)>,
    process: Option<Process>,
}

impl Agent {
    /// Starts an agent and waits until it answers.
    pub async fn start() -> Self {
        Self::with(&[]).await
    }

    /// Starts one with flags of its own.
    pub async fn with(flags: &[&str]) -> Self {
        let mut agent = Self::prepared(flags);
        agent.resume().await;
        agent
    }

    /// Directories and flags of an agent that has not been started.
    ///
    /// # Panics
    /// When this is not root.
    #[must_use]
    pub fn prepared(flags: &[&str]) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        assert!(nix::unistd::geteuid().is_root(), "these tests make namespaces and cgroups: run them as root");
        let directory = tempfile::Builder::new().prefix("tweendeck-test-").tempdir().unwrap();
        let cgroup = format!("tweendeck-test-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
        Self { directory, cgroup, flags, build: None, environment: Vec::new(), process: None }
    }

    /// Sets a variable of its environment, from its next start on.
    pub fn set(&mut self, variable: &str, value: &Path) {
        self.environment.push((variable.to_owned(), value.to_owned()));
    }

    /// The command line of this agent.
    #[must_use]
    pub fn command(&self) -> Command {
        let flag = |name: &str, value: &Path| format!("--{name}={}", value.display());
        let (agent, runtime) = match &self.build {
            Some(build) => (build.join("tweendeckd"), build.join("tweendeck-runtime")),
            None => (tools::binary("tweendeckd"), tools::runtime()),
        };
        let mut command = Command::new(agent);
        command
            .arg(flag("state-dir", &self.state_dir()))
            .arg(flag("run-dir", &self.run_dir()))
            .arg(flag("runtime-binary", &runtime))
            .arg(format!("--cgroup-parent={}", self.cgroup))
            .args(["--sampling-interval=1s", "--log-filter=info"])
            .args(&self.flags)
            .envs(self.environment.iter().map(|(variable, value)| (variable, value)));
        if !self.flags.iter().any(|flag| flag.starts_with("--node-id=")) {
            command.arg(format!("--node-id={}", self.node()));
        }
        command
    }

    /// From the next start on, it is the binaries in that directory; of this build with `None`.
    pub fn use_build(&mut self, build: Option<PathBuf>) {
        self.build = build;
    }

    /// Starts it (again) and waits until it answers.
    ///
    /// # Panics
    /// When it ends instead.
    pub async fn resume(&mut self) {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.log()).unwrap();
        let mut command = self.command();
        self.process = Some(Process::start(command.stdout(Stdio::null()).stderr(log)));
        let socket = self.socket();
        eventually_async("the agent answers", || async {
            let ended = self.process.as_ref().is_some_and(|process| !kernel::runs(process.pid()));
            assert!(!ended, "the agent has ended:\n{}", std::fs::read_to_string(self.log()).unwrap_or_default());
            let channel = connect(&socket).await?;
            Api::new(channel).node().await.ok()
        })
        .await;
    }

    /// SIGKILL: it has no chance to say good-bye.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Asks it to stop, waits for its end and gives its exit code.
    ///
    /// # Panics
    /// When it does not run.
    pub fn stop(&mut self) -> Option<i32> {
        let mut process = self.process.take().expect("the agent runs");
        process.signal(Signal::SIGTERM);
        process.wait().code()
    }

    /// Its PID.
    ///
    /// # Panics
    /// When it does not run.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.process.as_ref().expect("the agent runs").pid()
    }

    /// Its API.
    ///
    /// # Panics
    /// When it cannot be reached.
    pub async fn api(&self) -> Api {
        Api::new(connect(&self.socket()).await.expect("the agent can be reached"))
    }

    /// A channel to its socket.
    ///
    /// # Panics
    /// When it cannot be reached.
    pub async fn channel(&self) -> Channel {
        connect(&self.socket()).await.expect("the agent can be reached")
    }

    /// Runs `tween` against it.
    #[must_use]
    pub fn tween(&self, arguments: &[&str]) -> Output {
        let host = format!("unix://{}", self.socket().display());
        let mut all = vec!["--host", host.as_str()];
        all.extend_from_slice(arguments);
        tools::output(&tools::binary("tween"), &all)
    }

    /// Its unix socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.run_dir().join("tweendeckd.sock")
    }

    /// Its run directory.
    #[must_use]
    pub fn run_dir(&self) -> PathBuf {
        self.directory.path().join("run")
    }

    /// Its state directory.
    #[must_use]
    pub fn state_dir(&self) -> PathBuf {
        self.directory.path().join("state")
    }

    /// A directory of the test's.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Its log.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.directory.path().join("log")
    }

    /// The parent of its containers' cgroups.
    #[must_use]
    pub fn cgroup(&self) -> &str {
        &self.cgroup
    }

    /// Its node id.
    #[must_use]
    pub fn node(&self) -> &str {
        &self.cgroup
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.process = None;
        if std::thread::panicking() {
            eprintln!("--- log of the agent\n{}", std::fs::read_to_string(self.log()).unwrap_or_default());
        }
        if !self.state_dir().exists() {
            return;
        }
        // One more agent, which is told to delete everything: that it can is part of every test.
        let _ = std::fs::remove_file(self.socket());
        let mut command = self.command();
        command.arg("--on-shutdown=delete").stdout(Stdio::null()).stderr(Stdio::null());
        let mut last = Process::start(&mut command);
        let serving = || self.socket().exists().then_some(()).or_else(|| last.try_wait().map(|_| ()));
        eventually("the last agent serves or has ended", serving);
        if last.try_wait().is_none() {
            last.signal(Signal::SIGTERM);
            last.wait();
        }
        if !std::thread::panicking() {
            let left = std::fs::read_dir(self.state_dir().join("containers")).map_or(0, Iterator::count);
            assert_eq!(left, 0, "files of containers are left");
            let own =
                |line: &String| line.contains(&self.cgroup) || line.contains(&*self.directory.path().to_string_lossy());
            let empty = kernel::Snapshot::default();
            let left: Vec<_> = kernel::snapshot().since(&empty).into_iter().filter(own).collect();
            assert!(left.is_empty(), "left in the kernel: {left:#?}");
        }
    }
}

/// The API behind a socket, if an agent answers there.
pub async fn reach(socket: &Path) -> Option<Api> {
    connect(socket).await.map(Api::new)
}

async fn connect(socket: &Path) -> Option<Channel> {
    let socket = socket.to_owned();
    let connector = tower::service_fn(move |_: Uri| {
        let socket = socket.clone();
        async move { UnixStream::connect(socket).await.map(TokioIo::new) }
    });
    Endpoint::from_static("http://localhost").timeout(PATIENCE * 2).connect_with_connector(connector).await.ok()
}
