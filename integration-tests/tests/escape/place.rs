//! The containers that the probes run in, from the default one to one with nothing around it.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::{Path, PathBuf};

use nix::sys::stat::{Mode, SFlag, major, makedev, minor, mknod};
use tweendeck_integration_tests::agent::Agent;
use tweendeck_integration_tests::api::{Api, exit, spec};
use tweendeck_proto::v1::security_options::Seccomp;
use tweendeck_proto::v1::*;

/// The probe, a static program.
pub(crate) const PROBE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/escape-probe"));

/// What a probe came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// The error's name, `empty` or `contained` where a call succeeded and led nowhere, or `THROUGH`.
    pub(crate) word: String,
    /// Whether the filter of system calls refused it.
    pub(crate) filtered: bool,
}

impl Outcome {
    pub(crate) fn is_through(&self) -> bool {
        self.word == "THROUGH"
    }

    /// Whether what was asked for is not there, so that nothing needed to be refused.
    pub(crate) fn is_absent(&self) -> bool {
        ["ENOSYS", "EAFNOSUPPORT", "ENOENT"].contains(&self.word.as_str()) && !self.filtered
    }
}

/// Which of the layers a container has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Everything, as a caller gets it who asks for nothing.
    Default,
    /// Everything but the filter of system calls.
    NoFilter,
    /// Everything but the user namespace.
    NoUser,
    /// Namespaces alone: every capability, nothing masked, every device.
    Namespaces,
    /// As good as nothing: the host's users, processes and network besides.
    Nothing,
}

/// An agent, a root directory with the probe in it, and what there is to reach on the host.
pub(crate) struct Place {
    agent: Agent,
    api: Api,
    root: PathBuf,
    socket: String,
    _unix: UnixListener,
    tcp: TcpListener,
}

