//! The agent as the unit that is packaged, under the systemd of this machine.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tweendeck_integration_tests::agent::reach;
use tweendeck_integration_tests::api::Api;
use tweendeck_integration_tests::eventually::{eventually, eventually_async};
use tweendeck_integration_tests::kernel::{self, runs};
use tweendeck_integration_tests::tools;

const PACKAGED: &str = include_str!("../../../packaging/tweendeckd.service");
const NAME: &str = "tweendeckd.service";
const UNIT: &str = "/run/systemd/system/tweendeckd.service";
const OWN: &str = "/run/systemd/system/tweendeckd.service.d";
pub(crate) const CGROUPS: &str = "/sys/fs/cgroup";

/// The unit, with directories and a node id of its own. Dropped, its containers are deleted and it is checked to have left nothing.
pub(crate) struct Unit {
    directory: tempfile::TempDir,
    node: String,
}

impl Unit {
    /// Installs it; it is not started.
    pub(crate) fn install() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let comm = std::fs::read_to_string("/proc/1/comm").unwrap();
        assert_eq!(comm.trim(), "systemd", "these tests need systemd as PID 1: scripts/vm-test runs them in a guest");
        let directory = tempfile::Builder::new().prefix("tweendeck-test-").tempdir().unwrap();
        let node = format!("test-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let unit = Self { directory, node };
        std::fs::write(UNIT, PACKAGED).unwrap();
        unit.configure(&[]);
        unit
    }

    /// Says what its command line is; takes effect at the next start.
    fn configure(&self, more: &[&str]) {
        let flag = |name: &str, value: &Path| format!("--{name}={}", value.display());
        let own = self.directory.path();
        let mut words = vec![
            tools::binary("tweendeckd").display().to_string(),
            flag("state-dir", &own.join("state")),
            flag("run-dir", &own.join("run")),
            flag("runtime-binary", &tools::runtime()),
            format!("--node-id={}", self.node),
            "--sampling-interval=1s".to_owned(),
        ];
        words.extend(more.iter().map(|word| (*word).to_owned()));
        std::fs::create_dir_all(OWN).unwrap();
        let text = format!("[Service]\nExecStart=\nExecStart={}\n", words.join(" "));
        std::fs::write(Path::new(OWN).join("test.conf"), text).unwrap();
        systemctl(&["daemon-reload"]);
    }

    /// Starts it. Returns when it has said that it is ready, and so answers at once.
    pub(crate) async fn start(&self) -> Api {
        systemctl(&["start", NAME]);
        self.api_now().await
    }

    /// Restarts it, likewise.
    pub(crate) async fn restart(&self) -> Api {
        systemctl(&["restart", NAME]);
        self.api_now().await
    }

    /// Kills its main process, and waits until systemd has started another.
    pub(crate) async fn kill(&self) -> Api {
        let before = self.main_pid();
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(before), nix::sys::signal::Signal::SIGKILL).unwrap();
        let state = || self.main_pid() != before && property(NAME, "ActiveState") == "active";
        eventually("systemd has started it again", || state().then_some(()));
        self.api().await
    }

    pub(crate) fn stop(&self) {
        systemctl(&["stop", NAME]);
    }

    /// Its API, as soon as it answers.
    pub(crate) async fn api(&self) -> Api {
        let socket = self.socket();
        eventually_async("the agent answers", || async {
            let api = reach(&socket).await?;
            api.node().await.ok().map(|_| api)
        })
        .await
    }

    async fn api_now(&self) -> Api {
        let api = reach(&self.socket()).await.expect("it said READY=1, so it can be reached");
        api.node().await.expect("and answers");
        api
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join("run/tweendeckd.sock")
    }

    fn main_pid(&self) -> i32 {
        property(NAME, "MainPID").parse().unwrap()
    }

    /// The scope's name.
    pub(crate) fn scope(&self) -> String {
        format!("tweendeck-{}.scope", self.node)
    }

    /// The scope's directory.
    pub(crate) fn scope_directory(&self) -> PathBuf {
        Path::new(CGROUPS).join("tweendeck.slice").join(self.scope())
    }

    /// The one process in the holder's leaf, if there is one.
    pub(crate) fn holder(&self) -> Option<i32> {
        let listed = std::fs::read_to_string(self.scope_directory().join("holder/cgroup.procs")).ok()?;
        assert!(listed.lines().count() <= 1, "one holder: {listed}");
        listed.trim().parse().ok().filter(|pid| runs(*pid))
    }
}

impl Drop for Unit {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", output(&["journalctl", "--no-pager", "-u", NAME, "-u", &self.scope(), "-n", "80"]));
        }
        // One that is told to delete everything when it stops.
        self.configure(&["--on-shutdown=delete"]);
        let _ = Command::new("systemctl").args(["restart", NAME]).status();
        let _ = Command::new("systemctl").args(["stop", NAME]).status();
        std::fs::remove_file(UNIT).unwrap();
        std::fs::remove_dir_all(OWN).unwrap();
        systemctl(&["daemon-reload"]);
        if !std::thread::panicking() {
            let gone = || (!self.scope_directory().exists()).then_some(());
            eventually("the scope has gone with its last container", gone);
            let own = |line: &String| line.contains(&self.node);
            let left: Vec<_> = kernel::snapshot().since(&kernel::Snapshot::default()).into_iter().filter(own).collect();
            assert!(left.is_empty(), "left in the kernel: {left:#?}");
        }
    }
}

/// Runs systemctl, which must succeed.
pub(crate) fn systemctl(arguments: &[&str]) {
    let done = Command::new("systemctl").args(arguments).output().unwrap();
    let journal = || output(&["journalctl", "--no-pager", "-u", NAME, "-n", "40"]);
    assert!(done.status.success(), "systemctl {arguments:?}: {done:?}\n{}", journal());
}

/// What a command prints.
pub(crate) fn output(words: &[&str]) -> String {
    let done = Command::new(words[0]).args(&words[1..]).output().unwrap();
    String::from_utf8_lossy(&done.stdout).into_owned()
}

/// A property of a unit.
pub(crate) fn property(unit: &str, name: &str) -> String {
    output(&["systemctl", "show", "--value", "-p", name, unit]).trim().to_owned()
}

/// The limit files of a cgroup.
pub(crate) fn limits(path: &str) -> BTreeMap<&'static str, String> {
    let read = |name| std::fs::read_to_string(Path::new(CGROUPS).join(path).join(name));
    let names = ["cpu.max", "cpu.weight", "memory.max", "pids.max"];
    names.into_iter().map(|name| (name, read(name).unwrap_or_else(|error| error.to_string()))).collect()
}

/// CPU time that a cgroup used over a time, thousandths of a CPU.
pub(crate) fn used(path: &str, over: Duration) -> f64 {
    let usage = || {
        let stat = std::fs::read_to_string(Path::new(CGROUPS).join(path).join("cpu.stat")).unwrap();
        let micros = stat.lines().find_map(|line| line.strip_prefix("usage_usec ")).unwrap();
        micros.parse::<f64>().unwrap()
    };
    let (began, before) = (std::time::Instant::now(), usage());
    std::thread::sleep(over);
    (usage() - before) / began.elapsed().as_micros() as f64 * 1000.0
}