impl Place {
    pub(crate) async fn new() -> Self {
        // Given to the agent, as by a careless service manager; it must not come into containers. `dup` leaves it open in programs that are executed.
        let given = nix::unistd::dup(std::fs::File::open("/").unwrap()).unwrap();
        let agent = Agent::with(&["--security-allow-privileged=true", "--security-allow-unconfined=true"]).await;
        drop(given);
        let api = agent.api().await;
        let root = agent.directory().join("root");
        for directory in ["", "proc", "sys", "dev", "tmp"] {
            std::fs::create_dir_all(root.join(directory)).unwrap();
        }
        let program = |name: &str, mode| {
            std::fs::write(root.join(name), PROBE).unwrap();
            std::fs::set_permissions(root.join(name), std::fs::Permissions::from_mode(mode)).unwrap();
        };
        program("probe", 0o755);
        // The directory of an agent is its user's alone, so nobody on the host reaches it.
        program("set-user-id", 0o4755);
        std::fs::write(root.join("inside"), "inside").unwrap();
        std::fs::write(agent.directory().join("secret"), "secret").unwrap();
        let node = |name: &str, kind, device| {
            mknod(&root.join(name), kind, Mode::from_bits_truncate(0o666), device).unwrap();
        };
        node("log", SFlag::S_IFCHR, makedev(1, 11));
        node("disk", SFlag::S_IFBLK, disk());
        let socket = format!("{}-abstract", agent.cgroup());
        let unix = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&socket).unwrap()).unwrap();
        Self { agent, api, root, socket, _unix: unix, tcp: TcpListener::bind("127.0.0.1:0").unwrap() }
    }

    pub(crate) fn api(&self) -> &Api {
        &self.api
    }

    pub(crate) fn agent(&self) -> &Agent {
        &self.agent
    }

    pub(crate) fn agent_mut(&mut self) -> &mut Agent {
        &mut self.agent
    }

    /// The directory that is the containers' root.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// A container of a kind that runs a command in this place's root.
    pub(crate) fn spec(&self, kind: Kind, command: &[&str]) -> ContainerSpec {
        let own = std::process::id().to_string();
        let device = disk();
        let env = BTreeMap::from([
            ("HOST_PID".to_owned(), own),
            ("HOST_SOCKET".to_owned(), self.socket.clone()),
            ("HOST_PORT".to_owned(), self.tcp.local_addr().unwrap().port().to_string()),
            ("HOST_DISK".to_owned(), format!("{}:{}", major(device), minor(device))),
        ]);
        let path = self.root.to_str().unwrap().to_owned();
        let source = root_filesystem::Source::Directory(DirectoryRootfs { path, readonly: false });
        let rootfs = Some(RootFilesystem { source: Some(source) });
        let mode = |mode: NamespaceMode| Some(Namespace { source: Some(namespace::Source::Mode(mode.into())) });
        let (host, private) = (mode(NamespaceMode::Host), mode(NamespaceMode::Private));
        let privileged = SecurityOptions { privileged: true, ..Default::default() };
        let (security, namespaces) = match kind {
            Kind::Default => (None, None),
            Kind::NoFilter => {
                let seccomp = Some(Seccomp::SeccompUnconfined(SeccompUnconfined {}));
                (Some(SecurityOptions { seccomp, ..Default::default() }), None)
            }
            Kind::NoUser => (None, Some(NamespaceOptions { user: host, ..Default::default() })),
            Kind::Namespaces => {
                let security = SecurityOptions { allow_new_privileges: true, ..privileged };
                (Some(security), Some(NamespaceOptions { user: private, ..Default::default() }))
            }
            Kind::Nothing => {
                let security = SecurityOptions { allow_new_privileges: true, ..privileged };
                let (pid, network) = (host.clone(), host.clone());
                (Some(security), Some(NamespaceOptions { user: host, pid, network, ..Default::default() }))
            }
        };
        ContainerSpec { env, rootfs, security, namespaces, ..spec(command) }
    }

    /// Runs all probes that may be run in a container of a kind.
    pub(crate) async fn probe(&self, kind: Kind) -> BTreeMap<String, Outcome> {
        let argument = match kind {
            Kind::Default | Kind::NoFilter | Kind::NoUser => "confined",
            Kind::Namespaces | Kind::Nothing => "open",
        };
        let lines = self.run(&format!("{kind:?}").to_lowercase(), self.spec(kind, &["/probe", argument])).await;
        outcomes(&lines)
    }

    /// Runs a container to its end, which must be a good one, and gives what it printed.
    pub(crate) async fn run(&self, name: &str, spec: ContainerSpec) -> Vec<String> {
        self.api.run(name, spec).await.unwrap();
        let ended = self.api.wait(name).await.unwrap();
        let directory = ended.status.clone().unwrap().log_dir;
        let read = |stream: &str| std::fs::read_to_string(format!("{directory}/{stream}.log")).unwrap_or_default();
        let (printed, complaints) = (read("stdout"), read("stderr"));
        assert_eq!((exit(&ended).code, complaints.as_str()), (0, ""), "{name}: {printed}");
        printed.lines().map(|line| line.splitn(4, ' ').nth(3).unwrap().to_owned()).collect()
    }
}

/// What the probe printed.
pub(crate) fn outcomes(lines: &[String]) -> BTreeMap<String, Outcome> {
    lines.iter().filter_map(|line| parse(line)).collect()
}

/// `PROBE name word filter|kernel|-`
fn parse(line: &str) -> Option<(String, Outcome)> {
    let words: Vec<&str> = line.strip_prefix("PROBE ")?.split(' ').collect();
    let [name, word, by] = words[..] else { panic!("{line}") };
    Some((name.to_owned(), Outcome { word: word.to_owned(), filtered: by == "filter" }))
}

/// The disk that this machine's root is on, or a loop device where that is none that may be opened.
fn disk() -> u64 {
    let root = std::fs::metadata("/").unwrap().dev();
    let opens = |device: u64| {
        let path = format!("/dev/block/{}:{}", major(device), minor(device));
        std::fs::File::open(path).is_ok()
    };
    if opens(root) { root } else { makedev(7, 0) }
}
